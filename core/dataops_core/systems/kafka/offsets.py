"""Offsets and times of partitions, in few calls; what one partition does not give is missing there alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # it does not declare what it exports

from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.errors import PARTITION_END, TOO_OLD, kafka_error
from dataops_core.systems.kafka.model import FirstRecords, PartitionKey
from dataops_core.times import Moment, moment
from dataops_core.transport.deadlines import Deadline

CALL_SIZE = 500
"""Partitions that are asked about in one call: the library's work grows with the square of it."""
AT_ONCE = 8
"""Calls for offsets that are under way at the same time."""
EARLIEST, LATEST = -2, -1
"""Timestamps that mean a partition's beginning and its end (Kafka's protocol, ListOffsets)."""
NO_TIME = -1
"""What Kafka gives for a record without a timestamp."""
T = TypeVar("T")
Failures = dict[PartitionKey, KafkaError]
"""Why something of a partition is unknown."""


def time_of(millis: int) -> Moment | None:
    """Return a record's time; `None` where Kafka says that there is none."""
    return None if millis == NO_TIME else moment(millis, "ms")


def offset_bounds(
    connection: Connection, leaders: Mapping[PartitionKey, int], *timestamps: int
) -> tuple[list[dict[PartitionKey, int]], Failures]:
    """Return, for each of the timestamps, its offset in each partition; and why it is missing in some.

    The consumer is asked and not the admin client, which makes an object for each partition of each answer: for
    10,000 partitions that takes five times the CPU, and the interpreter with it.

    Args:
        connection: The cluster.
        leaders: Node id of each partition's leader. One that does not respond costs its own partitions alone.
        timestamps: `EARLIEST`, `LATEST`, or milliseconds.

    Raises:
        ClientError: The cluster does not respond.
    """
    led: dict[int, list[PartitionKey]] = {}
    for place, leader in leaders.items():
        led.setdefault(leader, []).append(place)
    found: list[dict[PartitionKey, int]] = [{} for _ in timestamps]
    failures: Failures = {}
    if not led:
        return found, failures
    # as all that is written counts, and not only what is committed
    with connection.consumer(**{"isolation.level": "read_uncommitted"}) as consumer:
        consumer.list_topics(timeout=connection.timeout)  # whom to ask
        deadline = Deadline(connection.timeout)

        def ask(places: Sequence[PartitionKey], timestamp: int, offsets: dict[PartitionKey, int]) -> None:
            for some in in_calls(places):
                asked = [TopicPartition(*place, timestamp) for place in some]
                try:
                    answered = consumer.offsets_for_times(asked, max(0.1, deadline.left))
                except KafkaException as error:
                    failures.update(dict.fromkeys(some, kafka_error(error)))
                    continue
                offsets.update({(tp.topic, tp.partition): tp.offset for tp in answered if tp.error is None})
                failures.update({(tp.topic, tp.partition): tp.error for tp in answered if tp.error is not None})

        with ThreadPoolExecutor(AT_ONCE) as beside:
            asking = [
                beside.submit(ask, places, timestamp, offsets)
                for places in led.values()
                for timestamp, offsets in zip(timestamps, found, strict=True)
            ]
        for each in asking:
            each.result()
    return found, failures


def newest(
    connection: Connection, places: Iterable[PartitionKey]
) -> tuple[dict[PartitionKey, Moment | None], Failures]:
    """Return the largest record timestamp of each partition, and why it is missing in some; raises ClientError.

    A broker that is too old for this question (before Kafka 3.0) is no failure: its times are unknown.
    """
    found: dict[PartitionKey, Moment | None] = {}
    failures: Failures = {}
    with connection.admin() as admin:
        spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        asked: dict[TopicPartition, Any] = {}
        for some in in_calls([TopicPartition(*place) for place in places]):
            asked |= admin.list_offsets(dict.fromkeys(some, spec), request_timeout=connection.timeout)
        deadline = Deadline(connection.timeout)
        for at, future in asked.items():
            place = (at.topic, at.partition)
            try:
                found[place] = time_of(future.result(max(0.1, deadline.left)).timestamp)
            except (KafkaException, TimeoutError) as error:
                failure = kafka_error(error)
                if failure.code() not in TOO_OLD:
                    failures[place] = failure
    return found, failures


def first_records(connection: Connection, offsets: Mapping[PartitionKey, int]) -> FirstRecords:
    """Return the first record at or after an offset of each partition, as who reads committed records gets it.

    One record of each partition is read, by a consumer without a group, so nothing is committed.

    Raises:
        ClientError: The cluster does not respond.
    """
    if not offsets:
        return FirstRecords({}, {})
    found: dict[PartitionKey, tuple[int, Moment | None]] = {}
    ends: dict[PartitionKey, int] = {}
    failures: Failures = {}
    properties: dict[str, Any] = {
        "queued.min.messages": 1,
        "fetch.message.max.bytes": 65536,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,  # the last offsets may be transaction markers, which are no records
    }
    with connection.consumer(**properties) as consumer:
        consumer.assign([TopicPartition(*place, at) for place, at in offsets.items()])
        deadline = Deadline(connection.timeout)
        while len(found) + len(ends) + len(failures) < len(offsets):
            message = None if deadline.passed else consumer.poll(deadline.left)
            if message is None:
                break
            error, topic = message.error(), message.topic()
            if error is not None and topic is None:
                raise KafkaException(error)
            place = (cast("str", topic), cast("int", message.partition()))
            if place in found or place in ends or place in failures:
                continue
            if error is None:
                found[place] = cast("int", message.offset()), time_of(message.timestamp()[1])
            elif error.code() == PARTITION_END:
                ends[place] = cast("int", message.offset())
            else:
                failures[place] = error
            consumer.incremental_unassign([TopicPartition(*place)])
    return FirstRecords(found, ends, failures)


def in_calls(partitions: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield partitions in portions, each for a call of its own."""
    return (partitions[start : start + CALL_SIZE] for start in range(0, len(partitions), CALL_SIZE))
