"""Trino: is it there, and SQL with live progress and cancel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import requests
import trino
from trino.auth import BasicAuthentication

from dataops_core.clients.reasons import line
from dataops_core.config import TrinoSettings, resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    PermissionDenied,
    QueryFailed,
    TimedOut,
    Unreachable,
)

SOURCE = "dataops"
"""What we call ourselves to Trino."""
BATCH = 500
"""Rows that are handed over at once."""


@dataclass(frozen=True, slots=True)
class TrinoInfo:
    """A coordinator.

    Attributes:
        starting: Whether it has not finished to start.
        uptime: As Trino writes it, e.g. `3.25m`.
    """

    version: str
    starting: bool
    uptime: str


@dataclass(frozen=True, slots=True)
class QueryProgress:
    """How far a query is.

    Attributes:
        state: Trino's word: QUEUED, PLANNING, RUNNING, FINISHED, FAILED …
        splits_done: Splits that are complete.
        splits_total: Splits that are known.
        rows: Rows that were processed.
        bytes: Bytes that were processed.
        elapsed: Seconds since it was submitted, by Trino's clock.
        queued: Seconds that it waited in the queue.
    """

    state: str
    splits_done: int
    splits_total: int
    rows: int
    bytes: int
    elapsed: float
    queued: float


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster.

    Attributes:
        state: `active`, `inactive`, `shutting_down` …
    """

    node_id: str
    coordinator: bool
    state: str


@dataclass(frozen=True, slots=True)
class QuerySummary:
    """A query that Trino runs, or ran.

    Attributes:
        state: Trino's word: QUEUED, WAITING_FOR_RESOURCES, PLANNING, RUNNING, FINISHED, FAILED …
        resource_group: Resource group in which it waits or runs, e.g. `global`.
        error: Trino's name of the error of a failed one, e.g. `EXCEEDED_TIME_LIMIT`.
        error_type: Who is to blame: `USER_ERROR`, `INTERNAL_ERROR`, `INSUFFICIENT_RESOURCES`, `EXTERNAL`.
    """

    query_id: str
    state: str
    user: str
    resource_group: str
    created: datetime
    ended: datetime | None
    error: str | None
    error_type: str | None


class QueryHandle:
    """A statement that runs: read it from one thread, watch and cancel it from others."""

    def __init__(self, client: TrinoClient, connection: trino.dbapi.Connection, statement: str) -> None:
        self.statement = statement
        self._client = client
        self._connection = connection
        self._cursor = connection.cursor()
        self.columns: tuple[tuple[str, str], ...] = ()
        """Names and types of the columns; filled when `batches()` yields its first batch, or ends."""
        self.cancelled = False
        self._ended = Event()

    @property
    def query_id(self) -> str | None:
        """Trino's id of the query; `None` before it is submitted."""
        query_id: str | None = self._cursor.query_id
        return query_id

    @property
    def update_type(self) -> str | None:
        """What a statement without rows did, e.g. `INSERT`, `CREATE TABLE`."""
        update_type: str | None = self._cursor.update_type
        return update_type

    @property
    def update_count(self) -> int | None:
        """How many rows a statement has changed, where Trino says so."""
        count = self._cursor.rowcount
        return count if isinstance(count, int) and count >= 0 else None

    def batches(self) -> Iterator[list[tuple[Any, ...]]]:
        """Run the statement and yield its rows, a few hundred at a time.

        Raises:
            QueryFailed: Trino refused or failed it; the line says where in the statement.
            ClientError: Trino does not answer.
        """
        with self._client.errors():
            try:
                self._cursor.execute(self.statement)
                self.columns = tuple((c.name, c.type_code) for c in self._cursor.description or ())
                while rows := self._cursor.fetchmany(BATCH):
                    yield [tuple(row) for row in rows]
                    if self.cancelled:
                        return
            finally:
                self._ended.set()
                self._connection.close()  # type: ignore[no-untyped-call]

    def progress(self) -> QueryProgress | None:
        """Return how far it is; `None` before Trino has said anything."""
        stats = self._cursor.stats
        if not stats:
            return None
        return QueryProgress(
            state=str(stats.get("state", "")),
            splits_done=int(stats.get("completedSplits", 0)),
            splits_total=int(stats.get("totalSplits", 0)),
            rows=int(stats.get("processedRows", 0)),
            bytes=int(stats.get("processedBytes", 0)),
            elapsed=float(stats.get("elapsedTimeMillis", 0)) / 1000,
            queued=float(stats.get("queuedTimeMillis", 0)) / 1000,
        )

    def cancel(self) -> None:
        """Cancel it in the server; raises ClientError."""
        self.cancelled = True
        with self._client.errors():
            self._cursor.cancel()

    def stop(self, within: float = 3.0) -> None:
        """Cancel it until its reader has ended; one try comes too early while it is being submitted.

        Args:
            within: Seconds after which we go without.

        Raises:
            TimedOut: It may still run in the server.
        """
        self.cancelled = True
        deadline = time.monotonic() + within
        failure: ClientError | None = None
        while not self._ended.is_set() and time.monotonic() < deadline:
            try:
                self.cancel()
                failure = None
            except ClientError as error:
                failure = error
            self._ended.wait(0.2)
        if not self._ended.is_set():
            why = f": {failure}" if failure else ""
            raise TimedOut(f"the query {self.query_id or 'without an id'} may still run in the server{why}")


