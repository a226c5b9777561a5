"""When the credentials of a component end: the certificates of both sides, and tokens that say so."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from dataops_core.config import ContextSettings, Secret, resolve_secret
from dataops_core.diagnostics.endpoints import Endpoint, endpoints_of
from dataops_core.errors import ConfigError

RENEWED_AT_LAST = timedelta(days=21)
"""How long before its end a credential is to be renewed at the latest, however long it lives."""
LAST_PART = 6
"""It is due in the last sixth of its life. What renews by itself does so earlier: certificates after two thirds of
it, Kubernetes its tokens after four fifths."""
LOOK_EVERY = timedelta(minutes=5)
"""How seldom credentials are looked at: a handshake costs the server work, and a secret may come from a command."""
SHOWN_WITHIN = 3.0
"""Seconds after which no further server is asked for its certificate: the probe has a deadline."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate or a token that ends.

    Attributes:
        what: What it is, in words without the secret itself.
        begins: Since when it is valid; `None` where it does not say.
        ends: Until when.
    """

    what: str
    begins: datetime | None
    ends: datetime

    @property
    def due(self) -> datetime:
        """From when on it ought to have been renewed."""
        if self.begins is None:
            return self.ends - RENEWED_AT_LAST
        return self.ends - min(RENEWED_AT_LAST, (self.ends - self.begins) / LAST_PART)


class Credentials:
    """The credentials of one context's components.

    Args:
        context: Where the components are.
    """

    def __init__(self, context: ContextSettings) -> None:
        self._context = context
        self._lock = Lock()
        self._seen: dict[str, tuple[datetime, tuple[Credential, ...]]] = {}

    def seen(self, component: str, now: datetime) -> tuple[Credential, ...]:
        """Return those of a component, the one that is due first in front; looked at every few minutes."""
        with self._lock:
            at, found = self._seen.get(component, (None, ()))
        if at is None or now - at >= LOOK_EVERY:
            found = tuple(sorted((*shown_by(component, self._context), *ours(component, self._context)), key=_due))
            with self._lock:
                self._seen[component] = now, found
        return found


def shown_by(component: str, context: ContextSettings) -> Iterator[Credential]:
    """Yield the certificates that a component's servers show; none where there is no TLS or no answer."""
    until = time.monotonic() + SHOWN_WITHIN
    with suppress(ConfigError, ValueError):  # said by its probe
        for endpoint in endpoints_of(component, context):
            left = until - time.monotonic()
            if endpoint.tls is not None and endpoint.proxy is None and left > 0:
                with suppress(OSError, ValueError):
                    yield _shown(endpoint, endpoint.tls(), left)


def _shown(endpoint: Endpoint, tls: ssl.SSLContext, timeout: float) -> Credential:
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout) as connection,
        tls.wrap_socket(connection, server_hostname=endpoint.host) as secured,
    ):
        return certificate(f"the certificate that {endpoint} shows", secured.getpeercert(binary_form=True) or b"")


def ours(component: str, context: ContextSettings) -> Iterator[Credential]:
    """Yield what we show to a component: our certificate and our token, where they have an end.

    What cannot be read is left out: the component's probe says so.
    """
    for key, path in _certificates(component, context):
        with suppress(OSError, ValueError):
            yield certificate(f"our certificate {Path(path).name} ({key})", Path(path).expanduser().read_bytes())
    token = _token(component, context)
    if token is not None:
        with suppress(ConfigError, ValueError):
            yield web_token(resolve_secret(token))


def _certificates(component: str, context: ContextSettings) -> Iterator[tuple[str, str]]:
    if component == "kafka" and context.kafka is not None:
        path = context.kafka.properties.get("ssl.certificate.location")
        with suppress(ConfigError):
            if path is not None:
                yield "ssl.certificate.location", resolve_secret(path)
        return
    service = context.catalogs.get(component) or getattr(context, component, None)
    if service is not None and service.tls is not None and service.tls.cert_file is not None:
        yield "tls.cert_file", service.tls.cert_file


def _token(component: str, context: ContextSettings) -> Secret | None:
    if component in context.catalogs:
        return context.catalogs[component].properties.get("token")
    found: Secret | None = getattr(getattr(context, component, None), "token", None)
    return found


def certificate(what: str, content: bytes) -> Credential:
    """Return when an X.509 certificate ends; raises ValueError where it is none.

    Args:
        what: What it is, in words.
        content: It in DER form, or in PEM form: then the first one counts, which is the holder's own (RFC 5246, 7.4.2).
    """
    from cryptography import x509  # noqa: PLC0415 - heavy, and needed only where there is TLS

    pem = b"-----BEGIN" in content
    found = x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
    return Credential(what, found.not_valid_before_utc, found.not_valid_after_utc)


def web_token(token: str) -> Credential:
    """Return when a JSON web token ends (`exp`, RFC 7519, 4.1.4); raises ValueError where it does not say.

    Nothing is verified: what it is worth is for the server to say.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("no JSON web token")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        begins = claims.get("iat", claims.get("nbf"))
        ends = datetime.fromtimestamp(claims["exp"], UTC)
        return Credential("our token", None if begins is None else datetime.fromtimestamp(begins, UTC), ends)
    except (KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError, ValueError) as error:
        raise ValueError("a token without an end") from error


def _due(credential: Credential) -> datetime:
    return credential.due
