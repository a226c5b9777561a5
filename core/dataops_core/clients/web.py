"""JSON over HTTP, for services that have no client library of their own; read only."""

from __future__ import annotations

from typing import Any

import requests

from dataops_core.clients.reasons import innermost
from dataops_core.clients.tls import TlsSession
from dataops_core.config import WebSettings, resolve_secret
from dataops_core.errors import AuthenticationFailed, BadAnswer, NotFound, PermissionDenied, TimedOut, Unreachable


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
    try:
        with TlsSession(settings.tls, where) as session:
            answer = session.get(
                settings.url.rstrip("/") + path, headers=_headers(settings), auth=_basic(settings), timeout=timeout
            )
        if answer.status_code == 200:
            return answer.json()
    except requests.exceptions.Timeout as error:
        raise TimedOut(f"{where}: no answer within {timeout:g} s") from error
    except requests.exceptions.JSONDecodeError as error:
        raise BadAnswer(f"{where}: the answer is not JSON") from error
    except requests.exceptions.ConnectionError as error:
        raise Unreachable(f"{where}: cannot be reached: {innermost(error)}") from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise BadAnswer(f"{where}: the answer is no answer over HTTP") from error
    if answer.status_code == 401:
        raise AuthenticationFailed(f"{where}: refused our credentials (401)")
    if answer.status_code == 403:
        raise PermissionDenied(f"{where}: denies us permission (403)")
    if answer.status_code == 404:
        raise NotFound(f"{where}: HTTP 404")
    raise BadAnswer(f"{where}: HTTP {answer.status_code}")


def _headers(settings: WebSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve_secret(settings.token)}"} if settings.token is not None else {}


def _basic(settings: WebSettings) -> tuple[str, str] | None:
    if settings.username is None or settings.password is None:
        return None
    return settings.username, resolve_secret(settings.password)
