"""Where a component is reached, and with which TLS: what the doctor tries, and whose certificates can end."""

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
    """An address that a component is reached at.

    Attributes:
        tls: TLS as its client has it; `None` where the address is asked without.
        ca_key: Setting of the CA to trust.
        secure: What to set where it turns out to speak TLS.
    """

    host: str
    port: int
    tls: Callable[[], ssl.SSLContext] | None
    ca_key: str
    secure: str
    proxy: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def url_endpoints(url: str, tls: TlsSettings | None, place: str, *, by_proxy: bool = True) -> Iterator[Endpoint]:
    """Yield the address of a URL; none for a file or a database in one.

    Args:
        url: The URL.
        tls: The TLS settings of the component.
        place: Place of the component in the context, for what is said about it.
        by_proxy: Whether its client goes through a proxy that the environment names.
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
        (lambda: trusting(tls, place)) if secure else None,
        f"{place}.tls.ca_file",
        "an https:// address",
        None if proxy is None else urlsplit(proxy).hostname,
    )


def trusting(settings: TlsSettings | None, where: str) -> ssl.SSLContext:
    """Return the settings' TLS; without CA certificates of their own, all that one of the client libraries trusts."""
    context = tls_context(settings, where)
    if settings is None or settings.ca_file is None:
        context.load_verify_locations(certifi.where())
        if os.path.isfile(named := os.environ.get(ENVIRONMENT_CA, "")):  # noqa: PTH113 - empty is no file
            context.load_verify_locations(named)
    return context
