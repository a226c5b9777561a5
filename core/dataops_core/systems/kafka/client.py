"""Client of a Kafka cluster. It never commits offsets, and only `send` produces a record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Message,
    Producer,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it does not declare what it exports
    ConfigResource,
    ResourceType,
)

from dataops_core.systems.kafka import cluster, offsets
from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.model import (
    Cluster,
    ConsumerGroup,
    FirstRecords,
    PartitionKey,
    Retention,
    Sent,
    Topic,
)
from dataops_core.systems.kafka.settings import KafkaSettings

RETENTION_KEPT = 60.0
"""Seconds that a topic's retention is cached."""


class KafkaClient(Connection):
    """A Kafka cluster; safe to share between threads.

    Args:
        settings: Address and credentials.
        timeout: Deadline of each call, in seconds.
    """

    def __init__(self, settings: KafkaSettings, timeout: float = 8.0) -> None:
        super().__init__(settings, timeout)
        self._retention: dict[str, tuple[float, Retention]] = {}

    def cluster(self) -> Cluster:
        """Return the cluster's state; raise ClientError."""
        # not `describe_cluster`, which waits for the controller even if that is down
        metadata = self.metadata()
        parts = [(f"{t.topic}-{p.id}", p) for t in metadata.topics.values() for p in t.partitions.values()]
        return Cluster(
            cluster_id=str(metadata.cluster_id),
            brokers=len(metadata.brokers),
            controller=metadata.controller_id if metadata.controller_id >= 0 else None,
            partitions=len(parts),
            offline=tuple(name for name, p in parts if p.leader < 0),
            under_replicated=tuple(name for name, p in parts if len(p.isrs) < len(p.replicas)),
        )

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return host and port that each broker advertises, ordered by node id; raise ClientError."""
        brokers = self.metadata().brokers
        return tuple((str(brokers[node].host), brokers[node].port) for node in sorted(brokers))

    def topic(self, name: str) -> Topic:
        """Return a topic's offsets, newest timestamps and replicas; raise NotFound or another ClientError."""
        return cluster.observed_topic(self, name)

    def group(self, name: str) -> ConsumerGroup:
        """Return a consumer group with its commits; raise NotFound or another ClientError."""
        return cluster.position(self, name)

    def first_records(self, starts: Mapping[PartitionKey, int]) -> FirstRecords:
        """Return the first record at or after an offset of each partition; raise ClientError."""
        result = offsets.first_records(self, starts)
        for (topic, number), error in result.failures.items():
            raise self.translated(error, f"partition {number} of topic {topic}")
        return result

    def retention(self, topic: str) -> Retention:
        """Return a topic's retention, cached for 1 minute; raise ClientError."""
        known = self._retention.get(topic)
        if known is not None and time.monotonic() - known[0] < RETENTION_KEPT:
            return known[1]
        with self.admin(f"topic {topic}") as admin:
            resource = ConfigResource(ResourceType.TOPIC, topic)
            futures = admin.describe_configs([resource], request_timeout=self.timeout)
            results = {name: entry.value for name, entry in futures[resource].result(self.timeout).items()}
        deletes = "delete" in results.get("cleanup.policy", "delete")
        millis, size = int(results.get("retention.ms", -1)), int(results.get("retention.bytes", -1))
        retention = Retention(millis / 1000 if deletes and millis >= 0 else None, deletes and size >= 0)
        self._retention[topic] = (time.monotonic(), retention)
        return retention

    def send(self, topic: str, key: bytes, value: bytes) -> Sent:
        """Append one record to an existing topic; return when all in-sync replicas have it.

        Raises:
            ClientError: Kafka did not confirm the record within the deadline. It may still have been appended.
        """
        answers: list[tuple[KafkaError | None, Message]] = []
        self.metadata(topic)  # raises if there is none; a producer would create it
        with self.errors(f"topic {topic}"):
            producer = Producer(
                {
                    **self.properties(),
                    "enable.idempotence": True,
                    "message.timeout.ms": int(self.timeout * 1000),
                }
            )
            producer.produce(topic, value, key, on_delivery=lambda error, message: answers.append((error, message)))
            try:
                producer.flush(self.timeout + 1)
            except SystemError as fatal:  # the library sets a fatal error before it calls `on_delivery`
                raise (fatal.__cause__ if isinstance(fatal.__cause__, KafkaException) else fatal) from None
            if not answers:
                raise TimeoutError
            error, message = answers[0]
            if error is not None:
                raise KafkaException(error)
            return Sent(topic, cast("int", message.partition()), cast("int", message.offset()))
