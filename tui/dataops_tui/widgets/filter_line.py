"""`/`: show only what matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from dataops_core.pattern import BadPattern, Pattern
from dataops_tui import styled
from dataops_tui.widgets.words import Words

Filter = Callable[[Sequence[str]], list[bool]]
"""Returns for each text whether it is to be shown; raises BadPattern."""


def filter_of(typed: str) -> Filter:
    """Return what a filter does as it is typed; raises BadPattern."""
    sign, rest = (typed[0], typed[1:]) if typed[:1] in ("!", "~") else ("", typed)
    if not rest:
        return _everything
    if sign == "~":
        letters = rest.casefold()
        return lambda texts: [_has_in_order(text.casefold(), letters) for text in texts]
    pattern = Pattern(rest, ignore_case=True)
    if sign == "!":
        return lambda texts: [not found for found in pattern.matches(texts)]
    return pattern.matches


def _everything(texts: Sequence[str]) -> list[bool]:
    return [True] * len(texts)


def _has_in_order(text: str, letters: str) -> bool:
    at = 0
    for letter in letters:
        at = text.find(letter, at) + 1
        if not at:
            return False
    return True


class FilterLine(Vertical):
    """A regular expression that ignores case. What is wrong with it stands below, and the filter before stays.

    `!` in front shows what does not match, `~` in front matches loosely: the letters in this order.
    """

    BINDINGS = [Binding("escape", "clear", "No filter", id="filter.clear", tooltip="Remove the filter")]

    @dataclass
    class Filtered(Message):
        """The filter has changed."""

    def __init__(
        self, placeholder: str = "a regular expression, !not or ~loose; Enter keeps it, Escape drops it"
    ) -> None:
        super().__init__()
        self.display = False
        self._back: Widget | None = None
        self._input = Input(placeholder=placeholder, compact=True)
        self._problem = Words()
        self._problem.display = False
        self._filter: Filter = _everything

    def compose(self) -> ComposeResult:
        """Lay out: the line, and what is wrong with it."""
        yield self._input
        yield self._problem

    @property
    def value(self) -> str:
        """What is typed."""
        return self._input.value

    def keep(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether it is to be shown."""
        try:
            return self._filter(texts)
        except BadPattern as problem:  # too slow for these texts
            self._filter = _everything
            self._complain(str(problem))
            return _everything(texts)

    def open(self) -> None:
        """Show the line and type into it; the focus goes back to where it was."""
        if not self._input.has_focus:
            self._back = self.screen.focused
        self.display = True
        self.screen.set_focus(self._input)  # at once: the next key is for it

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            self._filter = filter_of(self.value)
        except BadPattern as problem:
            self._complain(str(problem))
            return
        self._complain("")
        self.post_message(FilterLine.Filtered())

    def _complain(self, problem: str) -> None:
        self._problem.display = bool(problem)
        self._problem.show(styled.plain(problem, "red"))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._problem.display:
            return
        self.display = bool(self.value)
        self._leave()

    def action_clear(self) -> None:
        """Drop the filter."""
        self._input.value = ""
        self.display = False
        self._leave()

    def _leave(self) -> None:
        if self._back is not None:
            self._back.focus()
