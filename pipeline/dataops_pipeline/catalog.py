"""Access to the Iceberg catalog without Spark, for small tasks."""

from __future__ import annotations

from datetime import UTC, datetime

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from dataops_pipeline.settings import CATALOG, JobSettings

PROGRESS = "dataops.progress-time"
"""Commit property: the newest pipeline-entry time of all records up to this commit."""
OLDEST = "dataops.oldest-time"
"""Commit property: the oldest pipeline-entry time of the records of this commit."""
SOURCE_SNAPSHOT = "dataops.source-snapshot"
"""Commit property: the snapshot of the upstream table that the job read."""

TEN_YEARS_MS = 3653 * 24 * 3600 * 1000
"""Retention of a tag for audits, in milliseconds; maintenance expires no tagged snapshot."""


def open_catalog(settings: JobSettings) -> Catalog:
    """Return the catalog."""
    return load_catalog(
        CATALOG,
        **{
            "type": "rest",
            "uri": settings.catalog_uri,
            "warehouse": settings.warehouse,
            "credential": settings.catalog_credential,
            "oauth2-server-uri": f"{settings.catalog_uri}/v1/oauth/tokens",
            "s3.region": settings.s3_region,
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            **settings.s3_properties(),
        },
    )


def newest_with(table: Table, name: str) -> tuple[Snapshot, str] | None:
    """Return the newest snapshot with a commit property, and the value; maintenance commits have none."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        value = snapshot.summary.additional_properties.get(name) if snapshot.summary else None
        if value is not None:
            return snapshot, value
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return None


def oldest_since(table: Table, snapshot_id: int) -> str | None:
    """Return the oldest pipeline-entry time of the records that were committed after a snapshot.

    `None` if there are no such records, or if the snapshot is no longer an ancestor of the current one, so that later
    commits cannot be listed.
    """
    results: list[str] = []
    snapshot = table.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id != snapshot_id:
        value = snapshot.summary.additional_properties.get(OLDEST) if snapshot.summary else None
        if value is not None:
            results.append(value)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return min(results, default=None) if snapshot is not None else None


def iso(millis: int) -> str:
    """Return milliseconds since the epoch as ISO 8601 in UTC, the format of times in commit properties."""
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
