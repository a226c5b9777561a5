"""Client of Atlassian's cloud APIs: deadlines, waits on rate limits, one line for each error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.reasons import LONGEST, innermost, line
from dataops_core.units import duration

ATTEMPTS = 5


class Api:
    """One API of a site.

    Args:
        name: Name of the API in errors.
        site: URL of the site; `https`, except on the local machine.
        base: Path of the API.
        email: E-mail address of the token's account.
        token: API token; sent to the site only, and never printed.
        timeout: Seconds to wait for each response.
        patience: Maximum number of seconds to wait if the site is rate limited (429).
        sleep: Waits; tests replace it.
    """

    def __init__(
        self,
        name: str,
        site: str,
        base: str,
        email: str,
        token: str,
        *,
        timeout: float = 30.0,
        patience: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(site)
        if not parts.hostname or (parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost")):
            raise ConfigError(f"{site}: a site's address begins with https://, to protect the token")
        self._name = name
        self.sleep = sleep
        self._base = site.rstrip("/") + base
        self._timeout = timeout
        self._patience = patience
        self._session = requests.Session()
        self._session.auth = requests.auth.HTTPBasicAuth(email.encode(), token.encode())
        self._session.headers["Accept"] = "application/json"

    def get(self, path: str, **params: object) -> Any:  # noqa: ANN401 - any JSON
        """Return the response to a GET; raises ClientError."""
        return self._call("GET", path, params=params)

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
        """Send a body and return the response, `None` if it is empty; raises ClientError."""
        return self._call(method, path, json=body)

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Raise BadAnswer if a JSON response does not have the documented form."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__} {line(error)}"
            raise BadAnswer(f"{self._name}: a response does not have the documented form ({reason})") from error

    def _call(self, method: str, path: str, **what: Any) -> Any:  # noqa: ANN401 - arguments of requests
        where = f"{self._name}: {method} {path}"
        answer = self._answer(where, method, path, what)
        if not answer.ok or answer.is_redirect:
            raise self._error(where, answer)
        if not answer.content:
            return None
        try:
            return answer.json()
        except requests.exceptions.JSONDecodeError as error:
            raise BadAnswer(f"{where}: the response is not JSON", hint="check the site's address") from error

    def _answer(self, where: str, method: str, path: str, what: Mapping[str, Any]) -> requests.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._session.request(
                    method, self._base + path, timeout=self._timeout, allow_redirects=False, **what
                )
            except requests.exceptions.Timeout as error:
                raise TimedOut(f"{where}: no response within {duration(self._timeout, precise=True)}") from error
            except requests.exceptions.RequestException as error:
                raise Unreachable(f"{where}: {innermost(error)}") from error
            wait = _wait(answer)
            if answer.status_code != 429 or wait > self._patience or attempt == ATTEMPTS:
                break
            self.sleep(wait)
        return answer

    def _error(self, where: str, answer: requests.Response) -> ClientError:
        status = answer.status_code
        if status == 401:
            return AuthenticationFailed(f"{where}: credentials refused (401)", hint="check the e-mail and the token")
        if status == 429:
            return BadAnswer(
                f"{where}: rate limited for {duration(_wait(answer))} (429)", hint="run it again after that"
            )
        if answer.is_redirect:
            return BadAnswer(f"{where}: redirects to another address ({status})", hint="check the site's address")
        kind = {403: PermissionDenied, 404: NotFound}.get(status, BadAnswer)
        meaning = {403: "permission denied", 404: "not found, or not visible to this account"}.get(status, "failed")
        return kind(f"{where}: {meaning} ({status}){_reason(answer)}")


def _wait(answer: requests.Response) -> float:
    try:
        return Retry().parse_retry_after(answer.headers.get("Retry-After", "5"))
    except InvalidHeader:
        return 5.0


def _reason(answer: requests.Response) -> str:
    try:
        found = "; ".join(texts(answer.json()))
    except requests.exceptions.JSONDecodeError:
        return ""
    return f": {found[:LONGEST]}" if found else ""


def texts(value: object, name: str = "") -> Iterator[str]:
    """Yield the texts of an error at any depth; those of a field with its name."""
    if isinstance(value, str):
        text = " ".join(value.split())
        yield text if name in ("", "title", "detail", "message", "errorMessages") else f"{name}: {text}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, name)
