"""The events screen: state changes since the console was started, with their reasons."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from rich.text import Text

from dataops_core.health.events import Event
from dataops_core.health.model import StageState, Status
from dataops_core.health.text import STATE_COLOURS, STATE_GLYPHS, STATUS_COLOURS, STATUS_GLYPHS, words
from dataops_tui import styled
from dataops_tui.resource import Row, SnapshotScreen

EVENT_STYLES = {
    **{words(state): (STATE_GLYPHS[state], STATE_COLOURS[state]) for state in StageState},
    **{words(status): (STATUS_GLYPHS[status], STATUS_COLOURS[status]) for status in Status},
    "up": ("●", "green"),
    "unavailable": ("✖", "red"),
    "unhealthy": ("✖", "red"),
}
"""Glyph and colour of every state of a stage, a verdict or a component."""


class EventsScreen(SnapshotScreen["deque[Event]"]):
    """The state changes, newest first."""

    CRUMB = "events"
    EMPTY = "no state changes yet"
    FOLLOWS_TIME = False

    @property
    def result(self) -> deque[Event]:
        """The state changes that are kept in memory."""
        return self.console.events

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("AT", "PIPELINE", "WHAT", "WAS", "IS", "WHY") if self.wide else ("AT", "WHAT", "WAS", "IS", "WHY")

    def rows(self, result: deque[Event], now: datetime) -> Mapping[str, Row]:
        """Return the events."""
        return {
            f"{event.at.isoformat()} {event.pipeline} {event.what}": Row(self._cells(event, now), event, event.bad)
            for event in reversed(result)
        }

    def _cells(self, event: Event, now: datetime) -> list[Text]:
        cells = {
            "AT": styled.at(event.at, now, "dim"),
            "PIPELINE": styled.plain(event.pipeline or styled.UNKNOWN, "dim"),
            "WHAT": styled.plain(event.what),
            "WAS": styled.plain(event.before or styled.UNKNOWN, "dim"),
            "IS": condition(event.after),
            "WHY": styled.plain(event.why),
        }
        return [cells[heading] for heading in self.headings()]

    def open(self, key: str) -> None:
        """Open the stage that changed, or the raw view."""
        row = self._rows.get(key)
        event = row.about if row else None
        if isinstance(event, Event) and event.pipeline is not None and event.what != "verdict":
            self.console.open_stage(event.pipeline, event.what)
        else:
            self.action_raw()


def condition(word: str) -> Text:
    """Return the glyph and name of a state."""
    glyph, colour = EVENT_STYLES.get(word, ("?", "magenta"))
    return styled.plain(f"{glyph} {word}", colour)
