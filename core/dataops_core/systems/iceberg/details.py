"""What probes observe of tables, catalogs and their stores."""

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
        snapshot_id: The current snapshot, as text: it has more digits than JSON numbers keep.
        query_id: The streaming query that has written the newest epoch.
        epoch: Number of the newest batch of a streaming query in the table.
        epoch_committed_at: When it was committed.
        small_files: Data files below the stage's `small_file_bytes`.
        files_checked: Data files that the newest probe run asked the store for.
        missing_files: Files that the store does not have.
        missing: The first of them.
        snapshot_age_setting: The table's own limit of the age of snapshots.
        oldest_unneeded_snapshot: Time of the oldest snapshot that no branch or tag needs.
        compacted: When the table was compacted last, by the snapshots that are kept.
        records_added_recent: Records that were added within the last hour.
        records_rejected_recent: Records that the table of rejects got within the last hour.
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
