"""How things look: states, figures and ages as rich text; what is not known is a dash."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from dataops_core.health.model import StageHealth, StageState, Status
from dataops_core.health.text import (
    STATE_COLOURS,
    STATE_GLYPHS,
    STATUS_COLOURS,
    STATUS_GLYPHS,
    count,
    duration,
    visible,
    words,
)

UNKNOWN = "-"


def state(of: StageState) -> Text:
    """Return glyph and word."""
    bold = " bold" if STATE_COLOURS[of] == "red" else ""
    return Text(f"{STATE_GLYPHS[of]} {words(of)}", style=STATE_COLOURS[of] + bold)


def status(of: Status) -> Text:
    """Return glyph and word."""
    return Text(f"{STATUS_GLYPHS[of]} {words(of)}", style=f"{STATUS_COLOURS[of]} bold")


def plain(text: str, style: str = "") -> Text:
    """Return a text from outside, which neither markup nor control characters of it can steer."""
    return Text(visible(text), style=style)


def right(text: str, style: str = "") -> Text:
    """Return a figure."""
    return Text(text, style=style, justify="right")


def seconds(value: float | None) -> Text:
    """Return a duration."""
    return right(UNKNOWN if value is None else duration(value))


def number(value: float | None, unit: str = "") -> Text:
    """Return a count."""
    return right(UNKNOWN if value is None else f"{count(value)}{unit}")


def ago(at: datetime | None, now: datetime) -> str:
    """Return how long ago something was; `never` for `None`."""
    return "never" if at is None else f"{duration(max(0.0, (now - at).total_seconds()))} ago"


def reason(of: StageHealth) -> str:
    """Return why a stage is in its state, with what is known about its end."""
    text = of.reason
    if of.eta is not None:
        text += f"; caught up in about {duration(of.eta)}"
    if of.affected_by is not None:
        text += f" (because of {of.affected_by})"
    return text
