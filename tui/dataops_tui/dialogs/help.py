"""The help (`?`): the active keys, the states and the screens."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dataops_core.health.model import StageState
from dataops_tui import styled

MEANINGS = {
    StageState.CAUGHT_UP: "has processed all input",
    StageState.IDLE: "caught up, no new records",
    StageState.BEHIND: "behind its input; the lag is not rising",
    StageState.SLOW: "running, but the lag is rising",
    StageState.STUCK: "has input, but produces no output",
    StageState.FAILED: "the system reports a failure",
    StageState.AFFECTED: "healthy, but gets no data from upstream",
    StageState.UNKNOWN: "cannot be probed",
    StageState.STARTING: "not probed yet",
}


class HelpScreen(ModalScreen[None]):
    """The active keys, the states and the screens, each with its description."""

    BINDINGS = [Binding("escape,question_mark,q", "dismiss(None)", "Close", id="help.close", tooltip="Close the help")]

    def __init__(self, keys: Sequence[tuple[str, str]], screens: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys
        self._screens = screens

    def compose(self) -> ComposeResult:
        """Compose keys, states and screens."""
        with VerticalScroll(id="help"):
            yield Static(_list("Active keys", [(Text(key, "bold"), about) for key, about in self._keys]))
            yield Static(_list("States", [(styled.state(state), about) for state, about in MEANINGS.items()]))
            yield Static(_list("Screens", [(Text(f":{name}", "bold"), about) for name, about in self._screens]))


def _list(title: str, rows: Sequence[tuple[Text, str]]) -> Text:
    """Return two columns as one text, which Textual draws much faster than a Rich table."""
    width = max((left.cell_len for left, _ in rows), default=0)
    lines = [Text.assemble(left, " " * (width - left.cell_len + 2), about) for left, about in rows]
    return Text("\n").join([Text(title, "bold"), *lines, Text()])
