"""Probe Kafka clusters, topics and consumer groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from dataops_core.errors import NotFound, PermissionDenied
from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.details import ClusterDetails, GroupDetails, TopicDetails
from dataops_core.systems.kafka.lag import marked_to_the_end, position
from dataops_core.systems.kafka.model import RECENT, GroupLag, Partition, Retention, Topic
from dataops_core.systems.kafka.settings import ConsumerGroupStage, TopicStage
from dataops_core.times import Moment, RawTime, known, latest

SHOWN = 5
"""Maximum number of partitions that are named."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The unread records of a topic for a reader.

    Attributes:
        lags: The reader's position in each partition.
        since: Timestamp of the oldest unread record; `None` without one, or if it could not be read.
        passed: Timestamp of the newest read record; `None` without unread records, or if it could not be read.
        retention: `None` if access is denied.
        distance: Records between the beginning and the reader, and records kept, in the partition where retention is
            nearest to the reader; `None` if retention has deleted nothing, or without unread records.
        notes: Remarks on unusual timestamps of unread records.
    """

    topic: Topic
    lags: tuple[GroupLag, ...]
    since: datetime | None
    passed: datetime | None
    retention: Retention | None
    distance: tuple[int, int] | None
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> int | None:
        """Number of unread records; `None` if it is unknown for one partition."""
        each = [lag.lag for lag in self.lags]
        return None if None in each else sum(self.behind.values())

    @property
    def newest(self) -> datetime | None:
        """Timestamp of the newest record of the topic."""
        return _newest(self.topic)

    @property
    def behind(self) -> dict[int, int]:
        """Unread records by partition, without partitions that have none."""
        return {lag.partition: lag.lag for lag in self.lags if lag.lag}


def waiting(client: KafkaClient, topic: Topic, committed: Mapping[int, int]) -> Waiting:
    """Return the unread records after these offsets (exclusive); other partitions count from the beginning."""
    lags = tuple(
        position(topic.name, partition, committed.get(partition.number))
        for partition in topic.partitions
        if partition.leader >= 0 or partition.number in committed
    )
    starts = {(lag.topic, lag.partition): lag.start for lag in lags if lag.lag and lag.start is not None}
    first = client.first_records(starts)
    lags = tuple(
        replace(lag, read_all=True)
        if lag.high is not None and marked_to_the_end(first, (lag.topic, lag.partition), lag.high)
        else lag
        for lag in lags
    )
    holding = {partition.number: partition for partition in topic.led}
    distances = [
        (lag.start - lag.low, lag.high - lag.low)
        for lag in lags
        if lag.low and lag.start is not None and lag.high is not None and lag.start < lag.high
    ]
    wait = any(lag.lag for lag in lags)
    read = {(topic.name, n): at - 1 for n, at in committed.items() if _holds(holding.get(n), at - 1)} if wait else {}
    waits = {number: at for (_, number), (_, at) in first.at.items()}
    return Waiting(
        topic=topic,
        lags=lags,
        since=min((at for at in map(known, waits.values()) if at is not None), default=None),
        passed=known(latest(at for _, at in client.first_records(read).at.values())),
        retention=_retention(client, topic.name),
        distance=min(distances, key=lambda pair: pair[0] / pair[1], default=None),
        notes=_raw_times((f"the oldest unread record in partition {n}", at) for n, at in waits.items()),
    )


def _holds(partition: Partition | None, offset: int) -> bool:
    if partition is None or partition.low is None or partition.high is None:
        return False
    return partition.low <= offset < partition.high


def _retention(client: KafkaClient, topic: str) -> Retention | None:
    try:
        return client.retention(topic)
    except PermissionDenied:  # a topic's configuration needs a separate permission
        return None


def reader_details(waits: Sequence[Waiting], client: KafkaClient) -> dict[str, Any]:
    """Return the fields of `ReaderDetails` for a reader of these topics."""
    behind = {(wait.topic.name, number): records for wait in waits for number, records in wait.behind.items()}
    worst = max(behind, key=behind.__getitem__, default=None)
    lags = [lag for wait in waits for lag in wait.lags]
    lost = [lag.partition for lag in lags if lag.lost]
    beyond = [
        f"{lag.topic}-{lag.partition} was read up to {lag.committed:,}, and ends at {lag.high:,}"
        for lag in lags
        if lag.beyond_end
    ]
    near = _nearest_retention(waits)
    sized = [w.distance for w in waits if w.distance is not None and w.retention is not None and w.retention.by_size]
    left, kept = min(sized, key=lambda pair: pair[0] / pair[1], default=(None, None))
    return {
        "bootstrap_servers": client.target,
        "partitions": sum(len(wait.topic.led) for wait in waits),
        "hottest_partition": worst[1] if worst is not None else None,
        "hottest_partition_lag": behind[worst] if worst is not None else None,
        "lost": _named(lost) or None,
        "records_lost": sum(lag.lost for lag in lags) if lost else None,
        "beyond_end": _named(beyond) or None,
        "retention": near.retention.seconds if near is not None and near.retention is not None else None,
        "retention_topic": near.topic.name if near is not None else None,
        "records_until_lost": left,
        "records_kept": kept,
    }


def read_by_group(client: KafkaClient, group: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of an observation and of `ReaderDetails` for a reader that commits in a group."""
    committed: Mapping[tuple[str, int], int] = {}
    with suppress(NotFound):  # the first commit creates the group
        committed = client.group(group).committed or {}
    if not committed:
        return {"notes": (f"the group {group} has never committed an offset",)}, {}
    waits = [
        waiting(client, client.topic(topic), {number: at for (name, number), at in committed.items() if name == topic})
        for topic in sorted({topic for topic, _ in committed})
    ]
    since = min((wait.since for wait in waits if wait.since is not None), default=None)
    newest = max((wait.newest for wait in waits if wait.newest is not None), default=None)
    progress = since if any(wait.behind for wait in waits) else newest
    records = [wait.records for wait in waits]
    results = {
        "progress_time": progress,
        "progress_source": ProgressSource.DERIVED if progress is not None else None,
        "position": sum(committed.values()),
        "lag_records": None if None in records else sum(number or 0 for number in records),
        "pending_since": since,
        "newest_passed": max((w.passed for w in waits if w.passed is not None), default=None),
        "notes": tuple(note for wait in waits for note in wait.notes),
    }
    return results, reader_details(waits, client)


