"""Client of a Trino coordinator: its state, and SQL with live progress and cancel."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import trino

from dataops_core.bounded import Malformed
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    NoWorkers,
    PermissionDenied,
    QueryFailed,
    TimedOut,
)
from dataops_core.reasons import line
from dataops_core.systems.trino.driver import Connection, authentication, user_of_credentials
from dataops_core.systems.trino.responses import (
    Node,
    QueryDetail,
    QueryProgress,
    ServerQuery,
    TrinoInfo,
    read_detail,
    read_failure,
    read_http_error,
    read_info,
    read_nodes,
    read_progress,
    read_queries,
)
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.systems.trino.stopping import stop_all
from dataops_core.transport import deadlines
from dataops_core.transport.http import refusal
from dataops_core.transport.kerberos import KerberosTicket
from dataops_core.transport.oauth import OauthToken
from dataops_core.transport.session import WebSession
from dataops_core.units import duration

SOURCE = "dataops"
"""Source name of our queries."""
BEHIND_A_PROXY = (
    "behind a proxy, set http-server.process-forwarded=true in Trino; or put the final address in trino.url"
)
RESPONSE_BYTES = 64 * 2**20
"""Maximum bytes of one response. Trino fills a response with about 1 MiB and never splits a row."""
FETCHED_BYTES = 64 * 2**20
"""Maximum bytes of all responses to a small statement."""
STATE_WITHIN = 2.0
"""Deadline in seconds to find out why a statement is late, and to cancel it."""
WORKERS_WITHIN = 2.0
"""Seconds within which a statement without a table must end. Otherwise there are no workers."""
BATCH = 500
"""Rows per batch."""


class QueryHandle:
    """A running statement: one thread reads it, others watch and cancel it."""

    def __init__(self, client: TrinoClient, connection: trino.dbapi.Connection, statement: str) -> None:
        self.statement = statement
        self._client = client
        self._connection = connection
        self._cursor = connection.cursor()
        self.columns: tuple[tuple[str, str], ...] = ()
        """Names and types of the columns; set when `batches()` yields its first batch, or ends."""
        self.cancelled = False
        self._ended = Event()

    @property
    def query_id(self) -> str | None:
        """Trino's id of the query; `None` before it is submitted."""
        query_id: str | None = self._cursor.query_id
        return query_id

    @property
    def update_type(self) -> str | None:
        """Type of a statement without rows, such as `INSERT` or `CREATE TABLE`."""
        update_type: str | None = self._cursor.update_type
        return update_type

    @property
    def update_count(self) -> int | None:
        """Number of changed rows, or `None` if Trino does not report it."""
        count = self._cursor.rowcount
        return count if isinstance(count, int) and count >= 0 else None

    def batches(self) -> Generator[list[tuple[Any, ...]]]:
        """Run the statement and yield its rows, a few hundred at a time.

        Raises:
            QueryFailed: Trino rejected it or it failed; the message has the position in the statement.
            ClientError: Trino does not respond.
        """
        with self._client.errors():
            if self._client.closed:
                raise QueryFailed("the statement was not started: the connection is being closed")
            self._client.running.add(self)
            try:
                self._cursor.execute(self.statement)
                self.columns = tuple((c.name, c.type_code) for c in self._cursor.description or ())
                while rows := self._cursor.fetchmany(BATCH):
                    batch = [tuple(row) for row in rows]
                    if any(len(row) != len(self.columns) for row in batch):
                        raise ValueError("it has a row with more or fewer values than columns")
                    yield batch
                    if self.cancelled:
                        return
            finally:
                self._client.running.discard(self)
                self._ended.set()
                self._connection.close()  # type: ignore[no-untyped-call]

    def progress(self) -> QueryProgress | None:
        """Return its progress; `None` before the first response."""
        return read_progress(self._cursor.stats)

    def cancel(self) -> None:
        """Cancel it in the server; raise ClientError."""
        self.cancelled = True
        with self._client.errors():
            self._cursor.cancel()

    def stop(self, within: float = 3.0) -> None:
        """Cancel it repeatedly until its reader has ended; one cancel fails while it is being submitted.

        Args:
            within: Deadline in seconds.

        Raises:
            TimedOut: It may still run in the server.
        """
        self.cancelled = True
        deadline = deadlines.Deadline(within)
        failure: ClientError | None = None
        while not self._ended.is_set() and not deadline.passed:
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
        settings: Address and credentials.
        timeout: Deadline of each HTTP request, in seconds; a query may run longer.
        name: The component's name, for errors.
    """

    def __init__(self, settings: TrinoSettings, timeout: float = 8.0, name: str = "trino") -> None:
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout
        self._name = name
        self._shared: OauthToken | KerberosTicket | None = None
        if settings.oauth is not None:
            self._shared = OauthToken(settings.oauth, f"{name}.oauth", timeout)
        elif settings.kerberos is not None:
            self._shared = KerberosTicket(settings.kerberos, self.target, f"{name}.kerberos", timeout)
        self.running: set[QueryHandle] = set()
        """Statements whose rows are being read."""
        self.closed = False

    def close(self, within: float) -> list[str]:
        """Cancel all running statements, and start no further ones.

        Args:
            within: Deadline in seconds.

        Returns:
            One line for each statement that may still run in the server.
        """
        self.closed = True
        return stop_all(list(self.running), within)

    def info(self) -> TrinoInfo:
        """Return version and state of the coordinator; raise ClientError."""
        with self.errors():
            with self._session() as session:
                answer = session.get(f"{self.target}/v1/info", timeout=self._timeout)
            error = refusal(f"trino {self.target}", answer.status_code, answer.content)
            if error is not None:
                raise error
            return read_info(answer.json())

    def sign_in(self) -> None:
        """Fetch the token of OAuth 2 or the ticket of Kerberos, if one is used and not kept; raise DataopsError."""
        if isinstance(self._shared, KerberosTicket):
            self._shared.check()
        if self._shared is not None:
            self._shared.current()

    def nodes(self, within: float) -> tuple[Node, ...]:
        """Return the registered nodes; raise ClientError."""
        rows = self.fetch("SELECT node_id, coordinator, state FROM system.runtime.nodes", within)
        with self.errors():
            return read_nodes(rows)

    def query(self, statement: str) -> QueryHandle:
        """Return a statement ready to run; it is sent when its rows are read."""
        url = urlsplit(self.target)
        secure = url.scheme == "https"
        connection = Connection(
            host=url.hostname or "",
            port=url.port or (443 if secure else 80),
            http_scheme=url.scheme,
            user=self._settings.user,
            auth=authentication(self._settings, self._shared),
            http_session=self._session(),
            source=SOURCE,
            catalog=self._settings.catalog,
            schema=self._settings.db_schema,
            request_timeout=self._timeout,
            max_attempts=1,
        )
        return QueryHandle(self, connection, statement.strip().rstrip(";"))

    def queries(self) -> tuple[ServerQuery, ...]:
        """Return the queries that Trino keeps and that we may view, newest first; raise ClientError.

        This is a request to the coordinator and not a query, so it works even if the queue is full.
        """
        with self.errors():
            return read_queries(self._ask("GET", "/v1/query").json())

    def query_detail(self, query_id: str) -> QueryDetail:
        """Return one query in full; raise NotFound if Trino no longer keeps it, or another ClientError."""
        with self.errors():
            return read_detail(self._ask("GET", f"/v1/query/{quote(query_id)}?pruned=true").json())

    def kill(self, query_id: str, message: str) -> None:
        """Kill a query, with a message for its user.

        Raises:
            NotFound: Trino no longer keeps it.
            QueryFailed: It has already ended.
            ClientError: Trino does not respond, or denies permission.
        """
        with self.errors():
            answer = self._ask("PUT", f"/v1/query/{quote(query_id)}/killed", message)
            if answer.content.strip():  # Trino's response has no body; a sign-in page has one
                raise BadAnswer(f"trino {self.target}: the response is not from Trino, so the query may still run")

    def _ask(self, method: str, path: str, body: str | None = None) -> requests.Response:
        with self._session() as session:
            if (auth := authentication(self._settings, self._shared)) is not None:
                auth.set_http_session(session)
            answer = session.request(
                method,
                self.target + path,
                data=body,
                headers={"X-Trino-User": self._settings.user, "X-Trino-Source": SOURCE, "Content-Type": "text/plain"},
                timeout=self._timeout,
            )
        if (user := user_of_credentials(answer)) is not None:
            raise AuthenticationFailed(
                f"trino {self.target}: our credentials are those of user {line(user)}, not of {self._settings.user}",
                hint=f"correct {self._name}.user, or set a user-mapping.pattern in Trino",
            )
        match answer.status_code:
            case 403:
                raise PermissionDenied(f"trino {self.target}: {self._settings.user} has no permission to do that")
            case 404 | 410:
                raise NotFound(f"trino {self.target}: Trino no longer keeps the query")
            case 409:
                raise QueryFailed("the query has already ended")
            case status:
                error = refusal(f"trino {self.target}", status, answer.content)
        if error is not None:
            raise error
        return answer

    def _session(self) -> requests.Session:
        return WebSession(
            f"trino {self.target}", self.target, self._settings.tls, most_bytes=RESPONSE_BYTES, hint=BEHIND_A_PROXY
        )

    def fetch(self, statement: str, within: float) -> list[tuple[Any, ...]]:
        """Run a small statement and return its rows.

        Args:
            statement: A statement with few rows.
            within: Seconds after which it is cancelled.

        Raises:
            TimedOut: It did not finish; it was cancelled in the server.
            NoWorkers: The same, and no other statement gets workers.
            ClientError: It failed.
        """
        fetching = _Fetching(self, statement, within)
        spare = min(WORKERS_WITHIN, within / 4)
        if fetching.done.wait(within - spare):
            return fetching.result()
        state, workers = None, True
        with deadlines.within(min(STATE_WITHIN, self._timeout)), suppress(ClientError):
            state = self._state(fetching.handle)
            # Trino is also in this state while it analyses a statement with the catalog
            if state == "WAITING_FOR_RESOURCES":
                workers = _Fetching(self, "SELECT 1", spare).ended(spare)
        if fetching.ended(0.0 if state == "WAITING_FOR_RESOURCES" else spare):
            return fetching.result()
        late = f"trino {self.target}: the query did not finish within {duration(within, precise=True)}"
        if not workers:
            raise NoWorkers(f"{late}, it waits for workers")
        if state == "WAITING_FOR_RESOURCES":
            raise TimedOut(f"{late}, it waits for its catalog")
        raise TimedOut(f"{late}, it is {state.lower()}" if state else late)

    def _state(self, handle: QueryHandle) -> str | None:
        progress = handle.progress()
        if progress is None or progress.state != "QUEUED" or handle.query_id is None:
            return progress.state if progress else None
        try:  # the responses of a statement report QUEUED until it starts; the coordinator reports the exact state
            return self.query_detail(handle.query_id).query.state
        except ClientError:
            return progress.state

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the driver's errors."""
        where = f"trino {self.target}"
        try:
            yield
        except trino.exceptions.TrinoQueryError as error:
            raise QueryFailed(read_failure(error._error)) from error  # noqa: SLF001 - its properties fail on other types
        except trino.exceptions.TrinoAuthError as error:
            raise AuthenticationFailed(f"{where}: {line(error)}") from error
        except trino.exceptions.HttpError as error:
            status, body = read_http_error(error)
            raise refusal(where, status, body) or BadAnswer(f"{where}: {line(error)}") from error
        except (trino.exceptions.Error, requests.exceptions.RequestException) as error:
            raise BadAnswer(f"{where}: {line(error)}") from error
        except (AttributeError, LookupError, ValueError, TypeError, AssertionError, RecursionError) as error:
            reason = f"it {error}" if isinstance(error, Malformed) else line(error)
            raise BadAnswer(f"{where}: the response is not from Trino: {reason}") from error
        except ArithmeticError as error:  # the driver rounds the last valid timestamp beyond the range
            raise BadAnswer(f"{where}: a value of the response cannot be stored: {line(error)}") from error


