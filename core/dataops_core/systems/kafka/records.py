"""What is in a Kafka cluster, for people: topics, partitions, groups with their lag, and the records themselves.

Nothing is ever committed: records are read with `assign`, and no group is joined.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, cast

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # it does not declare its exports

from dataops_core.errors import DataopsError, NotFound
from dataops_core.plain import visible
from dataops_core.systems.kafka.client import EARLIEST, LATEST, PARTITION_END, KafkaClient, Place, in_calls, time_of
from dataops_core.systems.kafka.schema_registry import Decoded, SchemaRegistry
from dataops_core.values import is_readable, too_deep

MAX_BYTES = 16_384
"""Bytes of a key, a value or a header that are kept; the record says how many there were."""
BATCH = 500
"""Records that are handed on at once, at the most."""
POLL = 0.25
"""Seconds that a peek waits for records before it looks whether it is to stop."""
JSON = ("json", "schema")
"""Kinds of values whose text is JSON."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition.

    Attributes:
        low: Low watermark: the first offset that is still there.
        high: High watermark: the offset after the newest record.
        newest: Largest record timestamp; `None` for an empty partition.
        leader: Node id of the leader; negative if there is none.
        replicas: Node ids of the replicas.
        isr: Node ids of the in-sync replicas.
    """

    number: int
    low: int
    high: int
    newest: datetime | None
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]

    @property
    def records(self) -> int:
        """Offsets between the watermarks: records, but for compacted ones and transaction markers."""
        return self.high - self.low

    @property
    def faulty(self) -> bool:
        """Whether it has no leader, or fewer in-sync replicas than replicas."""
        return self.leader < 0 or len(self.isr) < len(self.replicas)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with its partitions, by number."""

    name: str
    partitions: tuple[Partition, ...]

    @property
    def records(self) -> int:
        """Sum over the partitions."""
        return sum(p.records for p in self.partitions)

    @property
    def newest(self) -> datetime | None:
        """Largest record timestamp of all partitions."""
        return max((p.newest for p in self.partitions if p.newest is not None), default=None)

    @property
    def faulty(self) -> bool:
        """Whether one of its partitions is."""
        return any(p.faulty for p in self.partitions)


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A consumer group on one partition.

    Attributes:
        committed: Its committed offset.
        high: High watermark: the offset after the newest record.
    """

    topic: str
    partition: int
    committed: int
    high: int

    @property
    def lag(self) -> int:
        """Records between the committed offset and the high watermark; never negative."""
        return max(0, self.high - self.committed)


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group.

    Attributes:
        state: The coordinator's word, e.g. `STABLE`, `EMPTY`.
        members: Number of members.
        lags: By topic and partition; a partition without a commit is left out.
    """

    name: str
    state: str
    members: int
    lags: tuple[GroupLag, ...]

    @property
    def lag(self) -> int | None:
        """Sum over the partitions; `None` for a group that has never committed."""
        return sum(lag.lag for lag in self.lags) if self.lags else None


