"""Client of an Iceberg catalog and of the store of its tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from dataops_core.config import resolve_secret, without_user_info
from dataops_core.errors import ConfigError, NotFound, TimedOut
from dataops_core.reasons import line
from dataops_core.systems.iceberg import files as iceberg_files
from dataops_core.systems.iceberg import sdk
from dataops_core.systems.iceberg import table as iceberg_table
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.iceberg.store import store_error
from dataops_core.transport import deadlines
from dataops_core.transport.tls import tls_context
from dataops_core.transport.worker import StillRunning, call_within
from dataops_core.units import duration

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyiceberg.catalog import Catalog

    from dataops_core.systems.iceberg.files import FileWatch
    from dataops_core.systems.iceberg.table import TableState

T = TypeVar("T")
_SECRET = re.compile(r"secret|token|password|credential")


class CatalogClient:
    """An Iceberg catalog; safe to share between threads.

    Args:
        name: The catalog's name.
        settings: PyIceberg's properties for it.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: CatalogSettings, timeout: float = 8.0) -> None:
        self.name = name
        uri = settings.properties.get("uri")
        self.target = without_user_info(uri) if isinstance(uri, str) and "${" not in uri else name
        warehouse = settings.properties.get("warehouse")
        self.warehouse = warehouse if isinstance(warehouse, str) and "://" in warehouse else None
        """Location of the tables, if the settings name an object store or file system."""
        self._settings = settings
        self._timeout = timeout
        self._lock, self._busy = Lock(), Lock()
        self._catalog: Catalog | None = None
        self._watches: dict[str, FileWatch] = {}

    def ping(self) -> int:
        """Return the number of namespaces; raise ClientError."""
        return self._call(lambda catalog: len(catalog.list_namespaces()))

    def store(self) -> None:
        """Check that the warehouse exists in the object store or file system.

        Raises:
            NotFound: The warehouse does not exist.
            ClientError: It does not respond, or denies access.
        """
        if self.warehouse is None:
            raise NotFound(f"catalog {self.name}: the settings set no object store warehouse")
        endpoint = self._settings.properties.get("s3.endpoint")
        where = f"store {self.warehouse}" + (f" at {endpoint}" if isinstance(endpoint, str) else "")
        try:
            filesystem, path = self.filesystem(self.warehouse)
            result = filesystem.get_file_info(path)
        except OSError as error:
            raise store_error(where, error) from error
        if result.type is sdk.FileType.NotFound:
            raise NotFound(
                f"{where}: no such bucket or folder",
                hint="Create the bucket or folder, or correct `warehouse` in the catalog's properties.",
            )

    def filesystem(self, location: str) -> tuple[FileSystem, str]:
        """Return the file system of a location, with the catalog's credentials, and the path in it.

        Raises:
            ConfigError: A secret cannot be read, or there is no file system for such a location.
        """
        properties = {key: resolve_secret(value) for key, value in self._settings.properties.items()}
        properties.setdefault("s3.connect-timeout", f"{self._timeout:g}")
        properties.setdefault("s3.request-timeout", f"{self._timeout:g}")
        scheme, netloc, path = sdk.KeptFileIO.parse_location(location)
        try:
            return sdk.KeptFileIO(properties).fs_by_scheme(scheme, netloc), path
        except ValueError as error:
            raise ConfigError(f"{location}: {line(error)}") from error

    def table(
        self, identifier: str, progress_column: str | None = None, *, small: float = 0.0, check: int = 0
    ) -> TableState:
        """Return a table's state; raise NotFound or another ClientError.

        Args:
            identifier: `namespace.table`.
            progress_column: Timestamp column whose upper bound is read if the commits have no stamp.
            small: Bytes below which a data file is small.
            check: Number of data files to check in the store, in rotation.
        """
        watch = self._watches.setdefault(identifier, iceberg_files.FileWatch())

        def state(catalog: Catalog) -> TableState:
            return iceberg_table.table_state(
                catalog.load_table(identifier), identifier, progress_column, small, watch, check
            )

        return self._call(state)

    def records_added(self, identifier: str) -> int:
        """Return the rows added to a table within `RECENT`; raise NotFound or another ClientError."""
        return self._call(lambda catalog: iceberg_table.records_added(catalog.load_table(identifier)))

    def ask(self, question: Callable[[Catalog], T]) -> T:
        """Return the result of a function of the catalog; raise ClientError."""
        return self._call(question)

    def holds(self, identifier: str, where: str) -> bool:
        """Return whether a table has a row. Files are skipped if their statistics exclude it.

        Args:
            identifier: `namespace.table`.
            where: A condition in PyIceberg's syntax, such as `id = 'x'`.

        Raises:
            QueryFailed: The condition is invalid, or does not fit the table.
            ClientError: The catalog or the store is unavailable, or returns an invalid response.
        """
        condition = iceberg_table.condition(where)
        return self._call(lambda catalog: iceberg_table.holds(catalog.load_table(identifier), condition))

    def _call(self, ask: Callable[[Catalog], T]) -> T:
        where = f"catalog {self.name}" + (f" {self.target}" if self.target != self.name else "")
        if not self._is_rest():
            return self._call_backend(where, ask)
        with sdk.errors(where), deadlines.within(deadlines.LISTING * self._timeout):
            try:
                return ask(self._open())
            except sdk.LOGGED_OUT:
                # the token has expired, or the catalog has restarted: log in again with the current secret
                with self._lock:
                    self._catalog = None
                return ask(self._open())

    def _is_rest(self) -> bool:
        properties = self._settings.properties
        keys = ("type", "py-catalog-impl") if "type" in properties else ("uri", "py-catalog-impl")
        return sdk.type_of({key: resolve_secret(properties[key]) for key in keys if key in properties}) == "rest"

    def _call_backend(self, where: str, ask: Callable[[Catalog], T]) -> T:
        """Call a function of a catalog whose library may keep no deadline by itself, in a thread of its own."""
        seconds = deadlines.LISTING * self._timeout
        with sdk.errors(where), sdk.backend_errors(where, self._timeout, self._secrets):
            try:
                return call_within(lambda: ask(self._open()), seconds, self._busy, where)
            except StillRunning as error:
                raise TimedOut(f"{where}: {line(error)}") from error
            except TimeoutError as error:
                raise TimedOut(f"{where}: no response within {duration(seconds, precise=True)}") from error

    def _secrets(self) -> tuple[str, ...]:
        given = self._settings.properties.items()
        return tuple(resolve_secret(value) for key, value in given if _SECRET.search(key))

    def _open(self) -> Catalog:
        with self._lock:
            if self._catalog is None:
                properties: dict[str, Any] = {
                    key: resolve_secret(value) for key, value in self._settings.properties.items()
                }
                properties.setdefault("py-io-impl", f"{sdk.KeptFileIO.__module__}.{sdk.KeptFileIO.__name__}")
                properties.setdefault("s3.connect-timeout", f"{self._timeout:g}")
                properties.setdefault("s3.request-timeout", f"{self._timeout:g}")
                if (tls := self._tls()) is not None:
                    properties["ssl"] = tls
                self._catalog = sdk.open_catalog(self.name, self._timeout, properties)
            return self._catalog

    def _tls(self) -> dict[str, Any] | None:
        """Return the certificates in the form of PyIceberg's property `ssl`."""
        if (tls := self._settings.tls) is None:
            return None
        tls_context(tls, f"catalog {self.name}")  # with a clearer error than PyIceberg's
        key = tls.key_file or tls.cert_file
        return {
            **({"cabundle": tls.ca_file} if tls.ca_file else {}),
            **({"client": {"cert": tls.cert_file, "key": key}} if tls.cert_file else {}),
        }
