"""Kafka: offsets, times and groups. Nothing is ever committed, and only `send` produces a record."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar, cast

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it does not declare what it exports
    AdminClient,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)

from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.transport.deadlines import Deadline

Place = tuple[str, int]
"""A partition: its topic and number."""
RECENT = timedelta(minutes=5)
"""How far back a partition's records count as recent."""
RETENTION_KEPT = 60.0
"""Seconds that a topic's retention is remembered."""
CALL_SIZE = 500
"""Partitions that are asked about in one call: the library's work grows with the square of it."""
AT_ONCE = 8
"""Calls for offsets that are under way at the same time."""
EARLIEST, LATEST = -2, -1
"""Timestamps that mean a partition's beginning and its end (Kafka's protocol, ListOffsets)."""

PARTITION_END = KafkaError._PARTITION_EOF
"""What a consumer is told at the end of a partition, where it asks for it."""

_AUTHENTICATION = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED)
_DENIED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
_UNREACHABLE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
_TIMED_OUT = (
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TRANSPORT,  # the answer to `list_topics` at its deadline, whatever it waited for
)
_NOT_FOUND = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.GROUP_ID_NOT_FOUND,
)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster.

    Attributes:
        cluster_id: Its id.
        brokers: Number of brokers that answer.
        controller: Node id of the controller; `None` where there is none.
        partitions: Partitions of all its topics.
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
class PartitionOffsets:
    """One partition.

    Attributes:
        low: Low watermark: the first offset that is still there.
        high: High watermark: the offset after the newest record.
        newest: Largest record timestamp; `None` for an empty partition.
        recent: Records that came within `RECENT`.
    """

    low: int
    high: int
    newest: datetime | None
    recent: int = 0


