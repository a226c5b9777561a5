"""Answers from memory in place of a network: all of a client but its sockets, thousands of times a second."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import urllib3
from tests.hostile.answers import LOGINS, answer

URL = "https://127.0.0.1:9"
Body = Callable[[str, str], bytes]
"""Gives the body of an answer, by method and path."""


@contextmanager
def answering(body: Body) -> Iterator[None]:
    """Let each request of this process be answered with a body."""

    def urlopen(_: object, method: str, url: str, *__: object, **___: object) -> urllib3.HTTPResponse:
        parts = urlsplit(url)
        return urllib3.HTTPResponse(
            io.BytesIO(body(method, parts.path)),
            headers={"Content-Type": "application/json"},
            status=200,
            preload_content=False,
            request_method=method,
        )

    before = urllib3.HTTPConnectionPool.urlopen
    urllib3.HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        urllib3.HTTPConnectionPool.urlopen = before  # type: ignore[method-assign]


def right(method: str, path: str) -> Any:
    """Return what a well-behaved server answers."""
    return answer(method, path, URL)


def dumped(found: Any) -> bytes:
    """Return an answer as a server sends it."""
    return b"" if found is None else json.dumps(found).encode()


def asked(question: Callable[[str, float], Any]) -> list[tuple[str, str]]:
    """Return method and path of the requests of a question, each once, without those of a login."""
    seen: list[tuple[str, str]] = []

    def body(method: str, path: str) -> bytes:
        if (method, path) not in seen:
            seen.append((method, path))
        return dumped(right(method, path))

    with answering(body):
        question(URL, 5.0)
    return [each for each in seen if each[1] not in LOGINS] or seen
