"""PyIceberg and Arrow, as far as a catalog and its store are asked with them: deadlines, and our own errors.

To import them takes longer than most answers, so this module is hollow until it is used (`lazy_imports`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem
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
from requests.adapters import HTTPAdapter

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.iceberg.file_io import KeptFileIO
from dataops_core.transport.reasons import innermost, line

__all__ = [
    "LOGGED_OUT",
    "FileSelector",
    "FileSystem",
    "FileType",
    "KeptFileIO",
    "LocalFileSystem",
    "errors",
    "open_catalog",
]

LOGGED_OUT = (UnauthorizedError, OAuthError)
"""What is raised where a token has run out, or where the credentials are wrong."""


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


def open_catalog(name: str, timeout: float, properties: Mapping[str, Any]) -> Catalog:
    """Return a catalog; each request to one that speaks REST has the deadline, in seconds."""
    if properties.get("type") == "rest":
        return _DeadlineCatalog(name, timeout, **properties)
    return load_catalog(name, **properties)


@contextmanager
def errors(where: str, timeout: float) -> Iterator[None]:
    """Raise our own errors for those of PyIceberg; `where` begins their line, the deadline in seconds is told."""
    try:
        yield
    except (NoSuchTableError, NoSuchIcebergTableError, NoSuchNamespaceError) as error:
        raise NotFound(f"{where}: {line(error)}") from error
    except LOGGED_OUT as error:
        raise AuthenticationFailed(f"{where}: refused our credentials") from error
    except ForbiddenError as error:
        raise PermissionDenied(f"{where}: {line(error)}") from error
    except NotInstalledError as error:
        raise ConfigError(f"{where}: {line(error)}") from error
    except requests.exceptions.Timeout as error:
        raise TimedOut(f"{where}: no answer within {timeout:g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise Unreachable(f"{where}: cannot be reached: {innermost(error)}") from error
    except (RESTError, ValueError, KeyError, TypeError, requests.exceptions.RequestException) as error:
        raise BadAnswer(f"{where}: {line(error)}") from error
    except OSError as error:
        raise Unreachable(f"{where}: a metadata file cannot be read: {line(error)}") from error
