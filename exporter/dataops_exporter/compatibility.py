"""Compatibility metrics: our values under the names and labels of other exporters, for their dashboards.

A metric is absent if we do not collect its value. Series of partitions follow the granularity in the settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dataops_core.systems.kafka.model import ClusterSnapshot, ConsumerGroup, GroupLag, Member, Partition, Topic
from dataops_core.version import version
from dataops_exporter.families import Sample, total
from dataops_exporter.metrics import Metric

Lags = Mapping[str, Mapping[int, GroupLag]]
"""Offsets of a group by topic and partition."""

KAFKA_EXPORTER, KMINION, LAG_EXPORTER = "kafka_exporter", "kminion", "kafka_lag_exporter"


def _danielqsj(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"kafka_{name}", help_, labels, compatible_with=KAFKA_EXPORTER)


def _kminion(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"kminion_{name}", help_, labels, compatible_with=KMINION)


def _lag_exporter(name: str, help_: str, *labels: str) -> Metric:
    return Metric(f"kafka_{name}", help_, ("cluster_name", *labels), compatible_with=LAG_EXPORTER)


_TP = ("topic", "partition")
_CTP = ("consumergroup", "topic", "partition")
KE_BROKERS = _danielqsj("brokers", "Number of brokers in the Kafka cluster.")
KE_BROKER_INFO = _danielqsj("broker_info", "Information about the Kafka broker.", "id", "address")
KE_PARTITIONS = _danielqsj("topic_partitions", "Number of partitions of the topic.", "topic")
KE_CURRENT = _danielqsj("topic_partition_current_offset", "High watermark of the partition.", *_TP)
KE_OLDEST = _danielqsj("topic_partition_oldest_offset", "Low watermark of the partition.", *_TP)
KE_LEADER = _danielqsj("topic_partition_leader", "Broker id of the partition's leader.", *_TP)
KE_REPLICAS = _danielqsj("topic_partition_replicas", "Number of replicas of the partition.", *_TP)
KE_IN_SYNC = _danielqsj("topic_partition_in_sync_replica", "Number of in-sync replicas of the partition.", *_TP)
KE_PREFERRED = _danielqsj("topic_partition_leader_is_preferred", "1 if the preferred replica leads, else 0.", *_TP)
KE_UNDER = _danielqsj(
    "topic_partition_under_replicated_partition", "1 if the partition is under-replicated, else 0.", *_TP
)
KE_GROUP_OFFSET = _danielqsj("consumergroup_current_offset", "Committed offset of the group.", *_CTP)
KE_GROUP_OFFSET_SUM = _danielqsj(
    "consumergroup_current_offset_sum", "Sum of the committed offsets of the group.", "consumergroup", "topic"
)
KE_GROUP_LAG = _danielqsj("consumergroup_lag", "Lag of the group in the partition.", *_CTP)
KE_GROUP_LAG_SUM = _danielqsj(
    "consumergroup_lag_sum", "Lag of the group over all partitions of the topic.", "consumergroup", "topic"
)
KE_GROUP_MEMBERS = _danielqsj("consumergroup_members", "Number of members of the group.", "consumergroup")

_KTP = ("topic_name", "partition_id")
KM_UP = _kminion("exporter_up", "1 if the newest cluster scan is complete, else 0.", "version")
KM_CLUSTER = _kminion("kafka_cluster_info", "Kafka cluster information.", "broker_count", "controller_id", "cluster_id")
KM_BROKER = _kminion(
    "kafka_broker_info", "Kafka broker information.", "broker_id", "address", "port", "rack_id", "is_controller"
)
KM_TOPIC = _kminion(
    "kafka_topic_info", "Information about the topic.", "topic_name", "partition_count", "replication_factor"
)
KM_LOW = _kminion("kafka_topic_partition_low_water_mark", "Low watermark of the partition.", *_KTP)
KM_LOW_SUM = _kminion("kafka_topic_low_water_mark_sum", "Sum of the low watermarks of the topic.", "topic_name")
KM_HIGH = _kminion("kafka_topic_partition_high_water_mark", "High watermark of the partition.", *_KTP)
KM_HIGH_SUM = _kminion("kafka_topic_high_water_mark_sum", "Sum of the high watermarks of the topic.", "topic_name")
KM_GROUP = _kminion(
    "kafka_consumer_group_info",
    "1 if the group is stable, else 0.",
    *("group_id", "member_count", "protocol", "protocol_type", "state", "coordinator_id"),
)
KM_OFFSETS = _kminion(
    "kafka_consumer_group_topic_offset_sum", "Sum of the committed offsets of the group.", "group_id", "topic_name"
)
KM_LAG = _kminion("kafka_consumer_group_topic_lag", "Lag of the group in the topic.", "group_id", "topic_name")
KM_PARTITION_LAG = _kminion(
    "kafka_consumer_group_topic_partition_lag", "Lag of the group in the partition.", "group_id", *_KTP
)

_GTP = ("group", "topic", "partition", "member_host", "consumer_id", "client_id")
LE_LATEST = _lag_exporter("partition_latest_offset", "High watermark of the partition.", *_TP)
LE_EARLIEST = _lag_exporter("partition_earliest_offset", "Low watermark of the partition.", *_TP)
LE_OFFSET = _lag_exporter("consumergroup_group_offset", "Committed offset of the group.", *_GTP)
LE_LAG = _lag_exporter("consumergroup_group_lag", "Lag of the group in the partition.", *_GTP)
LE_LAG_SECONDS = _lag_exporter(
    "consumergroup_group_lag_seconds", "Estimated age of the group's first unread record in the partition.", *_GTP
)
LE_MAX_LAG = _lag_exporter("consumergroup_group_max_lag", "Largest lag of the group's partitions.", "group")
LE_MAX_LAG_SECONDS = _lag_exporter(
    "consumergroup_group_max_lag_seconds", "Largest lag in seconds of the group's partitions.", "group"
)
LE_SUM_LAG = _lag_exporter("consumergroup_group_sum_lag", "Sum of the lags of the group.", "group")
LE_TOPIC_LAG = _lag_exporter(
    "consumergroup_group_topic_sum_lag", "Sum of the lags of the group in the topic.", "group", "topic"
)

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All compatibility metrics, in the order of their definition."""
_KMINION_STATES = {
    "STABLE": "Stable",
    "EMPTY": "Empty",
    "DEAD": "Dead",
    "PREPARING_REBALANCING": "PreparingRebalance",
    "COMPLETING_REBALANCING": "CompletingRebalance",
}


