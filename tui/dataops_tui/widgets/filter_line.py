"""The filter line (`/`)."""

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
"""Returns for each text whether it matches; raises BadPattern."""


def filter_of(typed: str) -> Filter:
    """Return the filter of a typed expression; raises BadPattern."""
    sign, rest = (typed[0], typed[1:]) if typed[:1] in ("!", "~") else ("", typed)
    if not rest:
        return _everything
    if sign == "~":
        letters = rest.casefold()
        return lambda texts: [_has_in_order(text.casefold(), letters) for text in texts]
    pattern = Pattern(rest, ignore_case=True)
    if sign == "!":
        return lambda texts: [not result for result in pattern.matches(texts)]
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
    """A filter by a regular expression that ignores case. An invalid one shows its error and keeps the previous filter.

    A leading `!` inverts the filter. A leading `~` is a fuzzy match: the letters in this order.
    """

    BINDINGS = [Binding("escape", "clear", "Clear filter", id="filter.clear", tooltip="Clear the filter")]

    @dataclass
    class Filtered(Message):
        """The filter has changed."""

    def __init__(
        self, placeholder: str = "regular expression, !inverted or ~fuzzy; Enter keeps it, Escape clears it"
    ) -> None:
        super().__init__()
        self.display = False
        self._back: Widget | None = None
        self._input = Input(placeholder=placeholder, compact=True)
        self._problem = Words()
        self._problem.display = False
        self._filter: Filter = _everything

    def compose(self) -> ComposeResult:
        """Compose the input line and its error."""
        yield self._input
        yield self._problem

    @property
    def value(self) -> str:
        """The typed expression."""
        return self._input.value

    def keep(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether it matches; all match if the expression is too slow."""
        try:
            return self._filter(texts)
        except BadPattern as problem:  # too slow for these texts
            self._filter = _everything
            self._complain(str(problem))
            return _everything(texts)

    def open(self) -> None:
        """Show the line and focus it; closing it restores the previous focus."""
        if not self._input.has_focus:
            self._back = self.screen.focused
        self.display = True
        self.screen.set_focus(self._input)  # at once, so that the line receives the next key

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
        """Clear the filter and close the line."""
        self._input.value = ""
        self.display = False
        self._leave()

    def _leave(self) -> None:
        if self._back is not None:
            self._back.focus()
