"""What waits for a reader: where it is against where its topics end, for the probes, the lists and the exporter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.model import FirstRecords, GroupLag, Partition, PartitionKey, Topic
from dataops_core.systems.kafka.offsets import first_records

PLAIN_KEPT = 600.0
"""Seconds that a partition counts as one without transactions after it was found to end with a record."""
CHECKED = 2000
"""Partitions whose end is read for one list, those with the smallest lag first; others count as they are."""
ROUNDS = 8
"""Maximum number of readers' positions to report per partition."""


def positions(committed: Mapping[PartitionKey, int], topics: Mapping[str, Topic]) -> tuple[GroupLag, ...]:
    """Return where a reader is: in all partitions of each topic on which it has committed.

    A partition without a commit counts from its beginning. A topic that is gone, or not in `topics`, is left out.
    """
    return tuple(
        position(name, partition, committed.get((name, partition.number)))
        for name in sorted({topic for topic, _ in committed})
        if name in topics
        for partition in topics[name].partitions
        if partition.leader >= 0 or (name, partition.number) in committed
    )


def position(topic: str, partition: Partition, committed: int | None) -> GroupLag:
    """Return where a reader is in one partition."""
    return GroupLag(topic, partition.number, committed, partition.high, partition.low)


def exact(connection: Connection, readers: Iterable[tuple[GroupLag, ...]]) -> list[tuple[GroupLag, ...]]:
    """Return positions of readers, of which those with only transaction markers before them have read all.

    Markers and aborted records have offsets, and no reader gets them. Whether there are any shows the end of a
    partition: one with transactions ends with a marker, or with what an open transaction has written. Only there the
    positions themselves are read on from.

    Raises:
        ClientError: The cluster does not respond.
    """
    all_of_them = list(readers)
    behind: dict[PartitionKey, set[int]] = {}
    highs: dict[PartitionKey, int] = {}
    for lag in (lag for lags in all_of_them for lag in lags):
        if lag.lag and lag.start is not None and lag.high is not None:
            place = (lag.topic, lag.partition)
            behind.setdefault(place, set()).add(lag.start)
            highs[place] = lag.high
    read_to_end = _only_markers(connection, behind, highs)
    if not read_to_end:
        return all_of_them
    return [
        tuple(
            replace(lag, read_all=True) if (lag.topic, lag.partition, lag.start) in read_to_end else lag for lag in lags
        )
        for lags in all_of_them
    ]


def marked_to_the_end(first: FirstRecords, place: PartitionKey, high: int) -> bool:
    """Return whether nothing but transaction markers and aborted records lay before the high watermark."""
    return first.ends.get(place, -1) >= high


def _only_markers(
    connection: Connection, behind: Mapping[PartitionKey, set[int]], highs: Mapping[PartitionKey, int]
) -> set[tuple[str, int, int]]:
    """Return topic, partition and position where only markers and aborted records lie before the high watermark."""
    now = time.monotonic()
    unknown = [place for place in behind if now - connection.plain.get(place, -PLAIN_KEPT) >= PLAIN_KEPT]
    unknown.sort(key=lambda place: highs[place] - max(behind[place]))
    ends = first_records(connection, {place: highs[place] - 1 for place in unknown[:CHECKED]})
    for place, (offset, _) in ends.at.items():
        if offset == highs[place] - 1:
            connection.plain[place] = now
    # the positions nearest to the end first: where a record follows one of them, it follows all before it too
    marked = [place for place in (*ends.ends, *ends.at) if place not in connection.plain]
    left = {place: sorted(behind[place]) for place in marked}
    found: set[tuple[str, int, int]] = set()
    for _ in range(ROUNDS):
        if not left:
            break
        first = first_records(connection, {place: starts[-1] for place, starts in left.items()})
        further: dict[PartitionKey, list[int]] = {}
        for place, starts in left.items():
            if marked_to_the_end(first, place, highs[place]):
                found.add((*place, starts[-1]))
                if starts[:-1]:
                    further[place] = starts[:-1]
        left = further
    return found
