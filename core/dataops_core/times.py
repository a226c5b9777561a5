"""Convert timestamps of other systems to times, exactly and without errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import inf
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

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


@dataclass(slots=True)
class _Shown:
    """The time zone of times in text.

    Attributes:
        zone: The zone; `None` is the zone of this machine.
    """

    zone: tzinfo | None = UTC


_SHOWN = _Shown()
"""UTC unless a program sets another one, so that JSON, reports and the exporter's pages are in UTC."""


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone by its name: `local` (`None`), `utc` or an IANA name; raises ValueError for other names."""
    if name == "local":
        return None
    try:
        return UTC if name == "utc" else ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f'unknown time zone "{name}": use local, utc or a name such as Europe/Oslo') from None


def show_times_in(name: str) -> None:
    """Show times in text in a zone from now on; raises ValueError for an unknown name."""
    _SHOWN.zone = zone_of(name)


def in_shown_zone(at: datetime) -> datetime:
    """Return a time in the zone that times are shown in; in UTC where that is outside the calendar."""
    try:
        return at.astimezone(_SHOWN.zone)
    except (OverflowError, ValueError, OSError):
        return at.astimezone(UTC)


def offset_text(at: datetime) -> str:
    """Return the offset of the shown zone at a time: `+02:00`; empty for UTC."""
    shown = in_shown_zone(at)
    return shown.isoformat(timespec="seconds")[19:] if shown.utcoffset() else ""
