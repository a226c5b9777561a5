"""Spark: a Structured Streaming query, from its checkpoint and the topic that it reads."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.clients.kafka import KafkaClient
from dataops_core.clients.spark_checkpoint import read_checkpoint
from dataops_core.config import SparkQueryStage
from dataops_core.health.model import Activity, Figure, Observation, ProgressSource
from dataops_core.health.text import duration
from dataops_core.probes.kafka import overtaken, waiting


def observe_query(stage: SparkQueryStage, client: KafkaClient) -> Observation:
    """Observe a query: what it has committed against what its topics hold."""
    now = datetime.now(UTC)
    checkpoint = read_checkpoint(stage.checkpoint)
    planned, committed = checkpoint.planned, checkpoint.committed
    reads = committed or planned
    if reads is None:
        return Observation(stage=stage.name, observed_at=now, notes=("no batch has been planned yet",))
    topics = {name: client.topic(name) for name in reads.offsets}
    done = committed.offsets if committed else {}
    waits = [waiting(client, topic, done.get(name, {})) for name, topic in topics.items()]
    records = sum(wait.records for wait in waits)
    since = min((wait.since for wait in waits if wait.since is not None), default=None)
    newest = max((topic.newest for topic in topics.values() if topic.newest is not None), default=None)
    in_flight = planned is not None and (committed is None or planned.number > committed.number)
    notes = []
    if in_flight and planned is not None:
        age = duration((now - planned.at).total_seconds())
        notes.append(f"batch {planned.number} was planned {age} ago and is not committed")
    progress = since if records else newest
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=progress if committed else None,
        progress_source=ProgressSource.DERIVED if committed and progress else None,
        position=sum(end for partitions in done.values() for end in partitions.values()),
        lag_records=records,
        pending_since=since,
        advanced_at=committed.at if committed else None,
        # A planned batch tells that the query was alive then, not that it is now.
        activity=Activity.UNKNOWN if in_flight else Activity.WAITING,
        failure=next((text for text in map(overtaken, waits) if text), None),
        notes=tuple(notes),
        figures=(
            Figure("batch_committed", committed.number if committed else -1),
            Figure("batch_planned", planned.number if planned else -1),
        ),
    )
