"""JSON over HTTP, for services that have no client library of their own."""

from __future__ import annotations

import time
from typing import Any

import requests
import urllib3

from dataops_core.config import WebSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, NotFound, PermissionDenied, TimedOut, Unreachable
from dataops_core.transport.bounded import Malformed, loads
from dataops_core.transport.reasons import innermost
from dataops_core.transport.session import WebSession


def get_json(where: str, settings: WebSettings, path: str, timeout: float) -> Any:  # noqa: ANN401 - whatever is answered
    """Return what is answered at a path.

    Args:
        where: Who is asked, for the errors.
        settings: Where that is, and who we are.
        path: What follows the base URL.
        timeout: Deadline, in seconds.

    Raises:
        NotFound: There is nothing at that path.
        ClientError: It does not answer, or not with JSON.
    """
    answer = _ask("GET", where, settings, path, timeout)
    try:
        return loads(answer)
    except Malformed as error:
        raise BadAnswer(f"{where}: the answer {error}") from error


def post_json(where: str, settings: WebSettings, path: str, body: Any, timeout: float) -> None:  # noqa: ANN401 - JSON
    """Send JSON to a path; what is answered to it is of no use.

    Raises:
        NotFound: There is nothing at that path.
        ClientError: It does not answer, or does not take it.
    """
    _ask("POST", where, settings, path, timeout, body)


def _ask(
    method: str,
    where: str,
    settings: WebSettings,
    path: str,
    timeout: float,
    body: Any = None,  # noqa: ANN401 - JSON
) -> bytes:
    deadline = time.monotonic() + timeout
    try:
        with (
            WebSession(where, settings.url, settings.tls) as session,
            session.request(
                method,
                settings.url.rstrip("/") + path,
                json=body,
                headers=_headers(settings),
                auth=_basic(settings),
                timeout=timeout,
                stream=True,
            ) as answer,
        ):
            text = _read(answer, deadline)
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise TimedOut(f"{where}: no answer within {timeout:.3g} s") from error
    except requests.exceptions.ConnectionError as error:
        raise Unreachable(f"{where}: cannot be reached: {innermost(error)}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise BadAnswer(f"{where}: the answer is no answer over HTTP") from error
    if answer.status_code == 200:
        return text
    if answer.status_code == 401:
        raise AuthenticationFailed(f"{where}: refused our credentials (401)")
    if answer.status_code == 403:
        raise PermissionDenied(f"{where}: denies us permission (403)")
    if answer.status_code == 404:
        raise NotFound(f"{where}: HTTP 404")
    raise BadAnswer(f"{where}: HTTP {answer.status_code}")


def _read(answer: requests.Response, deadline: float) -> bytes:
    """Return what is answered; raises Timeout at the deadline: requests' own is one of each read."""
    text = bytearray()
    while piece := answer.raw.read1(1 << 16, decode_content=True):
        text += piece
        if time.monotonic() > deadline:
            raise requests.exceptions.Timeout
    return bytes(text)


def _headers(settings: WebSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve_secret(settings.token)}"} if settings.token is not None else {}


def _basic(settings: WebSettings) -> tuple[str, str] | None:
    if settings.username is None or settings.password is None:
        return None
    return settings.username, resolve_secret(settings.password)
