"""Read the state of an Iceberg table from its metadata and manifests, without a scan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pyiceberg.expressions import BooleanExpression, parser
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from dataops_core.errors import NotFound, QueryFailed
from dataops_core.reasons import line
from dataops_core.systems.iceberg.files import ByPath, FileWatch, TableFiles, signed, table_files
from dataops_core.times import known, moment
from dataops_core.transport.fields import as_count
from dataops_core.values import instant

PROGRESS_PROPERTY = "dataops.progress-time"
"""Commit property with the time up to which a job has ingested data."""
OLDEST_PROPERTY = "dataops.oldest-time"
"""Commit property with the time of the oldest record of the commit."""
QUERY_PROPERTIES = ("spark.sql.streaming.queryId", "dataops.query-id")
"""Commit properties with the id of a streaming query: from Iceberg's sink, and from a job with its own commits."""
EPOCH_PROPERTIES = ("spark.sql.streaming.epochId", "dataops.epoch-id")
"""Commit properties with the batch number of a streaming query, in the same order."""
SNAPSHOT_AGE, SNAPSHOT_AGE_DEFAULT = "history.expire.max-snapshot-age-ms", 5 * 86_400_000
"""Table property with the maximum snapshot age for expiry, and Iceberg's default."""
HISTORY = 1000
"""Number of snapshots to read for a table's advances and writers."""
_COUNT = re.compile(r"[0-9]{1,19}")
RECENT = timedelta(hours=1)
"""Window of recent records."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with a stamp.

    Attributes:
        at: Time of the commit.
        progress_time: Time up to which the table has ingested data.
        oldest: Time of the oldest record of the commit.
        first: Whether it is known to be the first stamped commit.
    """

    at: datetime
    progress_time: datetime
    oldest: datetime | None
    first: bool


@dataclass(frozen=True, slots=True)
class Writer:
    """A streaming query that writes, or wrote, to a table.

    Attributes:
        query_id: Its id, which changes with its checkpoint.
        since: Its first commit after another query's, within the retained history.
    """

    query_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Epoch:
    """A batch of a streaming query that is committed in a table.

    Attributes:
        number: Number of the batch.
        at: Time of the commit; `None` if it is out of range.
    """

    query_id: str
    number: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class TableState:
    """A table's current state, from its metadata.

    Attributes:
        snapshot_id: The current snapshot; `None` for a table without one.
        committed_at: Time of its commit.
        summary: Its summary.
        commits: Stamped commits of the history, oldest first.
        writers: Successive streaming queries that wrote to it, oldest first.
        upper_bound: Largest value of the progress column; `None` if not requested or unknown.
        records: Rows, without subtracting deleted rows.
        data_bytes: Bytes of the data files.
        snapshots: Number of retained snapshots.
        refs: Number of branches and tags.
        oldest_snapshot: Time of the oldest retained snapshot.
        oldest_unneeded: Time of the oldest snapshot that no branch or tag references.
        snapshot_age: Maximum snapshot age for expiry in seconds, from the table's properties.
        compacted_at: Time of the last compaction, from the retained snapshots.
        records_added_recent: Rows added within `RECENT`, without compaction.
        epoch: The newest committed batch of a streaming query.
        files: Files from the manifests of the current snapshot; `None` without a snapshot, or if unreadable.
        metadata_bytes: Size of the metadata file; `None` if the store does not report it.
        missing: Paths of checked data files of the current snapshot that are missing.
        store_error: Why the files could not be checked; `None` if they could.
    """

    identifier: str
    snapshot_id: int | None
    committed_at: datetime | None
    summary: dict[str, str]
    commits: tuple[Commit, ...]
    writers: tuple[Writer, ...]
    upper_bound: datetime | None
    records: int | None
    data_files: int | None
    data_bytes: int | None
    delete_files: int | None
    snapshots: int
    refs: int
    oldest_snapshot: datetime | None
    oldest_unneeded: datetime | None
    snapshot_age: float
    compacted_at: datetime | None
    records_added_recent: int
    epoch: Epoch | None
    files: TableFiles | None
    metadata_bytes: int | None
    missing: tuple[str, ...]
    store_error: str | None


def condition(where: str) -> BooleanExpression:
    """Return a condition parsed from text such as `id = 'x'`; raise QueryFailed."""
    from pyparsing import ParseBaseException  # noqa: PLC0415 - a tenth of a second, for canaries only

    try:
        return parser.parse(where)
    except ParseBaseException as error:
        raise QueryFailed(f"the condition {where!r} cannot be read: {line(error)}") from error


def holds(table: Table, wanted: BooleanExpression) -> bool:
    """Return whether a table has such a row; see `CatalogClient.holds`."""
    return bool(table.scan(row_filter=wanted, limit=1).to_arrow().num_rows)


def records_added(table: Table) -> int:
    """Return the rows added to a table within `RECENT`."""
    return _added(_history(table, table.current_snapshot()))


