"""Kafka: topics and consumer groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dataops_core.errors import PermissionDenied
from dataops_core.health.model import Activity, Observation, ProgressSource
from dataops_core.systems.kafka.client import RECENT, KafkaClient, Retention, TopicOffsets
from dataops_core.systems.kafka.details import ClusterDetails, GroupDetails, TopicDetails
from dataops_core.systems.kafka.settings import ConsumerGroupStage, TopicStage

SHOWN = 5
"""Partitions that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in a topic for a reader.

    Attributes:
        topic: The topic.
        behind: Records that wait, by partition; partitions without any are left out.
        since: Timestamp of the oldest; `None` if none waits or it could not be read.
        passed: Timestamp of the newest record that the reader has read; `None` if none waits or it could not be read.
        lost: Records that are gone before they were read, by partition: retention has overtaken the reader.
        beyond_end: Position and high watermark, by partition in which the reader stands beyond the end.
        retention: How long the topic keeps records; `None` if we may not know.
        distance: Records between the beginning and the reader, and records kept, in the partition where retention is
            nearest to the reader; `None` where it has deleted nothing yet, or nothing waits.
    """

    topic: TopicOffsets
    behind: Mapping[int, int]
    since: datetime | None
    passed: datetime | None
    lost: Mapping[int, int]
    beyond_end: Mapping[int, tuple[int, int]]
    retention: Retention | None
    distance: tuple[int, int] | None

    @property
    def records(self) -> int:
        """How many records wait; never negative."""
        return sum(self.behind.values())


def waiting(client: KafkaClient, topic: TopicOffsets, position: Mapping[int, int]) -> Waiting:
    """Return what waits for a reader that has read up to these offsets (exclusive); others start at the beginning."""
    starts: dict[int, int] = {}
    lost: dict[int, int] = {}
    beyond_end: dict[int, tuple[int, int]] = {}
    distances: list[tuple[int, int]] = []
    for number, offsets in topic.partitions.items():
        at = position.get(number, offsets.low)
        if at < offsets.low:
            lost[number] = offsets.low - at
        if at > offsets.high:
            beyond_end[number] = (at, offsets.high)
        start = max(at, offsets.low)
        if start < offsets.high:
            starts[number] = start
            if offsets.low > 0:
                distances.append((start - offsets.low, offsets.high - offsets.low))
    first = client.first_records(topic.topic, starts)
    # Only the marks of transactions lie there, which nobody reads.
    done = {number for number, end in first.ends.items() if end >= topic.partitions[number].high}
    starts = {number: start for number, start in starts.items() if number not in done}
    read = {number: at - 1 for number, at in position.items() if _holds(topic, number, at - 1)} if starts else {}
    return Waiting(
        topic=topic,
        behind={number: topic.partitions[number].high - start for number, start in starts.items()},
        since=min((at for at in first.at.values() if at is not None), default=None),
        passed=max((at for at in client.first_records(topic.topic, read).at.values() if at is not None), default=None),
        lost=lost,
        beyond_end=beyond_end,
        retention=_retention(client, topic.topic),
        distance=min(distances, key=lambda pair: pair[0] / pair[1], default=None),
    )


def _holds(topic: TopicOffsets, partition: int, offset: int) -> bool:
    found = topic.partitions.get(partition)
    return found is not None and found.low <= offset < found.high


def _retention(client: KafkaClient, topic: str) -> Retention | None:
    try:
        return client.retention(topic)
    except PermissionDenied:  # a topic's settings need a right of their own
        return None


def reader_details(waits: Sequence[Waiting], client: KafkaClient) -> dict[str, Any]:
    """Return the fields of `ReaderDetails` of a reader of these topics."""
    behind = {(wait.topic.topic, number): records for wait in waits for number, records in wait.behind.items()}
    worst = max(behind, key=behind.__getitem__, default=None)
    lost = [number for wait in waits for number in wait.lost]
    beyond = [
        f"{wait.topic.topic}-{number} was read up to {at:,}, and ends at {high:,}"
        for wait in waits
        for number, (at, high) in wait.beyond_end.items()
    ]
    near = _nearest_retention(waits)
    sized = [w.distance for w in waits if w.distance is not None and w.retention is not None and w.retention.by_size]
    left, kept = min(sized, key=lambda pair: pair[0] / pair[1], default=(None, None))
    return {
        "bootstrap_servers": client.target,
        "partitions": sum(len(wait.topic.partitions) for wait in waits),
        "hottest_partition": worst[1] if worst is not None else None,
        "hottest_partition_lag": behind[worst] if worst is not None else None,
        "lost": _named(lost) or None,
        "records_lost": sum(sum(wait.lost.values()) for wait in waits) if lost else None,
        "beyond_end": _named(beyond) or None,
        "retention": near.retention.seconds if near is not None and near.retention is not None else None,
        "retention_topic": near.topic.topic if near is not None else None,
        "records_until_lost": left,
        "records_kept": kept,
    }


def _nearest_retention(waits: Sequence[Waiting]) -> Waiting | None:
    """Return the wait with the shortest retention by age."""
    aged = [w for w in waits if w.retention is not None and w.retention.seconds is not None]
    return min(aged, key=lambda w: w.retention.seconds or 0.0 if w.retention else 0.0, default=None)


def _named(what: Sequence[object]) -> str:
    more = f" and {len(what) - SHOWN} more" if len(what) > SHOWN else ""
    return ", ".join(map(str, what[:SHOWN])) + more


def observe_topic(stage: TopicStage, client: KafkaClient) -> Observation:
    """Observe a topic: its progress is the timestamp of its newest record."""
    now = datetime.now(UTC)
    topic = client.topic(stage.topic)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=topic.newest,
        progress_source=ProgressSource.DERIVED if topic.newest else None,
        position=topic.high,
        advanced_at=topic.newest,
        details=_topic_details(topic, client),
    )


def _topic_details(topic: TopicOffsets, client: KafkaClient) -> TopicDetails:
    recent = {number: offsets.recent for number, offsets in topic.partitions.items()}
    hottest = max(recent, key=recent.__getitem__) if any(recent.values()) else None
    return TopicDetails(
        bootstrap_servers=client.target,
        topic_id=topic.topic_id,
        partitions=len(topic.partitions) + len(topic.offline),
        offline_partitions=len(topic.offline),
        under_replicated_partitions=len(topic.under_replicated),
        offline=_named(topic.offline) or None,
        under_replicated=_named(topic.under_replicated) or None,
        brokers=topic.brokers,
        records_kept=sum(p.high - p.low for p in topic.partitions.values()),
        records_recent=sum(recent.values()),
        recent_window=RECENT.total_seconds(),
        hottest_partition=hottest,
        hottest_partition_records=recent[hottest] if hottest is not None else None,
    )


def observe_group(stage: ConsumerGroupStage, client: KafkaClient) -> Observation:
    """Observe a consumer group: commits are read before end offsets, so that no lag is negative."""
    now = datetime.now(UTC)
    group = client.group(stage.group, stage.topic)
    topic = client.topic(stage.topic)
    about: dict[str, Any] = {"members": group.members, "partitions_committed": len(group.committed)}
    state = f"group is {group.state.lower()} with {group.members} member{'s' if group.members != 1 else ''}"
    if not group.committed:
        return Observation(
            stage=stage.name,
            observed_at=now,
            lag_records=None,
            notes=("the group has never committed an offset on this topic", state),
            details=GroupDetails(bootstrap_servers=client.target, **about),
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
        newest_passed=wait.passed,
        activity=Activity.RUNNING if group.members else Activity.UNKNOWN,
        notes=(state,),
        details=GroupDetails(**about, **reader_details([wait], client)),
    )


def observe_cluster(client: KafkaClient, name: str = "kafka") -> tuple[str, Observation]:
    """Return one line about the cluster, and what was seen of it."""
    now = datetime.now(UTC)
    cluster = client.cluster()
    controller = "none" if cluster.controller is None else str(cluster.controller)
    detail = f"{cluster.brokers} broker{'s' if cluster.brokers != 1 else ''}, controller {controller}"
    if cluster.under_replicated:
        detail += f", {len(cluster.under_replicated)} partitions under-replicated"
    return detail, Observation(
        stage=name,
        observed_at=now,
        details=ClusterDetails(
            bootstrap_servers=client.target,
            controller=controller,
            brokers=cluster.brokers,
            partitions=cluster.partitions,
            offline_partitions=len(cluster.offline),
            under_replicated_partitions=len(cluster.under_replicated),
            offline=_named(cluster.offline) or None,
            under_replicated=_named(cluster.under_replicated) or None,
        ),
    )
