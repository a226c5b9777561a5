"""The model of a Kafka cluster, for the probes, the command line, the console and the exporter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dataops_core.times import Moment, latest
from dataops_core.values import largest_of, sum_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

PartitionKey = tuple[str, int]
"""A partition: its topic and number."""
RECENT = timedelta(minutes=5)
"""Window of recent records."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster.

    Attributes:
        brokers: Number of live brokers.
        controller: Node id of the controller; `None` if there is none.
        partitions: Number of partitions of all topics.
        offline: Partitions without a leader, `topic-partition`.
        under_replicated: Partitions with fewer in-sync replicas than replicas.
    """

    cluster_id: str
    brokers: int
    controller: int | None
    partitions: int
    offline: tuple[str, ...]
    under_replicated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker."""

    id: int
    host: str
    port: int
    rack: str | None


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Attributes:
        low: Low watermark, the first offset that is kept; `None` if unknown.
        high: High watermark, the offset after the newest record; `None` if unknown.
        newest: Largest record timestamp; `None` for an empty partition, or if unknown.
        leader: Node id of the leader; negative if there is none.
        replicas: Node ids of the replicas.
        isr: Node ids of the in-sync replicas.
        recent: Records within `RECENT`; `None` if not requested.
        unreadable: Why its offsets are unknown; `None` if they are known.
    """

    number: int
    low: int | None
    high: int | None
    newest: Moment | None
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    recent: int | None = None
    unreadable: str | None = None

    @property
    def records(self) -> int | None:
        """Offsets between the watermarks; includes compacted records and transaction markers."""
        return None if self.low is None or self.high is None else self.high - self.low

    @property
    def under_replicated(self) -> bool:
        """Whether it has fewer in-sync replicas than replicas."""
        return len(self.isr) < len(self.replicas)

    @property
    def faulty(self) -> bool:
        """Whether it has no leader, or fewer in-sync replicas than replicas."""
        return self.leader < 0 or self.under_replicated


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic.

    Attributes:
        partitions: By number.
        topic_id: Its id, which changes if the topic is re-created; `None` if not requested.
        brokers: Number of live brokers; `None` if not requested.
        error: Why only its name is known; `None` if it can be read.
    """

    name: str
    partitions: tuple[Partition, ...]
    topic_id: str | None = None
    brokers: int | None = None
    error: str | None = None

    @property
    def led(self) -> tuple[Partition, ...]:
        """Partitions that have a leader."""
        return tuple(p for p in self.partitions if p.leader >= 0)

    @property
    def offline(self) -> tuple[int, ...]:
        """Partitions without a leader."""
        return tuple(p.number for p in self.partitions if p.leader < 0)

    @property
    def under_replicated(self) -> tuple[int, ...]:
        """Partitions with a leader, and with fewer in-sync replicas than replicas."""
        return tuple(p.number for p in self.led if p.under_replicated)

    @property
    def records(self) -> int | None:
        """Sum over the partitions with a leader; `None` if one of them is unknown."""
        return sum_of(p.records for p in self.led) if self.error is None else None

    @property
    def newest(self) -> Moment | None:
        """Largest record timestamp of all partitions."""
        return latest(p.newest for p in self.partitions)

    @property
    def faulty(self) -> bool:
        """Whether it cannot be read in full, or one of its partitions is faulty."""
        return self.unreadable is not None or any(p.faulty for p in self.partitions)

    @property
    def unreadable(self) -> str | None:
        """Why it, or one of its partitions, cannot be read; `None` if all can be read."""
        if self.error is not None:
            return self.error
        return next((f"partition {p.number}: {p.unreadable}" for p in self.partitions if p.unreadable), None)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps records.

    Attributes:
        seconds: Age at which records are deleted; `None` without retention by age.
        by_size: Whether the size of a partition is limited.
    """

    seconds: float | None
    by_size: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a consumer group, with the partitions that it is assigned."""

    id: str
    client_id: str
    host: str
    assigned: frozenset[PartitionKey] = frozenset()


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A reader on one partition; `lag` is the only calculation of its lag.

    Attributes:
        committed: Offset of the next record that it will read; `None` without a commit.
        high: High watermark, the offset after the newest record; `None` if unknown.
        low: Low watermark, the first offset that is kept; `None` if unknown.
        read_all: Whether only transaction markers and aborted records lie between position and end.
        waits: Seconds since the first unread record was appended; `None` if unknown, or without unread records.
    """

    topic: str
    partition: int
    committed: int | None
    high: int | None
    low: int | None = 0
    read_all: bool = False
    waits: float | None = None

    @property
    def start(self) -> int | None:
        """Offset of the first unread record; without a commit, or if retention deleted it, the beginning."""
        if self.committed is None or self.low is None:
            return self.low
        return max(self.committed, self.low)

    @property
    def lag(self) -> int | None:
        """Unread records; `None` if unknown, also for a position beyond the end."""
        start = self.start
        if self.high is None or start is None or self.beyond_end:
            return None
        return 0 if self.read_all else self.high - start

    @property
    def lag_seconds(self) -> float | None:
        """Age of the first unread record, 0 without unread records; `None` if unknown."""
        return self.waits if self.lag else None if self.lag is None else 0.0

    @property
    def beyond_end(self) -> bool:
        """Whether its position is beyond the end: the topic was re-created or truncated."""
        return self.committed is not None and self.high is not None and self.committed > self.high

    @property
    def lost(self) -> int:
        """Records that retention has deleted before they were read."""
        return max(0, self.low - self.committed) if self.committed is not None and self.low is not None else 0

    @property
    def note(self) -> str | None:
        """A remark on an unusual position, or `None`."""
        if self.high is None:
            return "the end of the partition is unknown"
        if self.beyond_end:
            return f"committed beyond the end at {self.high}: the topic was re-created or truncated"
        if self.lost:
            return f"retention deleted {self.lost:,} records before they were read"
        return "no commit: counted from the beginning" if self.committed is None else None


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """A consumer group.

    Attributes:
        state: State that the coordinator reports, such as `STABLE` or `EMPTY`; `None` if unknown.
        members: Its members; `None` if unknown.
        committed: Offset of the next record that it will read, by partition; `None` if unknown.
        lags: All partitions of each topic with a commit, by topic and number; `None` if unknown.
        assignor: Partition assignor.
        coordinator: Node id; `None` if unknown.
        unreadable: Why a value is unknown; `None` if all are known.
    """

    name: str
    state: str | None
    members: tuple[Member, ...] | None
    committed: Mapping[PartitionKey, int] | None
    lags: tuple[GroupLag, ...] | None = None
    assignor: str = ""
    coordinator: int | None = None
    unreadable: str | None = None

    @property
    def lag(self) -> int | None:
        """Sum over the partitions; `None` for a group that has never committed, or if one of them is unknown."""
        return sum_of(lag.lag for lag in self.lags) if self.lags else None

    @property
    def lag_seconds(self) -> float | None:
        """Largest lag in seconds of the partitions; `None` as for `lag`."""
        return largest_of(lag.lag_seconds for lag in self.lags or ())

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics on which it has committed."""
        return tuple(sorted({topic for topic, _ in self.committed or ()}))

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on unusual positions, one line per partition."""
        results = ((lag, lag.note) for lag in self.lags or ())
        return tuple(f"{lag.topic}-{lag.partition}: {note}" for lag, note in results if note is not None)


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """A cluster at one time.

    Attributes:
        taken_at: When the scan began.
        controller: Node id; `None` if there is none.
        denied_topics: Number of topics that the filter excluded.
        denied_groups: Number of groups that the filter excluded.
        failures: Read errors, one line for each kind.
    """

    taken_at: datetime
    cluster_id: str
    controller: int | None
    brokers: tuple[Broker, ...]
    topics: Mapping[str, Topic]
    groups: Mapping[str, ConsumerGroup]
    denied_topics: int
    denied_groups: int
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """The first record at or after an offset of each partition. A partition without a response in time is left out.

    Attributes:
        at: Its offset and timestamp, by partition; the timestamp is `None` for a record that has none.
        ends: Offset of the end by partition, if no record follows: after transaction markers, but before records of
            an open transaction.
        failures: Errors of single partitions.
    """

    at: Mapping[PartitionKey, tuple[int, Moment | None]]
    ends: Mapping[PartitionKey, int]
    failures: Mapping[PartitionKey, KafkaError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """The position of a sent record."""

    topic: str
    partition: int
    offset: int
