"""Format values as text and JSON, for the command line and the console; parse times."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from dataops_core.json_text import JsonText, dumps, one_line, readable

DEEPEST_SHOWN = 100
"""Maximum levels of a value that are shown as JSON, far below the limit of Python's JSON parser and writer."""

MOST_DIGITS = 4_000
"""Maximum digits of a decimal number; its schema may declare a scale of billions."""

_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]")

Columns = Sequence[tuple[str, str]]
Row = tuple[Any, ...]
Rows = Sequence[Row]


def distinct(columns: Columns) -> list[str]:
    """Return unique column names, with a number added to repeated names: `n`, `n_2`."""
    names: list[str] = []
    for name, _ in columns:
        number, candidate = 1, name
        while candidate in names:
            number += 1
            candidate = f"{name}_{number}"
        names.append(candidate)
    return names


def plain(value: object) -> object:
    """Return a value as JSON-ready data, as text if JSON has no exact form for it."""
    match value:
        case None | bool() | int() | str():
            results: object = value
        case float():
            results = value if math.isfinite(value) else str(value)
        case datetime() | date() | time():
            results = value.isoformat()
        case bytes() | bytearray():
            results = value.hex()
        case dict():
            results = {key if isinstance(key, str) else as_text(key): plain(inner) for key, inner in value.items()}
        case list() | tuple() | set():
            results = [plain(inner) for inner in value]
        case _:
            results = str(value)
    return results


def as_text(value: object) -> str:
    """Return a value as one text: `true`, ISO times, JSON for arrays, maps and rows."""
    value = plain(value)
    return value if isinstance(value, str) else dumps(value)


def decimal_text(unscaled: bytes, scale: int) -> str | None:
    """Return a decimal number exactly; `None` if it may have more than `MOST_DIGITS` digits.

    Args:
        unscaled: The number without its point, as a big-endian two's complement.
        scale: Digits after the point.
    """
    if 3 * len(unscaled) + abs(scale) > MOST_DIGITS:
        return None
    number = int.from_bytes(unscaled, "big", signed=True)
    return format(Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale)), "f")


def text_of(data: bytes | bytearray) -> str | None:
    """Return bytes decoded as text; `None` if they are binary data.

    Text is valid UTF-8 without NUL, with at most 30 % control characters, the rule of Perl's `-T`. Line ends, tabs and
    the ESC of colour codes do not count as control characters, but nothing else is not text.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if text.isprintable():  # fast: it runs for each cell that is drawn, which may hold megabytes
        return text
    if "\0" in text or (not text.strip("\t\n\r ").strip("\x1b") and "\x1b" in text):
        return None
    return text if 10 * len(_CONTROLS.findall(text)) <= 3 * len(text) else None


def shown(value: object) -> str:
    """Return a value as one text for people: bytes decoded if they are text, JSON in one line, else `as_text`."""
    if isinstance(value, bytes | bytearray):
        text = text_of(value)
        return as_text(value) if text is None else text
    return readable(one_line(value)) if isinstance(value, JsonText) else as_text(value)


def too_deep(value: object) -> bool:
    """Return whether a value of JSON, Avro or Protobuf is nested deeper than `DEEPEST_SHOWN` levels."""
    level = [value]
    for _ in range(DEEPEST_SHOWN):
        level = [i for v in level if isinstance(v, dict | list) for i in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return False
    return any(isinstance(v, dict | list) for v in level)


def instant(text: str | None) -> datetime | None:
    """Return the time in a commit's stamp, in UTC if it has no zone; `None` if it has none."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # another tool's format
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def sum_of(numbers: Iterable[int | None]) -> int | None:
    """Return a sum; `None` if one of the numbers is unknown."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def largest_of(numbers: Iterable[float | None]) -> float | None:
    """Return the largest number; `None` if there is none, or if one of them is unknown."""
    known = list(numbers)
    return None if None in known else max((number for number in known if number is not None), default=None)


def is_number(kind: str) -> bool:
    """Return whether values of a Trino type are numbers."""
    return kind.partition("(")[0] in {"tinyint", "smallint", "integer", "bigint", "real", "double", "decimal"}
