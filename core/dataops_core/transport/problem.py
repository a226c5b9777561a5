"""Extract the reason of an error from a server's response, in one line: from JSON, a page's title or a text."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from dataops_core.bounded import Malformed, loads
from dataops_core.reasons import line

SIZE = 2**20
"""Maximum bytes of a body to search for the reason."""
PARTS = 3
"""Maximum number of problems of one request to show."""
_NAMES = ("detail", "message", "error_description", "msg", "reason", "error", "title", "user_message")
"""Fields with the reason, as in FastAPI, RFC 9457, Iceberg, Prometheus, the schema registry, OAuth and dbt."""
_TITLE = re.compile(r"<title[^>]*>([^<]{1,1000})</title", re.IGNORECASE)


def problem(body: bytes | str | None) -> str:
    """Return the reason in a JSON body, in one line; empty if it is not JSON, or has no reason."""
    try:
        result = loads(body or b"", size=SIZE)
    except Malformed:
        return ""
    reason = _reason(result)
    return line(reason) if reason.strip() else ""


def has_field(body: bytes | str | None, name: str) -> bool:
    """Return whether a body is a JSON object with a field of that name."""
    try:
        result = loads(body or b"", size=SIZE)
    except Malformed:
        return False
    return isinstance(result, Mapping) and name in result


def text_of(body: bytes | str | None) -> str:
    """Return the reason in any other body, in one line: the title of a page, or the first line of a text."""
    if not body:
        return ""
    text = (body if isinstance(body, str) else body[:SIZE].decode(errors="replace"))[:SIZE].lstrip()
    if text.startswith("<"):
        title = _TITLE.search(text)
        return line(html.unescape(title[1])) if title and title[1].strip() else ""
    if text.startswith(("{", "[")):
        return ""
    first = text.partition("\n")[0].strip()
    return line(first) if first else ""


def _reason(answer: object, depth: int = 3) -> str:
    """Return the reason in a JSON value: a text, or the first field of `_NAMES` with a reason."""
    if isinstance(answer, str):
        return answer
    if not depth:
        return ""
    if isinstance(answer, list):
        parts = [reason for item in answer[:PARTS] if (reason := _one(item, depth - 1))]
        more = len(answer) - PARTS
        return "; ".join(parts) + (f"; and {more} more" if parts and more > 0 else "")
    if isinstance(answer, Mapping):
        for name in _NAMES:
            if reason := _reason(answer.get(name), depth - 1):
                return reason
        if isinstance(answer.get("status"), Mapping):  # the envelope of dbt's API; elsewhere it is a word or a number
            return _reason(answer["status"], depth - 1)
    return ""


def _one(item: object, depth: int) -> str:
    """Return one problem of a list, with the path of the invalid field as in FastAPI."""
    reason = _reason(item, depth)
    path = item.get("loc") if isinstance(item, Mapping) else None
    names = [str(part) for part in path if isinstance(part, str | int)] if isinstance(path, list) else []
    return f"{'.'.join(names)}: {reason}" if reason and names else reason
