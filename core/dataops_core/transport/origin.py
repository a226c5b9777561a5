"""The origin of an address (scheme, host, port), and the rule that credentials go only to the configured one."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from dataops_core.errors import BadAnswer, ConfigError

DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
READS = frozenset({"GET", "HEAD"})
"""Methods whose redirects are followed within the origin; others would be sent as a GET, or a second time."""
LONGEST_HOST = 100
"""Maximum characters of a host name in an error."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port of an address, in normal form: `https://h` and `https://H:443` are equal."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return the origin that the HTTP client connects to for an address; raises ValueError if there is none."""
        try:
            parts = parse_url(url)  # the HTTP client's parser, so that both use the same host
        except LocationParseError as error:
            raise ValueError("not an address") from error
        scheme, host = (parts.scheme or "").lower(), (parts.host or "").lower().strip("[]")
        port = parts.port or DEFAULT_PORTS.get(scheme)
        if not host or port is None or scheme not in DEFAULT_PORTS:
            raise ValueError("not an HTTP address")
        with suppress(ValueError):
            host = str(ipaddress.ip_address(host))
        return cls(scheme, host, port)

    def __str__(self) -> str:
        host = self.host if self.host.isprintable() else ascii(self.host)[1:-1]
        shown = f"[{host}]" if ":" in host else host[:LONGEST_HOST]
        return f"{self.scheme}://{shown}" + ("" if DEFAULT_PORTS[self.scheme] == self.port else f":{self.port}")


class OriginRule:
    """Refuses requests to any origin except the configured ones, and redirects to another origin.

    Args:
        where: Name of the service, for errors.
        configured: The addresses in the settings.
        hint: The fix for a refused address.

    Raises:
        ConfigError: A configured address is not an HTTP address.
    """

    def __init__(self, where: str, configured: Collection[str], hint: str | None = None) -> None:
        self._where = where
        self._hint = hint or "write the final address into the settings if you trust it"
        try:
            self._origins = tuple(dict.fromkeys(Origin.of(url) for url in configured))
        except ValueError as error:
            raise ConfigError(f"{where}: the address must be a URL such as https://host:8443") from error

    def check(self, url: str, what: str = "the server redirects to") -> None:
        """Raise BadAnswer if an address is not of a configured origin; `what` begins the message."""
        if _origin(url) not in self._origins:
            raise self._refused(f"{what} {_named(url)}", " or ".join(map(str, self._origins)))

    def check_redirect(self, method: str, url: str, status: int, location: str | None) -> None:
        """Raise BadAnswer if a response is a redirect that must not be followed.

        Args:
            method: The request's method.
            url: The requested address.
            status: The response's status code.
            location: The response's header `Location`, if any.
        """
        if status not in REDIRECTS or location is None:
            return
        target = _joined(url, location)
        own = Origin.of(url)
        if _origin(target) != own:
            raise self._refused(f"redirect ({status}) to {_named(target)}", str(own))
        if method.upper() not in READS:
            raise BadAnswer(f"{self._where}: HTTP {status}: a {method} that is redirected, to {own}, is not followed")

    def _refused(self, what: str, own: str) -> BadAnswer:
        return BadAnswer(f"{self._where}: {what} refused, credentials go only to {own}", hint=self._hint)


def _origin(url: str) -> Origin | None:
    try:
        return Origin.of(url)
    except ValueError:
        return None


def _named(url: str) -> str:
    """Return an address's origin for an error, because the address itself may contain a secret."""
    origin = _origin(url)
    return str(origin) if origin is not None else "something that is not an HTTP address"


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        return location
