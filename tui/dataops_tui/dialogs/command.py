"""`:`: what to do or where to go, with completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


class CommandPrompt(ModalScreen[str | None]):
    """Asks for a command; returns what was typed, or `None`."""

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Cancel", id="command.cancel", tooltip="Do nothing"),
        Binding(
            "tab", "complete", "Complete", id="command.complete", tooltip="Take the marked completion", priority=True
        ),
        Binding("down", "mark(1)", "Next", id="command.next", show=False, tooltip="Mark the next completion"),
        Binding("up", "mark(-1)", "Previous", id="command.previous", show=False, tooltip="Mark the completion before"),
    ]

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = commands

    def compose(self) -> ComposeResult:
        """Lay out: completions above the line."""
        with Vertical(id="prompt"):
            yield OptionList(id="completions")
            yield Input(id="line", placeholder="a command, e.g. dags", compact=True)

    def on_mount(self) -> None:
        """Start with everything that can be typed."""
        self.query_one(OptionList).can_focus = False
        self._complete("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._complete(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        typed = event.value.strip()
        known = {command.text for command in self._commands}
        marked = self._marked()
        if typed not in known and marked is not None and " " not in typed:
            typed = marked
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
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def _marked(self) -> str | None:
        options = self.query_one(OptionList)
        return None if options.highlighted is None else options.get_option_at_index(options.highlighted).id

    def _complete(self, typed: str) -> None:
        typed = typed.strip().lower()
        starts = [c for c in self._commands if c.text.lower().startswith(typed)]
        has = [c for c in self._commands if typed in c.text.lower() and c not in starts]
        width = max((len(c.text) for c in self._commands), default=0)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(f"{c.text:<{width}}  [dim]{c.about}[/]", id=c.text) for c in (*starts, *has)])
        if options.option_count:
            options.highlighted = 0
