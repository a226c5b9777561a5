"""Iceberg: what a catalog and a table's metadata say, without a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import pyiceberg.io.pyarrow  # noqa: F401 - slow to import: here, and not within the deadline of a probe
import requests
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    ForbiddenError,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    UnauthorizedError,
)
from pyiceberg.expressions import BooleanExpression
from pyiceberg.expressions.parser import parse
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyparsing import ParseBaseException
from requests.adapters import HTTPAdapter

from dataops_core.config import CatalogSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, NotFound, QueryFailed, TimedOut, Unreachable

PROGRESS_PROPERTY = "dataops.progress-time"
"""Commit property in which a job says up to when it has taken data in."""
OLDEST_PROPERTY = "dataops.oldest-time"
"""Commit property in which a job says how old the oldest record of the commit is."""
QUERY_PROPERTIES = ("spark.sql.streaming.queryId", "dataops.query-id")
"""Commit properties in which a streaming query says who it is: Iceberg's own sink, and a job that commits by itself."""
HISTORY = 1000
"""How many snapshots back the advances and the writers of a table are told."""
MANIFEST_CACHE = 4096
"""Manifests whose upper bounds are remembered; a manifest never changes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that carries a stamp.

    Attributes:
        at: When it was committed.
        progress_time: Up to when the table has taken data in since then.
        oldest: How old the oldest record of the commit is.
    """

    at: datetime
    progress_time: datetime
    oldest: datetime | None


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
        delete_files: Delete files.
        snapshots: Snapshots that are kept.
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
    delete_files: int | None
    snapshots: int


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
        self.target = uri if isinstance(uri, str) and "${" not in uri else name
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._catalog: Catalog | None = None

    def ping(self) -> int:
        """Return the number of namespaces; raises ClientError."""
        return self._call(lambda catalog: len(catalog.list_namespaces()))

    def table(self, identifier: str, progress_column: str | None = None) -> TableState:
        """Return a table's state; raises NotFound or another ClientError.

        Args:
            identifier: `namespace.table`.
            progress_column: Timestamp column whose upper bound to read where the commits carry no stamp.
        """
        return self._call(lambda catalog: _state(catalog.load_table(identifier), identifier, progress_column))

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
        try:
            condition = parse(where)
        except ParseBaseException as error:
            raise QueryFailed(f"the condition {where!r} cannot be read: {_line(error)}") from error
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
                properties = {key: resolve_secret(value) for key, value in self._settings.properties.items()}
                properties.setdefault("py-io-impl", "pyiceberg.io.pyarrow.PyArrowFileIO")
                properties.setdefault("s3.connect-timeout", f"{self._timeout:g}")
                properties.setdefault("s3.request-timeout", f"{self._timeout:g}")
                if properties.get("type") == "rest":
                    self._catalog = _DeadlineCatalog(self.name, self._timeout, **properties)
                else:
                    self._catalog = load_catalog(self.name, **properties)
            return self._catalog

    @contextmanager
    def _errors(self) -> Iterator[None]:
        where = f"catalog {self.name} {self.target}"
        try:
            yield
        except (NoSuchTableError, NoSuchIcebergTableError, NoSuchNamespaceError) as error:
            raise NotFound(f"{where}: {_line(error)}") from error
        except (UnauthorizedError, ForbiddenError, OAuthError) as error:
            raise AuthenticationFailed(f"{where}: refused our credentials") from error
        except requests.exceptions.Timeout as error:
            raise TimedOut(f"{where}: no answer within {self._timeout:g} s") from error
        except requests.exceptions.ConnectionError as error:
            raise Unreachable(f"{where}: cannot be reached: {_reason(error)}") from error
        except (RESTError, ValueError, KeyError, TypeError, requests.exceptions.RequestException) as error:
            raise BadAnswer(f"{where}: {_line(error)}") from error
        except OSError as error:
            raise Unreachable(f"{where}: a metadata file cannot be read: {_line(error)}") from error


class _DeadlineCatalog(RestCatalog):
    """A REST catalog whose requests have a deadline; PyIceberg's own wait for ever."""

    def __init__(self, name: str, timeout: float, **properties: str) -> None:
        self._timeout = timeout
        super().__init__(name, **properties)

    def _create_session(self) -> requests.Session:
        session = super()._create_session()
        for prefix in ("http://", "https://"):
            session.mount(prefix, _DeadlineAdapter(self._timeout))
        return session


