"""Details of observations of object stores and prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStoreDetails(ComponentDetails):
    """An object store that responds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixDetails(Details):
    """The objects below a prefix.

    Attributes:
        prefix: The prefix, with its `strftime` codes resolved.
        objects: Objects that count as data.
        newest_object: Path of the newest object.
        objects_waiting: Unread objects, or objects in folders without the marker.
        folders_unmarked: Folders with data but without the marker.
    """

    prefix: str | None = value()
    objects: int | None = value()
    object_bytes: int | None = value("bytes")
    newest_object: str | None = value()
    newest_object_at: datetime | None = value()
    objects_waiting: int | None = value()
    bytes_waiting: int | None = value("bytes")
    folders_marked: int | None = value()
    folders_unmarked: int | None = value()
