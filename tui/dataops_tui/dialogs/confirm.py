"""Dialogs that confirm an action: the exact call, and the confirmation that its risk requires."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Select, Static, TextArea

from dataops_core.actions import parse_conf
from dataops_core.actions.params import as_typed, expected, kinds, parse_param
from dataops_core.actions.policy import YES
from dataops_core.errors import ActionRefused
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.messages import ParamsLoaded, WorkFailed

if TYPE_CHECKING:
    from dataops_core.systems.airflow.runs import Param


class ConfirmDialog(ModalScreen[str | None]):
    """A confirmation of an action; returns the confirmation word, or `None`.

    Args:
        title: The action.
        preview: The exact calls or statements, a line each.
        word: The confirmation: `yes` is the button, any other word has to be typed.
    """

    BINDINGS = [Binding("escape", "dismiss(None)", "Cancel", id="dialog.cancel", tooltip="Cancel the action")]
    AUTO_FOCUS = "#word, #cancel"
    """Never the button that confirms, so that a single key confirms nothing."""

    def __init__(self, title: str, preview: Sequence[str], word: str) -> None:
        super().__init__()
        self._title = title
        self._preview = preview
        self._word = word

    def compose(self) -> ComposeResult:
        """Compose title, preview, word and buttons."""
        with Vertical(classes="dialog"):
            yield Label(styled.plain(self._title, "bold"))
            with VerticalScroll(classes="preview"):
                yield Static(Text("\n").join(styled.plain(line) for line in self._preview))
            yield from self.compose_more()
            if self._word != YES:
                yield Label(styled.plain(f'Type "{self._word}" to confirm:'))
                yield Input(id="word", compact=True)
            yield Label("", id="problem")
            with Horizontal(classes="buttons"):
                yield Button("Confirm", id="go", variant="warning", compact=True)
                yield Button("Cancel", id="cancel", compact=True)

    def compose_more(self) -> ComposeResult:
        """Compose additional fields."""
        yield from ()

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#go")
    @on(Input.Submitted, "#word")
    def _go(self) -> None:
        typed = self.query_one("#word", Input).value.strip() if self._word != YES else YES
        if typed != self._word:
            self.complain(f'type "{self._word}" to confirm, or press Cancel')
        else:
            self.accept(typed)

    def accept(self, word: str) -> None:
        """Close the dialog and return the word."""
        self.dismiss(word)

    def complain(self, problem: str) -> None:
        """Show why the dialog does not close."""
        self.query_one("#problem", Label).update(styled.plain(problem, "red"))


class TriggerDialog(ConfirmDialog):
    """A confirmation of a DAG run with its parameters; returns the confirmation word, and sets `conf`.

    Args:
        context: Name of the context.
        dag_id: The DAG.
        target: The address of Airflow's REST API.
        word: The confirmation.
        load: Returns the parameters that the DAG declares; called in the background. Before they are loaded, and for a
            DAG without parameters, the dialog takes JSON.
    """

    def __init__(
        self, context: str, dag_id: str, target: str, word: str, load: Callable[[], tuple[Param, ...]]
    ) -> None:
        super().__init__(f'Trigger {dag_id} in the context "{context}"', [f"POST {target}/dags/{dag_id}/dagRuns"], word)
        self.conf: dict[str, object] = {}
        self._load = load
        self._params: tuple[Param, ...] = ()

    def compose_more(self) -> ComposeResult:
        """Compose the run's parameters."""
        yield Label("Parameters of the run (conf, a JSON object):", id="conf-title")
        yield TextArea("{}", id="conf", tab_behavior="focus", compact=True)
        yield VerticalScroll(id="fields", can_focus=False)

    def on_mount(self) -> None:
        """Load the parameters that the DAG declares."""
        self.query_one("#fields").display = False
        in_background(self, "loading the parameters", lambda: self._loaded(self._load()))

    def _loaded(self, params: tuple[Param, ...]) -> None:
        self.post_message(ParamsLoaded(params))

    @on(WorkFailed)
    def _no_form(self, message: WorkFailed) -> None:
        message.stop()
        self.query_one("#conf-title", Label).update(
            Text.assemble("Parameters of the run, as JSON: ", styled.plain(message.error, "yellow"))
        )

    @on(ParamsLoaded)
    def _draw_form(self, message: ParamsLoaded) -> None:
        if not message.params or self.query_one("#conf", TextArea).text.strip() != "{}":
            return
        self._params = message.params
        fields = self.query_one("#fields")
        for number, param in enumerate(self._params):
            about = f"  {param.description}" if param.description else ""
            fields.mount(Label(Text.assemble(styled.plain(param.name, "bold"), styled.plain(about, "dim"))))
            fields.mount(_field(f"param-{number}", param))
        self.query_one("#conf").display = False
        self.query_one("#conf-title", Label).update("Parameters of the run:")
        fields.display = True
        if self.focused is None or self.focused.id == "cancel":
            self.query_one("#param-0").focus()

    def _filled_in(self) -> dict[str, object]:
        if not self._params:
            return parse_conf(self.query_one("#conf", TextArea).text)
        fields = [self.query_one(f"#param-{number}") for number in range(len(self._params))]
        typed = [field.value if isinstance(field, Input | Select) else "" for field in fields]
        return {
            param.name: parse_param(param.name, str(value), param.schema)
            for param, value in zip(self._params, typed, strict=True)
        }

    def accept(self, word: str) -> None:
        """Close the dialog and return the word, if the parameters are valid."""
        try:
            self.conf = self._filled_in()
        except ActionRefused as problem:
            self.complain(str(problem))
        else:
            self.dismiss(word)


def _field(name: str, param: Param) -> Input | Select[str]:
    choices = [as_typed(choice) for choice in param.schema.get("enum", ())]
    if not choices and kinds(param.schema) == ("boolean",):
        choices = ["true", "false"]
    default = as_typed(param.default)
    if default in choices:
        return Select([(choice, choice) for choice in choices], id=name, value=default, allow_blank=False, compact=True)
    return Input(default, id=name, placeholder=expected(param.schema), compact=True)
