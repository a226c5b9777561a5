"""Expiry of a component's credentials: the certificates of both sides, and tokens with an expiry date."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from dataops_core.bounded import LINE, loads
from dataops_core.config import Secret, resolve_secret
from dataops_core.errors import ConfigError
from dataops_core.times import known, moment
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.endpoints import Endpoint
from dataops_core.transport.fields import Fields

RENEWED_AT_LAST = timedelta(days=21)
"""Time before its expiry by which a credential should be renewed at the latest."""
LAST_PART = 6
"""A credential is due in the last sixth of its lifetime. Automatic renewal is earlier: certificates after two thirds,
tokens of Kubernetes after four fifths."""
CHECK_EVERY = timedelta(minutes=5)
"""Minimum interval between two checks: a handshake loads the server, and a secret may come from a command."""
SHOWN_WITHIN = 3.0
"""Seconds to read the certificates of all servers, because the probe has a deadline."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate or a token with an expiry date.

    Attributes:
        what: Its name for people, without the secret.
        begins: Start of its validity; `None` if unknown.
        ends: End of its validity.
    """

    what: str
    begins: datetime | None
    ends: datetime

    @property
    def due(self) -> datetime:
        """The time by which it should have been renewed."""
        if self.begins is None:
            return self.ends - RENEWED_AT_LAST
        return self.ends - min(RENEWED_AT_LAST, (self.ends - self.begins) / LAST_PART)


@dataclass(frozen=True, slots=True)
class Identity:
    """The client's credentials for a component, and the endpoints that present the component's certificates.

    Attributes:
        endpoints: Yields the component's endpoints; raises ConfigError if a secret in them cannot be read.
        certificate: Settings key and path of the client certificate, if there is one.
        token: The client's token, if there is one.
        token_endpoint: The identity for the server that issues the client's tokens, if there is one.
    """

    endpoints: Callable[[], Iterator[Endpoint]]
    certificate: tuple[str, Secret] | None = None
    token: Secret | None = None
    token_endpoint: Identity | None = None


class Credentials:
    """The credentials of one component: the client's and the servers'."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._lock = Lock()
        self._seen: tuple[datetime, tuple[Credential, ...]] | None = None

    def current(self, now: datetime) -> tuple[Credential, ...]:
        """Return the credentials, sorted by due date; they are read at most every 5 minutes."""
        with self._lock:
            kept = self._seen
        if kept is not None and now - kept[0] < CHECK_EVERY:
            return kept[1]
        results = tuple(sorted((*shown_by(self._identity), *ours(self._identity)), key=_due))
        with self._lock:
            self._seen = now, results
        return results


def shown_by(identity: Identity, deadline: Deadline | None = None) -> Iterator[Credential]:
    """Yield the certificates of a component's servers and its token endpoint; none without TLS or a response."""
    deadline = deadline or Deadline(SHOWN_WITHIN)
    with suppress(ConfigError, ValueError):  # its probe reports it
        for endpoint in identity.endpoints():
            if endpoint.tls is not None and endpoint.proxy is None and not deadline.passed:
                with suppress(OSError, ValueError):
                    yield _shown(endpoint, endpoint.tls(), deadline.left)
    if identity.token_endpoint is not None:
        yield from shown_by(identity.token_endpoint, deadline)


def _shown(endpoint: Endpoint, tls: ssl.SSLContext, timeout: float) -> Credential:
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout) as connection,
        tls.wrap_socket(connection, server_hostname=endpoint.host) as secured,
    ):
        return certificate(f"the certificate that {endpoint} shows", secured.getpeercert(binary_form=True) or b"")


def ours(identity: Identity) -> Iterator[Credential]:
    """Yield the client's certificate and token, if they have an expiry date.

    Unreadable credentials are skipped, because the component's probe reports them.
    """
    if identity.certificate is not None:
        key, secret = identity.certificate
        with suppress(OSError, ValueError, ConfigError):
            path = Path(resolve_secret(secret)).expanduser()
            yield certificate(f"our certificate {path.name} ({key})", path.read_bytes())
    if identity.token is not None:
        with suppress(ConfigError, ValueError):
            yield web_token(resolve_secret(identity.token))
    if identity.token_endpoint is not None:
        yield from ours(identity.token_endpoint)


def certificate(what: str, content: bytes) -> Credential:
    """Return the validity of an X.509 certificate; raises ValueError if it is not a certificate.

    Args:
        what: Its name for people.
        content: The certificate in DER or PEM form. In PEM form, the first one counts, which is the holder's (RFC
            5246, 7.4.2).
    """
    from cryptography import x509  # noqa: PLC0415 - heavy, and needed only for TLS

    pem = b"-----BEGIN" in content
    result = x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
    return Credential(what, result.not_valid_before_utc, result.not_valid_after_utc)


def web_token(token: str) -> Credential:
    """Return the validity of a JSON web token (`exp`, RFC 7519, 4.1.4); raises ValueError if it has no expiry date.

    The signature is not verified, because the server does that.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JSON Web Token")
    try:
        claims = Fields(loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), size=LINE))
    except ValueError as error:
        raise ValueError("an unreadable token") from error
    ends = _claim(claims, "exp")
    if ends is None:
        raise ValueError("a token without an expiry date")
    return Credential("our token", _claim(claims, "iat") or _claim(claims, "nbf"), ends)


def _claim(claims: Fields, name: str) -> datetime | None:
    seconds = claims.number(name)
    return None if seconds is None else known(moment(seconds, "s"))


def _due(credential: Credential) -> datetime:
    return credential.due