def cluster(snapshot: ClusterSnapshot, spoken: Sequence[str]) -> Iterator[Sample]:
    """Yield the compatibility metrics of the cluster and its brokers."""
    if KAFKA_EXPORTER in spoken:
        yield KE_BROKERS, (), float(len(snapshot.brokers))
        for broker in snapshot.brokers:
            yield KE_BROKER_INFO, (str(broker.id), f"{broker.host}:{broker.port}"), 1.0
    if KMINION in spoken:
        yield KM_UP, (version(),), float(not snapshot.failures)
        controller = str(snapshot.controller) if snapshot.controller is not None else "-1"
        yield KM_CLUSTER, (str(len(snapshot.brokers)), controller, snapshot.cluster_id), 1.0
        for broker in snapshot.brokers:
            leads = str(broker.id == snapshot.controller).lower()
            yield KM_BROKER, (str(broker.id), broker.host, str(broker.port), broker.rack or "", leads), 1.0


def committed(of_topic: Mapping[int, GroupLag]) -> float | None:
    """Return the sum of a group's committed offsets in a topic."""
    return total(at.committed for at in of_topic.values() if at.committed is not None)


def topic(about: Topic, cluster_name: str, spoken: Sequence[str], *, each: bool) -> Iterator[Sample]:
    """Yield the compatibility metrics of a topic, and of its partitions if `each` is set."""
    name, partitions = about.name, about.partitions
    if KAFKA_EXPORTER in spoken:
        yield KE_PARTITIONS, (name,), float(len(partitions))
    if KMINION in spoken:
        factor = len(partitions[0].replicas) if partitions else -1
        yield KM_TOPIC, (name, str(len(partitions)), str(factor)), 1.0
        yield KM_LOW_SUM, (name,), total(p.low for p in partitions)
        yield KM_HIGH_SUM, (name,), total(p.high for p in partitions)
    if not each:
        return
    for partition in partitions:
        at = name, str(partition.number)
        if KAFKA_EXPORTER in spoken:
            yield from _kafka_exporter_partition(at, partition)
        if KMINION in spoken:
            yield KM_LOW, at, partition.low
            yield KM_HIGH, at, partition.high
        if LAG_EXPORTER in spoken:
            yield LE_EARLIEST, (cluster_name, *at), partition.low
            yield LE_LATEST, (cluster_name, *at), partition.high


