"""Tokens of OAuth 2 client credentials (RFC 6749, 4.4): fetched from the token endpoint, kept, renewed after a 401."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from threading import Lock
from typing import Any
from urllib.parse import quote_plus

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from dataops_core.bounded import LINE, Malformed, loads
from dataops_core.config import OauthSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, ConfigError, TimedOut
from dataops_core.transport.credentials import web_token
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import refusal
from dataops_core.transport.session import WebSession
from dataops_core.units import duration

USED = 0.8
"""Share of a token's lifetime after which it is renewed."""
LIFETIME = 300.0
"""Lifetime in seconds of a token without `expires_in` and without an expiry date in it."""
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token (RFC 6750, 2.1)."""
_HINTS = {
    "invalid_client": "check {key}.client_id, {key}.client_secret and {key}.token_endpoint_auth_method",
    "unauthorized_client": "allow the grant type client_credentials for this client",
    "unsupported_grant_type": "the server needs the grant type client_credentials",
    "invalid_scope": "check {key}.scope",
    "invalid_target": "check {key}.audience",
    "invalid_request": "check {key}.scope and {key}.audience",
    "invalid_grant": "check {key}.client_id and {key}.client_secret",
}
"""The fix by error code (RFC 6749, 5.2). Other text of the server is not shown, because it may repeat the secret."""


class OauthToken(AuthBase):
    """Adds the token to requests of a session; safe to share between threads and sessions.

    Args:
        settings: The token endpoint and the client.
        key: Key of the settings in the context, for errors: the component and `oauth`.
        timeout: Deadline of a request for a token, in seconds.
    """

    def __init__(self, settings: OauthSettings, key: str, timeout: float) -> None:
        self._settings = settings
        self._key = key
        self._timeout = timeout
        self._where = f"oauth {settings.token_url}"
        self._lock = Lock()
        self._token = ""
        self._renew_at = 0.0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request; raises ClientError."""
        request.headers["Authorization"] = f"Bearer {self.current()}"
        request.register_hook("response", self._after)
        return request

    def current(self, rejected: str | None = None) -> str:
        """Return a valid token.

        Args:
            rejected: A token that the service rejected, which is not used again.

        Raises:
            AuthenticationFailed: A secret cannot be read, or the token endpoint rejected the client.
            ClientError: The token endpoint does not respond, or not with a token.
        """
        if not self._lock.acquire(timeout=self._timeout):
            raise TimedOut(f"{self._where}: no token within {duration(self._timeout, precise=True)}")
        try:
            if self._token == rejected or time.monotonic() >= self._renew_at:
                self._renew_at = 0.0  # a rejected token stays unused if this fails
                self._token, lifetime = self._fetch()
                self._renew_at = time.monotonic() + USED * lifetime
        except ClientError as error:  # otherwise the remedy of the service applies
            error.hint = error.hint or f"check {self._key}.token_url, and the server there"
            raise
        else:
            return self._token
        finally:
            self._lock.release()

    def _after(self, response: requests.Response, **options: Any) -> requests.Response:  # noqa: ANN401 - options of `send`
        """Repeat a request with another token after a 401, once: the repeated one does not run this hook."""
        if response.status_code != 401:
            return response
        request = response.request.copy()
        rejected = str(request.headers["Authorization"]).removeprefix("Bearer ")
        request.headers["Authorization"] = f"Bearer {self.current(rejected)}"
        again: requests.Response = response.connection.send(request, **options)
        return again

    def _fetch(self) -> tuple[str, float]:
        """Return a token and its lifetime in seconds."""
        settings = self._settings
        try:
            secret = resolve_secret(settings.client_secret, f"{self._key}.client_secret")
            session = WebSession(self._where, settings.token_url, settings.tls)
        except ConfigError as error:
            raise AuthenticationFailed(error.message, hint=error.hint) from error
        form = {"grant_type": "client_credentials", "scope": settings.scope, "audience": settings.audience}
        basic = None
        if settings.token_endpoint_auth_method == "client_secret_post":  # noqa: S105 - a method
            form |= {"client_id": settings.client_id, "client_secret": secret}
        else:
            basic = HTTPBasicAuth(quote_plus(settings.client_id), quote_plus(secret))
        with session:
            try:
                answer = session.post(
                    settings.token_url,
                    data={name: value for name, value in form.items() if value is not None},
                    headers={"Accept": "application/json"},
                    auth=basic,
                    timeout=self._timeout,
                )
            except requests.exceptions.RequestException as error:  # errors outside of a connection
                raise BadAnswer(f"{self._where}: the response is not HTTP") from error
        refused = self._refused(answer)
        if refused is not None:
            raise refused
        try:
            return read_token(loads(answer.content, size=LINE))
        except Malformed as malformed:
            raise BadAnswer(f"{self._where}: the response {malformed}") from malformed

    def _refused(self, answer: requests.Response) -> ClientError | None:
        if answer.status_code in (400, 401):
            code = None
            with suppress(Malformed):
                code = Fields(loads(answer.content, size=LINE)).text("error")
            if code in _HINTS:
                text = f"{self._where}: rejected our client credentials ({answer.status_code}): {code}"
                return AuthenticationFailed(text, hint=_HINTS[code].format(key=self._key))
        return refusal(self._where, answer.status_code)


def read_token(answer: object) -> tuple[str, float]:
    """Return the token of a token response (RFC 6749, 5.1) and its lifetime in seconds; raises Malformed."""
    fields = Fields(answer)
    token, kind = fields.require_text("access_token"), fields.text("token_type")
    if not _TOKEN.fullmatch(token):
        raise Malformed("has an access_token that is not a bearer token")
    if kind is not None and kind.lower() != "bearer":
        raise Malformed("has a token_type other than Bearer")
    lifetime = fields.number("expires_in")
    if lifetime is None:
        lifetime = LIFETIME
        with suppress(ValueError):  # not a JSON Web Token
            lifetime = web_token(token).ends.timestamp() - time.time()
    if lifetime <= 0:
        raise Malformed("has a token that has expired")
    return token, lifetime
