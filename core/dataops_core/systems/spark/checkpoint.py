"""Read the checkpoint of a Structured Streaming query; Spark commits nothing to Kafka.

The layout is that of Spark's `StreamExecution`: `metadata` holds the query's id; `offsets/N` is written before batch N
runs (see `offset_log`); `commits/N` is written once batch N is done; `state/OPERATOR/PARTITION` holds the
state, where the HDFS-backed store writes `N.delta` and, after some batches, a full `N.snapshot`. Spark keeps the newest
100 batches by default. A checkpoint in an object store has the same layout.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath

from dataops_core.errors import BadAnswer, ConfigError, NotFound
from dataops_core.systems.iceberg import sdk
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.store import store_error
from dataops_core.systems.spark.offset_log import NOT_SPARK, Offsets, Source, read_plan, read_query_id

TIMED = 10
"""Number of committed batches whose durations are read."""
LARGEST = 32 * 2**20
"""Maximum bytes of a log file; one of 100,000 partitions has 2 MB."""
REMOVED = (
    "Find the job that removes files of the checkpoint, such as a cleanup of the store. Restore the file from a copy."
)
STATE_KEPT = 60.0
"""Seconds that the size of a query's state is cached; it may have many files."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch.

    Attributes:
        number: Its number; Iceberg calls it the epoch.
        at: Time at which its file was written, in `offsets` or `commits`.
        offsets: End offsets of its Kafka topics.
        watermark: Event-time watermark of the batch; `None` for a query without one, or before the first event.
        planned_at: `None` if unknown.
    """

    number: int
    at: datetime
    offsets: Offsets
    watermark: datetime | None = None
    sources: tuple[Source, ...] = ()
    planned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How long the event-time watermark has not advanced.

    Attributes:
        seconds: Time between the first and the newest batch with new records and this watermark.
        batches: Number of these batches.
    """

    seconds: float
    batches: int


