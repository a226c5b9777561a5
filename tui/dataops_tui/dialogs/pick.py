"""Dialogs to pick an entry of a list, and to enter one line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from dataops_tui import styled

MOST = 200
"""Maximum number of choices that are listed; typing narrows them down."""
_AGAIN = "press Enter again to replace it"


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry of the list.

    Attributes:
        label: Its line in the list.
        text: Its text, which is searched, shown below the list, and returned.
    """

    label: Text
    text: str


class _Entry(Option):
    """A line of the list, and the choice that it stands for."""

    def __init__(self, choice: Choice) -> None:
        super().__init__(choice.label)
        self.choice = choice


class PickDialog(ModalScreen[str | None]):
    """A searchable list; returns the text of the picked entry, or `None`.

    Args:
        title: Title of the dialog.
        choices: All entries, the most likely first.
        none: Text for an empty list.
    """

    BINDINGS = [
        Binding("escape", "dismiss(None)", "Cancel", id="pick.cancel", tooltip="Close without choosing"),
        Binding("down", "mark(1)", "Next", id="pick.next", show=False, tooltip="Select the next entry"),
        Binding("up", "mark(-1)", "Previous", id="pick.previous", show=False, tooltip="Select the previous entry"),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], none: str) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._none = none

    def compose(self) -> ComposeResult:
        """Compose search line, list, and the full text of the highlighted entry."""
        with Vertical(classes="dialog pick"):
            yield Label(styled.plain(self._title, "bold"))
            yield Input(placeholder="type parts of the name, in any order", compact=True)
            yield OptionList(markup=False)
            yield Static(id="preview")

    def on_mount(self) -> None:
        """List all entries."""
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()
        self._narrow("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._narrow(event.value)

    def _narrow(self, typed: str) -> None:
        parts = typed.lower().split()
        found = [
            choice
            for choice in self._choices
            if all(part in choice.text.lower() or part in choice.label.plain.lower() for part in parts)
        ][:MOST]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([_Entry(choice) for choice in found])
        options.highlighted = 0 if found else None
        if not found:
            self.query_one("#preview", Static).update(styled.plain(self._none if not parts else "no matches", "dim"))

    @on(OptionList.OptionHighlighted)
    def _marked(self, event: OptionList.OptionHighlighted) -> None:
        # the event may arrive after the list has changed
        if isinstance(event.option, _Entry) and event.option is self.query_one(OptionList).highlighted_option:
            text = Text("\n").join(styled.plain(line) for line in event.option.choice.text.splitlines())
            self.query_one("#preview", Static).update(text)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        if isinstance(event.option, _Entry):
            self.dismiss(event.option.choice.text)

    @on(Input.Submitted)
    def _chosen(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        if isinstance(option, _Entry):
            self.dismiss(option.choice.text)

    def action_mark(self, by: int) -> None:
        """Highlight the next or the previous entry."""
        options = self.query_one(OptionList)
        if by > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()


@dataclass(frozen=True, slots=True)
class Answer:
    """The entered text, and whether an existing object of that name may be replaced."""

    text: str
    replace: bool


class InputDialog(ModalScreen[Answer | None]):
    """A prompt for one line of text; returns the answer, or `None`.

    Args:
        title: Title of the dialog.
        text: Initial text.
        check: Returns the error of a text (empty if it is valid), and whether an object of that name exists.
    """

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="ask.cancel", tooltip="Cancel the input")]

    def __init__(self, title: str, text: str, check: Callable[[str], tuple[str, bool]]) -> None:
        super().__init__()
        self._title = title
        self._start = text
        self._check = check
        self._warned: str | None = None

    def compose(self) -> ComposeResult:
        """Compose title, input line and error."""
        with Vertical(classes="dialog"):
            yield Label(styled.plain(self._title, "bold"))
            yield Input(self._start, compact=True)
            yield Label("", id="problem")

    def on_mount(self) -> None:
        """Focus the input line."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        problem, exists = self._check(event.value)
        if not problem and exists and self._warned != event.value:
            self._warned = event.value
            problem = f"{event.value} exists already; {_AGAIN}"
        if problem:
            self.query_one("#problem", Label).update(styled.plain(problem, "red"))
        else:
            self.dismiss(Answer(event.value, exists))
