"""Probe Iceberg catalogs, their stores and tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataops_core.health.details import ComponentDetails
from dataops_core.health.model import store_of
from dataops_core.health.observation import Advance, Observation, ProgressSource, WriterChange
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.details import CatalogDetails, TableDetails
from dataops_core.systems.iceberg.settings import IcebergTableStage

if TYPE_CHECKING:
    from dataops_core.systems.iceberg.table import TableState, Writer


def observe_table(stage: IcebergTableStage, client: CatalogClient) -> Observation:
    """Return an observation of a table; its progress time is the writer's stamp, or the column's bound."""
    now = datetime.now(UTC)
    table = client.table(stage.table, stage.progress_column, small=stage.small_file_bytes, check=stage.files_checked)
    rejected = client.records_added(stage.rejects) if stage.rejects is not None else None
    stamped = table.commits[-1] if table.commits else None
    progress = stamped.progress_time if stamped else table.upper_bound
    source = ProgressSource.STAMPED if stamped else ProgressSource.DERIVED
    unreadable = f"its files cannot be checked: {table.store_error}" if table.store_error else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress,
        progress_source=source if progress else None,
        position=table.records,
        # a commit of a maintenance job is not progress
        advanced_at=stamped.at if stamped else table.committed_at,
        advances=tuple(Advance(c.at, c.progress_time, c.oldest, c.first) for c in table.commits),
        writer_change=_writer_change(table.writers),
        notes=(unreadable,) if unreadable else (),
        details=_details(table, stage.files_checked, rejected),
    )


def _details(table: TableState, checked: int, rejected: int | None) -> TableDetails:
    files, epoch = table.files, table.epoch
    return TableDetails(
        table=table.identifier,
        snapshot_id=str(table.snapshot_id) if table.snapshot_id is not None else None,
        query_id=epoch.query_id if epoch else None,
        missing=table.missing[0] + (" …" if len(table.missing) > 1 else "") if table.missing else None,
        snapshots=table.snapshots,
        refs=table.refs,
        data_files=files.data_files if files else table.data_files,
        data_file_bytes=files.held if files else table.data_bytes,
        small_files=files.small if files else None,
        delete_files=table.delete_files,
        manifests=files.manifests if files else None,
        metadata_bytes=table.metadata_bytes,
        files_checked=min(checked, files.data_files) if files else None,
        missing_files=len(table.missing) if files or table.missing else None,
        snapshot_age_setting=table.snapshot_age,
        records_added_recent=table.records_added_recent,
        records_rejected_recent=rejected,
        epoch=epoch.number if epoch else None,
        committed_at=table.committed_at,
        epoch_committed_at=epoch.at if epoch else None,
        oldest_snapshot=table.oldest_snapshot,
        oldest_unneeded_snapshot=table.oldest_unneeded,
        compacted=table.compacted_at,
    )


def _writer_change(writers: tuple[Writer, ...]) -> WriterChange | None:
    if len(writers) < 2:
        return None
    before, now = writers[-2:]
    return WriterChange(at=now.since, old=before.query_id, new=now.query_id)


def observe_catalog(client: CatalogClient) -> tuple[str, Observation]:
    """Return one line about the catalog, and its observation."""
    now = datetime.now(UTC)
    namespaces = client.ping()
    detail = f"{namespaces} namespace{'s' if namespaces != 1 else ''}"
    return detail, Observation(stage=client.name, observed_at=now, details=CatalogDetails(namespaces=namespaces))


def observe_store(client: CatalogClient) -> tuple[str, Observation]:
    """Return one line about the tables' object store, and its observation."""
    now = datetime.now(UTC)
    client.store()
    return "the warehouse exists", Observation(stage=store_of(client.name), observed_at=now, details=ComponentDetails())
