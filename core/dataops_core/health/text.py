"""Format durations, counts, times and states, the same for every screen and output."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.health.model import ComponentHealth, StageHealth, StageState, Status
from dataops_core.times import Moment, RawTime

UNKNOWN = "-"
"""Text for an unknown value."""
STATE_GLYPHS = {
    StageState.CAUGHT_UP: "●",
    StageState.IDLE: "○",
    StageState.BEHIND: "◐",
    StageState.SLOW: "▲",
    StageState.STUCK: "■",
    StageState.FAILED: "✖",
    StageState.UNKNOWN: "?",
    StageState.AFFECTED: "↳",
    StageState.STARTING: "…",
}
STATE_COLOURS = {
    StageState.CAUGHT_UP: "green",
    StageState.IDLE: "green",
    StageState.BEHIND: "yellow",
    StageState.SLOW: "yellow",
    StageState.STUCK: "red",
    StageState.FAILED: "red",
    StageState.UNKNOWN: "magenta",
    StageState.AFFECTED: "yellow",
    StageState.STARTING: "cyan",
}
STATUS_GLYPHS = {
    Status.OK: "●",
    Status.WARNING: "▲",
    Status.CRITICAL: "✖",
    Status.UNKNOWN: "?",
    Status.STARTING: "…",
}
STATUS_COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.CRITICAL: "red",
    Status.UNKNOWN: "magenta",
    Status.STARTING: "cyan",
}


def words(state: StageState | Status) -> str:
    """Return a state or status in words: `caught up`."""
    return state.value.replace("_", " ")


def duration(seconds: float | None) -> str:
    """Return a duration with its two largest units: `12 s`, `3 m 20 s`, `2 h 05 m`, `4 d 03 h`."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02d} h"


def count(number: float | None) -> str:
    """Return a count with thousands separated: `12,345`."""
    return UNKNOWN if number is None else f"{round(number):,}"


def size(number: float) -> str:
    """Return a number of bytes with its largest unit: `512 B`, `1.5 KiB`, `12 MiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = 0
    while number >= 1024 and power < len(units) - 1:
        number, power = number / 1024, power + 1
    digits = 1 if power and number < 10 else 0
    return f"{number:.{digits}f} {units[power]}"


def clock(at: Moment, now: datetime) -> str:
    """Return a time in UTC, with the date unless it is today: `10:02:11Z`; a `RawTime` as its number."""
    if isinstance(at, RawTime):
        return str(at)
    at = at.astimezone(UTC)
    pattern = "%H:%M:%SZ" if at.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M:%SZ"
    return at.strftime(pattern)


def ago(at: Moment | None, now: datetime) -> str:
    """Return how long ago a time was; `never` for `None`, and a `RawTime` as its number."""
    if isinstance(at, RawTime):
        return str(at)
    return "never" if at is None else f"{duration(max(0.0, (now - at).total_seconds()))} ago"


def reason(stage: StageHealth) -> str:
    """Return why a stage is in its state, its ETA, and the stage or component that it waits for."""
    text = stage.reason
    if stage.eta is not None:
        text += f"; ETA {duration(stage.eta)}"
    if stage.affected_by is None or stage.state is StageState.UNKNOWN:
        return text
    waits = f"waits for {stage.affected_by}"
    return f"{waits}; {text}" if stage.state is StageState.AFFECTED else f"{text}; {waits}"


def availability(component: ComponentHealth) -> str:
    """Return the availability of a component: `up`, `unhealthy`, `unavailable` or `unknown`."""
    if component.reachable is None:
        return "unknown"
    if not component.reachable:
        return "unavailable"
    return "up" if component.error is None else "unhealthy"
