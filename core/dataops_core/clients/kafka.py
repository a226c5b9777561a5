"""Kafka: offsets, times and groups. Nothing is ever committed, and only `send` produces a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, cast

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it does not declare what it exports
    AdminClient,
    OffsetSpec,
)

from dataops_core.config import KafkaSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, NotFound, TimedOut, Unreachable

_AUTHENTICATION = (
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
_UNREACHABLE = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
_TIMED_OUT = (KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT, KafkaError._MSG_TIMED_OUT)
_NOT_FOUND = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.GROUP_ID_NOT_FOUND,
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster.

    Attributes:
        cluster_id: Its id.
        brokers: Number of brokers that answer.
        controller: Node id of the controller; `None` where there is none.
        offline: Partitions without a leader, `topic-partition`.
        under_replicated: Partitions with fewer in-sync replicas than replicas.
    """

    cluster_id: str
    brokers: int
    controller: int | None
    offline: tuple[str, ...]
    under_replicated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """One partition.

    Attributes:
        low: Low watermark: the first offset that is still there.
        high: High watermark: the offset after the newest record.
        newest: Largest record timestamp; `None` for an empty partition.
    """

    low: int
    high: int
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class TopicOffsets:
    """A topic's partitions by number."""

    topic: str
    partitions: Mapping[int, PartitionOffsets]

    @property
    def newest(self) -> datetime | None:
        """Largest record timestamp of all partitions."""
        return max((p.newest for p in self.partitions.values() if p.newest is not None), default=None)

    @property
    def high(self) -> int:
        """Sum of the high watermarks: it grows with every record."""
        return sum(p.high for p in self.partitions.values())


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """A consumer group on one topic.

    Attributes:
        state: The coordinator's word, e.g. `STABLE`, `EMPTY`.
        members: Number of members.
        committed: Committed offset by partition; a partition without a commit is left out.
    """

    group: str
    state: str
    members: int
    committed: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record is that was sent."""

    topic: str
    partition: int
    offset: int


class KafkaClient:
    """A Kafka cluster; safe to share between threads.

    Args:
        settings: Where it is.
        timeout: Deadline of each call, in seconds.
    """

    def __init__(self, settings: KafkaSettings, timeout: float = 8.0) -> None:
        self.target = settings.bootstrap_servers
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._admin: AdminClient | None = None
        self._refused: KafkaError | None = None

    @contextmanager
    def admin(self) -> Iterator[AdminClient]:
        """Lend the library's admin client; what it raises inside is raised as a ClientError."""
        with self._errors():
            yield self._client()

    @property
    def timeout(self) -> float:
        """Deadline of each call, in seconds."""
        return self._timeout

    def cluster(self) -> Cluster:
        """Return the cluster's state; raises ClientError."""
        with self._errors():
            admin = self._client()
            found = admin.describe_cluster(request_timeout=self._timeout).result(self._timeout)
            metadata = admin.list_topics(timeout=self._timeout)
            parts = [(f"{t.topic}-{p.id}", p) for t in metadata.topics.values() for p in t.partitions.values()]
            return Cluster(
                cluster_id=str(found.cluster_id),
                brokers=len(found.nodes),
                controller=found.controller.id if found.controller else None,
                offline=tuple(name for name, p in parts if p.leader < 0),
                under_replicated=tuple(name for name, p in parts if len(p.isrs) < len(p.replicas)),
            )

    def topic(self, name: str) -> TopicOffsets:
        """Return a topic's watermarks and newest times; raises NotFound or another ClientError."""
        with self._errors():
            numbers = self._partitions(name)
            admin = self._client()
            low = self._offsets(admin, name, numbers, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            newest = self._offsets(admin, name, numbers, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
            high = self._offsets(admin, name, numbers, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            return TopicOffsets(
                topic=name,
                partitions={
                    n: PartitionOffsets(low=low[n].offset, high=high[n].offset, newest=time_of(newest[n].timestamp))
                    for n in numbers
                },
            )

    def timestamps_at(self, topic: str, offsets: Mapping[int, int]) -> dict[int, datetime | None]:
        """Return the timestamp of the first record at or after an offset, by partition.

        `None` where there is no such record within the deadline. One record of each partition is read, by a consumer
        without a group, so nothing is committed.

        Raises:
            ClientError: The cluster does not answer.
        """
        if not offsets:
            return {}
        found: dict[int, datetime | None] = dict.fromkeys(offsets)
        with self.consumer(**{"queued.min.messages": 1, "fetch.message.max.bytes": 65536}) as consumer:
            consumer.assign([TopicPartition(topic, n, at) for n, at in offsets.items()])
            deadline = datetime.now(UTC).timestamp() + self._timeout
            while None in found.values():
                left = deadline - datetime.now(UTC).timestamp()
                message = consumer.poll(left) if left > 0 else None
                if message is None:
                    break
                error = message.error()
                if error is not None:
                    raise KafkaException(error)
                number = cast("int", message.partition())
                if found[number] is None:
                    found[number] = time_of(message.timestamp()[1])
                    consumer.incremental_unassign([TopicPartition(topic, number)])
        return found

    def group(self, group: str, topic: str) -> GroupOffsets:
        """Return a group's commits on a topic; raises ClientError."""
        with self._errors():
            admin = self._client()
            asked = admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=self._timeout
            )
            offsets = next(iter(asked.values())).result(self._timeout).topic_partitions
            described = admin.describe_consumer_groups([group], request_timeout=self._timeout)
            about = described[group].result(self._timeout)
            if about.state is ConsumerGroupState.DEAD:
                raise NotFound(f"kafka {self.target}: no consumer group {group}")
            return GroupOffsets(
                group=group,
                state=about.state.name,
                members=len(about.members),
                committed={tp.partition: tp.offset for tp in offsets if tp.topic == topic and tp.offset >= 0},
            )

    @contextmanager
    def consumer(self, **properties: object) -> Iterator[Consumer]:
        """Lend a consumer that joins no group and commits nothing, to be used with `assign`; raises ClientError.

        Args:
            properties: Further librdkafka properties.
        """
        with self._errors():
            consumer = Consumer(
                {
                    **self._properties(),
                    "group.id": "dataops-peek",  # needed by the library; with assign() no group is joined
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    **properties,
                }
            )
            try:
                yield consumer
            finally:
                consumer.close()

    def send(self, topic: str, key: bytes, value: bytes) -> Sent:
        """Append one record to a topic that exists, and return once all in-sync replicas have it.

        Raises:
            ClientError: It was not accepted within the deadline; it may have been appended all the same.
        """
        answers: list[tuple[KafkaError | None, Message]] = []
        with self._errors():
            self._partitions(topic)  # else a producer would create it
            producer = Producer(
                {
                    **self._properties(),
                    "enable.idempotence": True,
                    "message.timeout.ms": int(self._timeout * 1000),
                }
            )
            producer.produce(topic, value, key, on_delivery=lambda error, message: answers.append((error, message)))
            producer.flush(self._timeout + 1)
            if not answers:
                raise TimeoutError
            error, message = answers[0]
            if error is not None:
                raise KafkaException(error)
            return Sent(topic, cast("int", message.partition()), cast("int", message.offset()))

    def _offsets(self, admin: AdminClient, topic: str, partitions: list[int], spec: OffsetSpec) -> dict[int, Any]:
        wanted = {TopicPartition(topic, n): spec for n in partitions}
        asked = admin.list_offsets(wanted, request_timeout=self._timeout)
        return {tp.partition: future.result(self._timeout) for tp, future in asked.items()}

    def _partitions(self, topic: str) -> list[int]:
        metadata = self._client().list_topics(topic, timeout=self._timeout).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def _client(self) -> AdminClient:
        with self._lock:
            if self._admin is None:
                self._admin = AdminClient(self._properties())
            return self._admin

    def _properties(self) -> dict[str, Any]:
        further = {name: resolve_secret(value) for name, value in self._settings.properties.items()}
        return {
            "bootstrap.servers": self._settings.bootstrap_servers,
            "client.id": "dataops",
            "socket.connection.setup.timeout.ms": 5000,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": self._on_error,
            "log_level": 0,  # the library writes to stderr, which a console cannot have
            **further,
        }

    def _on_error(self, error: KafkaError) -> None:
        self._refused = error if error.code() in _AUTHENTICATION else None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise our own errors in place of the library's; forget a client whose credentials were refused."""
        try:
            yield
        except KafkaException as raised:
            raise self._translated(raised.args[0]) from raised
        except TimeoutError as raised:
            raise TimedOut(f"kafka {self.target}: no answer within {self._timeout:g} s") from raised

    def _translated(self, error: KafkaError) -> ClientError:
        code, text = error.code(), " ".join(error.str().split())
        refused, self._refused = self._refused, None
        if code in _AUTHENTICATION or (refused is not None and code in (*_UNREACHABLE, *_TIMED_OUT)):
            with self._lock:
                self._admin = None  # a rotated secret is read anew
            why = " ".join(refused.str().split()) if refused is not None else text
            return AuthenticationFailed(f"kafka {self.target}: {why}")
        if code in _UNREACHABLE:
            return Unreachable(f"kafka {self.target}: no broker can be reached: {text}")
        if code in _TIMED_OUT:
            return TimedOut(f"kafka {self.target}: no answer within {self._timeout:g} s")
        if code in _NOT_FOUND:
            return NotFound(f"kafka {self.target}: {text}")
        return BadAnswer(f"kafka {self.target}: {text}")


def time_of(millis: int) -> datetime | None:
    """Return a record's time; `None` where Kafka says that there is none."""
    return datetime.fromtimestamp(millis / 1000, UTC) if millis >= 0 else None
