"""Settings of object stores, and of stages whose progress is the newest object below a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from dataops_core.config.base import ComponentSettings, Secret, Section, StageSettings


class StoreSettings(Section):
    """A location in an object store, or a local folder, in Arrow's configuration."""

    location: str
    """Root of the prefixes: `s3://bucket`, `gs://bucket`, `abfs://container`, or an absolute path."""
    properties: dict[str, Secret] = Field(default={}, repr=False)
    """Arguments of Arrow's file system: `endpoint_override`, `region`, `access_key`, `secret_key`, `scheme` for S3,
    `account_name`, `account_key` for Azure. Without a key, the provider's default chain supplies credentials."""


class ObjectStoreSettings(ComponentSettings, StoreSettings):
    """An object store, or a local folder, in Arrow's configuration."""

    component: ClassVar[str] = "object_store"


def location_problems(settings: StoreSettings) -> Iterator[str]:
    """Yield the problems of a location; each line begins with the key."""
    parts = urlsplit(settings.location)
    if parts.scheme not in ("s3", "gs", "abfs", "file", ""):
        yield ".location: must begin with s3://, gs://, abfs://, file:// or /"
    elif parts.scheme in ("", "file") and not parts.path.startswith("/"):
        yield ".location: must be an absolute path"
    elif parts.scheme in ("s3", "gs", "abfs") and not parts.netloc:
        yield ".location: has no bucket"


class ObjectPrefixStage(StageSettings):
    """A stage whose progress is the newest object below a prefix."""

    kind: Literal["object_prefix"]
    """Always `object_prefix`."""
    prefix: str
    """Folder below the store's location. `strftime` codes stand for the current UTC time: `orders/dt=%Y-%m-%d`. The
    folder of the previous day, or with `%H` of the previous hour, is also read."""
    match: str = "*"
    """Pattern of the names of objects, such as `*.parquet`; names that begin with `_` or `.` are not data."""
    marker: str | None = None
    """Name of a marker such as `_SUCCESS`. Only folders with it count as loaded, and data without it waits."""
    waits: bool = False
    """Whether all objects are unread, because their reader moves or deletes them."""
    objects_max: int = Field(default=20_000, gt=0)
    """Maximum number of objects; a longer listing fails."""
    waiting_max: int | None = Field(default=None, ge=0)
    """Maximum number of waiting objects. Default: no limit."""
    every: float = Field(default=60.0, gt=0)
    """Seconds between two listings."""
