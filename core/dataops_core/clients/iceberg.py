"""Iceberg: what a catalog and a table's metadata say, without a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import requests
from pyarrow.fs import FileSystem, FileType
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NotInstalledError,
    OAuthError,
    RESTError,
    UnauthorizedError,
)
from pyiceberg.expressions import BooleanExpression, parser
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from requests.adapters import HTTPAdapter

from dataops_core.clients.file_io import KeptFileIO
from dataops_core.clients.iceberg_files import ByPath, FileWatch, TableFiles, signed, table_files
from dataops_core.clients.reasons import innermost, line
from dataops_core.clients.store import store_error
from dataops_core.clients.tls import tls_context
from dataops_core.config import CatalogSettings, resolve_secret, without_user_info
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ConfigError,
    NotFound,
    PermissionDenied,
    QueryFailed,
    TimedOut,
    Unreachable,
)
from dataops_core.values import instant

PROGRESS_PROPERTY = "dataops.progress-time"
"""Commit property in which a job says up to when it has taken data in."""
OLDEST_PROPERTY = "dataops.oldest-time"
"""Commit property in which a job says how old the oldest record of the commit is."""
QUERY_PROPERTIES = ("spark.sql.streaming.queryId", "dataops.query-id")
"""Commit properties in which a streaming query says who it is: Iceberg's own sink, and a job that commits by itself."""
EPOCH_PROPERTIES = ("spark.sql.streaming.epochId", "dataops.epoch-id")
"""Commit properties in which a streaming query says which batch it is, in the same order."""
SNAPSHOT_AGE, SNAPSHOT_AGE_DEFAULT = "history.expire.max-snapshot-age-ms", 5 * 86_400_000
"""Table property that says how long expiry leaves a snapshot, and Iceberg's own value for it."""
HISTORY = 1000
"""How many snapshots back the advances and the writers of a table are told."""
RECENT = timedelta(hours=1)
"""How far back records count as recent."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that carries a stamp.

    Attributes:
        at: When it was committed.
        progress_time: Up to when the table has taken data in since then.
        oldest: How old the oldest record of the commit is.
        first: Whether the table is known to have had none before it.
    """

    at: datetime
    progress_time: datetime
    oldest: datetime | None
    first: bool


