"""Kafka: topics and consumer groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dataops_core.clients.kafka import KafkaClient, TopicOffsets
from dataops_core.config import ConsumerGroupStage, TopicStage
from dataops_core.health.model import Activity, Figure, Observation, ProgressSource


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a topic for a reader.

    Attributes:
        records: How many; never negative.
        since: Timestamp of the oldest; `None` if none waits or it could not be read.
        lost: Partitions where the reader's next record is gone, as retention has overtaken it.
    """

    records: int
    since: datetime | None
    lost: tuple[int, ...]


def waiting(client: KafkaClient, topic: TopicOffsets, position: Mapping[int, int]) -> Waiting:
    """Return what waits for a reader that has read up to these offsets (exclusive); others start at the beginning."""
    behind: dict[int, int] = {}
    lost = []
    records = 0
    for number, offsets in topic.partitions.items():
        at = position.get(number, offsets.low)
        if at < offsets.low:
            lost.append(number)
        start = max(at, offsets.low)
        if start < offsets.high:
            behind[number] = start
            records += offsets.high - start
    times = client.timestamps_at(topic.topic, behind).values()
    return Waiting(records, min((t for t in times if t is not None), default=None), tuple(lost))


def observe_topic(stage: TopicStage, client: KafkaClient) -> Observation:
    """Observe a topic: its progress is the timestamp of its newest record."""
    now = datetime.now(UTC)
    topic = client.topic(stage.topic)
    kept = sum(p.high - p.low for p in topic.partitions.values())
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=topic.newest,
        progress_source=ProgressSource.DERIVED if topic.newest else None,
        position=topic.high,
        advanced_at=topic.newest,
        figures=(
            Figure("partitions", len(topic.partitions)),
            Figure("records_kept", kept, "records"),
        ),
    )


def observe_group(stage: ConsumerGroupStage, client: KafkaClient) -> Observation:
    """Observe a consumer group: commits are read before end offsets, so that no lag is negative."""
    now = datetime.now(UTC)
    group = client.group(stage.group, stage.topic)
    topic = client.topic(stage.topic)
    never = not group.committed
    notes = [f"group is {group.state.lower()} with {group.members} members"]
    if never:
        return Observation(
            stage=stage.name,
            observed_at=now,
            activity=Activity.UNKNOWN,
            notes=("the group has never committed an offset on this topic", *notes),
        )
    wait = waiting(client, topic, group.committed)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=wait.since if wait.records else topic.newest,
        progress_source=ProgressSource.DERIVED,
        position=sum(group.committed.values()),
        lag_records=wait.records,
        pending_since=wait.since,
        activity=Activity.RUNNING if group.members else Activity.UNKNOWN,
        failure=overtaken(wait),
        notes=tuple(notes),
        figures=(Figure("members", group.members),),
    )


def overtaken(wait: Waiting) -> str | None:
    """Say that records are lost to a reader, where retention has overtaken it."""
    if not wait.lost:
        return None
    partitions = ", ".join(map(str, wait.lost))
    return f"retention has overtaken it: its next records in partition {partitions} are gone"


def report(client: KafkaClient) -> tuple[str, str | None]:
    """Return one line about the cluster, and what is wrong with it."""
    cluster = client.cluster()
    brokers = f"{cluster.brokers} broker{'s' if cluster.brokers != 1 else ''}"
    detail = f"{brokers}, controller {'none' if cluster.controller is None else cluster.controller}"
    if cluster.offline:
        return detail, f"{len(cluster.offline)} partitions are offline: {', '.join(cluster.offline[:3])}"
    if cluster.under_replicated:
        under = cluster.under_replicated
        return f"{detail}, {len(under)} partitions under-replicated: {', '.join(under[:3])}", None
    return detail, None
