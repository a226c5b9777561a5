"""Details of observations of tables, catalogs and their stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogDetails(ComponentDetails):
    """A catalog."""

    namespaces: int | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDetails(Details):
    """A table.

    Attributes:
        table: `namespace.table`.
        snapshot_id: The current snapshot as text, because it exceeds the precision of JSON numbers.
        query_id: The streaming query that wrote the newest epoch.
        epoch: Number of the newest batch of a streaming query in the table.
        epoch_committed_at: When it was committed.
        small_files: Data files below the stage's `small_file_bytes`.
        files_checked: Data files that the newest probe run checked in the store.
        missing_files: Number of files that are missing in the store.
        missing: The first missing file.
        snapshot_age_setting: Maximum snapshot age in the table's properties.
        oldest_unneeded_snapshot: Time of the oldest snapshot that no branch or tag references.
        compacted: Time of the last compaction, from the retained snapshots.
        records_added_recent: Records added within the last hour.
        records_rejected_recent: Records added to the rejects table within the last hour.
    """

    table: str | None = value()
    snapshot_id: str | None = value()
    query_id: str | None = value()
    missing: str | None = value()
    snapshots: int | None = value()
    refs: int | None = value()
    data_files: int | None = value()
    data_file_bytes: int | None = value("bytes")
    small_files: int | None = value()
    delete_files: int | None = value()
    manifests: int | None = value()
    metadata_bytes: int | None = value("bytes")
    files_checked: int | None = value()
    missing_files: int | None = value()
    snapshot_age_setting: float | None = value("s")
    records_added_recent: int | None = value("records")
    records_rejected_recent: int | None = value("records")
    epoch: int | None = value()
    committed_at: datetime | None = value()
    epoch_committed_at: datetime | None = value()
    oldest_snapshot: datetime | None = value()
    oldest_unneeded_snapshot: datetime | None = value()
    compacted: datetime | None = value()
