"""Read the fields of a response by type: a wrong optional field is unknown, a wrong required field is an error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from dataops_core.bounded import Malformed

T = TypeVar("T")

MAX_COUNT = 2**63 - 1
"""The largest count: all supported systems use 64 bits."""
_NAMES = 100
"""Maximum characters of a path in an error."""


class Fields:
    """A JSON object whose fields are read by type.

    Methods that begin with `require_` raise Malformed, which names the field but not its value. The other methods
    return `None` or an empty value for a field that is missing or of another type.

    Args:
        answer: The parsed value.
        path: Its path in the response, for errors.

    Raises:
        Malformed: It is not an object.
    """

    def __init__(self, answer: object, path: str = "") -> None:
        if not isinstance(answer, Mapping):
            raise Malformed(f"is not an object{f' at {path}' if path else ''}")
        self._fields: Mapping[str, object] = answer
        self._path = path

    def __bool__(self) -> bool:
        return bool(self._fields)

    def raw(self, name: str) -> object:
        """Return the value of a field of any type; `None` if it is missing."""
        return self._fields.get(name)

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields."""
        return tuple(self._fields)

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self._fields.get(name)
        return value if isinstance(value, str) else None

    def count(self, name: str) -> int | None:
        """Return a non-negative integer of at most 64 bits."""
        return as_count(self._fields.get(name))

    def number(self, name: str) -> float | None:
        """Return a finite number."""
        return as_number(self._fields.get(name))

    def flag(self, name: str) -> bool | None:
        """Return a boolean."""
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def time(self, name: str) -> datetime | None:
        """Return a time in ISO 8601 as UTC, which is also the default zone."""
        return as_time(self._fields.get(name))

    def inner(self, name: str) -> Fields:
        """Return an object; an empty object if there is none."""
        value = self._fields.get(name)
        return Fields(value if isinstance(value, Mapping) else {}, self._at(name))

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list; other items are skipped."""
        value = self._fields.get(name)
        for number, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, Mapping):
                yield Fields(item, f"{self._at(name)}[{number}]")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list; other items are skipped."""
        value = self._fields.get(name)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def require_text(self, name: str) -> str:
        """Return a text."""
        return self._needed(self.text(name), name, "text")

    def require_count(self, name: str) -> int:
        """Return a non-negative integer."""
        return self._needed(self.count(name), name, "a count")

    def require_flag(self, name: str) -> bool:
        """Return a boolean."""
        return self._needed(self.flag(name), name, "true or false")

    def require_time(self, name: str) -> datetime:
        """Return a time as UTC."""
        return self._needed(self.time(name), name, "a time")

    def require_inner(self, name: str) -> Fields:
        """Return an object."""
        value = self._fields.get(name)
        return Fields(self._needed(value if isinstance(value, Mapping) else None, name, "an object"), self._at(name))

    def require_objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list; raises Malformed also for an item that is not an object."""
        return objects(self.require_list(name), self._at(name))

    def require_list(self, name: str) -> list[object]:
        """Return a list."""
        value = self._fields.get(name)
        return self._needed(value if isinstance(value, list) else None, name, "a list")

    def require_texts(self, name: str) -> dict[str, str]:
        """Return an object whose values are all texts, e.g. labels."""
        result = self.require_inner(name)
        return {key: result.require_text(key) for key in result._fields}

    def _needed(self, value: T | None, name: str, kind: str) -> T:
        if value is None:
            fault = f"is not {kind}" if self._fields.get(name) is not None else "is missing"
            raise Malformed(f"has a field that {fault}: {self._at(name)}")
        return value

    def _at(self, name: str) -> str:
        path = f"{self._path}.{name}" if self._path else name
        return path[-_NAMES:]


def objects(answer: object, path: str = "") -> Iterator[Fields]:
    """Yield the objects of a parsed list; raises Malformed if it is not a list of objects."""
    if not isinstance(answer, list):
        raise Malformed(f"is not a list{f' at {path}' if path else ''}")
    for number, item in enumerate(answer):
        yield Fields(item, f"{path}[{number}]")


def as_count(value: object) -> int | None:
    """Return a value if it is a non-negative integer of at most 64 bits; else `None`."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def as_number(value: object) -> float | None:
    """Return a value as a float if it is a finite number; else `None`."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    return float(value) if type(value) is int and abs(value) <= 2**1000 else None


def as_time(value: object) -> datetime | None:
    """Return a text in ISO 8601 as a time in UTC; `None` if it is not a time, or outside of the calendar."""
    if not isinstance(value, str):
        return None
    try:
        return as_utc(datetime.fromisoformat(value))
    except ValueError:
        return None


def as_utc(at: datetime) -> datetime:
    """Return a time in UTC, which is also the default zone; raises Malformed at the ends of the calendar."""
    try:
        return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Malformed("has a time outside the calendar") from None