class _Fetching:
    """A small statement whose rows are being fetched."""

    def __init__(self, client: TrinoClient, statement: str, within: float) -> None:
        self.handle = client.query(statement)
        self.done = Event()
        self._within = within
        self._target = client.target
        self._rows: list[tuple[Any, ...]] = []
        self._failed: ClientError | None = None
        Thread(target=self._run, name="trino-fetch", daemon=True).start()

    def ended(self, within: float) -> bool:
        """Return whether it ended in time; otherwise cancel it in the server."""
        if not self.done.wait(within):
            with deadlines.within(STATE_WITHIN), suppress(ClientError):
                self.handle.cancel()
            return False
        return True

    def result(self) -> list[tuple[Any, ...]]:
        """Return the rows; raise ClientError."""
        if self._failed is not None:
            raise self._failed
        return self._rows

    def _run(self) -> None:
        try:
            # stop polling a server that ignores our cancel
            with deadlines.within(self._within + 2 * STATE_WITHIN, FETCHED_BYTES):
                for batch in self.handle.batches():
                    self._rows.extend(batch)
        except ClientError as error:
            self._failed = error
        except Exception as error:  # noqa: BLE001 - a partly read response must not look empty
            self._failed = BadAnswer(f"trino {self._target}: {type(error).__name__}: {line(error)}")
        finally:
            self.done.set()
