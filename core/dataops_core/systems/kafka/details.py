"""Details of observations of topics, their readers and the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDetails(ComponentDetails):
    """A cluster.

    Attributes:
        controller: Id of the controller, or the text `none`.
        offline: Names of the first partitions without a leader.
        under_replicated: Names of the first partitions with fewer in-sync replicas than replicas.
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
        brokers: Live brokers; `None` if access is denied.
        offline: The first partitions without a leader.
        under_replicated: The first partitions with fewer in-sync replicas than replicas.
        records_recent: Records of all partitions within the recent window.
        hottest_partition: The partition with most of them.
        hottest_partition_records: Records of that partition.
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
        hottest_partition: The partition with the largest lag.
        lost: The first partitions in which retention deleted unread records.
        records_lost: Records that were deleted before they were read.
        beyond_end: The first partitions in which the reader's position is beyond the end.
        retention: Shortest retention by age of its topics.
        retention_topic: The topic with that retention.
        records_until_lost: Records between the beginning and the reader, in the partition where retention by size
            is nearest to it.
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
        partitions_committed: Partitions with a committed offset.
    """

    members: int | None = value()
    partitions_committed: int | None = value()
