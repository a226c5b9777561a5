"""Observe Delta Lake tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from dataops_core.health.observation import Advance, Observation, ProgressSource
from dataops_core.systems.base import DoctorStep
from dataops_core.systems.delta.client import VERSIONS, DeltaClient, TableState
from dataops_core.systems.delta.details import DeltaDetails, DeltaTableDetails
from dataops_core.systems.delta.log import Commit
from dataops_core.systems.delta.settings import DeltaTableStage

_FEATURES = 5
"""Features of the protocol that are named."""


def observe_location(client: DeltaClient) -> tuple[str, Observation]:
    """Return one line about a location with tables, and what was observed of it."""
    version = client.ping()
    details = DeltaDetails(deltalake_version=version)
    return f"the location exists; deltalake {version}", Observation(client.name, datetime.now(UTC), details=details)


def observe_table(stage: DeltaTableStage, client: DeltaClient) -> Observation:
    """Observe a table.

    Its progress is the stamp of its newest stamped commit, else the newest value of its progress column, else the time
    of the newest commit that added data. Other versions, such as those of DELETE and OPTIMIZE, are no progress.
    """
    now = datetime.now(UTC)
    table = client.table(stage)
    data = newest_data(table)
    stamped = [each for each in table.commits if each.stamp is not None]
    if stamped:
        progress, source = stamped[-1].stamp, ProgressSource.STAMPED
    elif stage.progress_column is not None:
        progress, source = table.snapshot.newest, ProgressSource.DERIVED
    else:
        progress, source = data.at if data is not None else None, ProgressSource.DERIVED
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress,
        progress_source=source if progress is not None else None,
        position=table.snapshot.rows,
        advanced_at=data.at if data is not None else None,
        advances=tuple(_advances(stage, table, stamped)),
        notes=(table.unreadable,) if table.unreadable is not None else (),
        details=_details(stage, table, data),
    )


def newest_data(table: TableState) -> Commit | None:
    """Return the newest commit that added data; `None` where the commits that were read have none."""
    return next((each for each in reversed(table.commits) if each.adds_data), None)


def diagnose_table(stage: DeltaTableStage, client: DeltaClient) -> Iterator[DoctorStep]:
    """Yield what the doctor finds of a table."""
    table = client.table(stage)
    snapshot, data = table.snapshot, newest_data(table)
    yield DoctorStep(ok=True, detail=f"version {snapshot.version}, data files: {snapshot.files}")
    if table.unreadable is not None:
        yield DoctorStep(ok=False, detail=table.unreadable, remedy="Check what writes to the log of the table.")
    if any(each.stamp is not None for each in table.commits):
        yield DoctorStep(ok=True, detail=f"its commits have the stamp {stage.progress_key}")
    elif stage.progress_column is not None:
        known = snapshot.newest is not None
        yield DoctorStep(
            ok=True if known else None,
            detail=f"statistics of {stage.progress_column}: {'found' if known else 'none'}",
            remedy=None if known else "Let the writer collect statistics of the column, or stamp its commits.",
        )
    else:
        yield DoctorStep(
            ok=True if data is not None else None,
            detail="newest commit that added data: "
            + (f"version {data.version}" if data is not None else f"not among the newest {VERSIONS} versions"),
            remedy=None if data is not None else "Set progress_column, or stamp the commits.",
        )
    if snapshot.rows is None:
        yield DoctorStep(
            ok=None,
            detail="data files without the number of their rows: throughput is unknown",
            remedy="Let the writer collect statistics.",
        )


def _advances(stage: DeltaTableStage, table: TableState, stamped: list[Commit]) -> Iterator[Advance]:
    if not stamped and stage.progress_column is not None:
        return
    for commit in stamped or [each for each in table.commits if each.adds_data]:
        reached = commit.stamp or commit.at
        if commit.at is not None and reached is not None:
            yield Advance(commit.at, reached, first=commit.version == 0)


def _details(stage: DeltaTableStage, table: TableState, data: Commit | None) -> DeltaTableDetails:
    snapshot = table.snapshot
    newest = next((each for each in reversed(table.commits) if each.version == snapshot.version), None)
    optimized = [each for each in table.commits if each.operation is not None and each.operation.startswith("OPTIMIZE")]
    named = snapshot.reader_features[:_FEATURES]
    return DeltaTableDetails(
        table=stage.table,
        operation=newest.operation if newest is not None else None,
        engine=newest.engine if newest is not None else None,
        data_operation=data.operation if data is not None else None,
        reader_features=", ".join(named) + (" …" if len(snapshot.reader_features) > len(named) else "") or None,
        version=snapshot.version,
        data_version=data.version if data is not None else None,
        data_files=snapshot.files,
        data_file_bytes=snapshot.file_bytes,
        small_files=snapshot.small_files,
        file_rows=snapshot.rows,
        checkpoint_version=table.checkpoint,
        versions_uncheckpointed=table.uncheckpointed,
        checkpoint_interval=snapshot.checkpoint_interval,
        reader_version=snapshot.reader_version,
        committed_at=newest.at if newest is not None else None,
        data_committed_at=data.at if data is not None else None,
        newest_value=snapshot.newest,
        optimized=optimized[-1].at if optimized else None,
    )
