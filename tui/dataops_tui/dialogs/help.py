"""`?`: the keys that work right now, from the bindings themselves."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dataops_core.health.model import StageState
from dataops_tui import look

MEANINGS = {
    StageState.CAUGHT_UP: "has passed what it was given",
    StageState.IDLE: "caught up, and nothing new arrives",
    StageState.BEHIND: "lags, and does not lose ground",
    StageState.SLOW: "lags more and more although it works",
    StageState.STUCK: "input waits, and nothing comes out",
    StageState.FAILED: "the system itself says so",
    StageState.UNKNOWN: "could not be told",
}


class HelpScreen(ModalScreen[None]):
    """Keys and states."""

    BINDINGS = [Binding("escape,question_mark,q", "dismiss(None)", "Close", id="help.close", tooltip="Close the help")]

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Lay out: keys, then states."""
        with VerticalScroll(id="help"):
            yield Static(self._table("Keys here", [(Text(key, "bold"), about) for key, about in self._keys]))
            yield Static(self._table("States", [(look.state(state), about) for state, about in MEANINGS.items()]))

    def _table(self, title: str, rows: Sequence[tuple[Text, str]]) -> Table:
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
        )
        table.add_column(no_wrap=True)
        table.add_column()
        for left, right in rows:
            table.add_row(left, right)
        table.add_row("", "")
        return table
