"""`:`: what to do or where to go, with completion."""

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
    """One thing that can be typed.

    Attributes:
        text: As it is typed, in full.
        about: What it does.
    """

    text: str
    about: str


ACTING = frozenset(("trigger",))
"""Verbs that change something: their object is typed or chosen."""
MOST = 50
"""Completions that are shown: more than one looks through, and each costs time."""


class CommandPrompt(ModalScreen[str | None]):
    """Asks for a command; returns what was typed, or `None`."""

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
        """Whether the user has marked a completion, which else is only the first one."""

    def compose(self) -> ComposeResult:
        """Lay out: completions above the line."""
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
        if value != self._completed:  # the completions are still those of what was there before
            self._complete(value)
        typed = value.strip()
        known = {name for c in self._commands for name in (c.text, c.text.partition(" ")[0])}
        marked = self._marked()
        if marked is not None and self._chosen:
            typed = marked
        elif marked is not None and typed not in known and " " not in typed:
            typed = _meant(typed, marked)
        self.dismiss(typed or None)

    def action_complete(self) -> None:
        """Put the marked completion into the line."""
        marked = self._marked()
        if marked is not None:
            line = self.query_one(Input)
            line.value = marked
            line.cursor_position = len(marked)

    def action_mark(self, step: int) -> None:
        """Mark another completion."""
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
        """Return what can be typed, what begins as it was typed first."""
        typed = typed.strip().lower()
        found = [c for c in self._commands if typed in c.text.lower()]
        found.sort(key=lambda c: not c.text.lower().startswith(typed))
        shown = found[:MOST]
        width = max((len(c.text) for c in shown), default=0)
        options = [Option(Text.assemble(f"{c.text:<{width}}  ", (c.about, "dim")), id=c.text) for c in shown]
        if len(found) > MOST:
            options.append(Option(Text(f"{len(found) - MOST:,} more: keep typing", "dim"), disabled=True))
        return options


def _meant(typed: str, first: str) -> str:
    """Return what Enter takes where the first completion is nobody's choice: never an object that was not typed."""
    verb, _, thing = first.partition(" ")
    if not thing or (verb not in ACTING and typed.lower() in thing.lower()):
        return first
    return verb if typed and verb.startswith(typed.lower()) else typed
