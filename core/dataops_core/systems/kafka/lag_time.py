"""Calculate the lag of readers in seconds: the age of the first record that they have not read.

Like kafka-lag-exporter, this estimates that age from end offsets over time. It does not extrapolate beyond them: there
it reads the first unread record once, and its timestamp becomes a further point. So a reader far behind costs one
record in `READ_AGAIN` and not one per scan, and the first scan of a process has a result.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.end_history import EndHistory
from dataops_core.systems.kafka.model import GroupLag, PartitionKey
from dataops_core.systems.kafka.offsets import first_records

READ_AGAIN = 600.0
"""Seconds until a record of a partition is read again, except before the offsets read so far."""
READ_AT_ONCE = 2000
"""Maximum number of partitions whose first unread record is read per scan, largest lag first."""
ROUNDS = 4
"""Maximum number of readers' positions to read per partition and scan. The times between them are estimated."""
CLOCK_AHEAD = 5.0
"""Seconds by which a record's timestamp may be in the future. It then counts as now."""
FORGOTTEN = 86_400.0
"""Seconds until the points of a partition without readers are dropped."""
Position = tuple[str, int, int]
"""Topic, partition and offset of a first unread record."""


def timed(connection: Connection, readers: Sequence[tuple[GroupLag, ...]], at: float) -> list[tuple[GroupLag, ...]]:
    """Return positions of readers with the age of their first unread record, where it is known.

    Args:
        connection: The cluster; it keeps the points.
        readers: The positions of each reader, with exact lags.
        at: Time before the end offsets were read, in seconds since the epoch.

    Raises:
        ClientError: The cluster does not respond.
    """
    lags = [lag for reader in readers for lag in reader]
    positions = [_position(lag) for lag in lags]
    unread = {position: lag.lag or 0 for lag, position in zip(lags, positions, strict=True) if position is not None}
    with connection.ends_lock:
        _add_ends(connection.ends, lags, at)
        wanted = _unknown(connection.ends, unread, at)
    times = _read(connection, wanted, at)
    with connection.ends_lock:
        for position in unread:
            if position not in times:
                estimate = _estimate(connection.ends, position)
                if estimate is not None:
                    times[position] = estimate
    dated = (
        lag if position is None or position not in times else replace(lag, waits=max(0.0, at - times[position]))
        for lag, position in zip(lags, positions, strict=True)
    )
    return [tuple(islice(dated, len(reader))) for reader in readers]


def _position(lag: GroupLag) -> Position | None:
    """Return the position of a reader's first unread record; `None` without unread records, or if unknown."""
    return (lag.topic, lag.partition, lag.start) if lag.lag and lag.start is not None else None


def _estimate(ends: Mapping[PartitionKey, EndHistory], position: Position) -> float | None:
    topic, partition, offset = position
    history = ends.get((topic, partition))
    return history.time_of(offset) if history is not None else None


def _add_ends(ends: dict[PartitionKey, EndHistory], lags: Iterable[GroupLag], at: float) -> None:
    for key, high in {(lag.topic, lag.partition): lag.high for lag in lags}.items():
        if high is not None:
            ends.setdefault(key, EndHistory()).add(high, at)
    for key in [key for key, history in ends.items() if at - history.newest > FORGOTTEN]:
        del ends[key]


def _unknown(
    ends: Mapping[PartitionKey, EndHistory], unread: Mapping[Position, int], at: float
) -> dict[PartitionKey, list[int]]:
    """Return the positions to read by partition, smallest first; mark them as read.

    Args:
        ends: The points of each partition.
        unread: Number of unread records from each position.
        at: Time in seconds since the epoch.
    """
    found: dict[PartitionKey, set[int]] = {}
    size: dict[PartitionKey, int] = {}
    for position, records in unread.items():
        if _estimate(ends, position) is not None:
            continue
        topic, partition, offset = position
        history = ends[topic, partition]
        if history.read is None or offset < history.read or not 0 <= at - history.read_at < READ_AGAIN:
            found.setdefault((topic, partition), set()).add(offset)
            size[topic, partition] = max(size.get((topic, partition), 0), records)
    chosen = sorted(found, key=size.__getitem__, reverse=True)[:READ_AT_ONCE]
    for key in chosen:
        history = ends[key]
        history.read = min(found[key]) if history.read is None else min(history.read, *found[key])
        history.read_at = at
    return {key: sorted(found[key])[:ROUNDS] for key in chosen}


def _read(connection: Connection, wanted: Mapping[PartitionKey, Sequence[int]], at: float) -> dict[Position, float]:
    """Return the timestamps of the first unread records, and add them to the points."""
    times: dict[Position, float] = {}
    left = wanted
    while left:
        first = first_records(connection, {key: offsets[0] for key, offsets in left.items()})
        now = time.time()
        with connection.ends_lock:
            for key, (_, stamp) in first.at.items():
                seconds = stamp.timestamp() if isinstance(stamp, datetime) else None
                if seconds is not None and seconds <= now + CLOCK_AHEAD:
                    times[*key, left[key][0]] = min(seconds, at)
                    connection.ends[key].add_record(left[key][0], min(seconds, at))
        left = {key: offsets[1:] for key, offsets in left.items() if key in first.at and len(offsets) > 1}
    return times
