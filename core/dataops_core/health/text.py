"""Format states, times and reasons, the same for every screen and output."""

from __future__ import annotations

from datetime import datetime

from dataops_core.health.model import ComponentHealth, StageHealth, StageState, Status
from dataops_core.times import Moment, RawTime, in_shown_zone, offset_text
from dataops_core.units import duration

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


def clock(at: Moment, now: datetime, *, offset: bool = True) -> str:
    """Return a time in the shown zone, with the date unless it is today: `10:02:11Z`, `12:02:11 +02:00`.

    Args:
        at: The time; a `RawTime` is returned as its number.
        now: The time now.
        offset: Also show an offset that is the one of now. Columns omit it: the top line shows it.
    """
    if isinstance(at, RawTime):
        return str(at)
    shown, today = in_shown_zone(at), in_shown_zone(now)
    text = shown.strftime("%H:%M:%S" if shown.date() == today.date() else "%Y-%m-%d %H:%M:%S")
    if not shown.utcoffset():
        return f"{text}Z"
    return f"{text} {offset_text(at)}" if offset or shown.utcoffset() != today.utcoffset() else text


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
