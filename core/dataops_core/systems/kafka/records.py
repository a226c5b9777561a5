"""Read the records of a Kafka topic for display.

It reads with `assign`: it joins no group and never commits an offset.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from dataops_core.errors import DataopsError, NotFound
from dataops_core.items import why
from dataops_core.json_text import JsonText, parsed
from dataops_core.plain import visible
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.errors import DENIED, GROUP_DENIED, PARTITION_END, reason
from dataops_core.systems.kafka.offsets import time_of
from dataops_core.systems.kafka.schema_registry import Decoded, SchemaRegistry
from dataops_core.times import Moment
from dataops_core.values import text_of, too_deep

MAX_BYTES = 16_384
"""Maximum bytes of a key, value or header that are kept; `Record.size` has the full size."""
BATCH = 500
"""Maximum number of records per batch."""
POLL = 0.25
"""Seconds that a peek waits for records before it checks `stop`."""
JSON = ("json", "schema")
"""Kinds of values with JSON text."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record; long keys, values and headers are cut off at `MAX_BYTES`.

    Attributes:
        size: Bytes of its value before it was cut off; `None` for a tombstone.
        decoded_key: Its key, decoded by the schema that it names; `None` without a schema.
        decoded: Its value, likewise.
        unreadable: Why it cannot be read; `None` if it can.
    """

    partition: int
    offset: int
    time: Moment | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    size: int | None
    decoded_key: Decoded | None = None
    decoded: Decoded | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """The start position of a peek: exactly one of these is set.

    Attributes:
        tail: Number of records before the end of each partition.
        offset: Offset in each partition.
        time: Timestamp of the first record, or a later one.
    """

    tail: int | None = None
    offset: int | None = None
    time: datetime | None = None


PLACES = "tail 50, beginning, end, an offset, 15m (ago) or an ISO time"
"""Inputs of `parse_start`, for messages."""
_STARTS = {"": Start(tail=20), "tail": Start(tail=20), "end": Start(tail=0), "beginning": Start(offset=0)}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_start(text: str, now: datetime) -> Start:
    """Return the start position of a text in one of the forms of `PLACES`; empty: the tail.

    Raises:
        DataopsError: The text has another form.
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
        raise DataopsError(f'"{visible(text)}" is not a start position', hint=f"use {PLACES}") from None
    return Start(time=at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def decode(data: bytes | None, decoded: Decoded | None = None) -> tuple[str, str]:
    """Return the kind of some bytes (`null`, `json`, `text`, `hex` or `schema`) and their exact text.

    With a schema the kind is `schema` (JSON), or `hex` if the bytes do not fit it.
    """
    if data is None:
        return "null", ""
    if decoded is not None:
        return ("hex", data.hex(" ")) if decoded.text is None else ("schema", JsonText(decoded.text))
    text = text_of(data)
    if text is None:
        return "hex", data.hex(" ")
    return ("json", JsonText(text)) if _is_json(text) else ("text", text)


def _is_json(text: str) -> bool:
    """Return whether a text is a JSON object, array or string; a number alone is shown as text."""
    if not text.lstrip(" \t\r\n").startswith(("{", "[", '"')):
        return False
    try:
        return not too_deep(parsed(text))
    except (ValueError, RecursionError):
        return False


def as_dict(record: Record) -> dict[str, object]:
    """Return a record with its bytes decoded; text keeps its control characters."""
    kind, value = decode(record.value, record.decoded)
    return {
        "time": record.time,
        "partition": record.partition,
        "offset": record.offset,
        "key": None if record.key is None else str(decode(record.key, record.decoded_key)[1]),
        "headers": {name: str(decode(content)[1]) for name, content in record.headers},
        "kind": kind,
        "schema_id": record.decoded.schema_id if record.decoded is not None else None,
        "size": record.size,
        "value": None if kind == "null" else value,
        "error": record.unreadable,
    }


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
    """Yield a topic's records from `start` on, then new ones until it is stopped.

    Args:
        client: The cluster.
        name: The topic.
        start: Start position.
        stop: Set it to stop.
        keep: Returns whether a record is yielded.
        registry: Decodes records with a schema; each request takes at most `PATIENCE` seconds.
        partition: Read only this partition.
        follow: Whether to wait for new records. Otherwise reading stops at the end of each partition.

    Yields:
        The matching records of one poll, and how many records it read; also after a poll without records.

    Raises:
        NotFound: The topic or partition does not exist.
        TimedOut: Without `follow`: neither a record nor the end arrived within the deadline.
        ClientError: The cluster does not respond.
    """
    limits = {"queued.max.messages.kbytes": 4096, "queued.min.messages": 1000, "fetch.max.bytes": 4_194_304}
    timeout = client.timeout
    about_topic = f"topic {name}"
    about = client.metadata(name).topics[name]
    if partition is not None and partition not in about.partitions:
        raise NotFound(f"kafka {client.target}: the topic {name} has no partition {partition}")
    numbers = sorted(about.partitions) if partition is None else [partition]
    left = set(numbers)
    with client.consumer(about_topic, **limits, **({} if follow else {"enable.partition.eof": True})) as consumer:
        consumer.assign(_begin(consumer, name, numbers, start, timeout))
        last_message = time.monotonic()
        while not stop.is_set() and left:
            messages = consumer.consume(BATCH, POLL)
            records = list(_taken_in(consumer, messages, left, registry))
            if messages:
                last_message = time.monotonic()
            elif not follow and time.monotonic() - last_message > timeout:
                raise TimeoutError
            yield [record for record in records if keep(record)], len(records)


def _taken_in(
    consumer: Consumer, messages: Sequence[Message], left: set[int], registry: SchemaRegistry | None
) -> Iterator[Record]:
    """Yield the records of messages; remove partitions that end or become unreadable from `left`."""
    for message in messages:
        error, number = message.error(), cast("int", message.partition())
        if error is None:
            yield _record(message, registry)
        elif error.code() == PARTITION_END:
            left.discard(number)
        elif message.topic() is None and error.code() == GROUP_DENIED:
            continue
        elif message.topic() is None or error.code() in DENIED:
            raise KafkaException(error)
        elif number in left:
            left.discard(number)
            consumer.incremental_unassign([TopicPartition(cast("str", message.topic()), number)])
            yield _unreadable(message, reason(error))


def _begin(consumer: Consumer, name: str, numbers: Sequence[int], start: Start, timeout: float) -> list[TopicPartition]:
    if start.time is not None:
        millis = int(start.time.timestamp() * 1000)
        return consumer.offsets_for_times([TopicPartition(name, n, millis) for n in numbers], timeout)
    results = []
    for number in numbers:
        low, high = consumer.get_watermark_offsets(TopicPartition(name, number), timeout)
        wanted = high - start.tail if start.tail is not None else start.offset or 0
        results.append(TopicPartition(name, number, min(max(low, wanted), high)))
    return results


def _record(message: Message, registry: SchemaRegistry | None) -> Record:
    try:
        return _readable(message, registry)
    except Exception as error:  # noqa: BLE001 - an unreadable record must not hide the others
        return _unreadable(message, why(error))


def _unreadable(message: Message, reason: str) -> Record:
    return Record(message.partition() or 0, message.offset() or 0, None, None, None, (), None, unreadable=reason)


def _readable(message: Message, registry: SchemaRegistry | None) -> Record:
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
    whole = data.encode() if isinstance(data, str) else data
    kept = whole[:MAX_BYTES]
    if len(whole) > MAX_BYTES:
        try:
            kept.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":  # in the middle of a character
                return kept[: error.start]
    return kept
