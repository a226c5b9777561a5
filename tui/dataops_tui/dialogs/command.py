"""The command prompt (`:`), with completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        text: The full command.
        about: Its description.
    """

    text: str
    about: str


ACTING = frozenset(("trigger",))
"""Verbs that make changes; a completion never supplies their object."""
MOST = 50
"""Maximum number of completions that are shown."""


class CommandPrompt(ModalScreen[str | None]):
    """A prompt for a command; returns the command, or `None`."""

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Cancel", id="command.cancel", tooltip="Close without running a command"),
        Binding(
            "tab",
            "complete",
            "Complete",
            id="command.complete",
            tooltip="Insert the selected completion",
            priority=True,
        ),
        Binding("down", "mark(1)", "Next", id="command.next", show=False, tooltip="Select the next completion"),
        Binding(
            "up", "mark(-1)", "Previous", id="command.previous", show=False, tooltip="Select the previous completion"
        ),
    ]

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = commands
        self._completed = ""
        self._chosen = False
        """Whether the user has selected a completion; otherwise the first one is highlighted."""

    def compose(self) -> ComposeResult:
        """Compose the completions above the input line."""
        with Vertical(id="prompt"):
            options = OptionList(*self._options(""), id="completions")
            options.can_focus = False
            options.highlighted = 0
            yield options
            yield Input(id="line", placeholder="a command, e.g. dags", compact=True)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._complete(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._submit(event.value)

    def _submit(self, value: str) -> None:
        if value != self._completed:  # the completions still belong to the previous input
            self._complete(value)
        typed = value.strip()
        known = {name for c in self._commands for name in (c.text, c.text.partition(" ")[0])}
        marked = self._marked()
        if marked is not None and self._chosen:
            typed = marked
        elif marked is not None and typed not in known and " " not in typed:
            typed = _resolved(typed, marked)
        self.dismiss(typed or None)

    def action_complete(self) -> None:
        """Insert the highlighted completion."""
        marked = self._marked()
        if marked is not None:
            line = self.query_one(Input)
            line.value = marked
            line.cursor_position = len(marked)

    def action_mark(self, step: int) -> None:
        """Highlight the next or the previous completion."""
        options = self.query_one(OptionList)
        self._chosen = True
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def _marked(self) -> str | None:
        options = self.query_one(OptionList)
        return None if options.highlighted is None else options.get_option_at_index(options.highlighted).id

    def _complete(self, typed: str) -> None:
        self._completed, self._chosen = typed, False
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(self._options(typed))
        if options.option_count:
            options.highlighted = 0

    def _options(self, typed: str) -> list[Option]:
        """Return the matching commands, those that start with the input first."""
        typed = typed.strip().lower()
        results = [c for c in self._commands if typed in c.text.lower()]
        results.sort(key=lambda c: not c.text.lower().startswith(typed))
        shown = results[:MOST]
        width = max((len(c.text) for c in shown), default=0)
        options = [Option(Text.assemble(f"{c.text:<{width}}  ", (c.about, "dim")), id=c.text) for c in shown]
        if len(results) > MOST:
            options.append(Option(Text(f"{len(results) - MOST:,} more: keep typing", "dim"), disabled=True))
        return options


def _resolved(typed: str, first: str) -> str:
    """Return the command that Enter runs without a selection; it never adds an object that was not typed."""
    verb, _, name = first.partition(" ")
    if not name or (verb not in ACTING and typed.lower() in name.lower()):
        return first
    return verb if typed and verb.startswith(typed.lower()) else typed