class _DeadlineAdapter(HTTPAdapter):
    """Sends each request with a deadline, and never a second time."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        super().__init__(max_retries=0)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]  # noqa: ANN401 - as its base class
        """Send a request; see `HTTPAdapter.send`."""
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)


def _holds(table: Table, condition: BooleanExpression) -> bool:
    return bool(table.scan(row_filter=condition, limit=1).to_arrow().num_rows)


def _state(table: Table, identifier: str, progress_column: str | None) -> TableState:
    snapshot = table.current_snapshot()
    summary = _summary(snapshot)
    history = _history(table, snapshot)
    commits = tuple(_commits(history))
    bound = None
    if snapshot is not None and progress_column is not None and not commits:
        bound = _upper_bound(table, snapshot, progress_column)
    return TableState(
        identifier=identifier,
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        committed_at=_millis(snapshot.timestamp_ms) if snapshot else None,
        summary=summary,
        commits=commits,
        writers=tuple(_writers(history)),
        upper_bound=bound,
        records=_count(summary, "total-records") if snapshot else 0,
        data_files=_count(summary, "total-data-files") if snapshot else 0,
        delete_files=_count(summary, "total-delete-files") if snapshot else 0,
        snapshots=len(table.metadata.snapshots),
    )


def _history(table: Table, snapshot: Snapshot | None) -> tuple[Snapshot, ...]:
    """Return the snapshots of the current branch, oldest first."""
    found: list[Snapshot] = []
    while snapshot is not None and len(found) < HISTORY:
        found.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return tuple(reversed(found))


def _commits(history: Iterable[Snapshot]) -> Iterator[Commit]:
    """Yield the stamped commits; upkeep (compaction …) carries no stamp."""
    for snapshot in history:
        summary = _summary(snapshot)
        stamp = _instant(summary.get(PROGRESS_PROPERTY))
        if stamp is not None:
            yield Commit(_millis(snapshot.timestamp_ms), stamp, _instant(summary.get(OLDEST_PROPERTY)))


def _writers(history: Iterable[Snapshot]) -> Iterator[Writer]:
    """Yield each streaming query at its first commit after another one's."""
    last = None
    for snapshot in history:
        summary = _summary(snapshot)
        query_id = next((summary[name] for name in QUERY_PROPERTIES if name in summary), last)
        if query_id is not None and query_id != last:
            yield Writer(query_id, _millis(snapshot.timestamp_ms))
        last = query_id


def _upper_bound(table: Table, snapshot: Snapshot, column: str) -> datetime | None:
    try:
        field = table.schema().find_field(column)
    except ValueError as error:
        raise NotFound(f"table {'.'.join(table.name())} has no column {column}") from error
    bounds = [
        _manifest_bound(manifest.manifest_path, field.field_id, _Manifest(manifest, table.io))
        for manifest in snapshot.manifests(table.io)
        if manifest.content is ManifestContent.DATA
    ]
    # Timestamps are microseconds: 8 bytes, little endian, signed (Iceberg spec, appendix D).
    micros = max((int.from_bytes(bound, "little", signed=True) for bound in bounds if bound is not None), default=None)
    return datetime.fromtimestamp(micros / 1e6, UTC) if micros is not None else None


class _Manifest:
    """A manifest with the means to read it; all are equal, so that a cache goes by the path beside it."""

    def __init__(self, manifest: ManifestFile, io: FileIO) -> None:
        self.manifest, self.io = manifest, io

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Manifest)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=MANIFEST_CACHE)
def _manifest_bound(path: str, field_id: int, manifest: _Manifest) -> bytes | None:  # noqa: ARG001 - the cache's key
    entries = manifest.manifest.fetch_manifest_entry(manifest.io, discard_deleted=True)
    bounds = [(entry.data_file.upper_bounds or {}).get(field_id) for entry in entries]
    known = [bound for bound in bounds if bound is not None]
    return max(known, key=lambda bound: int.from_bytes(bound, "little", signed=True), default=None)


def _summary(snapshot: Snapshot | None) -> dict[str, str]:
    return dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}


def _count(summary: dict[str, str], name: str) -> int | None:
    value = summary.get(name, "")
    return int(value) if value.isdecimal() else None


def _millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # another tool's idea of a stamp is no stamp
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _reason(error: BaseException) -> str:
    """Return the innermost reason of a chain of wrapped connection errors."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error.strerror if isinstance(error, OSError) and error.strerror else _line(error)
