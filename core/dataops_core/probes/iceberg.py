"""Iceberg tables."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.clients.iceberg import CatalogClient, Writer
from dataops_core.config import IcebergTableStage
from dataops_core.health.model import Advance, Figure, Observation, ProgressSource, WriterChange


def observe_table(stage: IcebergTableStage, client: CatalogClient) -> Observation:
    """Observe a table: its progress is what its writer stamped, or else the upper bound of its progress column."""
    now = datetime.now(UTC)
    table = client.table(stage.table, stage.progress_column)
    stamped = table.commits[-1] if table.commits else None
    progress = stamped.progress_time if stamped else table.upper_bound
    source = ProgressSource.STAMPED if stamped else ProgressSource.DERIVED
    counts = {
        "snapshots": table.snapshots,
        "data_files": table.data_files,
        "delete_files": table.delete_files,
    }
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress,
        progress_source=source if progress else None,
        position=table.records,
        # A commit of upkeep is no progress.
        advanced_at=stamped.at if stamped else table.committed_at,
        advances=tuple(Advance(c.at, c.progress_time, c.oldest) for c in table.commits),
        writer_change=_writer_change(table.writers),
        figures=tuple(Figure(name, value) for name, value in counts.items() if value is not None),
    )


def _writer_change(writers: tuple[Writer, ...]) -> WriterChange | None:
    if len(writers) < 2:
        return None
    before, now = writers[-2:]
    return WriterChange(at=now.since, old=before.query_id, new=now.query_id)


def report(client: CatalogClient) -> tuple[str, str | None]:
    """Return one line about the catalog."""
    namespaces = client.ping()
    return f"{namespaces} namespace{'s' if namespaces != 1 else ''}", None
