"""What probes observe of topics, their readers and the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDetails(ComponentDetails):
    """A cluster.

    Attributes:
        controller: Id of the controller; `none` where there is none.
        offline: Partitions without a leader, the first few by name.
        under_replicated: Partitions with fewer in-sync replicas than replicas, the first few by name.
    """

    bootstrap_servers: str | None = value()
    controller: str | None = value()
    brokers: int | None = value()
    partitions: int | None = value()
    offline_partitions: int | None = value()
    under_replicated_partitions: int | None = value()
    offline: str | None = value()
    under_replicated: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicDetails(Details):
    """A topic.

    Attributes:
        brokers: Live brokers; `None` where we may not know.
        offline: Partitions without a leader, the first few.
        under_replicated: Partitions with fewer in-sync replicas than replicas, the first few.
        records_recent: Records of all partitions within the recent window.
        hottest_partition: The partition that got the most of them.
        hottest_partition_records: Records that it got.
    """

    bootstrap_servers: str | None = value()
    topic_id: str | None = value()
    partitions: int | None = value()
    offline_partitions: int | None = value()
    under_replicated_partitions: int | None = value()
    offline: str | None = value()
    under_replicated: str | None = value()
    brokers: int | None = value()
    records_kept: int | None = value("records")
    records_recent: int | None = value("records")
    recent_window: float | None = value("s")
    hottest_partition: int | None = value()
    hottest_partition_records: int | None = value("records")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderDetails(Details):
    """A reader of topics.

    Attributes:
        hottest_partition: The partition in which the most records wait.
        lost: Partitions in which retention has overtaken the reader, the first few.
        records_lost: Records that are gone before they were read.
        beyond_end: Partitions in which the reader stands beyond the end, the first few.
        retention: How long the topic keeps records that keeps them shortest.
        retention_topic: That topic.
        records_until_lost: Records between the beginning and the reader, where retention by size is nearest to it.
        records_kept: Records kept in that partition.
    """

    bootstrap_servers: str | None = value()
    partitions: int | None = value()
    hottest_partition: int | None = value()
    hottest_partition_lag: int | None = value("records")
    lost: str | None = value()
    records_lost: int | None = value("records")
    beyond_end: str | None = value()
    retention: float | None = value("s")
    retention_topic: str | None = value()
    records_until_lost: int | None = value("records")
    records_kept: int | None = value("records")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDetails(ReaderDetails):
    """A consumer group on a topic.

    Attributes:
        partitions_committed: Partitions of which it has committed an offset.
    """

    members: int | None = value()
    partitions_committed: int | None = value()