@dataclass(frozen=True, slots=True)
class State:
    """The state of a stateful query in its checkpoint.

    Attributes:
        bytes: Size of all files.
        snapshot_bytes: Size of the newest full snapshot; `None` if the store does not write one file (RocksDB).
        snapshot_bytes_before: Size of the oldest snapshot that is kept.
        span: Seconds between these two snapshots.
    """

    bytes: int
    snapshot_bytes: int | None
    snapshot_bytes_before: int | None
    span: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A query's checkpoint.

    Attributes:
        query_id: The query's id; it changes if the checkpoint is lost.
        planned: The newest batch that was planned; `None` before the first one.
        committed: The newest batch that was committed; `None` before the first one.
        durations: Seconds of the last committed batches, oldest first.
        standing: `None` for a query without a watermark.
        state: `None` for a query without state.
    """

    query_id: str
    planned: Batch | None
    committed: Batch | None
    durations: tuple[float, ...] = ()
    standing: Standing | None = None
    state: State | None = None


Log = Mapping[int, datetime]
"""Time at which each batch was written to a log, by batch number."""


def read_checkpoint(location: str, store: CatalogClient | None = None) -> Checkpoint:
    """Return the checkpoint at a location.

    Args:
        location: A local folder, or a URL of an object store such as `s3://bucket/checkpoints/land_orders`.
        store: Catalog whose credentials open the object store.

    Raises:
        NotFound: There is no checkpoint.
        BadAnswer: A file is not in Spark's format.
        ConfigError: It is in an object store, and there are no credentials.
        ClientError: The object store does not respond, or denies access.
    """
    local = location.removeprefix("file://")
    if "://" not in local:
        filesystem, path = sdk.LocalFileSystem(), local
    elif store is None:
        raise ConfigError(
            f"{location}: the stage has no `store`", hint="set the catalog whose properties open the object store"
        )
    else:
        filesystem, path = store.filesystem(location)
    try:
        return _Folder(filesystem, path.rstrip("/"), location).read()
    except OSError as error:
        raise store_error(f"checkpoint {location}", error) from error


class _Folder:
    """A checkpoint's folder in a file system."""

    def __init__(self, filesystem: sdk.FileSystem, path: str, location: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._location = location

    def read(self) -> Checkpoint:
        query_id = self._query_id()
        # commits first: a batch that is committed in between is already in `offsets`
        commits, plans = self._log("commits"), self._log("offsets")
        last = max(commits, default=-1)
        newest = self._batch(max(plans), plans, plans, committed=max(plans) <= last) if plans else None
        return Checkpoint(
            query_id=query_id,
            planned=newest,
            committed=self._batch(last, plans, commits, committed=True) if commits else None,
            durations=tuple(
                max(0.0, (commits[number] - plans[number]).total_seconds())
                for number in sorted(commits)[-TIMED:]
                if number in plans  # Spark purges the two logs one after the other
            ),
            standing=self._standing(plans, newest) if newest and newest.watermark else None,
            state=_state(_CachedPath(f"{self._path}/state", time.monotonic() // STATE_KEPT, [self._filesystem])),
        )

    def _query_id(self) -> str:
        try:
            text = _text(self._filesystem, f"{self._path}/metadata")
        except FileNotFoundError as error:
            raise NotFound(
                f"no checkpoint at {self._location}: the query has never run, or its folder was removed"
            ) from error
        return read_query_id(text, f"{self._location}/metadata")

    def _log(self, name: str) -> Log:
        """Return the batches of a log; the names of temporary files and checksums are not numbers."""
        result = self._filesystem.get_file_info(sdk.FileSelector(f"{self._path}/{name}", allow_not_found=True))
        return {int(info.base_name): info.mtime for info in result if info.is_file and info.base_name.isdecimal()}

    def _batch(self, number: int, plans: Log, log: Log, *, committed: bool) -> Batch:
        """Return a batch with the time at which it was written to a log."""
        where = f"{self._location}/offsets/{number}"
        if number not in plans:
            raise BadAnswer(f"{where} is missing, although batch {number} was committed", hint=REMOVED)
        try:
            text = _file(_CachedPath(f"{self._path}/offsets/{number}", plans[number].timestamp(), [self._filesystem]))
        except FileNotFoundError as error:
            raise BadAnswer(f"{where} is missing, although it existed a moment ago", hint=REMOVED) from error
        plan = read_plan(text, where, committed=committed)
        return Batch(number, log[number], plan.offsets, plan.watermark, plan.sources, plans[number])

    def _standing(self, plans: Log, newest: Batch) -> Standing:
        """Return how long the newest watermark has not advanced, over the batches with new records."""
        times = []
        batch = newest
        for number in sorted(plans, reverse=True)[1:]:
            try:
                earlier = self._batch(number, plans, plans, committed=True)
            except BadAnswer:  # Spark has purged it meanwhile
                break
            if earlier.watermark != newest.watermark:
                break
            if (batch.offsets, batch.sources) != (earlier.offsets, earlier.sources):
                times.append(batch.at)
            batch = earlier
        return Standing((times[0] - times[-1]).total_seconds() if times else 0.0, len(times))


def _text(filesystem: sdk.FileSystem, path: str) -> str:
    with filesystem.open_input_stream(path) as stream:
        result = bytes(stream.read(LARGEST + 1))
    if len(result) > LARGEST:
        raise BadAnswer(f"{path} is larger than {LARGEST:,} bytes, which no Spark file is", hint=NOT_SPARK)
    return result.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class _CachedPath:
    """A file or folder at a time, as a cache key.

    The file system is not part of the key. It is popped from a list at its only use, because the cache keeps its keys
    and the file system of an object store holds connections.
    """

    path: str
    at: float
    filesystem: list[sdk.FileSystem] = field(compare=False)


@lru_cache(maxsize=4096)
def _file(file: _CachedPath) -> str:
    """Return the text of a file in `offsets`, which never changes."""
    return _text(file.filesystem.pop(), file.path)


@lru_cache(maxsize=64)
def _state(folder: _CachedPath) -> State | None:
    total = 0
    wholes: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for info in folder.filesystem.pop().get_file_info(
        sdk.FileSelector(folder.path, allow_not_found=True, recursive=True)
    ):
        if not info.is_file:
            continue
        total += info.size
        stem, _, kind = info.base_name.rpartition(".")
        if kind == "snapshot" and stem.isdecimal():
            wholes[str(PurePosixPath(info.path).parent)].append((int(stem), info.size, info.mtime.timestamp()))
    if not total:
        return None
    newest = [max(result) for result in wholes.values()]
    oldest = [min(result) for result in wholes.values()]
    return State(
        bytes=total,
        snapshot_bytes=sum(held for _, held, _ in newest) if newest else None,
        snapshot_bytes_before=sum(held for _, held, _ in oldest) if oldest else None,
        span=max((at for *_, at in newest), default=0.0) - min((at for *_, at in oldest), default=0.0),
    )
