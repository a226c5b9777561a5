"""Format JSON documents from their own text: digits, escapes, order and repeated names stay unchanged.

A JSON parser rounds `12345678901234567.89`, turns `1.10` into `1.1` and `1e400` into infinity. So a parser only checks
a document, and the output is written from the document's tokens. No function is recursive per level.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from dataops_core.bounded import check_json

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s"\[\]{},:]+')
_LINE_ENDS = re.compile(r"[\n\r\t]")
_ESCAPE = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|u([0-9a-f]{4})|.)", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING, _CLOSING = "[{", "]}"


class JsonText(str):
    """A JSON document as text, which JSON output contains unchanged."""

    __slots__ = ()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def parsed(text: str) -> object:
    """Return the value of a JSON document, with numbers as text; raises ValueError."""
    check_json(text)
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)


def one_line(text: str) -> str:
    """Return a JSON document in one line; a document without a line end or tab stays unchanged."""
    return spaced(text) if _LINE_ENDS.search(text) else text


def spaced(text: str) -> str:
    """Return a JSON document in one line, with a space after each comma and colon."""
    return "".join(f"{token} " if token in (",", ":") else token for token in _TOKEN.findall(text))


def indented(text: str, indent: int = 2, level: int = 0) -> str:
    """Return a JSON document in several lines.

    Args:
        text: The document.
        indent: Spaces for each level.
        level: The level of the document itself.
    """
    parts: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        if token in _CLOSING:
            level -= 1
            if before not in _OPENING:
                parts.append("\n" + " " * (indent * level))
        elif (before and before in _OPENING) or before == ",":
            parts.append("\n" + " " * (indent * level))
        elif before == ":":
            parts.append(" ")
        if token in _OPENING:
            level += 1
        parts.append(token)
        before = token
    return "".join(parts)


def readable(text: str) -> str:
    r"""Return a JSON document for people, with printable characters instead of their escapes, such as `\u00e9`."""
    return _ESCAPE.sub(_character, text) if "\\u" in text else text


def _character(match: re.Match[str]) -> str:
    high, low, code = match.groups()
    character = bytes.fromhex(high + low).decode("utf-16-be") if high else chr(int(code, 16)) if code else ""
    return character if character > "\x7f" and character.isprintable() else match[0]


def dumps(value: object, indent: int | None = None, level: int = 0) -> str:
    """Return a value of `dataops_core.values.plain` as JSON; a `JsonText` in it stays unchanged.

    Args:
        value: The value.
        indent: Spaces for each level; `None` for one line.
        level: The level of the value itself.
    """
    if isinstance(value, JsonText):
        return one_line(value) if indent is None else indented(value, indent, level)
    if not isinstance(value, dict | list) or not _holds_text(value):
        return _plain(value, indent, level)
    inner = level + 1
    if isinstance(value, dict):
        parts = [f"{_plain(name, None, 0)}: {dumps(each, indent, inner)}" for name, each in value.items()]
        opening, closing = "{}"
    else:
        parts = [dumps(each, indent, inner) for each in value]
        opening, closing = "[]"
    if indent is None:
        return opening + ", ".join(parts) + closing
    edge = "\n" + " " * (indent * inner)
    return opening + edge + f",{edge}".join(parts) + "\n" + " " * (indent * level) + closing


def _holds_text(value: dict[str, object] | list[object]) -> bool:
    """Return whether a value contains a `JsonText`."""
    level: list[object] = [value]
    while level:
        inner: list[object] = []
        for each in level:
            if isinstance(each, JsonText):
                return True
            if isinstance(each, dict):
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
        level = inner
    return False


def _plain(value: object, indent: int | None, level: int) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if indent is not None and level and "\n" in text:
        text = text.replace("\n", "\n" + " " * (indent * level))  # line ends in strings are escaped
    return escape_halves(text)


def escape_halves(text: str) -> str:
    """Return JSON with lone surrogates escaped, because UTF-8 cannot encode them."""
    return text if text.isprintable() else _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
