"""A Structured Streaming query, seen through its checkpoint; Spark commits nothing to Kafka.

The layout is that of Spark's `StreamExecution`: `metadata` holds the query's id; `offsets/N` is written before batch N
runs (line 1 a version, line 2 the batch's own metadata, then one line of JSON for each source, with exclusive end
offsets); `commits/N` is written once batch N is done; `state/OPERATOR/PARTITION` holds the state, where the HDFS-backed
store writes `N.delta` and, each few batches, the whole as `N.snapshot`. The newest 100 batches are kept, unless told
otherwise.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from dataops_core.errors import BadAnswer, NotFound

Offsets = Mapping[str, Mapping[int, int]]
"""End offsets (exclusive) by topic and partition."""
TIMED = 10
"""Committed batches whose durations are read."""
STATE_KEPT = 60.0
"""Seconds that the size of a query's state is remembered: there may be many files."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch.

    Attributes:
        number: Its number; Iceberg calls it the epoch.
        at: When its file was written: planned, or committed.
        offsets: Up to where it reads.
        watermark: Event-time watermark that it runs with; `None` for a query without one, or before the first event.
    """

    number: int
    at: datetime
    offsets: Offsets
    watermark: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How long the event-time watermark has stood still.

    Attributes:
        seconds: Between the first and the newest batch of those with new records that ran with it.
        batches: How many those are.
    """

    seconds: float
    batches: int


@dataclass(frozen=True, slots=True)
class State:
    """A stateful query's state, as it is on disk.

    Attributes:
        bytes: All its files.
        snapshot_bytes: The newest whole state; `None` where the store keeps none in one file (RocksDB).
        snapshot_bytes_before: The oldest whole state that is kept.
        span: Seconds between these two.
    """

    bytes: int
    snapshot_bytes: int | None
    snapshot_bytes_before: int | None
    span: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A query's checkpoint.

    Attributes:
        query_id: The query's id; a new one means that the checkpoint was lost.
        planned: The newest batch that was planned; `None` before the first one.
        committed: The newest batch that was committed; `None` before the first one.
        durations: Seconds that each of the last committed batches took, oldest first.
        standing: How long the watermark has stood still; `None` for a query without one.
        state: Its state; `None` for a query without one.
    """

    query_id: str
    planned: Batch | None
    committed: Batch | None
    durations: tuple[float, ...] = ()
    standing: Standing | None = None
    state: State | None = None


def read_checkpoint(path: str) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        NotFound: There is none.
        BadAnswer: A file in it is not what Spark writes.
    """
    folder = Path(path)
    metadata = folder / "metadata"
    try:
        text = metadata.read_text()
    except FileNotFoundError as error:
        raise NotFound(f"no checkpoint at {path}: the query has never run, or its folder was removed") from error
    except OSError as error:
        raise BadAnswer(f"{metadata}: {error.strerror}") from error
    try:
        query_id = str(json.loads(text)["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer(f"{metadata} is not Spark's: no query id") from error
    # Commits first: a batch that is committed between the two looks was planned before both.
    commits = _numbers(folder / "commits")
    plans = _numbers(folder / "offsets")
    newest = _batch(folder, "offsets", plans[-1]) if plans else None
    return Checkpoint(
        query_id=query_id,
        planned=newest,
        committed=_batch(folder, "commits", commits[-1]) if commits else None,
        durations=tuple(_durations(folder, commits[-TIMED:])),
        standing=_standing(folder, plans, newest) if newest and newest.watermark else None,
        state=_state(str(folder / "state"), int(time.monotonic() / STATE_KEPT)),
    )


def _numbers(folder: Path) -> list[int]:
    """Return the batches of a log, oldest first; temporary files and checksums have no number for a name."""
    try:
        return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadAnswer(f"{folder}: {error.strerror}") from error


def _written(path: Path) -> int:
    """Return when a file was written, in nanoseconds since the epoch."""
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise BadAnswer(f"{path}: {error.strerror}") from error


def _batch(folder: Path, log: str, number: int) -> Batch:
    """Return a batch with the time at which it was written to a log."""
    plan = folder / "offsets" / str(number)
    try:
        offsets, watermark = _plan(plan, plan.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise BadAnswer(f"{plan} is missing, although batch {number} was committed") from error
    except OSError as error:
        raise BadAnswer(f"{plan}: {error.strerror}") from error
    return Batch(number, _instant(_written(folder / log / str(number))), offsets, watermark)


@lru_cache(maxsize=4096)
def _plan(path: Path, written: int) -> tuple[Offsets, datetime | None]:  # noqa: ARG001 - the cache's key
    """Read a file of `offsets`; it never changes."""
    lines = path.read_text().splitlines()
    if len(lines) < 3 or not lines[0].startswith("v"):
        raise BadAnswer(f"{path} is not Spark's, or half written: {len(lines)} lines")
    offsets: dict[str, dict[int, int]] = {}
    for line in lines[2:]:
        try:
            source = json.loads(line)
            for topic, partitions in source.items():
                offsets.setdefault(topic, {}).update({int(p): int(end) for p, end in partitions.items()})
        except (ValueError, AttributeError, TypeError) as error:
            raise BadAnswer(f"{path} has a source that is not Kafka's: {line[:80]}") from error
    try:
        millis = int(json.loads(lines[1]).get("batchWatermarkMs", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise BadAnswer(f"{path} has metadata that is not Spark's: {lines[1][:80]}") from error
    return offsets, datetime.fromtimestamp(millis / 1000, UTC) if millis > 0 else None


def _durations(folder: Path, committed: list[int]) -> Iterator[float]:
    """Yield how long batches took, from the plan to the commit; Spark may purge one that we look at."""
    for number in committed:
        try:
            planned = (folder / "offsets" / str(number)).stat().st_mtime_ns
            done = (folder / "commits" / str(number)).stat().st_mtime_ns
        except FileNotFoundError:
            continue
        yield max(0.0, (done - planned) / 1e9)


def _standing(folder: Path, plans: list[int], newest: Batch) -> Standing:
    """Go back from the newest batch as long as the watermark is the same; count those that brought records."""
    times = []
    batch = newest
    for number in reversed(plans[:-1]):
        try:
            earlier = _batch(folder, "offsets", number)
        except BadAnswer:  # purged meanwhile
            break
        if earlier.watermark != newest.watermark:
            break
        if batch.offsets != earlier.offsets:
            times.append(batch.at)
        batch = earlier
    return Standing((times[0] - times[-1]).total_seconds() if times else 0.0, len(times))


@lru_cache(maxsize=64)
def _state(folder: str, minute: int) -> State | None:  # noqa: ARG001 - the cache's key
    total = 0
    wholes: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for parent, name, at in _files(folder):
        total += at.st_size
        stem, _, kind = name.rpartition(".")
        if kind == "snapshot" and stem.isdecimal():
            wholes[parent].append((int(stem), at.st_size, at.st_mtime))
    if not total:
        return None
    newest = [max(found) for found in wholes.values()]
    oldest = [min(found) for found in wholes.values()]
    return State(
        bytes=total,
        snapshot_bytes=sum(held for _, held, _ in newest) if newest else None,
        snapshot_bytes_before=sum(held for _, held, _ in oldest) if oldest else None,
        span=max((at for *_, at in newest), default=0.0) - min((at for *_, at in oldest), default=0.0),
    )


def _files(folder: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield the files below a folder; Spark may remove one while we look."""
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                yield parent, name, os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 - there may be many
            except FileNotFoundError:
                continue


def _instant(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
