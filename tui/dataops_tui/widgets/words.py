"""Text that changes often."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Words(Static):
    """A text that is redrawn only if it differs, with a new layout only if the number of lines differs.

    A layout redraws the whole screen. Done every second and with each key, it would delay the keys.
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
    """Return everything that the appearance of a text depends on; equal texts may differ in style."""
    return text.plain, text.style, text.spans, text.justify