@dataclass(frozen=True, slots=True)
class Writer:
    """A streaming query that writes, or wrote, to a table.

    Attributes:
        query_id: Its id, which lives as long as its checkpoint.
        since: Its first commit after another query's, as far back as the history goes.
    """

    query_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Epoch:
    """A batch of a streaming query that is committed in a table.

    Attributes:
        query_id: The query's id.
        number: The batch's number.
        at: When it was committed.
    """

    query_id: str
    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class TableState:
    """A table's current state, from its metadata.

    Attributes:
        snapshot_id: The current snapshot; `None` for a table without one.
        committed_at: When it was committed.
        summary: Its summary.
        commits: Stamped commits of its history, oldest first.
        writers: Streaming queries that have written to it one after the other, oldest first.
        upper_bound: Largest value of the progress column; `None` where not asked for or not known.
        records: Rows, delete files not counted off.
        data_files: Data files.
        data_bytes: What they take.
        delete_files: Delete files.
        snapshots: Snapshots that are kept.
        refs: Branches and tags.
        oldest_snapshot: When the oldest snapshot that is kept was committed.
        oldest_unneeded: The same of the oldest that no branch or tag names.
        snapshot_age: Seconds that expiry leaves a snapshot, by the table's own properties.
        compacted_at: When a compaction was committed last, as far back as snapshots are kept.
        records_added_recent: Rows that were added within `RECENT`; compaction adds none.
        epoch: The newest batch of a streaming query that is committed in it.
        files: What the manifests of the current snapshot say; `None` without a snapshot, or where they cannot be read.
        metadata_bytes: Size of the metadata file; `None` where the store does not tell.
        missing: Paths of data files of the current snapshot that were looked for and are not there.
        store_error: Why the files could not be looked at; `None` if they could.
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


class CatalogClient:
    """An Iceberg catalog; safe to share between threads.

    Args:
        name: The catalog's name.
        settings: PyIceberg's properties for it.
        timeout: Deadline of each HTTP request, in seconds.
    """

    def __init__(self, name: str, settings: CatalogSettings, timeout: float = 8.0) -> None:
        self.name = name
        uri = settings.properties.get("uri")
        self.target = without_user_info(uri) if isinstance(uri, str) and "${" not in uri else name
        warehouse = settings.properties.get("warehouse")
        self.warehouse = warehouse if isinstance(warehouse, str) and "://" in warehouse else None
        """Where the tables lie, if the settings name a place of an object store or file system."""
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._catalog: Catalog | None = None
        self._watches: dict[str, FileWatch] = {}

    def ping(self) -> int:
        """Return the number of namespaces; raises ClientError."""
        return self._call(lambda catalog: len(catalog.list_namespaces()))

    def store(self) -> None:
        """Ask the object store, or file system, for the warehouse.

        Raises:
            NotFound: It answers, and there is no such place.
            ClientError: It does not answer, or refuses us.
        """
        if self.warehouse is None:
            raise NotFound(f"catalog {self.name}: the settings name no warehouse of an object store")
        endpoint = self._settings.properties.get("s3.endpoint")
        where = f"store {self.warehouse}" + (f" at {endpoint}" if isinstance(endpoint, str) else "")
        try:
            filesystem, path = self.filesystem(self.warehouse)
            found = filesystem.get_file_info(path)
        except OSError as error:
            raise store_error(where, error) from error
        if found.type is FileType.NotFound:
            raise NotFound(f"{where}: there is no such place")

    def filesystem(self, location: str) -> tuple[FileSystem, str]:
        """Return the file system that a location lies in, with the catalog's credentials for it, and the path there.

        Raises:
            ConfigError: A secret cannot be read, or there is no file system for such a location.
        """
        properties = {key: resolve_secret(value) for key, value in self._settings.properties.items()}
        properties.setdefault("s3.connect-timeout", f"{self._timeout:g}")
        properties.setdefault("s3.request-timeout", f"{self._timeout:g}")
        scheme, netloc, path = KeptFileIO.parse_location(location)
        try:
            return KeptFileIO(properties).fs_by_scheme(scheme, netloc), path
        except ValueError as error:
            raise ConfigError(f"{location}: {line(error)}") from error

    def table(
        self, identifier: str, progress_column: str | None = None, *, small: float = 0.0, check: int = 0
    ) -> TableState:
        """Return a table's state; raises NotFound or another ClientError.

        Args:
            identifier: `namespace.table`.
            progress_column: Timestamp column whose upper bound to read where the commits carry no stamp.
            small: Bytes below which a data file is small.
            check: Data files to ask the store for; other ones each time.
        """
        watch = self._watches.setdefault(identifier, FileWatch())

        def state(catalog: Catalog) -> TableState:
            return _state(catalog.load_table(identifier), identifier, progress_column, small, watch, check)

        return self._call(state)

    def records_added(self, identifier: str) -> int:
        """Return the rows that were added to a table within `RECENT`; raises NotFound or another ClientError."""

        def added(catalog: Catalog) -> int:
            table = catalog.load_table(identifier)
            return _added(_history(table, table.current_snapshot()))

        return self._call(added)

    def ask(self, question: Callable[[Catalog], T]) -> T:
        """Ask something further; raises ClientError."""
        return self._call(question)

    def holds(self, identifier: str, where: str) -> bool:
        """Tell whether a table has a row; only files whose statistics allow for it are read.

        Args:
            identifier: `namespace.table`.
            where: A condition as PyIceberg reads it, e.g. `id = 'x'`.

        Raises:
            QueryFailed: The condition cannot be read, or does not fit the table.
            ClientError: The catalog or the store does not answer as it should.
        """
        from pyparsing import ParseBaseException  # noqa: PLC0415 - a tenth of a second, for canaries only

        try:
            condition = parser.parse(where)
        except ParseBaseException as error:
            raise QueryFailed(f"the condition {where!r} cannot be read: {line(error)}") from error
        return self._call(lambda catalog: _holds(catalog.load_table(identifier), condition))

    def _call(self, ask: Callable[[Catalog], T]) -> T:
        with self._errors():
            try:
                return ask(self._open())
            except (UnauthorizedError, OAuthError):
                # The token has run out, or the catalog was started anew: log in again, with the secret as it is now.
                with self._lock:
                    self._catalog = None
                return ask(self._open())

    def _open(self) -> Catalog:
        with self._lock:
            if self._catalog is None:
                properties: dict[str, Any] = {
                    key: resolve_secret(value) for key, value in self._settings.properties.items()
                }
                properties.setdefault("py-io-impl", f"{KeptFileIO.__module__}.{KeptFileIO.__name__}")
                properties.setdefault("s3.connect-timeout", f"{self._timeout:g}")
                properties.setdefault("s3.request-timeout", f"{self._timeout:g}")
                if (tls := self._tls()) is not None:
                    properties["ssl"] = tls
                if properties.get("type") == "rest":
                    self._catalog = _DeadlineCatalog(self.name, self._timeout, **properties)
                else:
                    self._catalog = load_catalog(self.name, **properties)
            return self._catalog

    def _tls(self) -> dict[str, Any] | None:
        """Return the certificates as PyIceberg's property `ssl` has them."""
        if (tls := self._settings.tls) is None:
            return None
        tls_context(tls, f"catalog {self.name}")  # PyIceberg would say less
        key = tls.key_file or tls.cert_file
        return {
            **({"cabundle": tls.ca_file} if tls.ca_file else {}),
            **({"client": {"cert": tls.cert_file, "key": key}} if tls.cert_file else {}),
        }

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = f"catalog {self.name} {self.target}"
        try:
            yield
        except (NoSuchTableError, NoSuchIcebergTableError, NoSuchNamespaceError) as error:
            raise NotFound(f"{where}: {line(error)}") from error
        except (UnauthorizedError, OAuthError) as error:
            raise AuthenticationFailed(f"{where}: refused our credentials") from error
        except ForbiddenError as error:
            raise PermissionDenied(f"{where}: {line(error)}") from error
        except NotInstalledError as error:
            raise ConfigError(f"{where}: {line(error)}") from error
        except requests.exceptions.Timeout as error:
            raise TimedOut(f"{where}: no answer within {self._timeout:g} s") from error
        except requests.exceptions.ConnectionError as error:
            raise Unreachable(f"{where}: cannot be reached: {innermost(error)}") from error
        except (RESTError, ValueError, KeyError, TypeError, requests.exceptions.RequestException) as error:
            raise BadAnswer(f"{where}: {line(error)}") from error
        except OSError as error:
            raise Unreachable(f"{where}: a metadata file cannot be read: {line(error)}") from error


