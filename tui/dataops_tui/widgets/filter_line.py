"""`/`: show only what matches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from textual import on
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input


class FilterLine(Input):
    """A regular expression that ignores case; a text that is none is searched for as it stands."""

    BINDINGS = [Binding("escape", "clear", "No filter", id="filter.clear", tooltip="Show everything again")]

    @dataclass
    class Filtered(Message):
        """The filter has changed."""

    def __init__(self) -> None:
        super().__init__(placeholder="filter (a regular expression); Enter keeps it, Escape drops it", compact=True)
        self.display = False

    @property
    def matches(self) -> Callable[[str], bool]:
        """What tells whether a text is to be shown."""
        if not self.value:
            return lambda _: True
        try:
            pattern = re.compile(self.value, re.IGNORECASE)
        except re.error:
            pattern = re.compile(re.escape(self.value), re.IGNORECASE)
        return lambda text: pattern.search(text) is not None

    def open(self) -> None:
        """Show the line and type into it."""
        self.display = True
        self.focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(FilterLine.Filtered())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = bool(self.value)
        self.screen.focus_next()

    def action_clear(self) -> None:
        """Drop the filter."""
        self.value = ""
        self.display = False
        self.screen.focus_next()