@dataclass(frozen=True, slots=True)
class Record:
    """One record; long parts are cut off at `MAX_BYTES`.

    Attributes:
        time: Its timestamp.
        size: Bytes of its value before anything was cut off; `None` for a tombstone.
        decoded_key: What its key is by the schema that it names; `None` where it names none.
        decoded: The same of its value.
    """

    partition: int
    offset: int
    time: datetime | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    size: int | None
    decoded_key: Decoded | None = None
    decoded: Decoded | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a peek begins: exactly one of these.

    Attributes:
        tail: So many records before the end of each partition.
        offset: At this offset of each partition.
        time: At the first record with this timestamp or a later one.
    """

    tail: int | None = None
    offset: int | None = None
    time: datetime | None = None


PLACES = "tail 50, beginning, end, an offset, 15m (ago) or an ISO time"
"""What `parse_start` takes."""
_STARTS = {"": Start(tail=20), "tail": Start(tail=20), "end": Start(tail=0), "beginning": Start(offset=0)}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_start(text: str, now: datetime) -> Start:
    """Return where to begin; see `PLACES`, and nothing at all means the tail.

    Raises:
        DataopsError: It is none of these.
    """
    text = " ".join(text.lower().split())
    if text in _STARTS:
        return _STARTS[text]
    counted, ago = re.fullmatch(r"(tail |offset )?(\d+)", text), re.fullmatch(r"(\d+) ?([smhd])( ago)?", text)
    if counted is not None:
        count = int(counted[2])
        return Start(tail=count) if counted[1] == "tail " else Start(offset=count)
    try:
        at = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text.upper())
    except (ValueError, OverflowError):
        raise DataopsError(f'"{visible(text)}" is no place to begin', hint=f"say {PLACES}") from None
    return Start(time=at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def decode(data: bytes | None, decoded: Decoded | None = None) -> tuple[str, str]:
    """Return what kind of bytes these are, and them as text: `null`, `json` (one line), `text` or `hex`.

    What a schema says goes first: `schema` (JSON in one line), or `hex` where it cannot be followed.
    """
    if data is None:
        return "null", ""
    if decoded is not None:
        return ("hex", data.hex(" ")) if decoded.text is None else ("schema", decoded.text)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "hex", data.hex(" ")
    if text[:1] in ("{", "[", '"'):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return "text", text
        return ("text", text) if too_deep(found) else ("json", json.dumps(found, ensure_ascii=False))
    return ("text", text) if is_readable(text) else ("hex", data.hex(" "))


def as_dict(record: Record) -> dict[str, object]:
    """Return a record with its bytes decoded; text is as it came, with its control characters."""
    kind, value = decode(record.value, record.decoded)
    return {
        "time": record.time,
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else decode(record.key, record.decoded_key)[1],
        "headers": {name: decode(content)[1] for name, content in record.headers},
        "kind": kind,
        "schema_id": record.decoded.schema_id if record.decoded is not None else None,
        "size": record.size,
        "value": json.loads(value) if kind in JSON else None if kind == "null" else value,
    }


def topics(client: KafkaClient) -> tuple[Topic, ...]:
    """Return all topics, by name; raises ClientError."""
    return _topics(client, None)


def topic(client: KafkaClient, name: str) -> Topic:
    """Return one topic; raises NotFound or another ClientError."""
    return _topics(client, name)[0]


def _topics(client: KafkaClient, only: str | None) -> tuple[Topic, ...]:
    timeout = client.timeout
    with client.admin() as admin:
        found = admin.list_topics(only, timeout=timeout) if only is not None else admin.list_topics(timeout=timeout)
        about = found.topics
        for metadata in about.values():
            if only is not None and metadata.error is not None:
                raise KafkaException(metadata.error)
        leaders = _leaders(about, ((name, n) for name in about for n in about[name].partitions))
        newest = _newest(admin, leaders, timeout)
        low, high = _edges(client, leaders, EARLIEST, LATEST)

        def partition(name: str, number: int) -> Partition:
            metadata, at = about[name].partitions[number], (name, number)
            return Partition(
                number=number,
                low=low.get(at, 0),
                high=high.get(at, 0),
                newest=time_of(newest[at].timestamp) if at in newest else None,
                leader=metadata.leader,
                replicas=tuple(metadata.replicas),
                isr=tuple(metadata.isrs),
            )

        return tuple(
            Topic(name, tuple(partition(name, number) for number in sorted(about[name].partitions)))
            for name in sorted(about)
        )


def _leaders(about: Mapping[str, Any], places: Iterable[Place]) -> dict[Place, int]:
    """Return the leaders of partitions; what has been deleted, or has none, is left out."""
    return {
        (name, number): found.leader
        for name, number in places
        if name in about and (found := about[name].partitions.get(number)) is not None and found.leader >= 0
    }


def _edges(client: KafkaClient, leaders: Mapping[Place, int], *timestamps: int) -> list[dict[Place, int]]:
    found, failures = client.edges(leaders, *timestamps)
    if failures:
        raise KafkaException(failures[0])
    return found


def _newest(admin: AdminClient, places: Iterable[Place], timeout: float) -> dict[Place, Any]:
    asked: dict[TopicPartition, Any] = {}
    spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    for some in in_calls([TopicPartition(*place) for place in places]):
        asked |= admin.list_offsets(dict.fromkeys(some, spec), request_timeout=timeout)
    return {(tp.topic, tp.partition): future.result(timeout) for tp, future in asked.items()}


def groups(client: KafkaClient) -> tuple[Group, ...]:
    """Return all consumer groups with their lag, by name; raises ClientError."""
    timeout = client.timeout
    with client.admin() as admin:
        listed = admin.list_consumer_groups(request_timeout=timeout).result(timeout).valid
    return _groups(client, sorted(group.group_id for group in listed))


def group(client: KafkaClient, name: str) -> Group:
    """Return one consumer group with its lag; raises NotFound or another ClientError."""
    (found,) = _groups(client, [name])
    if found.state == "DEAD":  # Kafka's word for a group that it does not know
        raise NotFound(f"kafka {client.target}: no consumer group {name}")
    return found


def _groups(client: KafkaClient, names: Sequence[str]) -> tuple[Group, ...]:
    if not names:
        return ()
    timeout = client.timeout
    with client.admin() as admin:
        asked = [
            admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=timeout)[name]
            for name in names
        ]
        described = admin.describe_consumer_groups(list(names), request_timeout=timeout)
        committed = [
            [tp for tp in future.result(timeout).topic_partitions if tp.offset >= 0 and tp.error is None]
            for future in asked
        ]
        # after the commits, so that no lag is negative
        places = {(tp.topic, tp.partition) for offsets in committed for tp in offsets}
        (high,) = _edges(client, _leaders(admin.list_topics(timeout=timeout).topics, sorted(places)), LATEST)
        found = []
        for name, offsets in zip(names, committed, strict=True):
            about = described[name].result(timeout)
            found.append(Group(name, about.state.name, len(about.members), _lags(offsets, high)))
        return tuple(found)


def _lags(offsets: Sequence[TopicPartition], high: Mapping[Place, int]) -> tuple[GroupLag, ...]:
    return tuple(
        GroupLag(tp.topic, tp.partition, tp.offset, high[tp.topic, tp.partition])
        for tp in sorted(offsets, key=lambda tp: (tp.topic, tp.partition))
        if (tp.topic, tp.partition) in high
    )


def peek(
    client: KafkaClient,
    name: str,
    start: Start,
    stop: Event,
    keep: Callable[[Record], bool] = lambda _: True,
    registry: SchemaRegistry | None = None,
    *,
    partition: int | None = None,
    follow: bool = True,
) -> Generator[tuple[list[Record], int], None, None]:
    """Read a topic's records from `start` on, and go on with new ones until told to stop.

    Args:
        client: The cluster.
        name: The topic.
        start: Where to begin.
        stop: Set it to stop.
        keep: Which records are wanted.
        registry: Decodes what names a schema; reading waits for it, for a few seconds at the most.
        partition: Read this one only.
        follow: Whether to go on with new records; else reading ends at the end of each partition.

    Yields:
        The wanted records of the last moment, and how many were read for them; also when there were none.

    Raises:
        NotFound: There is no such topic or partition.
        TimedOut: Nothing came within the deadline, not even the end; only where that is waited for.
        ClientError: The cluster does not answer.
    """
    limits = {"queued.max.messages.kbytes": 4096, "queued.min.messages": 1000, "fetch.max.bytes": 4_194_304}
    timeout = client.timeout
    with client.admin() as admin:
        about = admin.list_topics(name, timeout=timeout).topics[name]
        if about.error is not None:
            raise NotFound(f"kafka {client.target}: no topic {name}")
    if partition is not None and partition not in about.partitions:
        raise NotFound(f"kafka {client.target}: the topic {name} has no partition {partition}")
    numbers = sorted(about.partitions) if partition is None else [partition]
    left = set(numbers)
    with client.consumer(**limits, **({} if follow else {"enable.partition.eof": True})) as consumer:
        consumer.assign(_begin(consumer, name, numbers, start, timeout))
        heard = time.monotonic()
        while not stop.is_set() and left:
            messages = consumer.consume(BATCH, POLL)
            records = []
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(_record(message, registry))
                elif error.code() == PARTITION_END:
                    left.discard(cast("int", message.partition()))
                else:
                    raise KafkaException(error)
            if messages:
                heard = time.monotonic()
            elif not follow and time.monotonic() - heard > timeout:
                raise TimeoutError
            yield [record for record in records if keep(record)], len(records)


def _begin(consumer: Consumer, name: str, numbers: Sequence[int], start: Start, timeout: float) -> list[TopicPartition]:
    if start.time is not None:
        millis = int(start.time.timestamp() * 1000)
        return consumer.offsets_for_times([TopicPartition(name, n, millis) for n in numbers], timeout)
    found = []
    for number in numbers:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout)
        wanted = high - start.tail if start.tail is not None else start.offset or 0
        found.append(TopicPartition(name, number, min(max(low, wanted), high)))
    return found


def _record(message: Message, registry: SchemaRegistry | None) -> Record:
    key, value = message.key(), message.value()
    return Record(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time=time_of(message.timestamp()[1]),
        key=_cut(key),
        value=_cut(value),
        headers=tuple((header, _cut(content)) for header, content in _headers(message)),
        size=len(value) if value is not None else None,
        decoded_key=_decoded(key, registry),
        decoded=_decoded(value, registry),
    )


def _headers(message: Message) -> Sequence[tuple[str, str | bytes | None]]:
    return cast("list[tuple[str, str | bytes | None]]", message.headers() or [])


def _decoded(data: str | bytes | None, registry: SchemaRegistry | None) -> Decoded | None:
    if registry is None or not isinstance(data, bytes):
        return None
    return registry.decode(data)


def _cut(data: str | bytes | None) -> bytes | None:
    if data is None:
        return None
    return (data.encode() if isinstance(data, str) else data)[:MAX_BYTES]
