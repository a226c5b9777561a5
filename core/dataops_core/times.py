"""Timestamps of other systems as times: one conversion, exact, and none that fails."""

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
    """A timestamp outside the calendar, which ends with the year 9999: the number as the system keeps it."""

    value: float
    unit: Unit

    def __str__(self) -> str:
        return f"unknown ({self.value} {self.unit})"


Moment: TypeAlias = datetime | RawTime
"""A time, or the number of a timestamp that is none."""


def moment(value: float, unit: Unit) -> Moment:
    """Return the time of a timestamp that counts from 1970 on, in UTC."""
    try:
        return EPOCH + timedelta(**{_KEYWORDS[unit]: value})
    except (OverflowError, ValueError):
        return RawTime(value, unit)


_KEYWORDS = {"days": "days", "s": "seconds", "ms": "milliseconds", "us": "microseconds"}


def known(at: Moment | None) -> datetime | None:
    """Return a time; `None` for a timestamp outside the calendar."""
    return at if isinstance(at, datetime) else None


def seconds(at: Moment) -> float:
    """Return the seconds since 1970, by which times are sorted."""
    if isinstance(at, datetime):
        return at.timestamp()
    try:
        return at.value / _PER_SECOND[at.unit]
    except OverflowError:  # an integer that no float holds
        return inf if at.value > 0 else -inf


def latest(times: Iterable[Moment | None]) -> Moment | None:
    """Return the latest of times; `None` where there is none."""
    return max((at for at in times if at is not None), key=seconds, default=None)