def _kafka_exporter_partition(at: tuple[str, str], partition: Partition) -> Iterator[Sample]:
    led = partition.leader >= 0
    yield KE_CURRENT, at, partition.high
    yield KE_OLDEST, at, partition.low
    yield KE_LEADER, at, float(partition.leader) if led else None
    yield KE_REPLICAS, at, float(len(partition.replicas))
    yield KE_IN_SYNC, at, float(len(partition.isr))
    yield KE_PREFERRED, at, float(led and partition.leader == next(iter(partition.replicas), None))
    yield KE_UNDER, at, float(partition.under_replicated)


def group(
    name: str, about: ConsumerGroup, lags: Lags, cluster_name: str, spoken: Sequence[str], granularity: str
) -> Iterator[Sample]:
    """Yield the compatibility metrics of a consumer group."""
    if KAFKA_EXPORTER in spoken:
        yield from _kafka_exporter_group(name, about, lags, granularity)
    if KMINION in spoken:
        yield from _kminion_group(name, about, lags, granularity)
    if LAG_EXPORTER in spoken:
        yield from _lag_exporter_group(name, about, lags, cluster_name, granularity)


def _kafka_exporter_group(name: str, about: ConsumerGroup, lags: Lags, granularity: str) -> Iterator[Sample]:
    if about.members is not None:
        yield KE_GROUP_MEMBERS, (name,), float(len(about.members))
    for topic_name, of_topic in _topics(lags, granularity):
        yield KE_GROUP_OFFSET_SUM, (name, topic_name), committed(of_topic)
        yield KE_GROUP_LAG_SUM, (name, topic_name), total(at.lag for at in of_topic.values())
    for lag in _partitions(lags, granularity):
        labels = (name, lag.topic, str(lag.partition))
        yield KE_GROUP_OFFSET, labels, lag.committed
        yield KE_GROUP_LAG, labels, lag.lag


def _kminion_group(name: str, about: ConsumerGroup, lags: Lags, granularity: str) -> Iterator[Sample]:
    if about.state is not None and about.members is not None:
        coordinator = str(about.coordinator) if about.coordinator is not None else "-1"
        state = _KMINION_STATES.get(about.state, about.state)
        labels = (name, str(len(about.members)), about.assignor, "consumer", state, coordinator)
        yield KM_GROUP, labels, float(about.state == "STABLE")
    for topic_name, of_topic in _topics(lags, granularity):
        yield KM_OFFSETS, (name, topic_name), committed(of_topic)
        yield KM_LAG, (name, topic_name), total(at.lag for at in of_topic.values())
    for lag in _partitions(lags, granularity):
        yield KM_PARTITION_LAG, (name, lag.topic, str(lag.partition)), lag.lag


def _lag_exporter_group(
    name: str, about: ConsumerGroup, lags: Lags, cluster_name: str, granularity: str
) -> Iterator[Sample]:
    known = [lag.lag for of_topic in lags.values() for lag in of_topic.values()]
    everything = total(known)
    if known and everything is not None:
        yield LE_SUM_LAG, (cluster_name, name), everything
        yield LE_MAX_LAG, (cluster_name, name), float(max(lag or 0 for lag in known))
    yield LE_MAX_LAG_SECONDS, (cluster_name, name), about.lag_seconds
    for topic_name, of_topic in _topics(lags, granularity):
        yield LE_TOPIC_LAG, (cluster_name, name, topic_name), total(at.lag for at in of_topic.values())
    owners = {at: member for member in about.members or () for at in member.assigned}
    nobody = Member(id="", client_id="", host="", assigned=frozenset())
    for lag in _partitions(lags, granularity):
        owner = owners.get((lag.topic, lag.partition), nobody)
        labels = (cluster_name, name, lag.topic, str(lag.partition), owner.host, owner.id, owner.client_id)
        yield LE_OFFSET, labels, lag.committed
        yield LE_LAG, labels, lag.lag
        yield LE_LAG_SECONDS, labels, lag.lag_seconds


def _topics(lags: Lags, granularity: str) -> Iterator[tuple[str, Mapping[int, GroupLag]]]:
    if granularity != "group":
        yield from lags.items()


def _partitions(lags: Lags, granularity: str) -> Iterator[GroupLag]:
    if granularity == "partition":
        for of_topic in lags.values():
            yield from of_topic.values()
