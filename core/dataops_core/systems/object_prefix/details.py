"""What probes observe of object stores and prefixes."""

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
        prefix: The prefix, with the time in place of its codes.
        objects: Objects that count as data.
        newest_object: Name of the newest one.
        objects_waiting: Those that wait.
        folders_unmarked: Folders with data and without their marker.
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