def _nearest_retention(waits: Sequence[Waiting]) -> Waiting | None:
    """Return the topic with the shortest retention by age."""
    aged = [w for w in waits if w.retention is not None and w.retention.seconds is not None]
    return min(aged, key=lambda w: w.retention.seconds or 0.0 if w.retention else 0.0, default=None)


def _named(what: Sequence[object]) -> str:
    more = f" and {len(what) - SHOWN} more" if len(what) > SHOWN else ""
    return ", ".join(map(str, what[:SHOWN])) + more


def observe_topic(stage: TopicStage, client: KafkaClient) -> Observation:
    """Return an observation of a topic; its progress time is the timestamp of its newest record."""
    now = datetime.now(UTC)
    topic = client.topic(stage.topic)
    newest = _newest(topic)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=newest,
        progress_source=ProgressSource.DERIVED if newest else None,
        position=sum(p.high or 0 for p in topic.led),
        newest_passed=newest,
        advanced_at=newest,
        notes=_raw_times((f"the newest record of partition {p.number}", p.newest) for p in topic.led),
        details=_topic_details(topic, client),
    )


def _newest(topic: Topic) -> datetime | None:
    """Return the largest valid timestamp of a topic."""
    return max((at for p in topic.led if (at := known(p.newest)) is not None), default=None)


def _raw_times(records: Iterable[tuple[str, Moment | None]]) -> tuple[str, ...]:
    """Return a note for each record with an invalid timestamp: its producer probably uses another unit."""
    return tuple(
        f"{record} has the timestamp {at.value} {at.unit}, which is out of range: check that its producer"
        " uses milliseconds"
        for record, at in records
        if isinstance(at, RawTime)
    )


def _topic_details(topic: Topic, client: KafkaClient) -> TopicDetails:
    recent = {p.number: p.recent or 0 for p in topic.led}
    hottest = max(recent, key=recent.__getitem__) if any(recent.values()) else None
    return TopicDetails(
        bootstrap_servers=client.target,
        topic_id=topic.topic_id,
        partitions=len(topic.partitions),
        offline_partitions=len(topic.offline),
        under_replicated_partitions=len(topic.under_replicated),
        offline=_named(topic.offline) or None,
        under_replicated=_named(topic.under_replicated) or None,
        brokers=topic.brokers,
        records_kept=topic.records or 0,
        records_recent=sum(recent.values()),
        recent_window=RECENT.total_seconds(),
        hottest_partition=hottest,
        hottest_partition_records=recent[hottest] if hottest is not None else None,
    )


def observe_group(stage: ConsumerGroupStage, client: KafkaClient) -> Observation:
    """Return an observation of a consumer group; commits are read before end offsets, so that no lag is negative."""
    now = datetime.now(UTC)
    group = client.group(stage.group)
    committed = {number: at for (name, number), at in (group.committed or {}).items() if name == stage.topic}
    topic = client.topic(stage.topic)
    members = len(group.members or ())
    about: dict[str, Any] = {"members": members, "partitions_committed": len(committed)}
    state = f"group is {(group.state or 'unknown').lower()} with {members} member{'s' if members != 1 else ''}"
    if not committed:
        return Observation(
            stage=stage.name,
            observed_at=now,
            lag_records=None,
            notes=("the group has never committed an offset on this topic", state),
            details=GroupDetails(bootstrap_servers=client.target, **about),
        )
    wait = waiting(client, topic, committed)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=wait.since if wait.behind else wait.newest,
        progress_source=ProgressSource.DERIVED,
        position=sum(committed.values()),
        lag_records=wait.records,
        pending_since=wait.since,
        newest_passed=wait.passed,
        activity=Activity.RUNNING if members else Activity.UNKNOWN,
        notes=(state, *wait.notes),
        details=GroupDetails(**about, **reader_details([wait], client)),
    )


def observe_cluster(client: KafkaClient, name: str = "kafka") -> tuple[str, Observation]:
    """Return one line about the cluster, and its observation."""
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
