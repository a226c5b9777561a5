"""Requests with JSON over HTTP for services without a client library, and errors of HTTP status codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from dataops_core.bounded import Malformed, loads
from dataops_core.config import Secret, WebSettings, resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestRefused,
)
from dataops_core.transport.problem import problem, text_of
from dataops_core.transport.session import BODY_BYTES, WebSession
from dataops_core.units import duration

_BUSY = "It limits the request rate: refresh less often, or raise its limit."
_RESTARTS = "The server behind this address is starting, overloaded or stopped: check its state and its log."
_DEFECT = "Check the server's log: it failed while it handled the request."
_HINTS = {502: _RESTARTS, 503: _RESTARTS, 504: _RESTARTS}
LONGEST_WAIT = 86_400.0
"""Maximum seconds of a `Retry-After`; a longer one is ignored."""


def refusal(
    where: str, status: int, body: bytes | str | None = None, retry_after: str | None = None
) -> ClientError | None:
    """Return the error for an HTTP status code; `None` for success.

    Args:
        where: Name of the service; begins the message.
        status: The status code.
        body: The body of the response.
        retry_after: The response's header `Retry-After`, if any.
    """
    if status in (200, 201, 202, 204):
        return None
    reason = problem(body)
    detail = reason or text_of(body)
    more = f": {detail}" if detail else ""
    if status == 401:
        return AuthenticationFailed(f"{where}: rejected our credentials (401){more}")
    if status == 403:
        return PermissionDenied(f"{where}: denied permission (403){more}")
    if status == 404:
        return NotFound(f"{where}: {reason or 'HTTP 404'}")
    if status in (400, 409, 422) and reason:  # from the service itself, because a proxy does not respond with JSON
        return RequestRefused(f"{where}: refused the request (HTTP {status}): {reason}")
    return _failure(f"{where}: HTTP {status}{more}", status, retry_after)


def _failure(message: str, status: int, retry_after: str | None) -> BadAnswer:
    if status == 429:
        seconds = _seconds(retry_after)
        wait = f"Wait {duration(seconds)}. " if seconds is not None else ""
        return RateLimited(message, hint=f"{wait}{_BUSY}", seconds=seconds)
    return BadAnswer(message, hint=_HINTS.get(status, _DEFECT if status >= 500 else None))


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a `Retry-After`: a number or a date (RFC 9110, 10.2.3); `None` if it is invalid."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # not a date, or a date without a zone
            return None
    return seconds if 0 <= seconds <= LONGEST_WAIT else None


def parse_json(where: str, text: bytes | str) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text; raises BadAnswer if it is not JSON."""
    try:
        return loads(text)
    except Malformed as error:
        raise BadAnswer(f"{where}: the response {error}") from error


def get_json(
    where: str,
    settings: WebSettings,
    path: str,
    timeout: float,
    *,
    headers: Mapping[str, Secret] | None = None,
    most_bytes: int = BODY_BYTES,
) -> Any:  # noqa: ANN401 - any JSON value
    """Send GET to a path and return the JSON of the response.

    Args:
        where: Name of the service, for errors.
        settings: Address and credentials of the service.
        path: Path after the base URL.
        timeout: Deadline of the whole response, in seconds.
        headers: Further headers.
        most_bytes: Maximum bytes of the body after decompression.

    Raises:
        NotFound: The path does not exist.
        ClientError: The service does not respond, or not with JSON.
    """
    return parse_json(where, _ask("GET", where, settings, path, timeout, headers=headers, most_bytes=most_bytes))


def get_bytes(
    where: str,
    settings: WebSettings,
    path: str,
    timeout: float,
    *,
    headers: Mapping[str, Secret] | None = None,
    most_bytes: int = BODY_BYTES,
) -> bytes:
    """Send GET to a path and return the body of the response; raises as `get_json`."""
    return _ask("GET", where, settings, path, timeout, headers=headers, most_bytes=most_bytes)


def post_json(where: str, settings: WebSettings, path: str, body: Any, timeout: float) -> bytes:  # noqa: ANN401 - JSON
    """Send POST with JSON to a path and return the body of the response.

    Raises:
        NotFound: The path does not exist.
        ClientError: The service does not respond, or rejects the request.
    """
    return _ask("POST", where, settings, path, timeout, body)


def send_command(method: str, where: str, settings: WebSettings, path: str, timeout: float) -> bytes:
    """Send a request without a body that changes something, and return the body of its response.

    Raises:
        As `post_json`.
    """
    return _ask(method, where, settings, path, timeout, accepted=(200, 202, 204))


def _ask(
    method: str,
    where: str,
    settings: WebSettings,
    path: str,
    timeout: float,
    body: Any = None,  # noqa: ANN401 - JSON
    *,
    headers: Mapping[str, Secret] | None = None,
    most_bytes: int = BODY_BYTES,
    accepted: Collection[int] = (200,),
) -> bytes:
    url = settings.url.rstrip("/") + path
    further = {name: resolve_secret(value, f"headers.{name}") for name, value in (headers or {}).items()}
    sent, user = {**further, **_headers(settings)}, _basic(settings)
    with WebSession(where, settings.url, settings.tls, most_bytes=most_bytes) as session:
        try:
            answer = session.request(method, url, json=body, headers=sent, auth=user, timeout=timeout)
        except requests.exceptions.RequestException as error:  # errors outside of a connection
            raise BadAnswer(f"{where}: the response is not HTTP") from error
    if answer.status_code not in accepted:
        retry_after = answer.headers.get("Retry-After")
        refused = refusal(where, answer.status_code, answer.content, retry_after)
        raise refused or BadAnswer(f"{where}: HTTP {answer.status_code}")
    return answer.content


def _headers(settings: WebSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve_secret(settings.token)}"} if settings.token is not None else {}


def _basic(settings: WebSettings) -> tuple[str, str] | None:
    if settings.username is None or settings.password is None:
        return None
    return settings.username, resolve_secret(settings.password)
