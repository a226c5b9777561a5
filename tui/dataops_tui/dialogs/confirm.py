"""Before something is changed: what exactly will happen, and the confirmation that the risk asks for."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static, TextArea

from dataops_core.actions import parse_conf
from dataops_core.actions.gate import YES
from dataops_core.errors import ActionRefused
from dataops_tui import look


class ConfirmDialog(ModalScreen[str | None]):
    """Shows what will happen; returns the word that confirms it, or `None`.

    Args:
        title: What is to be done.
        preview: The exact call or statement.
        word: What confirms: `yes` is a press on the button, anything else is to be typed.
    """

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="dialog.cancel", tooltip="Do nothing")]

    def __init__(self, title: str, preview: str, word: str) -> None:
        super().__init__()
        self._title = title
        self._preview = preview
        self._word = word

    def compose(self) -> ComposeResult:
        """Lay out: title, preview, word, buttons."""
        with Vertical(classes="dialog"):
            yield Label(look.plain(self._title, "bold"))
            yield Static(look.plain(self._preview), classes="preview")
            yield from self.compose_more()
            if self._word != YES:
                yield Label(look.plain(f'Type "{self._word}" to go on:'))
                yield Input(id="word", compact=True)
            yield Label("", id="problem")
            with Horizontal(classes="buttons"):
                yield Button("Go on", id="go", variant="warning", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def compose_more(self) -> ComposeResult:
        """Add what else is to be filled in."""
        yield from ()

    def on_mount(self) -> None:
        """Start where something is to be typed; nothing is confirmed by one key alone."""
        self.query_one("#word" if self._word != YES else "#cancel").focus()

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#go")
    @on(Input.Submitted, "#word")
    def _go(self) -> None:
        typed = self.query_one("#word", Input).value.strip() if self._word != YES else YES
        if typed != self._word:
            self.complain(f'that is not "{self._word}"')
        else:
            self.accept(typed)

    def accept(self, word: str) -> None:
        """Return the word."""
        self.dismiss(word)

    def complain(self, problem: str) -> None:
        """Say why it does not go on."""
        self.query_one("#problem", Label).update(look.plain(problem, "red"))


class TriggerDialog(ConfirmDialog):
    """Asks for the parameters of a run; the word that it returns confirms, and `conf` holds what was filled in."""

    def __init__(self, context: str, dag_id: str, target: str, word: str) -> None:
        super().__init__(
            f'Trigger {dag_id} in the context "{context}"', f"POST {target}/api/v2/dags/{dag_id}/dagRuns", word
        )
        self.conf: dict[str, object] = {}

    def compose_more(self) -> ComposeResult:
        """Add the run's parameters."""
        yield Label("Parameters of the run (conf, a JSON object):")
        yield TextArea("{}", id="conf", tab_behavior="focus", compact=True)

    def accept(self, word: str) -> None:
        """Return the word once the parameters can be read."""
        try:
            self.conf = parse_conf(self.query_one("#conf", TextArea).text)
        except ActionRefused as problem:
            self.complain(str(problem))
        else:
            self.dismiss(word)
