"""Addresses of components and their TLS, for the doctor and for checks of certificates."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
from requests.utils import get_environ_proxies, select_proxy

from dataops_core.config import TlsSettings
from dataops_core.transport.tls import tls_context

ENVIRONMENT_CA = "REQUESTS_CA_BUNDLE"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a component.

    Attributes:
        tls: Returns the TLS context of its client; `None` if the client does not use TLS.
        ca_key: Settings key of the CA to trust.
        secure: The setting that enables TLS, for a remedy.
        proxy: Host of the proxy that its client uses.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext] | None
    ca_key: str
    secure: str
    proxy: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def url_endpoints(url: str, tls: TlsSettings | None, key: str, *, by_proxy: bool = True) -> Iterator[Endpoint]:
    """Yield the address of a URL; none for a file or a database in a file.

    Args:
        url: The URL.
        tls: The TLS settings of the component.
        key: Key of the component in the context, for messages.
        by_proxy: Whether its client uses the proxy of the environment.
    """
    parts = urlsplit(url)
    if not parts.hostname:  # a file, an SQLite database
        return
    secure = parts.scheme == "https"
    known = {"https": 443, "http": 80, "thrift": 9083, "postgresql": 5432, "mysql": 3306}
    port = parts.port or known.get(parts.scheme.partition("+")[0])
    if port is None:
        return
    proxy = select_proxy(url, get_environ_proxies(url)) if by_proxy and parts.scheme in ("http", "https") else None
    yield Endpoint(
        parts.hostname,
        port,
        (lambda: trusting(tls, key)) if secure else None,
        f"{key}.tls.ca_file",
        "an https:// address",
        None if proxy is None else urlsplit(proxy).hostname,
    )


def trusting(settings: TlsSettings | None, where: str) -> ssl.SSLContext:
    """Return the TLS context of settings; without `ca_file`, it trusts every CA that a client library trusts."""
    context = tls_context(settings, where)
    if settings is None or settings.ca_file is None:
        context.load_verify_locations(certifi.where())
        if os.path.isfile(named := os.environ.get(ENVIRONMENT_CA, "")):  # noqa: PTH113 - an empty path is not a file
            context.load_verify_locations(named)
    return context
