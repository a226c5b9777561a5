"""Text that changes often."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Words(Static):
    """Redraw only if the text differs, and lay the screen out again only if the number of lines differs.

    A layout draws the whole screen: once a second, and with each key, that is what keys would wait for.
    """

    def show(self, text: Text) -> None:
        """Show a text."""
        if _appearance(text) == self._appearance:
            return
        self._appearance = _appearance(text)
        self.update(text, layout=False)
        width, height = self.content_size
        if not width or self.visual.get_height(self.styles.get_rules(), width) != height:
            self.refresh(layout=True)

    _appearance: object = None


def _appearance(text: Text) -> object:
    """Return all that a text's look depends on; texts count as equal also where their styles differ."""
    return text.plain, text.style, text.spans, text.justify