@dataclass(frozen=True, slots=True)
class TopicOffsets:
    """A topic's partitions by number.

    Attributes:
        partitions: Those that have a leader.
        topic_id: Its id, which a topic made anew does not share; `None` where the broker does not tell.
        offline: Partitions without a leader.
        under_replicated: Partitions with a leader, and with fewer in-sync replicas than replicas.
        brokers: Number of brokers that are alive.
    """

    topic: str
    partitions: Mapping[int, PartitionOffsets]
    topic_id: str | None = None
    offline: tuple[int, ...] = ()
    under_replicated: tuple[int, ...] = ()
    brokers: int | None = None

    @property
    def newest(self) -> datetime | None:
        """Largest record timestamp of all partitions."""
        return max((p.newest for p in self.partitions.values() if p.newest is not None), default=None)

    @property
    def high(self) -> int:
        """Sum of the high watermarks: it grows with every record."""
        return sum(p.high for p in self.partitions.values())


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps records.

    Attributes:
        seconds: Age from which records are deleted; `None` if age deletes none.
        by_size: Whether records are deleted because a partition has grown too large.
    """

    seconds: float | None
    by_size: bool


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


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """The first record at or after an offset of each partition; a partition that did not answer in time is in neither.

    Attributes:
        at: Its timestamp, by partition; `None` for a record that has none.
        ends: Where the end was met instead, by partition: beyond a transaction's marks, but before what an open
            transaction has written.
    """

    at: Mapping[int, datetime | None]
    ends: Mapping[int, int]


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
        self._no_broker: str | None = None
        self._retention: dict[str, tuple[float, Retention]] = {}

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
            # Not `describe_cluster`: it asks the controller alone, and waits for one that is gone.
            metadata = admin.list_topics(timeout=self._timeout)
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
        """Return host and port that each broker names for itself, by node id; raises ClientError."""
        with self._errors():
            brokers = self._client().list_topics(timeout=self._timeout).brokers
            return tuple((str(brokers[node].host), brokers[node].port) for node in sorted(brokers))

    def topic(self, name: str) -> TopicOffsets:
        """Return a topic's watermarks, newest times and replicas; raises NotFound or another ClientError."""
        with self._errors():
            admin = self._client()
            asked = admin.describe_topics(TopicCollection([name]), request_timeout=self._timeout)
            metadata = admin.list_topics(name, timeout=self._timeout)
            found = metadata.topics[name]
            if found.error is not None:
                raise KafkaException(found.error)
            led = [p for p in found.partitions.values() if p.leader in metadata.brokers]
            numbers = sorted(p.id for p in led)
            since = int((datetime.now(UTC) - RECENT).timestamp() * 1000)
            low, newest, recent, high = self._offsets(
                admin,
                name,
                numbers,
                OffsetSpec.earliest(),  # type: ignore[no-untyped-call]
                OffsetSpec.max_timestamp(),  # type: ignore[no-untyped-call]
                OffsetSpec.for_timestamp(since),
                OffsetSpec.latest(),  # type: ignore[no-untyped-call]
            )
            return TopicOffsets(
                topic=name,
                partitions={
                    n: PartitionOffsets(
                        low=low[n].offset,
                        high=high[n].offset,
                        newest=time_of(newest[n].timestamp),
                        recent=max(0, high[n].offset - recent[n].offset) if recent[n].offset >= 0 else 0,
                    )
                    for n in numbers
                },
                topic_id=str(asked[name].result(self._timeout).topic_id),
                offline=tuple(sorted(found.partitions.keys() - set(numbers))),
                under_replicated=tuple(sorted(p.id for p in led if len(p.isrs) < len(p.replicas))),
                brokers=len(metadata.brokers),
            )

    def retention(self, topic: str) -> Retention:
        """Return how long a topic keeps records, as it was within the last minute; raises ClientError."""
        known = self._retention.get(topic)
        if known is not None and time.monotonic() - known[0] < RETENTION_KEPT:
            return known[1]
        with self._errors():
            resource = ConfigResource(ResourceType.TOPIC, topic)
            asked = self._client().describe_configs([resource], request_timeout=self._timeout)
            found = {name: entry.value for name, entry in asked[resource].result(self._timeout).items()}
        deletes = "delete" in found.get("cleanup.policy", "delete")
        millis, size = int(found.get("retention.ms", -1)), int(found.get("retention.bytes", -1))
        retention = Retention(millis / 1000 if deletes and millis >= 0 else None, deletes and size >= 0)
        self._retention[topic] = (time.monotonic(), retention)
        return retention

    def first_records(self, topic: str, offsets: Mapping[int, int]) -> FirstRecords:
        """Return what is told of the first record at or after an offset of each partition.

        One record of each partition is read, by a consumer without a group, so nothing is committed.

        Raises:
            ClientError: The cluster does not answer.
        """
        if not offsets:
            return FirstRecords({}, {})
        found: dict[int, datetime | None] = {}
        ends: dict[int, int] = {}
        properties = {
            "queued.min.messages": 1,
            "fetch.message.max.bytes": 65536,
            "enable.partition.eof": True,  # the last offsets may be a transaction's marks, which are no records
        }
        with self.consumer(**properties) as consumer:
            consumer.assign([TopicPartition(topic, n, at) for n, at in offsets.items()])
            deadline = datetime.now(UTC).timestamp() + self._timeout
            while len(found) + len(ends) < len(offsets):
                left = deadline - datetime.now(UTC).timestamp()
                message = consumer.poll(left) if left > 0 else None
                if message is None:
                    break
                error, number = message.error(), cast("int", message.partition())
                if error is not None and error.code() != PARTITION_END:
                    raise KafkaException(error)
                if number in found or number in ends:
                    continue
                if error is None:
                    found[number] = time_of(message.timestamp()[1])
                else:
                    ends[number] = cast("int", message.offset())
                consumer.incremental_unassign([TopicPartition(topic, number)])
        return FirstRecords(found, ends)

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

    def edges(self, leaders: Mapping[Place, int], *timestamps: int) -> tuple[list[dict[Place, int]], list[KafkaError]]:
        """Return, for each of the timestamps, its offset in each partition; and why it is missing in some.

        The consumer is asked and not the admin client, which makes an object for each partition of each answer: for
        10,000 partitions that takes five times the CPU, and the interpreter with it.

        Args:
            leaders: Node id of each partition's leader. One that does not answer costs its own partitions alone.
            timestamps: `EARLIEST`, `LATEST`, or milliseconds.

        Raises:
            ClientError: The cluster does not answer.
        """
        led: dict[int, list[Place]] = {}
        for place, leader in leaders.items():
            led.setdefault(leader, []).append(place)
        found: list[dict[Place, int]] = [{} for _ in timestamps]
        failures: list[KafkaError] = []
        if not led:
            return found, failures
        # as all that is written counts, and not only what is committed
        with self.consumer(**{"isolation.level": "read_uncommitted"}) as consumer:
            consumer.list_topics(timeout=self._timeout)  # whom to ask
            deadline = Deadline(self._timeout)

            def ask(places: Sequence[Place], timestamp: int, offsets: dict[Place, int]) -> None:
                for some in in_calls(places):
                    asked = [TopicPartition(*place, timestamp) for place in some]
                    try:
                        answered = consumer.offsets_for_times(asked, max(0.1, deadline.left))
                    except KafkaException as error:
                        failures.append(error.args[0])
                        return
                    offsets.update({(tp.topic, tp.partition): tp.offset for tp in answered if tp.error is None})
                    failures.extend(tp.error for tp in answered if tp.error is not None)

            with ThreadPoolExecutor(AT_ONCE) as beside:
                asking = [
                    beside.submit(ask, places, timestamp, offsets)
                    for places in led.values()
                    for timestamp, offsets in zip(timestamps, found, strict=True)
                ]
            for each in asking:
                each.result()
        return found, failures

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

    def _offsets(
        self, admin: AdminClient, topic: str, partitions: Sequence[int], *specs: OffsetSpec
    ) -> list[dict[int, Any]]:
        """Return what each of the specifications gives for each partition; all calls are under way together."""
        asked = [
            [
                admin.list_offsets({TopicPartition(topic, n): spec for n in some}, request_timeout=self._timeout)
                for some in in_calls(partitions)
            ]
            for spec in specs
        ]
        return [
            {tp.partition: future.result(self._timeout) for call in calls for tp, future in call.items()}
            for calls in asked
        ]

    def _partitions(self, topic: str) -> list[int]:
        metadata = self._client().list_topics(topic, timeout=self._timeout).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def _client(self) -> AdminClient:
        with self._lock:
            if self._admin is None:
                self._refused = None
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
        if error.code() in _AUTHENTICATION:
            self._refused = error
        elif error.code() in (KafkaError._TRANSPORT, KafkaError._RESOLVE) and "SSL" not in error.str():
            self._refused = None
            reason = error.str().partition(" (after ")[0].rpartition(": ")[2]
            self._no_broker = None if "timed out" in reason else reason  # what takes connections is there, and hangs

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise our own errors in place of the library's; forget a client whose credentials were refused."""
        try:
            yield
        except KafkaException as raised:
            raise self._translated(raised.args[0]) from raised
        except TimeoutError as raised:
            raise self._translated(KafkaError(KafkaError._TIMED_OUT)) from raised
        self._no_broker = self._refused = None

    def _translated(self, error: KafkaError) -> ClientError:
        with self._lock:  # whoever polls beside us has to have been told first
            if self._admin is not None:
                self._admin.poll(0)  # only now are we told what the library met with: `_on_error`
        code, text = error.code(), " ".join(error.str().split())
        refused = self._refused  # left for what waits for the same client beside us
        if code in _AUTHENTICATION or (refused is not None and code in (*_UNREACHABLE, *_TIMED_OUT)):
            with self._lock:
                self._admin = None  # a rotated secret is read anew
            why = " ".join(refused.str().split()) if refused is not None else text
            return AuthenticationFailed(f"kafka {self.target}: {why}")
        if code in _DENIED:
            return PermissionDenied(f"kafka {self.target}: {text}")
        if code in _UNREACHABLE or (self._no_broker and code in _TIMED_OUT):
            text = self._no_broker or text
            return Unreachable(f"kafka {self.target}: no broker can be reached: {text}")
        if code in _TIMED_OUT:
            return TimedOut(f"kafka {self.target}: no answer within {self._timeout:g} s")
        if code in _NOT_FOUND:
            return NotFound(f"kafka {self.target}: {text}")
        return BadAnswer(f"kafka {self.target}: {text}")


def in_calls(partitions: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield partitions in portions, each for a call of its own."""
    return (partitions[start : start + CALL_SIZE] for start in range(0, len(partitions), CALL_SIZE))


def time_of(millis: int) -> datetime | None:
    """Return a record's time; `None` where Kafka says that there is none."""
    return datetime.fromtimestamp(millis / 1000, UTC) if millis >= 0 else None
