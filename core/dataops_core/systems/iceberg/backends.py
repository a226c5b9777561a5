"""Open catalogs without a REST server (SQL, Glue, Hive) with deadlines, and translate their libraries' errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, infer_catalog_type, load_catalog
from pyiceberg.exceptions import NotInstalledError

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    DataopsError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.reasons import line
from dataops_core.redaction import MASK, redacted
from dataops_core.units import duration

EXTRAS = {
    "boto3": "glue",
    "botocore": "glue",
    "psycopg": "postgres-catalog",
    "sqlalchemy": "sql-catalog",
    "thrift": "hive",
}
"""Modules that a catalog needs, with the extra that installs each."""
_SQL: tuple[tuple[tuple[str, ...], type[ClientError]], ...] = (
    (("password authentication failed", "access denied for user", "no password supplied"), AuthenticationFailed),
    (("permission denied", "command denied"), PermissionDenied),
    (("statement timeout", "timeout expired", "timed out"), TimedOut),
    (("no such table", "does not exist"), NotFound),
)
"""Words in the errors of databases, with the error class for them."""
_GLUE: Mapping[str, type[ClientError]] = {
    "AccessDeniedException": PermissionDenied,
    "EntityNotFoundException": NotFound,
    "ExpiredTokenException": AuthenticationFailed,
    "IncompleteSignatureException": AuthenticationFailed,
    "InvalidSignatureException": AuthenticationFailed,
    "MissingAuthenticationTokenException": AuthenticationFailed,
    "UnrecognizedClientException": AuthenticationFailed,
}
"""Error codes of Glue, with the error class for them."""
_NO_TABLES = "Create the catalog with its writer first, or correct `uri`."


def type_of(properties: Mapping[str, Any]) -> str:
    """Return the type of a catalog as PyIceberg does: the property `type`, or what `uri` implies; empty if neither."""
    if properties.get("py-catalog-impl"):
        return ""
    if given := properties.get("type"):
        return str(given).lower()
    try:
        inferred = infer_catalog_type("", dict(properties))
    except ValueError:
        return ""
    return inferred.value if inferred is not None else ""


def open_backend(name: str, where: str, timeout: float, properties: Mapping[str, Any]) -> Catalog:
    """Return a catalog that is not a REST catalog; each of its requests ends within the timeout.

    Args:
        name: The catalog's name.
        where: Its name in errors.
        timeout: Seconds of one request.
        properties: PyIceberg's properties, with secrets resolved.
    """
    given = dict(properties)
    kind = type_of(given)
    if kind == "sql" and given.get("uri"):
        return _sql(name, where, timeout, given)
    if kind == "hive" and given.get("uri"):
        return _hive(name, timeout, given)
    if kind == "glue":
        given = _glue(timeout, given)
    return load_catalog(name, **given)


def _sql(name: str, where: str, timeout: float, given: dict[str, Any]) -> Catalog:
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - needs an extra
    from sqlalchemy import Connection, NullPool, create_engine, event, make_url  # noqa: PLC0415 - as above

    class BoundedSqlCatalog(SqlCatalog):
        """A SQL catalog that never creates its tables, and reads in read-only transactions with a timeout."""

        def _init_catalog(self) -> None:
            self.engine = create_engine(given["uri"], poolclass=NullPool)  # a kept connection may be stale
            event.listen(self.engine, "begin", prepare)
            with self.engine.connect() as connection:  # PyIceberg takes any error of a database as missing tables
                connection.exec_driver_sql("SELECT 1 FROM iceberg_tables WHERE 1 = 0")
            super()._init_catalog()

    def prepare(connection: Connection) -> None:
        statements = {
            "postgresql": ("SET TRANSACTION READ ONLY", f"SET LOCAL statement_timeout = {max(1, int(timeout * 1000))}"),
            "sqlite": ("PRAGMA query_only = ON",),
        }
        for statement in statements.get(connection.dialect.name, ()):
            connection.exec_driver_sql(statement)

    url = make_url(given["uri"])
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        if not Path(url.database).is_file():
            raise NotFound(f"{where}: the file {url.database} does not exist")  # SQLite would create it
    elif url.get_backend_name() == "postgresql" and url.get_driver_name() in ("psycopg", "psycopg2"):
        seconds = str(max(2, round(timeout)))  # libpq waits for two seconds at least
        limits = {"connect_timeout": seconds, "tcp_user_timeout": str(int(timeout * 1000))}
        url = url.update_query_dict({key: value for key, value in limits.items() if key not in url.query})
    given["uri"] = url.render_as_string(hide_password=False)
    given["init_catalog_tables"] = "false"
    given.pop("schema_version", None)  # it would change the tables
    return BoundedSqlCatalog(name, **given)


def _glue(timeout: float, given: dict[str, Any]) -> dict[str, Any]:
    from botocore.config import Config  # noqa: PLC0415 - needs an extra
    from botocore.session import Session  # noqa: PLC0415 - as above

    profile = given.get("glue.profile-name") or given.get("client.profile-name")
    session = Session(profile=profile)
    session.set_default_client_config(Config(connect_timeout=timeout, read_timeout=timeout))
    given["botocore_session"] = session
    given.setdefault("glue.max-retries", 0)
    return given


def _hive(name: str, timeout: float, given: dict[str, Any]) -> Catalog:
    from pyiceberg.catalog.hive import (  # noqa: PLC0415 - needs an extra
        HIVE_KERBEROS_AUTH,
        HIVE_KERBEROS_SERVICE_NAME,
        HIVE_KERBEROS_SERVICE_NAME_DEFAULT,
        HiveCatalog,
        _HiveClient,
    )
    from thrift.transport import TSocket, TTransport  # noqa: PLC0415 - as above

    class BoundedClient(_HiveClient):
        """A client whose socket has a timeout."""

        def _init_thrift_transport(self) -> Any:  # noqa: ANN401 - thrift has no types
            host, _, port = self._uri.partition("://")[2].partition("/")[0].rpartition(":")
            socket = TSocket.TSocket(host, int(port))
            socket.setTimeout(timeout * 1000)
            if not self._kerberos_auth:
                return TTransport.TBufferedTransport(socket)
            return TTransport.TSaslClientTransport(socket, host=host, service=self._kerberos_service_name)

    class BoundedHiveCatalog(HiveCatalog):
        """A Hive catalog with a timeout for each request."""

        @staticmethod
        def _create_hive_client(properties: dict[str, str]) -> _HiveClient:
            return BoundedClient(
                properties["uri"].split(",")[0],
                properties.get("ugi"),
                str(properties.get(HIVE_KERBEROS_AUTH, "")).lower() == "true",
                properties.get(HIVE_KERBEROS_SERVICE_NAME, HIVE_KERBEROS_SERVICE_NAME_DEFAULT),
            )

    return BoundedHiveCatalog(name, **given)


@contextmanager
def backend_errors(where: str, timeout: float, secrets: Callable[[], tuple[str, ...]]) -> Iterator[None]:
    """Translate the errors of SQLAlchemy, botocore and thrift; others pass.

    Args:
        where: Starts the message.
        timeout: Seconds of one request, for the message.
        secrets: Returns texts to mask in the message.
    """
    try:
        yield
    except DataopsError:
        raise
    except (ModuleNotFoundError, NotInstalledError) as error:
        raise _missing(where, error) from error
    except Exception as error:
        translate = {"sqlalchemy": _sql_error, "botocore": _glue_error, "thrift": _hive_error}
        package = type(error).__module__.partition(".")[0]
        if package == "hive_metastore":
            raise BadAnswer(f"{where}: {_masked(getattr(error, 'message', None) or error, secrets())}") from None
        if package not in translate:
            raise
        result = translate[package](where, error, secrets())
        if isinstance(result, TimedOut):
            result = TimedOut(f"{where}: no response within {duration(timeout, precise=True)}")
        raise result from None  # the cause may show the password


def _missing(where: str, error: BaseException) -> ConfigError:
    cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
    module = (getattr(cause, "name", None) or "").partition(".")[0]
    if module in EXTRAS:
        return ConfigError(f"{where}: {module} is not installed", hint=f"pip install 'dataops-tui[{EXTRAS[module]}]'")
    if not module:
        return ConfigError(f"{where}: {line(error)}")
    return ConfigError(f"{where}: {module} is not installed", hint=f"pip install {module}")


def _sql_error(where: str, error: Any, secrets: tuple[str, ...]) -> DataopsError:  # noqa: ANN401 - of an extra
    name = type(error).__name__
    if name == "ArgumentError":  # the text contains the URL
        return ConfigError(f"{where}: uri is not a SQLAlchemy URL")
    if name == "NoSuchModuleError":
        dialect = line(error).rpartition(":")[2]
        return ConfigError(f"{where}: SQLAlchemy has no dialect {dialect}", hint="install the package that provides it")
    text = _masked(getattr(error, "orig", None) or error, secrets)
    kind = next((kind for words, kind in _SQL if any(word in text.lower() for word in words)), None)
    if kind is NotFound and "iceberg_tables" in text:
        return NotFound(f"{where}: the database has no table iceberg_tables", hint=_NO_TABLES)
    if kind is None:
        kind = Unreachable if name in ("OperationalError", "InterfaceError") else BadAnswer
    return kind(f"{where}: {text}")


def _glue_error(where: str, error: Any, secrets: tuple[str, ...]) -> DataopsError:  # noqa: ANN401 - of an extra
    name, text = type(error).__name__, _masked(error, secrets)
    if name in ("ConnectTimeoutError", "ReadTimeoutError"):
        return TimedOut(f"{where}: {text}")
    if name in (
        "EndpointConnectionError",
        "ConnectionClosedError",
        "HTTPClientError",
        "ProxyConnectionError",
        "SSLError",
    ):
        return Unreachable(f"{where}: {text}")
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return AuthenticationFailed(
            f"{where}: no AWS credentials", hint="set glue.access-key-id and glue.secret-access-key, or an AWS profile"
        )
    if name in ("NoRegionError", "ProfileNotFound", "InvalidRegionError"):
        return ConfigError(f"{where}: {text}", hint="set glue.region or glue.profile-name in the catalog's properties")
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # a ClientError of botocore
        details = response.get("Error") or {}
        code = str(details.get("Code"))
        message = _masked(details.get("Message") or text, secrets)
        return _GLUE.get(code.partition(":")[0], BadAnswer)(f"{where}: {code}: {message}")
    return BadAnswer(f"{where}: {text}")


def _hive_error(where: str, error: Any, secrets: tuple[str, ...]) -> DataopsError:  # noqa: ANN401 - of an extra
    text = _masked(getattr(error, "message", None) or error, secrets)
    if type(error).__name__ == "TTransportException":
        if "timed out" in text or "timeout" in text or getattr(error, "type", None) == 3:
            return TimedOut(f"{where}: {text}")
        return Unreachable(f"{where}: {text}")
    return BadAnswer(f"{where}: the response is not from a Hive metastore: {text}")


def _masked(error: object, secrets: tuple[str, ...]) -> str:
    text = line(error)
    for secret in secrets:
        text = text.replace(secret, MASK)
    return redacted(text)
