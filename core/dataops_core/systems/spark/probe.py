"""Spark: a Structured Streaming query, from its checkpoint and the topic that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median

from dataops_core.errors import DataopsError
from dataops_core.health.model import Activity, Fact, Figure, Observation, ProgressSource
from dataops_core.health.text import duration
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.probe import reader_facts, reader_figures, waiting
from dataops_core.systems.spark.checkpoint import Checkpoint, read_checkpoint
from dataops_core.systems.spark.settings import SparkQueryStage
from dataops_core.systems.spark.ui import LateRows, SparkUi


def observe_query(
    stage: SparkQueryStage, client: KafkaClient, store: CatalogClient | None, ui: SparkUi | None = None
) -> Observation:
    """Observe a query: what it has committed against what its topics hold.

    Args:
        stage: The query.
        client: The cluster that it reads.
        store: Opens the object store of its checkpoint, if it lies in one.
        ui: The web UI of its driver, where that is known.
    """
    now = datetime.now(UTC)
    checkpoint = read_checkpoint(stage.checkpoint, store)
    planned, committed = checkpoint.planned, checkpoint.committed
    reads = committed or planned
    if reads is None:
        return Observation(stage=stage.name, observed_at=now, notes=("no batch has been planned yet",))
    topics = {name: client.topic(name) for name in reads.offsets}
    done = committed.offsets if committed else {}
    waits = [waiting(client, topic, done.get(name, {})) for name, topic in topics.items()]
    records = sum(wait.records for wait in waits)
    since = min((wait.since for wait in waits if wait.since is not None), default=None)
    passed = max((wait.passed for wait in waits if wait.passed is not None), default=None)
    newest = max((topic.newest for topic in topics.values() if topic.newest is not None), default=None)
    in_flight = planned is not None and (committed is None or planned.number > committed.number)
    notes = []
    if in_flight and planned is not None:
        age = duration((now - planned.at).total_seconds())
        notes.append(f"batch {planned.number} was planned {age} ago and is not committed")
    late: tuple[Figure, ...] = ()
    if ui is not None:
        try:
            late = _late(ui.late_rows(checkpoint.query_id, now))
        except DataopsError as error:  # the query may do well without its UI
            notes.append(f"late rows are not known: {error}")
    progress = since if records else newest
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress if committed else None,
        progress_source=ProgressSource.DERIVED if committed and progress else None,
        position=sum(end for partitions in done.values() for end in partitions.values()),
        lag_records=records,
        pending_since=since,
        newest_passed=passed,
        advanced_at=committed.at if committed else None,
        # A planned batch tells that the query was alive then, not that it is now.
        activity=Activity.UNKNOWN if in_flight else Activity.WAITING,
        notes=tuple(notes),
        figures=(*_figures(checkpoint), *late, *reader_figures(waits)),
        facts=(Fact("query_id", checkpoint.query_id), *reader_facts(waits, client)),
    )


def _late(late: LateRows) -> tuple[Figure, ...]:
    if late.rows is None:
        return ()
    dropped = Figure("rows_late_recent", late.rows, "rows")
    return (dropped,) if late.at is None else (dropped, Figure("rows_late_at", late.at.timestamp(), "timestamp"))


def _figures(checkpoint: Checkpoint) -> Iterator[Figure]:
    planned, committed, state = checkpoint.planned, checkpoint.committed, checkpoint.state
    yield Figure("batch_committed", committed.number if committed else -1)
    yield Figure("batch_planned", planned.number if planned else -1)
    if checkpoint.durations:
        yield Figure("batch_duration", median(checkpoint.durations), "s")
        yield Figure("batch_duration_last", checkpoint.durations[-1], "s")
        yield Figure("batches_timed", len(checkpoint.durations))
    if planned is not None and planned.watermark is not None:
        yield Figure("watermark", planned.watermark.timestamp(), "timestamp")
    if checkpoint.standing is not None:
        yield Figure("watermark_stood", checkpoint.standing.seconds, "s")
        yield Figure("watermark_batches", checkpoint.standing.batches)
    if state is not None:
        yield Figure("state_bytes", state.bytes, "bytes")
        if state.snapshot_bytes is not None and state.snapshot_bytes_before is not None:
            yield Figure("state_snapshot_bytes", state.snapshot_bytes, "bytes")
            yield Figure("state_snapshot_bytes_before", state.snapshot_bytes_before, "bytes")
            yield Figure("state_snapshot_span", state.span, "s")
