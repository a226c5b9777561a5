"""Read offsets and timestamps of partitions in few calls. An error of one partition does not affect the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # it does not declare what it exports

from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.errors import GROUP_DENIED, PARTITION_END, TOO_OLD, kafka_error
from dataops_core.systems.kafka.model import FirstRecords, PartitionKey
from dataops_core.times import Moment, moment
from dataops_core.transport.deadlines import Deadline

CALL_SIZE = 500
"""Partitions per call; the library's work grows with the square of their number."""
AT_ONCE = 8
"""Maximum number of concurrent calls."""
EARLIEST, LATEST = -2, -1
"""Timestamps that mean a partition's beginning and end (ListOffsets in Kafka's protocol)."""
NO_TIME = -1
"""Timestamp of a record without one."""
T = TypeVar("T")
Failures = dict[PartitionKey, KafkaError]
"""Errors of single partitions."""


def time_of(millis: int) -> Moment | None:
    """Return a record's time, or `None` if it has no timestamp."""
    return None if millis == NO_TIME else moment(millis, "ms")


def offset_bounds(
    connection: Connection, leaders: Mapping[PartitionKey, int], *timestamps: int
) -> tuple[list[dict[PartitionKey, int]], Failures]:
    """Return the offsets of each timestamp by partition, and the failures of single partitions.

    It uses a consumer, because the admin client creates an object for each partition of each response. For 10,000
    partitions that takes five times the CPU time, with the GIL held.

    Args:
        connection: The cluster.
        leaders: Node id of each partition's leader. A leader without a response affects only its own partitions.
        timestamps: `EARLIEST`, `LATEST`, or milliseconds.

    Raises:
        ClientError: The cluster does not respond.
    """
    led = _by_leader(leaders)
    results: list[dict[PartitionKey, int]] = [{} for _ in timestamps]
    failures: Failures = {}
    if not led:
        return results, failures
    with connection.offset_consumer(leaders) as consumer:
        deadline = Deadline(connection.timeout)

        def ask(keys: Sequence[PartitionKey], timestamp: int, offsets: dict[PartitionKey, int]) -> None:
            for some in in_calls(keys):
                queries = [TopicPartition(*key, timestamp) for key in some]
                try:
                    answered = consumer.offsets_for_times(queries, max(0.1, deadline.left))
                except KafkaException as error:
                    failures.update(dict.fromkeys(some, kafka_error(error)))
                    continue
                offsets.update({(tp.topic, tp.partition): tp.offset for tp in answered if tp.error is None})
                failures.update({(tp.topic, tp.partition): tp.error for tp in answered if tp.error is not None})

        with ThreadPoolExecutor(AT_ONCE) as beside:
            asking = [
                beside.submit(ask, keys, timestamp, offsets)
                for keys in led.values()
                for timestamp, offsets in zip(timestamps, results, strict=True)
            ]
        for each in asking:
            each.result()
    if failures:
        connection.drop_offset_consumer()
    return results, failures


def newest(
    connection: Connection, leaders: Mapping[PartitionKey, int]
) -> tuple[dict[PartitionKey, Moment | None], Failures]:
    """Return the largest record timestamp of each partition, and the failures of single ones; raise ClientError.

    A broker before Kafka 3.0 does not support this request: its timestamps are unknown, without a failure.

    Args:
        connection: The cluster.
        leaders: Node id of each partition's leader. A leader without a response affects only its own partitions.
    """
    results: dict[PartitionKey, Moment | None] = {}
    failures: Failures = {}
    with connection.admin() as admin:
        spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        futures: dict[TopicPartition, Any] = {}
        for keys in _by_leader(leaders).values():  # a call returns when the slowest of its leaders does
            for some in in_calls([TopicPartition(*key) for key in keys]):
                futures |= admin.list_offsets(dict.fromkeys(some, spec), request_timeout=connection.timeout)
        deadline = Deadline(connection.timeout)
        for at, future in futures.items():
            key = (at.topic, at.partition)
            try:
                answered = future.result(max(0.1, deadline.left))
            except (KafkaException, TimeoutError) as error:
                failure = kafka_error(error)
                if failure.code() not in TOO_OLD:
                    failures[key] = failure
                continue
            if answered.offset == OFFSET_INVALID:  # librdkafka's result for a leader that did not answer in time
                failures[key] = kafka_error(TimeoutError())
            else:
                results[key] = time_of(answered.timestamp)
    return results, failures


def first_records(connection: Connection, offsets: Mapping[PartitionKey, int]) -> FirstRecords:
    """Return the first committed record at or after an offset of each partition.

    It reads one record of each partition with a consumer without a group, so it commits nothing.

    Raises:
        ClientError: The cluster does not respond.
    """
    if not offsets:
        return FirstRecords({}, {})
    results: dict[PartitionKey, tuple[int, Moment | None]] = {}
    ends: dict[PartitionKey, int] = {}
    failures: Failures = {}
    properties: dict[str, Any] = {
        "queued.min.messages": 1,
        "fetch.message.max.bytes": 65536,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,  # the last offsets may be transaction markers
    }
    with connection.consumer(**properties) as consumer:
        consumer.assign([TopicPartition(*key, at) for key, at in offsets.items()])
        deadline = Deadline(connection.timeout)
        while len(results) + len(ends) + len(failures) < len(offsets):
            message = None if deadline.passed else consumer.poll(deadline.left)
            if message is None:
                break
            error, topic = message.error(), message.topic()
            if error is not None and topic is None:
                if error.code() == GROUP_DENIED:
                    continue
                raise KafkaException(error)
            key = (cast("str", topic), cast("int", message.partition()))
            if key in results or key in ends or key in failures:
                continue
            if error is None:
                results[key] = cast("int", message.offset()), time_of(message.timestamp()[1])
            elif error.code() == PARTITION_END:
                ends[key] = cast("int", message.offset())
            else:
                failures[key] = error
            consumer.incremental_unassign([TopicPartition(*key)])
    return FirstRecords(results, ends, failures)


def _by_leader(leaders: Mapping[PartitionKey, int]) -> dict[int, list[PartitionKey]]:
    led: dict[int, list[PartitionKey]] = {}
    for key, leader in leaders.items():
        led.setdefault(leader, []).append(key)
    return led


def in_calls(partitions: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return partitions in batches of `CALL_SIZE`."""
    return (partitions[start : start + CALL_SIZE] for start in range(0, len(partitions), CALL_SIZE))
