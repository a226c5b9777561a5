"""The Iceberg catalog without Spark, for what is small."""

from __future__ import annotations

from datetime import UTC, datetime

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from dataops_pipeline.settings import CATALOG, JobSettings

PROGRESS = "dataops.progress-time"
"""Commit property: the newest pipeline-entry time that this commit, and all before it, have taken in."""
OLDEST = "dataops.oldest-time"
"""Commit property: the oldest pipeline-entry time among what this commit has taken in."""
SOURCE_SNAPSHOT = "dataops.source-snapshot"
"""Commit property: the snapshot of the upstream table that the commit was made from."""

TEN_YEARS_MS = 3653 * 24 * 3600 * 1000
"""How long a tag is kept that somebody may have to answer for; maintenance expires no snapshot that a tag names."""


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
    """Return the newest snapshot that carries a commit property, with its value; maintenance commits carry none."""
    snapshot = table.current_snapshot()
    while snapshot is not None:
        value = snapshot.summary.additional_properties.get(name) if snapshot.summary else None
        if value is not None:
            return snapshot, value
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return None


def oldest_since(table: Table, snapshot_id: int) -> str | None:
    """Return the oldest pipeline-entry time among what the commits after a snapshot have taken in.

    `None` where they have taken in nothing, or where the snapshot is no ancestor of the current one any more, and so
    nobody knows which commits came after it.
    """
    found: list[str] = []
    snapshot = table.current_snapshot()
    while snapshot is not None and snapshot.snapshot_id != snapshot_id:
        value = snapshot.summary.additional_properties.get(OLDEST) if snapshot.summary else None
        if value is not None:
            found.append(value)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return min(found, default=None) if snapshot is not None else None


def iso(millis: int) -> str:
    """Return milliseconds since the epoch as the commit properties hold a time: ISO 8601, UTC."""
    return datetime.fromtimestamp(millis / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
