"""Parsers of untrusted text with limits for size and depth; they check the limits before they parse.

JSON is parsed by pydantic's parser, which stops at 200 levels. Python's parsers of JSON and TOML, and ruamel's parser
of YAML, are recursive: without a limit, deep text would exhaust the caller's stack.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

DEPTH = 200
"""Maximum levels of a response; pydantic's parser allows no more."""
SIZE = 64 * 2**20
"""Maximum bytes of a response."""
LINE = 2**20
"""Maximum bytes of one line of the audit file or the history, and of a settings file."""
ITEMS = 5_000_000
"""Maximum values in one text: an empty list takes three bytes of text, but sixty bytes of memory."""
SETTINGS_DEPTH = 50
"""Maximum levels of a settings file or another file that a person writes."""

T = TypeVar("T")

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))

_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")
"""A dotted key of TOML with more than 50 parts: Python's parser needs memory quadratic in their number."""
_BLOCK = re.compile(r"^(?:[ ]|[-?:][ \t])*", re.MULTILINE)


class Malformed(ValueError):
    """A text is invalid, too large or too deep; `str()` is a predicate such as `is not JSON`."""


def loads(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value of a JSON text.

    Args:
        text: The text; bytes are decoded as UTF-8.
        depth: Maximum levels, at most `DEPTH`.
        size: Maximum bytes, or characters of a str.

    Raises:
        Malformed: It is not JSON, or exceeds a limit.
    """
    check_json(text, depth=depth, size=size)
    try:
        return from_json(text)
    except ValueError as error:
        raise Malformed(f"is not JSON: {error}") from None


def check_json(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> None:
    """Check that a JSON text is not too large or too deep, but not its syntax; raises Malformed."""
    _check_size(text, size)
    content = text.encode(errors="replace") if isinstance(text, str) else bytes(text)
    if content.count(b"[") + content.count(b"{") + content.count(b",") > ITEMS:
        raise Malformed(f"has more than {ITEMS:,} values")
    if _levels(content, depth) > depth:
        raise Malformed(f"is nested deeper than {depth} levels")


def _levels(content: bytes, enough: int) -> int:
    """Return the number of levels of a JSON text; for invalid JSON, at least as many as a parser would enter.

    Each pass over the text is a method of `bytes`, which is fast.

    Args:
        content: The text.
        enough: Number of levels at which counting stops.
    """
    if content.count(b"[") + content.count(b"{") <= enough:
        return 0
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")  # so that each quote delimits a string
    marks = content.translate(_ONE_KIND, _NO_MARKS).replace(b'""', b"")  # remove strings without brackets
    left = b"".join(marks.split(b'"')[::2])
    if b"[" * (enough + 1) in left:
        return enough + 1
    for level in range(enough + 1):
        if not left:
            return level
        inner = left.replace(b"[]", b"")
        if inner == left:  # unclosed brackets
            return level + left.count(b"[")
        left = inner
    return enough + 1


def load_object(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> dict[str, Any]:
    """Return the JSON object of a text; raises Malformed, also if it is another value."""
    value = loads(text, depth=depth, size=size)
    if not isinstance(value, dict):
        raise Malformed("is not a JSON object")
    return value


def load_toml(text: str, *, depth: int = SETTINGS_DEPTH, size: int = LINE) -> dict[str, Any]:
    """Return the tables of a TOML text; raises tomllib.TOMLDecodeError, or Malformed if it is too large or deep."""
    _check_size(text, size)
    if _opened_at_most(text) > depth or _LONG_KEY.search(text):
        raise Malformed(f"is nested deeper than {depth} levels")
    return tomllib.loads(text)


def load_yaml(text: str, load: Callable[[str], T], *, depth: int = SETTINGS_DEPTH, size: int = LINE) -> T:
    """Return the value of a YAML text; raises Malformed if it is too large or deep, or an error of the parser.

    Args:
        text: The text.
        load: The parser.
        depth: Maximum levels.
        size: Maximum characters.
    """
    _check_size(text, size)
    indented = max((len(result[0]) for result in _BLOCK.finditer(text)), default=0)
    if _opened_at_most(text) > depth or indented > 4 * depth:
        raise Malformed(f"is nested deeper than {depth} levels")
    return load(text)


def read_text(path: Path, size: int = SIZE) -> str:
    """Return the text of a file; raises OSError, UnicodeDecodeError, or Malformed if it is too large."""
    with path.open("rb") as file:
        content = file.read(size + 1)
    _check_size(content, size)
    return content.decode()


def _opened_at_most(text: str) -> int:
    """Return the maximum number of brackets that are open at once, including brackets in strings."""
    opened = most = 0
    for result in re.finditer(r"[\[\]{}]", text):
        if result[0] in "[{":
            opened += 1
            most = max(most, opened)
        else:
            opened = max(0, opened - 1)
    return most


def _check_size(text: str | bytes | bytearray, size: int) -> None:
    if len(text) > size:
        raise Malformed(f"is larger than {size:,} bytes")


def _count(text: str | bytes | bytearray, mark: str) -> int:
    return text.count(mark) if isinstance(text, str) else text.count(mark.encode())
