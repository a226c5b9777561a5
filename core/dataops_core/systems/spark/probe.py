"""Probe a Structured Streaming query by its checkpoint and the topics that it reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any

from dataops_core.errors import DataopsError
from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.probe import reader_details, waiting
from dataops_core.systems.spark.checkpoint import Batch, Checkpoint, read_checkpoint
from dataops_core.systems.spark.details import QueryDetails
from dataops_core.systems.spark.offset_log import KAFKA, NONE, words
from dataops_core.systems.spark.settings import SparkQueryStage
from dataops_core.systems.spark.ui import LateRows, SparkUi
from dataops_core.units import duration
from dataops_core.values import sum_of


def observe_query(
    stage: SparkQueryStage,
    kafka: Callable[[], KafkaClient],
    store: CatalogClient | None,
    ui: SparkUi | None = None,
) -> Observation:
    """Return an observation of a query: its committed offsets against those of its topics.

    The end of other sources than Kafka is unknown. The progress time is then that of the plan of the newest committed
    batch.

    Args:
        stage: The query.
        kafka: Returns the cluster that it reads; not called if it reads no topic.
        store: Opens the object store of its checkpoint, if it is in one.
        ui: The web UI of its driver, if configured.
    """
    now = datetime.now(UTC)
    checkpoint = read_checkpoint(stage.checkpoint, store)
    planned, committed = checkpoint.planned, checkpoint.committed
    reads = committed or planned
    if reads is None:
        return Observation(stage=stage.name, observed_at=now, notes=("no batch has been planned yet",))
    done = committed.offsets if committed else {}
    others = tuple(source for source in reads.sources if source.kind not in (KAFKA, NONE))
    only_others = bool(others) and not reads.offsets
    client = None if only_others else kafka()
    topics = {name: client.topic(name) for name in reads.offsets} if client is not None else {}
    waits = [waiting(client, topic, done.get(name, {})) for name, topic in topics.items()] if client is not None else []
    records = [wait.records for wait in waits]
    behind = any(wait.behind for wait in waits)
    since = min((wait.since for wait in waits if wait.since is not None), default=None)
    passed = max((wait.passed for wait in waits if wait.passed is not None), default=None)
    newest = max((wait.newest for wait in waits if wait.newest is not None), default=None)
    in_flight = planned is not None and (committed is None or planned.number > committed.number)
    notes = []
    if only_others:
        notes.append(f"it reads {words(others)}: its progress is that of its batches, and its lag is unknown")
    elif others:
        notes.append(f"it also reads {words(others)}, with unknown lag")
    if in_flight and planned is not None:
        age = duration((now - planned.at).total_seconds())
        notes.append(f"batch {planned.number} was planned {age} ago and is not committed")
    late: LateRows | None = None
    if ui is not None:
        try:
            late = ui.late_rows(checkpoint.query_id, now)
        except DataopsError as error:  # the query may be healthy without its UI
            notes.append(f"late rows are unknown: {error}")
    progress = since if behind else newest
    if only_others:
        progress = committed.planned_at if committed else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress if committed else None,
        progress_source=ProgressSource.DERIVED if committed and progress else None,
        position=None if only_others else sum(end for partitions in done.values() for end in partitions.values()),
        lag_records=None if only_others else sum_of(records),
        pending_since=since,
        newest_passed=passed,
        advanced_at=committed.at if committed else None,
        # a planned batch shows that the query ran then, not that it runs now
        activity=Activity.UNKNOWN if in_flight else Activity.WAITING,
        notes=(*notes, *(note for wait in waits for note in wait.notes)),
        details=_details(checkpoint, late, reads, reader_details(waits, client) if client is not None else {}),
    )


def _details(checkpoint: Checkpoint, late: LateRows | None, reads: Batch, reader: dict[str, Any]) -> QueryDetails:
    planned, committed, state, durations = (
        checkpoint.planned,
        checkpoint.committed,
        checkpoint.state,
        checkpoint.durations,
    )
    standing = checkpoint.standing
    grown = state is not None and state.snapshot_bytes is not None and state.snapshot_bytes_before is not None
    return QueryDetails(
        query_id=checkpoint.query_id,
        sources=words(reads.sources) or None,
        batch_committed=committed.number if committed is not None else -1,
        batch_planned=planned.number if planned is not None else -1,
        batch_duration=median(durations) if durations else None,
        batch_duration_last=durations[-1] if durations else None,
        batches_timed=len(durations) if durations else None,
        watermark=planned.watermark if planned is not None else None,
        watermark_stood=standing.seconds if standing is not None else None,
        watermark_batches=standing.batches if standing is not None else None,
        state_bytes=state.bytes if state is not None else None,
        state_snapshot_bytes=state.snapshot_bytes if state is not None and grown else None,
        state_snapshot_bytes_before=state.snapshot_bytes_before if state is not None and grown else None,
        state_snapshot_span=state.span if state is not None and grown else None,
        rows_late_recent=late.rows if late is not None else None,
        rows_late_at=late.at if late is not None and late.rows is not None else None,
        **reader,
    )
