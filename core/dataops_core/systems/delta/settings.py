"""Settings of Delta Lake: where tables are, and stages that are tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from dataops_core.config.base import ComponentSettings, LocalPath, Secret, StageSettings
from dataops_core.systems.object_prefix.settings import StoreSettings, location_problems

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        "access_key": "aws_access_key_id",
        "secret_key": "aws_secret_access_key",
        "session_token": "aws_session_token",
        "region": "aws_region",
        "endpoint_override": "aws_endpoint",
        "scheme": "",
        "anonymous": "aws_skip_signature",
        "force_virtual_addressing": "aws_virtual_hosted_style_request",
    },
    "abfs": {
        "account_name": "azure_storage_account_name",
        "account_key": "azure_storage_account_key",
        "sas_token": "azure_storage_sas_key",
    },
}
"""Arguments of Arrow's file systems by scheme, each with the option of delta-rs of the same meaning."""


class DeltaSettings(ComponentSettings, StoreSettings):
    """A folder or bucket with Delta Lake tables, which Arrow and delta-rs read."""

    component: ClassVar[str] = "delta"
    location: LocalPath
    """Folder of the tables: `s3://bucket/path`, `gs://bucket/path`, `abfs://container/path`, or a local
    path."""
    properties: dict[str, Secret] = Field(default={}, repr=False)
    """`endpoint_override`, `scheme`, `region`, `access_key`, `secret_key`, `session_token`, `anonymous` and
    `force_virtual_addressing` for S3; `account_name`, `account_key` and `sas_token` for Azure. Without a key, the
    provider's default chain supplies credentials."""


class DeltaTableStage(StageSettings):
    """A Delta Lake table."""

    kind: Literal["delta_table"]
    """Always `delta_table`."""
    table: str = Field(min_length=1)
    """Path of the table below the location, such as `sales/orders`."""
    progress_column: str | None = None
    """Timestamp column whose newest value in the statistics is the progress time of tables without a stamp. Without
    both, the progress time is that of the newest commit that added data."""
    progress_key: str = "dataops.progress-time"
    """Key of the commit metadata whose ISO 8601 time is the progress of that commit: its stamp."""
    small_file_bytes: float = Field(default=16 * 2.0**20, gt=0)
    """Bytes below which a data file is small."""
    small_files_max: int = Field(default=5000, ge=0)
    """Maximum number of small data files."""
    versions_uncheckpointed_max: int = Field(default=200, ge=1)
    """Maximum number of versions after the newest checkpoint; at least twice the table's `delta.checkpointInterval`."""
    every: float = Field(default=30.0, gt=0)
    """Seconds between two readings."""


def component_problems(settings: DeltaSettings) -> Iterator[str]:
    """Yield what is wrong with a component, each line beginning with the key."""
    yield from location_problems(settings)
    known = OPTIONS.get(urlsplit(settings.location).scheme, {})
    for name in settings.properties:
        if name not in known:
            names = ", ".join(known) or "none"
            yield f".properties.{name}: is not supported for Delta tables at this location; supported: {names}"


def stage_problems(stage: DeltaTableStage) -> Iterator[str]:
    """Yield what is wrong with a stage, each line beginning with the key."""
    if "://" in stage.table or stage.table.startswith("/") or ".." in stage.table.split("/"):
        yield ".table: must be a path below the location of the component"
