"""States, numbers and ages as styled text; an unknown value is a dash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from dataops_core.health.model import StageState, Status
from dataops_core.health.text import STATE_COLOURS, STATE_GLYPHS, STATUS_COLOURS, STATUS_GLYPHS, ago, clock, words
from dataops_core.plain import visible
from dataops_core.times import Moment
from dataops_core.times import seconds as epoch
from dataops_core.units import count, duration
from dataops_core.units import size as size_text

UNKNOWN = "-"


class SortableText(Text):
    """A text with a sort key.

    Attributes:
        value: The sort key; `None` if it is unknown, which sorts last.
    """

    def __init__(self, text: str, value: float | None, style: str = "") -> None:
        super().__init__(text, style=style, justify="right")
        self.value = value


def state(of: StageState) -> Text:
    """Return the glyph and name of a stage's state."""
    bold = " bold" if STATE_COLOURS[of] == "red" else ""
    return Text(f"{STATE_GLYPHS[of]} {words(of)}", style=STATE_COLOURS[of] + bold)


def status(of: Status) -> Text:
    """Return the glyph and name of a status."""
    return Text(f"{STATUS_GLYPHS[of]} {words(of)}", style=f"{STATUS_COLOURS[of]} bold")


def plain(text: str, style: str = "") -> Text:
    """Return external text, with its markup and control characters made harmless."""
    return Text(visible(text), style=style)


def right(text: str, style: str = "") -> Text:
    """Return right-aligned text."""
    return Text(text, style=style, justify="right")


def seconds(value: float | None) -> SortableText:
    """Return a duration."""
    return SortableText(UNKNOWN if value is None else duration(value), value)


def number(value: float | None, unit: str = "") -> SortableText:
    """Return a count."""
    return SortableText(UNKNOWN if value is None else f"{count(value)}{unit}", value)


def size(value: float | None) -> SortableText:
    """Return a size in bytes."""
    return SortableText(UNKNOWN if value is None else size_text(value), value)


def when(at: Moment | None, now: datetime, style: str = "dim") -> SortableText:
    """Return a time as its age."""
    return SortableText(UNKNOWN if at is None else ago(at, now), epoch(at) if at else None, style)


def at(time: Moment | None, now: datetime, style: str = "") -> SortableText:
    """Return a time of day, with the date unless it is today."""
    text = UNKNOWN if time is None else clock(time, now, offset=False)
    return SortableText(text, epoch(time) if time else None, style)


def abbreviated(names: Sequence[str], most: int = 3) -> str:
    """Return the first names in one line: `a, b, c and 4 more`."""
    shown = ", ".join(visible(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


TASK_STATES = {
    "success": ("●", "green"),
    "failed": ("✖", "red"),
    "upstream_failed": ("✖", "magenta"),
    "running": ("◐", "yellow"),
    "queued": ("○", "cyan"),
    "scheduled": ("○", "dim"),
    "deferred": ("◌", "cyan"),
    "up_for_retry": ("↻", "yellow"),
    "skipped": ("◇", "dim"),
    "none": ("·", "dim"),
}
"""Glyph and colour of the states of Airflow's runs and tasks."""
OTHER_STATE = ("?", "magenta")


def task_state(of: str) -> Text:
    """Return the glyph and name of the state of a run or a task."""
    glyph, colour = TASK_STATES.get(of, OTHER_STATE)
    return plain(f"{glyph} {of.replace('_', ' ')}", colour)


LONGEST_REASON = 60
"""Maximum characters of an error in a row; the raw view shows all of it."""


def unreadable(reason: str) -> Text:
    """Return the error of an unreadable item, for a cell of its row."""
    text = visible(reason)
    return Text("✖ " + (text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"), "red")


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
