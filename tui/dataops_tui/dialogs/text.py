"""A dialog that shows a text, e.g. all values of a row."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from dataops_core.plain import lines_of
from dataops_tui import styled


class TextDialog(ModalScreen[None]):
    """A scrollable text."""

    BINDINGS = [
        Binding("escape,q,y", "dismiss(None)", "Close", id="text.close", tooltip="Close the text"),
        Binding("c", "copy", "Copy", id="text.copy", tooltip="Copy the text"),
        Binding("j", "scroll(1)", "Down", id="text.down", show=False, tooltip="Scroll down"),
        Binding("k", "scroll(-1)", "Up", id="text.up", show=False, tooltip="Scroll up"),
    ]

    def __init__(self, title: str, text: str, shown: RenderableType | None = None) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._shown = shown

    def compose(self) -> ComposeResult:
        """Compose title and text."""
        with VerticalScroll(id="text"):
            yield Label(styled.plain(self._title, "bold"))
            shown = Text("\n").join(styled.plain(line) for line in lines_of(self._text))
            yield Static(self._shown or shown)

    def action_copy(self) -> None:
        """Copy the text through the terminal (OSC 52)."""
        self.app.copy_to_clipboard(self._text)
        self.notify("copied", timeout=1)

    def action_scroll(self, step: int) -> None:
        """Scroll by one line."""
        self.query_one("#text").scroll_relative(y=step, animate=False)