class _DeadlineCatalog(RestCatalog):
    """A REST catalog whose requests have a deadline; PyIceberg's own wait for ever."""

    def __init__(self, name: str, timeout: float, **properties: str) -> None:
        self._timeout = timeout
        super().__init__(name, **properties)

    def _create_session(self) -> requests.Session:
        session = super()._create_session()
        for prefix in ("http://", "https://"):
            session.mount(prefix, _DeadlineAdapter(self._timeout, session.verify))
        return session


class _DeadlineAdapter(HTTPAdapter):
    """Sends each request with a deadline, and never a second time; the environment outranks no authority of ours."""

    def __init__(self, timeout: float, verify: bool | str) -> None:
        self._timeout = timeout
        self._verify = verify
        super().__init__(max_retries=0)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as its base class
        """Send a request; see `HTTPAdapter.send`."""
        options["timeout"] = options.get("timeout") or self._timeout
        if isinstance(self._verify, str):
            options["verify"] = self._verify
        return super().send(request, **options)


def _holds(table: Table, condition: BooleanExpression) -> bool:
    return bool(table.scan(row_filter=condition, limit=1).to_arrow().num_rows)


def _state(
    table: Table, identifier: str, progress_column: str | None, small: float, watch: FileWatch, check: int
) -> TableState:
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
            missing = watch.look(table, snapshot, check) if check else ()
        held = _length(table.metadata_location, ByPath(table.io))
    except FileNotFoundError as raised:  # a manifest, or the list of them
        missing = (line(raised),)
    except OSError as raised:
        if bound_of is not None:  # without the bound there is no progress
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
        snapshot_age=float(table.properties.get(SNAPSHOT_AGE, SNAPSHOT_AGE_DEFAULT)) / 1000,
        compacted_at=next((_millis(s.timestamp_ms) for s in reversed(history) if _compaction(s)), None),
        records_added_recent=_added(history),
        epoch=_epoch(history),
        files=files,
        metadata_bytes=held,
        missing=missing,
        store_error=error,
    )


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
    found: list[Snapshot] = []
    while snapshot is not None and len(found) < HISTORY:
        found.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return tuple(reversed(found))


def _commits(history: Sequence[Snapshot]) -> Iterator[Commit]:
    """Yield the stamped commits; upkeep (compaction …) carries no stamp."""
    first = bool(history) and history[0].sequence_number == 1  # who expires snapshots may forget parents
    for snapshot in history:
        summary = _summary(snapshot)
        stamp = instant(summary.get(PROGRESS_PROPERTY))
        if stamp is not None:
            yield Commit(_millis(snapshot.timestamp_ms), stamp, instant(summary.get(OLDEST_PROPERTY)), first)
            first = False


def _writers(history: Iterable[Snapshot]) -> Iterator[Writer]:
    """Yield each streaming query at its first commit after another one's."""
    last = None
    for snapshot in history:
        summary = _summary(snapshot)
        query_id = next((summary[name] for name in QUERY_PROPERTIES if name in summary), last)
        if query_id is not None and query_id != last:
            yield Writer(query_id, _millis(snapshot.timestamp_ms))
        last = query_id


def _column(table: Table, name: str) -> int:
    try:
        return table.schema().find_field(name).field_id
    except ValueError as error:
        raise NotFound(f"table {'.'.join(table.name())} has no column {name}") from error


def _time(bound: bytes | None) -> datetime | None:
    return datetime.fromtimestamp(signed(bound) / 1e6, UTC) if bound is not None else None


def _summary(snapshot: Snapshot | None) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


def _count(summary: dict[str, str], name: str) -> int | None:
    value = summary.get(name, "")
    return int(value) if value.isdecimal() else None


def _millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
