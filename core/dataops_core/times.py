"""Convert timestamps of other systems to times, exactly and without errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Literal, TypeAlias

Unit = Literal["days", "s", "ms", "us"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PER_SECOND = {"days": 1 / 86_400, "s": 1, "ms": 1_000, "us": 1_000_000}


@dataclass(frozen=True, slots=True)
class RawTime:
    """A timestamp outside of Python's calendar, which ends with the year 9999, as the system's number."""

    value: float
    unit: Unit

    def __str__(self) -> str:
        return f"unknown ({self.value} {self.unit})"


Moment: TypeAlias = datetime | RawTime
"""A time, or a timestamp outside of the calendar."""


def moment(value: float, unit: Unit) -> Moment:
    """Return the time in UTC of a timestamp since 1970; a `RawTime` outside of the calendar."""
    try:
        return EPOCH + timedelta(**{_KEYWORDS[unit]: value})
    except (OverflowError, ValueError):
        return RawTime(value, unit)


_KEYWORDS = {"days": "days", "s": "seconds", "ms": "milliseconds", "us": "microseconds"}


def known(at: Moment | None) -> datetime | None:
    """Return a time; `None` for a timestamp outside of the calendar."""
    return at if isinstance(at, datetime) else None


def seconds(at: Moment) -> float:
    """Return the seconds since 1970, as a key to sort times."""
    if isinstance(at, datetime):
        return at.timestamp()
    try:
        return at.value / _PER_SECOND[at.unit]
    except OverflowError:  # an integer too large for a float
        return inf if at.value > 0 else -inf


def latest(times: Iterable[Moment | None]) -> Moment | None:
    """Return the latest time; `None` if there is none."""
    return max((at for at in times if at is not None), key=seconds, default=None)
