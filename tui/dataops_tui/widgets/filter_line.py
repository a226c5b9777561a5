"""`/`: show only what matches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from textual import on
from textual.binding import Binding
from textual.fuzzy import Matcher
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input


def matcher(typed: str) -> Callable[[str], bool]:
    """Return what tells whether a text matches a filter as it is typed."""
    sign, rest = (typed[0], typed[1:]) if typed[:1] in ("!", "~") else ("", typed)
    if not rest:
        return lambda _: True
    if sign == "~":
        loose = Matcher(rest)
        return lambda text: loose.match(text) > 0
    try:
        pattern = re.compile(rest, re.IGNORECASE)
    except re.error:
        pattern = re.compile(re.escape(rest), re.IGNORECASE)
    return lambda text: (pattern.search(text) is None) == (sign == "!")


class FilterLine(Input):
    """A regular expression that ignores case; a text that is none is searched for as it stands.

    `!` in front shows what does not match, `~` in front matches loosely: the letters in this order.
    """

    BINDINGS = [Binding("escape", "clear", "No filter", id="filter.clear", tooltip="Show everything again")]

    @dataclass
    class Filtered(Message):
        """The filter has changed."""

    def __init__(self) -> None:
        super().__init__(
            placeholder="a regular expression, !not or ~loose; Enter keeps it, Escape drops it", compact=True
        )
        self.display = False
        self._back: Widget | None = None

    @property
    def matches(self) -> Callable[[str], bool]:
        """What tells whether a text is to be shown."""
        return matcher(self.value)

    def open(self) -> None:
        """Show the line and type into it; the focus goes back to where it was."""
        self._back = self.screen.focused
        self.display = True
        self.screen.set_focus(self)  # at once: the next key is for it

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(FilterLine.Filtered())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = bool(self.value)
        self._leave()

    def action_clear(self) -> None:
        """Drop the filter."""
        self.value = ""
        self.display = False
        self._leave()

    def _leave(self) -> None:
        if self._back is not None:
            self._back.focus()
