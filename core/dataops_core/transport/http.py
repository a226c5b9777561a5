"""JSON over HTTP, for services that have no client library of their own; and what a status means, for all clients."""

from __future__ import annotations

from collections.abc import Mapping
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
    RequestRefused,
)
from dataops_core.transport.problem import problem, text_of
from dataops_core.transport.session import BODY_BYTES, WebSession

_BUSY = "It limits the request rate: refresh less often, or raise its limit."
_RESTARTS = "The server behind this address is starting, overloaded or stopped: check its state and its log."
_DEFECT = "Check the server's log: it failed while it handled the request."
_HINTS = {429: _BUSY, 502: _RESTARTS, 503: _RESTARTS, 504: _RESTARTS}


def refusal(where: str, status: int, body: bytes | str | None = None) -> ClientError | None:
    """Return the error that a status is; `None` where it is none.

    Args:
        where: Who answered; begins the line.
        status: The status.
        body: The body of the answer.
    """
    if status in (200, 201, 202, 204):
        return None
    said = problem(body)
    detail = said or text_of(body)
    more = f": {detail}" if detail else ""
    if status == 401:
        return AuthenticationFailed(f"{where}: rejected our credentials (401){more}")
    if status == 403:
        return PermissionDenied(f"{where}: denied permission (403){more}")
    if status == 404:
        return NotFound(f"{where}: {said or 'HTTP 404'}")
    if status in (400, 409, 422) and said:  # of the service itself: a proxy does not answer in JSON
        return RequestRefused(f"{where}: refused the request (HTTP {status}): {said}")
    return BadAnswer(f"{where}: HTTP {status}{more}", hint=_HINTS.get(status, _DEFECT if status >= 500 else None))


def parse_json(where: str, text: bytes | str) -> Any:  # noqa: ANN401 - whatever is answered
    """Return what a text is as JSON; raises BadAnswer where it is none."""
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
) -> Any:  # noqa: ANN401 - whatever is answered
    """Return what is answered at a path.

    Args:
        where: Who is asked, for the errors.
        settings: Where that is, and who we are.
        path: What follows the base URL.
        timeout: Deadline of the whole answer, in seconds.
        headers: Further headers.
        most_bytes: Bytes that the body may have after decompression.

    Raises:
        NotFound: There is nothing at that path.
        ClientError: It does not respond, or not with JSON.
    """
    return parse_json(where, _ask("GET", where, settings, path, timeout, headers=headers, most_bytes=most_bytes))


def get_bytes(
    where: str, settings: WebSettings, path: str, timeout: float, *, headers: Mapping[str, Secret] | None = None
) -> bytes:
    """Return the body that is answered at a path, whatever it is; raises as `get_json`."""
    return _ask("GET", where, settings, path, timeout, headers=headers)


def post_json(where: str, settings: WebSettings, path: str, body: Any, timeout: float) -> bytes:  # noqa: ANN401 - JSON
    """Send JSON to a path and return what is answered.

    Raises:
        NotFound: There is nothing at that path.
        ClientError: It does not respond, or rejects it.
    """
    return _ask("POST", where, settings, path, timeout, body)


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
) -> bytes:
    url = settings.url.rstrip("/") + path
    further = {name: resolve_secret(value, f"headers.{name}") for name, value in (headers or {}).items()}
    sent, user = {**further, **_headers(settings)}, _basic(settings)
    with WebSession(where, settings.url, settings.tls, most_bytes=most_bytes) as session:
        try:
            answer = session.request(method, url, json=body, headers=sent, auth=user, timeout=timeout)
        except requests.exceptions.RequestException as error:  # of what goes on outside of a connection
            raise BadAnswer(f"{where}: the response is not HTTP") from error
    if answer.status_code != 200:  # none of these services answers with another one
        raise refusal(where, answer.status_code, answer.content) or BadAnswer(f"{where}: HTTP {answer.status_code}")
    return answer.content


def _headers(settings: WebSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve_secret(settings.token)}"} if settings.token is not None else {}


def _basic(settings: WebSettings) -> tuple[str, str] | None:
    if settings.username is None or settings.password is None:
        return None
    return settings.username, resolve_secret(settings.password)