def table_state(
    table: Table, identifier: str, progress_column: str | None, small: float, watch: FileWatch, check: int
) -> TableState:
    """Return a table's state; see `CatalogClient.table`."""
    snapshot = table.current_snapshot()
    summary = _summary(snapshot)
    history = _history(table, snapshot)
    commits = tuple(_commits(history))
    bound_of = _column(table, progress_column) if progress_column is not None and not commits else None
    files: TableFiles | None = None
    missing: tuple[str, ...] = ()
    held: int | None = None
    error: str | None = None
    try:
        if snapshot is not None:
            files = table_files(table, snapshot, small, bound_of)
            missing = watch.check(table, snapshot, check) if check else ()
        held = _length(table.metadata_location, ByPath(table.io))
    except FileNotFoundError as raised:  # a manifest or the manifest list
        missing = (line(raised),)
    except OSError as raised:
        if bound_of is not None:  # the progress time needs the bound
            raise
        error = line(raised)
    named = {ref.snapshot_id for ref in table.metadata.refs.values()}
    times = sorted((s.timestamp_ms, s.snapshot_id) for s in table.metadata.snapshots)
    unneeded = next((at for at, snapshot_id in times if snapshot_id not in named), None)
    return TableState(
        identifier=identifier,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        committed_at=_millis(snapshot.timestamp_ms) if snapshot else None,
        summary=summary,
        commits=commits,
        writers=tuple(_writers(history)),
        upper_bound=_time(files.upper_bound) if files else None,
        records=_count(summary, "total-records") if snapshot else 0,
        data_files=_count(summary, "total-data-files") if snapshot else 0,
        data_bytes=_count(summary, "total-files-size") if snapshot else 0,
        delete_files=_count(summary, "total-delete-files") if snapshot else 0,
        snapshots=len(table.metadata.snapshots),
        refs=len(table.metadata.refs),
        oldest_snapshot=_millis(times[0][0]) if times else None,
        oldest_unneeded=_millis(unneeded) if unneeded is not None else None,
        snapshot_age=_snapshot_age(table),
        compacted_at=next((_millis(s.timestamp_ms) for s in reversed(history) if _compaction(s)), None),
        records_added_recent=_added(history),
        epoch=_epoch(history),
        files=files,
        metadata_bytes=held,
        missing=missing,
        store_error=error,
    )


def _snapshot_age(table: Table) -> float:
    millis = count_of(table.properties.get(SNAPSHOT_AGE))
    return (SNAPSHOT_AGE_DEFAULT if millis is None else millis) / 1000  # as Iceberg does for an invalid number


@lru_cache(maxsize=256)
def _length(path: str, source: ByPath) -> int:
    """Return the size of a metadata file, which never changes."""
    return len(source.take().new_input(path))


def _compaction(snapshot: Snapshot) -> bool:
    return snapshot.summary is not None and snapshot.summary.operation is Operation.REPLACE


def _added(history: Iterable[Snapshot]) -> int:
    since = (datetime.now(UTC) - RECENT).timestamp() * 1000
    recent = [s for s in history if s.timestamp_ms >= since and not _compaction(s)]
    return sum(_count(_summary(s), "added-records") or 0 for s in recent)


def _epoch(history: Sequence[Snapshot]) -> Epoch | None:
    for snapshot in reversed(history):
        summary = _summary(snapshot)
        query = next((summary[name] for name in QUERY_PROPERTIES if name in summary), None)
        epoch = next((number for name in EPOCH_PROPERTIES if (number := _count(summary, name)) is not None), None)
        if query is not None and epoch is not None:
            return Epoch(query, epoch, _millis(snapshot.timestamp_ms))
    return None


def _history(table: Table, snapshot: Snapshot | None) -> tuple[Snapshot, ...]:
    """Return the snapshots of the current branch, oldest first."""
    results: list[Snapshot] = []
    while snapshot is not None and len(results) < HISTORY:
        results.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return tuple(reversed(results))


def _commits(history: Sequence[Snapshot]) -> Iterator[Commit]:
    """Yield the stamped commits; maintenance jobs (compaction …) write no stamp."""
    first = bool(history) and history[0].sequence_number == 1  # expiry of snapshots may remove parents
    for snapshot in history:
        summary = _summary(snapshot)
        stamp, at = instant(summary.get(PROGRESS_PROPERTY)), _millis(snapshot.timestamp_ms)
        if stamp is not None and at is not None:
            yield Commit(at, stamp, instant(summary.get(OLDEST_PROPERTY)), first)
            first = False


def _writers(history: Iterable[Snapshot]) -> Iterator[Writer]:
    """Yield each streaming query with its first commit after another query's."""
    last = None
    for snapshot in history:
        summary = _summary(snapshot)
        query_id = next((summary[name] for name in QUERY_PROPERTIES if name in summary), last)
        at = _millis(snapshot.timestamp_ms)
        if query_id is not None and query_id != last and at is not None:
            yield Writer(query_id, at)
        last = query_id


def _column(table: Table, name: str) -> int:
    try:
        return table.schema().find_field(name).field_id
    except ValueError as error:
        raise NotFound(f"table {'.'.join(table.name())} has no column {name}") from error


def _time(bound: bytes | None) -> datetime | None:
    return known(moment(signed(bound), "us")) if bound is not None else None


def _summary(snapshot: Snapshot | None) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


def _count(summary: dict[str, str], name: str) -> int | None:
    return count_of(summary.get(name))


def count_of(text: str | None) -> int | None:
    """Return the integer in a text of a summary or property, or `None` if it is not a 64-bit number."""
    return as_count(int(text)) if text is not None and _COUNT.fullmatch(text) else None


def _millis(millis: int) -> datetime | None:
    return known(moment(millis, "ms"))
