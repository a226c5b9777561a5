"""Query a database through SQLAlchemy: one row, in a read-only transaction, within a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    DataopsError,
    PermissionDenied,
    QueryFailed,
    TimedOut,
    Unreachable,
)
from dataops_core.reasons import line
from dataops_core.redaction import MASK, redacted
from dataops_core.systems.sql.settings import DatabaseSettings
from dataops_core.units import duration

T = TypeVar("T")

COLUMNS = 50
"""Maximum number of columns."""
CANCEL = 1.0
"""Seconds to wait for the end of a cancelled query."""
_WORDS: tuple[tuple[tuple[str, ...], type[ClientError]], ...] = (
    (("password authentication failed", "access denied for user", "no password supplied"), AuthenticationFailed),
    (("permission denied", "command denied", "insufficient privilege"), PermissionDenied),
    (("statement timeout", "maximum statement execution time", "interrupted"), TimedOut),
)
"""Words in drivers' error texts, with the error class for them."""


class DatabaseClient:
    """A database; safe to share between threads, one query at a time. Each method raises DataopsError.

    Args:
        name: The component's name.
        settings: URL of the database.
        timeout: Deadline of connection and query together, in seconds.
    """

    def __init__(self, name: str, settings: DatabaseSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = redacted(settings.url) if isinstance(settings.url, str) else f"database {name}"
        self.where = f"database {name}"
        self._settings = settings
        self._timeout = timeout
        self._querying, self._pinging = threading.Lock(), threading.Lock()

    def ping(self) -> tuple[str, str]:
        """Return dialect and version of the server."""

        def version_of(connection: Any) -> tuple[str, str]:  # noqa: ANN401 - SQLAlchemy is imported at its first use
            self._rows(connection, "SELECT 1")
            version = connection.dialect.server_version_info or ()
            return str(connection.dialect.name), ".".join(map(str, version))

        return self._within(version_of, self._pinging)

    def row(self, query: str) -> dict[str, object]:
        """Return the only row of a query by lower-case column names."""
        return self._within(lambda connection: self._rows(connection, query), self._querying)

    def _within(self, ask: Callable[[Any], T], busy: threading.Lock) -> T:
        """Run a function in a thread, because drivers have no deadline; cancel a query that is late."""
        if not busy.acquire(timeout=self._timeout):
            raise TimedOut(f"{self.where}: an earlier query is still running")
        done: list[T] = []
        failed: list[BaseException] = []
        opened: list[Any] = []
        ended = threading.Event()

        def work() -> None:
            try:
                done.append(self._connected(ask, opened))
            except BaseException as error:  # noqa: BLE001 - raised in the calling thread
                failed.append(error)
            finally:
                busy.release()
                ended.set()

        threading.Thread(target=work, name=self.where, daemon=True).start()
        if not ended.wait(self._timeout):
            for connection in opened:
                _cancel(connection)
            ended.wait(CANCEL)
            raise TimedOut(f"{self.where}: no response within {duration(self._timeout, precise=True)}")
        if failed:
            raise failed[0]
        return done[0]

    def _connected(self, ask: Callable[[Any], T], opened: list[Any]) -> T:
        try:
            from sqlalchemy import create_engine, exc, make_url  # noqa: PLC0415 - an extra, and heavy
            from sqlalchemy.pool import NullPool  # noqa: PLC0415 - as above
        except ModuleNotFoundError:
            raise ConfigError(
                f"{self.where}: SQLAlchemy is not installed", hint="pip install 'dataops-tui[databases]'"
            ) from None

        text = resolve_secret(self._settings.url, f"databases.{self.name}.url")
        try:
            url = make_url(text)
            engine = create_engine(url, poolclass=NullPool)
        except exc.NoSuchModuleError as error:
            raise ConfigError(
                f"{self.where}: SQLAlchemy has no dialect {line(error).rpartition(':')[2]}",
                hint="install the package that provides it",
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigError(f"{self.where}: the driver {error.name} is not installed", hint="install it") from None
        except (exc.ArgumentError, ValueError):  # the error text contains the URL
            raise ConfigError(f"{self.where}: url is not a SQLAlchemy URL") from None
        secret = url.password or ""
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).is_file():
            raise Unreachable(f"{self.where}: the file {url.database} does not exist")  # SQLite would create it
        try:
            with engine.connect() as connection:
                opened.append(connection)
                try:
                    _read_only(connection, self._timeout)
                    return ask(connection)
                except exc.DBAPIError as error:
                    raise self._error(error, secret, QueryFailed) from None
                finally:
                    connection.rollback()
        except exc.DBAPIError as error:
            raise self._error(error, secret, Unreachable) from None
        except exc.SQLAlchemyError as error:
            raise BadAnswer(f"{self.where}: {_without(line(error), secret)}") from None
        finally:
            engine.dispose()

    def _rows(self, connection: Any, query: str) -> dict[str, object]:  # noqa: ANN401 - as above
        # without parameters, a `%` in the query is not a placeholder
        result = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
        names = [str(name).lower() for name in result.keys()]  # noqa: SIM118 - no mapping
        rows = result.fetchmany(2)
        if len(rows) != 1:
            raise BadAnswer(f"{self.where}: the query returns {'no row' if not rows else 'more than one row'}")
        if len(names) > COLUMNS or len(set(names)) < len(names):
            raise BadAnswer(f"{self.where}: the query returns more than {COLUMNS} columns, or two of one name")
        return dict(zip(names, rows[0], strict=True))

    def _error(self, error: Any, secret: str, otherwise: type[ClientError]) -> DataopsError:  # noqa: ANN401 - as above
        text = _without(line(error.orig if error.orig is not None else error), secret)
        kind = next((kind for words, kind in _WORDS if any(word in text.lower() for word in words)), otherwise)
        return kind(f"{self.where}: {text}")


def _read_only(connection: Any, timeout: float) -> None:  # noqa: ANN401 - a connection of SQLAlchemy
    """Make the connection read-only and set a statement timeout, if the database supports it."""
    milliseconds = max(1, int(timeout * 1000))
    statements = {
        "postgresql": ("SET TRANSACTION READ ONLY", f"SET LOCAL statement_timeout = {milliseconds}"),
        "mysql": (f"SET SESSION MAX_EXECUTION_TIME = {milliseconds}", "SET SESSION TRANSACTION READ ONLY", "COMMIT"),
        "mariadb": (f"SET SESSION max_statement_time = {timeout:g}", "SET SESSION TRANSACTION READ ONLY", "COMMIT"),
        "sqlite": ("PRAGMA query_only = ON",),
    }
    for statement in statements.get(connection.dialect.name, ()):
        connection.exec_driver_sql(statement)


def _cancel(connection: Any) -> None:  # noqa: ANN401 - as above
    """Cancel the query of a connection, if its driver can do it from another thread."""
    with suppress(Exception):  # the deadline is reported anyway
        raw = connection.connection.dbapi_connection
        for name in ("interrupt", "cancel"):
            if hasattr(raw, name):
                getattr(raw, name)()
                return


def _without(text: str, secret: str) -> str:
    return redacted(text.replace(secret, MASK) if secret else text)