class TrinoClient:
    """A Trino coordinator; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each HTTP request, in seconds; a query may take longer.
    """

    def __init__(self, settings: TrinoSettings, timeout: float = 8.0) -> None:
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout

    def info(self) -> TrinoInfo:
        """Return what the coordinator says of itself; raises ClientError."""
        with self.errors():
            answer = requests.get(f"{self.target}/v1/info", timeout=self._timeout)
            if answer.status_code == 401:
                raise AuthenticationFailed(f"trino {self.target}: refused our credentials (401)")
            if answer.status_code == 403:
                raise PermissionDenied(f"trino {self.target}: denies us permission (403)")
            if answer.status_code != 200:
                raise BadAnswer(f"trino {self.target}: HTTP {answer.status_code}")
            found = answer.json()
            return TrinoInfo(
                version=str(found["nodeVersion"]["version"]),
                starting=bool(found["starting"]),
                uptime=str(found.get("uptime", "")),
            )

    def nodes(self, within: float) -> tuple[Node, ...]:
        """Return the nodes that Trino knows; raises ClientError."""
        rows = self.fetch("SELECT node_id, coordinator, state FROM system.runtime.nodes", within)
        return tuple(Node(node_id, coordinator, state) for node_id, coordinator, state in rows)

    def queries(self, within: float) -> tuple[QuerySummary, ...]:
        """Return the queries that Trino remembers and that wait, are planned, run or have failed; not our own.

        Raises:
            ClientError: It does not answer, or refuses us.
        """
        rows = self.fetch(
            "SELECT query_id, state, user, array_join(resource_group_id, '.'), created, \"end\", error_code, error_type"
            f" FROM system.runtime.queries WHERE state <> 'FINISHED' AND coalesce(source, '') <> '{SOURCE}'",
            within,
        )
        return tuple(
            QuerySummary(query_id, state, user, group or "", _utc(created), _utc(ended) if ended else None, error, kind)
            for query_id, state, user, group, created, ended, error, kind in rows
        )

    def query(self, statement: str) -> QueryHandle:
        """Return a statement ready to run; nothing is sent before its rows are asked for."""
        url = urlsplit(self.target)
        secure = url.scheme == "https"
        auth = None
        if self._settings.password is not None:
            auth = BasicAuthentication(self._settings.user, resolve_secret(self._settings.password))
        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host=url.hostname or "",
            port=url.port or (443 if secure else 8080),
            http_scheme=url.scheme,
            user=self._settings.user,
            auth=auth,
            source=SOURCE,
            catalog=self._settings.catalog,
            schema=self._settings.db_schema,
            request_timeout=self._timeout,
            max_attempts=1,
        )
        return QueryHandle(self, connection, statement.strip().rstrip(";"))

    def fetch(self, statement: str, within: float) -> list[tuple[Any, ...]]:
        """Run a small statement and return its rows.

        Args:
            statement: One that gives few rows.
            within: Seconds after which it is cancelled.

        Raises:
            TimedOut: It did not finish; it has been cancelled in the server.
            ClientError: It failed.
        """
        handle = self.query(statement)
        rows: list[tuple[Any, ...]] = []
        failed: list[ClientError] = []
        done = Event()

        def run() -> None:
            try:
                for batch in handle.batches():
                    rows.extend(batch)
            except ClientError as error:
                failed.append(error)
            finally:
                done.set()

        Thread(target=run, name="trino-fetch", daemon=True).start()
        if not done.wait(within):
            progress = handle.progress()
            handle.cancel()
            state = f", it is {progress.state.lower()}" if progress else ""
            raise TimedOut(f"trino {self.target}: the query did not finish within {within:g} s{state}")
        if failed:
            raise failed[0]
        return rows

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise our own errors in place of the driver's."""
        where = f"trino {self.target}"
        try:
            yield
        except trino.exceptions.TrinoQueryError as error:
            raise QueryFailed(_said(error)) from error
        except trino.exceptions.TrinoAuthError as error:
            raise AuthenticationFailed(f"{where}: {line(error)}") from error
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise TimedOut(f"{where}: no answer within {self._timeout:g} s") from error
        except requests.exceptions.JSONDecodeError as error:
            raise BadAnswer(f"{where}: the answer is not Trino's: {line(error)}") from error
        except (requests.exceptions.ConnectionError, trino.exceptions.TrinoConnectionError) as error:
            raise self._no_connection(error) from error
        except trino.exceptions.HttpError as error:
            text = line(error)
            kind = AuthenticationFailed if "401" in text else PermissionDenied if "403" in text else BadAnswer
            raise kind(f"{where}: {text}") from error
        except (trino.exceptions.Error, requests.exceptions.RequestException) as error:
            raise BadAnswer(f"{where}: {line(error)}") from error
        except (AttributeError, KeyError, ValueError, TypeError) as error:
            raise BadAnswer(f"{where}: the answer is not Trino's: {line(error)}") from error

    def _no_connection(self, error: BaseException) -> ClientError:
        chain: list[BaseException] = [error]
        while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
            chain.append(inner)
        if any(isinstance(e, requests.exceptions.Timeout | TimeoutError) for e in chain):
            return TimedOut(f"trino {self.target}: no answer within {self._timeout:g} s")
        last = chain[-1]
        reason = last.strerror if isinstance(last, OSError) and last.strerror else line(last)
        return Unreachable(f"trino {self.target}: cannot be reached: {reason}")


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _said(error: trino.exceptions.TrinoQueryError) -> str:
    return f"{error.error_name}: {line(error.message)}"
