"""Use PyIceberg and Arrow with deadlines, and translate their errors.

Their import takes longer than most requests, so this module is loaded at its first use (`lazy_imports`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.rest.auth import AUTH_MANAGER, AuthManager
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
from pyiceberg.io import S3_SIGNER, FileIO, load_file_io
from pyiceberg.typedef import EMPTY_DICT, Properties

from dataops_core.config import without_user_info
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    DataopsError,
    NotFound,
    PermissionDenied,
)
from dataops_core.reasons import line
from dataops_core.systems.iceberg.backends import backend_errors, open_backend, type_of
from dataops_core.systems.iceberg.file_io import KeptFileIO
from dataops_core.systems.iceberg.server_properties import catalog_properties, store_properties
from dataops_core.systems.iceberg.store import store_error
from dataops_core.transport.http import refusal
from dataops_core.transport.session import GuardedAdapter, guard

__all__ = [
    "LOGGED_OUT",
    "FileSelector",
    "FileSystem",
    "FileType",
    "KeptFileIO",
    "LocalFileSystem",
    "backend_errors",
    "errors",
    "open_catalog",
    "type_of",
]

METADATA_BYTES = 128 * 2**20
"""Maximum bytes of a response. It holds the metadata of a table, which a check reports from 64 MiB on."""
_GONE = "Restore the file in the store, or register the table again with metadata that exists."
LOGGED_OUT = (UnauthorizedError, OAuthError)
"""Errors for an expired token or wrong credentials."""


class _GuardedCatalog(RestCatalog):
    """A REST catalog that sends requests to the configured origins only, with a deadline."""

    def __init__(self, name: str, timeout: float, properties: Mapping[str, Any]) -> None:
        self._timeout = timeout
        self._ours = dict(properties)
        self._where = f"catalog {name} {without_user_info(str(properties['uri']))}"
        super().__init__(name, **properties)

    def _create_legacy_oauth2_auth_manager(self, session: requests.Session) -> AuthManager:
        self._guard(session)  # before the first token request, which happens here
        return super()._create_legacy_oauth2_auth_manager(session)

    def _create_session(self) -> requests.Session:
        session = super()._create_session()
        signers = [adapter for prefix, adapter in session.adapters.items() if prefix not in ("http://", "https://")]
        adapter = self._guard(session)
        if signers:  # PyIceberg implements SigV4 in an adapter
            adapter.add_headers = signers[0].add_headers  # type: ignore[attr-defined, method-assign]
        return session

    def _guard(self, session: requests.Session) -> GuardedAdapter:
        configured = [str(self._ours[key]) for key in ("uri", "oauth2-server-uri") if key in self._ours]
        return guard(session, self._where, configured, timeout=self._timeout, most_bytes=METADATA_BYTES)

    def _fetch_config(self) -> None:
        super()._fetch_config()
        self.properties = catalog_properties(self._where, self._ours, self.properties)
        self.uri = self.properties["uri"]


def open_catalog(name: str, timeout: float, properties: Mapping[str, Any]) -> Catalog:
    """Return a catalog; each of its requests has a deadline in seconds."""
    catalog: Catalog
    if type_of(properties) == "rest" and "uri" in properties:
        catalog = _GuardedCatalog(name, timeout, properties)
    else:
        catalog = open_backend(name, f"catalog {name}", timeout, properties)
    ours = dict(properties)

    def load_files(offered: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:
        merged = store_properties(f"catalog {name}", ours, {**catalog.properties, **offered})
        if S3_SIGNER in ours and (manager := getattr(catalog, "_auth_manager", None)) is not None:
            merged[AUTH_MANAGER] = manager
        return load_file_io(merged, location)

    catalog._load_file_io = load_files  # type: ignore[method-assign, assignment] # noqa: SLF001 - the only hook for all catalogs
    return catalog


def _refusal(where: str, error: Exception) -> ClientError:
    """Return the ClientError for a response with an error status."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, requests.Response):
        result = refusal(where, response.status_code, response.content)
        if result is not None:
            return result
    if isinstance(error, ForbiddenError):
        return PermissionDenied(f"{where}: {line(error)}")
    return BadAnswer(f"{where}: {line(error)}")


@contextmanager
def errors(where: str) -> Iterator[None]:
    """Translate PyIceberg's errors; `where` starts the message."""
    try:
        yield
    except DataopsError:
        raise
    except (NoSuchTableError, NoSuchIcebergTableError, NoSuchNamespaceError) as error:
        raise NotFound(f"{where}: {line(error)}") from error
    except LOGGED_OUT as error:
        raise AuthenticationFailed(f"{where}: rejected our credentials") from error
    except NotInstalledError as error:
        raise ConfigError(f"{where}: {line(error)}") from error
    except (RESTError, ForbiddenError) as error:
        raise _refusal(where, error) from error
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise BadAnswer(f"{where}: {line(error)}") from error
    except FileNotFoundError as error:
        raise NotFound(f"{where}: a file of the table is missing: {line(error)}", hint=_GONE) from error
    except OSError as error:
        raise store_error(f"{where}: a file of the table cannot be read", error) from error
    except Exception as error:  # PyIceberg and Arrow raise any type for an invalid metadata file
        raise BadAnswer(
            f"{where}: the response is not from a catalog: {type(error).__name__}: {line(error)}"
        ) from error
