"""Calculate the lag of readers, for the probes, the lists and the exporter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.model import FirstRecords, GroupLag, Partition, PartitionKey, Topic
from dataops_core.systems.kafka.offsets import first_records

PLAIN_KEPT = 600.0
"""Seconds that a partition whose last offset is a record counts as one without transactions."""
CHECKED = 2000
"""Maximum number of partitions whose end is read, smallest lag first. The others keep the lag by offsets."""
ROUNDS = 8
"""Maximum number of readers' positions to report per partition."""


def positions(committed: Mapping[PartitionKey, int], topics: Mapping[str, Topic]) -> tuple[GroupLag, ...]:
    """Return the positions of a reader in all partitions of each topic with a commit.

    A partition without a commit counts from its beginning. A deleted topic, or one not in `topics`, is left out.
    """
    return tuple(
        position(name, partition, committed.get((name, partition.number)))
        for name in sorted({topic for topic, _ in committed})
        if name in topics
        for partition in topics[name].partitions
        if partition.leader >= 0 or (name, partition.number) in committed
    )


def position(topic: str, partition: Partition, committed: int | None) -> GroupLag:
    """Return the position of a reader in one partition."""
    return GroupLag(topic, partition.number, committed, partition.high, partition.low)


def exact(connection: Connection, readers: Iterable[tuple[GroupLag, ...]]) -> list[tuple[GroupLag, ...]]:
    """Return positions of readers, with `read_all` set where only transaction markers remain.

    Markers and aborted records have offsets, but no reader receives them. A partition with transactions ends with a
    marker or with records of an open transaction. Only in such partitions does this read on from each position.

    Raises:
        ClientError: The cluster does not respond.
    """
    all_of_them = list(readers)
    behind: dict[PartitionKey, set[int]] = {}
    highs: dict[PartitionKey, int] = {}
    for lag in (lag for lags in all_of_them for lag in lags):
        if lag.lag and lag.start is not None and lag.high is not None:
            key = (lag.topic, lag.partition)
            behind.setdefault(key, set()).add(lag.start)
            highs[key] = lag.high
    read_to_end = _only_markers(connection, behind, highs)
    if not read_to_end:
        return all_of_them
    return [
        tuple(
            replace(lag, read_all=True) if (lag.topic, lag.partition, lag.start) in read_to_end else lag for lag in lags
        )
        for lags in all_of_them
    ]


def marked_to_the_end(first: FirstRecords, key: PartitionKey, high: int) -> bool:
    """Return whether only transaction markers and aborted records precede the high watermark."""
    return first.ends.get(key, -1) >= high


def _only_markers(
    connection: Connection, behind: Mapping[PartitionKey, set[int]], highs: Mapping[PartitionKey, int]
) -> set[tuple[str, int, int]]:
    """Return topic, partition and position where only markers and aborted records precede the high watermark."""
    now = time.monotonic()
    unknown = [key for key in behind if now - connection.plain.get(key, -PLAIN_KEPT) >= PLAIN_KEPT]
    unknown.sort(key=lambda key: highs[key] - max(behind[key]))
    ends = first_records(connection, {key: highs[key] - 1 for key in unknown[:CHECKED]})
    for key, (offset, _) in ends.at.items():
        if offset == highs[key] - 1:
            connection.plain[key] = now
    # nearest to the end first: a record after one position is also after all earlier ones
    marked = [key for key in (*ends.ends, *ends.at) if key not in connection.plain]
    left = {key: sorted(behind[key]) for key in marked}
    results: set[tuple[str, int, int]] = set()
    for _ in range(ROUNDS):
        if not left:
            break
        first = first_records(connection, {key: starts[-1] for key, starts in left.items()})
        further: dict[PartitionKey, list[int]] = {}
        for key, starts in left.items():
            if marked_to_the_end(first, key, highs[key]):
                results.add((*key, starts[-1]))
                if starts[:-1]:
                    further[key] = starts[:-1]
        left = further
    return results
