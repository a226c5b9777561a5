"""Tokens for SASL/OAUTHBEARER from a secret of the settings, renewed before they expire."""

from __future__ import annotations

import time
from threading import Lock

from dataops_core.bounded import LINE, Malformed, loads
from dataops_core.config import Secret, resolve_secret
from dataops_core.errors import AuthenticationFailed, ConfigError, DataopsError
from dataops_core.transport.credentials import web_token
from dataops_core.transport.fields import Fields

USED = 0.8
"""Share of a token's lifetime after which the source is read again; librdkafka renews at the same share."""


class Tokens:
    """The tokens of a cluster; safe to share between threads.

    Args:
        source: A JSON Web Token with `exp`, or a token response of OAuth 2 (`access_token`, `expires_in`).
        where: Name of the cluster, for errors.
    """

    def __init__(self, source: Secret, where: str) -> None:
        self.failure: DataopsError | None = None
        self._source = source
        self._where = where
        self._lock = Lock()
        self._token = ""
        self._expires = self._renew_at = 0.0

    def current(self) -> tuple[str, float]:
        """Return a token and its expiry time in seconds since the epoch.

        Raises:
            ConfigError: The source cannot be read, or holds no token with an expiry date.
            AuthenticationFailed: The token has expired.
        """
        with self._lock:
            now = time.time()
            if now >= self._renew_at:
                token, expires = self._read(now)
                if expires <= now:
                    raise AuthenticationFailed(f"{self._where}: the token of kafka.token has expired")
                self._token, self._expires, self._renew_at = token, expires, now + USED * (expires - now)
            return self._token, self._expires

    def forget(self) -> DataopsError | None:
        """Forget a token that Kafka rejected; return why the last renewal failed, if it did."""
        with self._lock:
            self._renew_at = 0.0
        return self.failure

    def callback(self, _: str) -> tuple[str, float]:
        """Return the same for librdkafka, and keep the failure, which it does not pass on."""
        try:
            result = self.current()
        except DataopsError as error:
            self.failure = error
            raise
        self.failure = None
        return result

    def _read(self, now: float) -> tuple[str, float]:
        text = resolve_secret(self._source, "kafka.token")
        if text.startswith("{"):
            try:
                answer = Fields(loads(text, size=LINE))
            except Malformed:
                raise ConfigError(f"{self._where}: kafka.token is not valid JSON") from None
            token, seconds = answer.text("access_token"), answer.number("expires_in")
            if not token or seconds is None:
                raise ConfigError(f"{self._where}: kafka.token has no access_token, or no expires_in")
            return token, now + seconds
        try:
            return text, web_token(text).ends.timestamp()
        except ValueError as error:
            raise ConfigError(
                f"{self._where}: kafka.token is {error}",
                hint='print {"access_token": …, "expires_in": seconds} instead',
            ) from None
