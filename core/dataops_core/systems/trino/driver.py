"""The parts of Trino's driver that are adapted: authentication, and the addresses that results are read from."""

from __future__ import annotations

import re
from functools import partial

import requests
import trino
from trino.auth import Authentication, BasicAuthentication, JWTAuthentication

from dataops_core.config import resolve_secret
from dataops_core.systems.trino.responses import read_status
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport.kerberos import KerberosTicket
from dataops_core.transport.oauth import OauthToken

BODY = 4096
"""Maximum bytes of an error's body to search for its reason."""
_NOT_THE_USER = re.compile(r"Access Denied: User (.{1,200}?) cannot impersonate user ")
"""The body of Trino's HTTP 500 for credentials of another user than ours."""


class Connection(trino.dbapi.Connection):
    """A connection that reads results from the coordinator only, not from addresses that it names."""

    def _create_request(self) -> trino.client.TrinoRequest:
        request: trino.client.TrinoRequest = super()._create_request()  # type: ignore[no-untyped-call]
        request.unauthenticated = _no_segments  # type: ignore[method-assign]
        request.process = partial(read_status, request.process)  # type: ignore[method-assign]
        return request


def _no_segments() -> trino.client.TrinoRequest:
    # we request no encoding, so by the protocol Trino spools no result
    raise ValueError("it holds spooled segments, which were not requested")


class _SharedAuthentication(Authentication):
    """The driver's form of a token of OAuth 2 or a ticket of Kerberos, which is renewed."""

    def __init__(self, token: OauthToken | KerberosTicket) -> None:
        self._token = token

    def set_http_session(self, http_session: requests.Session) -> requests.Session:
        http_session.auth = self._token
        return http_session


def user_of_credentials(response: requests.Response) -> str | None:
    """Return the user of our credentials if Trino rejects a request because it is not the user of the settings."""
    if response.status_code not in (403, 500):
        return None
    found = _NOT_THE_USER.search(response.content[:BODY].decode(errors="replace"))
    return found[1] if found else None


def authentication(settings: TrinoSettings, shared: OauthToken | KerberosTicket | None) -> Authentication | None:
    """Return the authentication of the settings; `None` if there is none.

    Args:
        settings: The coordinator, and our credentials.
        shared: The token of `settings.oauth`, or the ticket of `settings.kerberos`.

    Raises:
        ConfigError: A secret or a keytab cannot be read, or a library is missing.
    """
    if isinstance(shared, KerberosTicket):
        shared.check()
    if shared is not None:
        return _SharedAuthentication(shared)
    if settings.token is not None:
        return JWTAuthentication(resolve_secret(settings.token))
    if settings.password is not None:
        return BasicAuthentication(settings.user, resolve_secret(settings.password))
    return None
