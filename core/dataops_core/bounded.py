"""Readers of outside text that bound its size and depth before anything is made of it; they raise `Malformed` only.

JSON is read by pydantic's own parser, which counts levels itself and gives up at 200 of them. Python's readers of JSON
and TOML and ruamel's of YAML call themselves once for each level: their limit is the stack of the caller.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

DEPTH = 200
"""Levels of an answer; pydantic's parser allows no more."""
SIZE = 64 * 2**20
"""Bytes of an answer."""
LINE = 2**20
"""Bytes of one line of a file of lines (audit, history), and of a file of settings."""
ITEMS = 5_000_000
"""Values in one text: an empty list takes three bytes of text and sixty of memory."""
SETTINGS_DEPTH = 50
"""Levels of a file that a person writes."""

T = TypeVar("T")

_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))

_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")
"""A dotted key of TOML with more than 50 parts: Python's reader takes memory by the square of their number."""
_BLOCK = re.compile(r"^(?:[ ]|[-?:][ \t])*", re.MULTILINE)


class Malformed(ValueError):
    """A text is not what it should be, or it is too large or too deep; `str()` is a few words."""


def loads(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the value of a JSON text.

    Args:
        text: It, as UTF-8 if it is bytes.
        depth: Levels that it may have, at the most `DEPTH`.
        size: Bytes that it may have; characters where it is a str.

    Raises:
        Malformed: It is not JSON, or larger or deeper.
    """
    check_json(text, depth=depth, size=size)
    try:
        return from_json(text)
    except ValueError as error:
        raise Malformed(f"is not JSON: {error}") from None


def check_json(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> None:
    """Check that a JSON text is not too large or deep for any reader; raises Malformed. Its syntax is not checked."""
    _check_size(text, size)
    content = text.encode(errors="replace") if isinstance(text, str) else bytes(text)
    if content.count(b"[") + content.count(b"{") + content.count(b",") > ITEMS:
        raise Malformed(f"has more than {ITEMS:,} values")
    if _levels(content, depth) > depth:
        raise Malformed(f"is nested deeper than {depth} levels")


def _levels(content: bytes, enough: int) -> int:
    """Return the levels of a JSON text, in a few passes of C; of text that is not JSON at least those a reader enters.

    Args:
        content: The text.
        enough: Levels beyond which they are not counted further.
    """
    if content.count(b"[") + content.count(b"{") <= enough:
        return 0
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")  # escapes, so that each quote is one of a string
    marks = content.translate(_ONE_KIND, _NO_MARKS).replace(b'""', b"")  # texts without brackets
    left = b"".join(marks.split(b'"')[::2])
    for level in range(enough + 1):
        if not left:
            return level
        inner = left.replace(b"[]", b"")
        if inner == left:  # brackets that are not closed
            return level + left.count(b"[")
        left = inner
    return enough + 1


def load_object(text: str | bytes | bytearray, *, depth: int = DEPTH, size: int = SIZE) -> dict[str, Any]:
    """Return the JSON object of a text; raises Malformed, also where it is another value."""
    value = loads(text, depth=depth, size=size)
    if not isinstance(value, dict):
        raise Malformed("is not a JSON object")
    return value


def load_toml(text: str, *, depth: int = SETTINGS_DEPTH, size: int = LINE) -> dict[str, Any]:
    """Return the tables of a TOML text; raises tomllib.TOMLDecodeError, or Malformed where it is too large or deep."""
    _check_size(text, size)
    if _opened_at_most(text) > depth or _LONG_KEY.search(text):
        raise Malformed(f"is nested deeper than {depth} levels")
    return tomllib.loads(text)


def load_yaml(text: str, load: Callable[[str], T], *, depth: int = SETTINGS_DEPTH, size: int = LINE) -> T:
    """Return what a reader of YAML makes of a text; raises Malformed where it is too large or deep, or its own errors.

    Args:
        text: It.
        load: The reader.
        depth: Levels that it may have.
        size: Characters that it may have.
    """
    _check_size(text, size)
    indented = max((len(found[0]) for found in _BLOCK.finditer(text)), default=0)
    if _opened_at_most(text) > depth or indented > 4 * depth:
        raise Malformed(f"is nested deeper than {depth} levels")
    return load(text)


def read_text(path: Path, size: int = SIZE) -> str:
    """Return the text of a file; raises OSError, UnicodeDecodeError, or Malformed where it is larger."""
    with path.open("rb") as file:
        content = file.read(size + 1)
    _check_size(content, size)
    return content.decode()


def _opened_at_most(text: str) -> int:
    """Return how many brackets are open at once at the most; those within texts count, too."""
    opened = most = 0
    for found in re.finditer(r"[\[\]{}]", text):
        if found[0] in "[{":
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
