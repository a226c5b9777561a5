"""A view of a log: it keeps the lines up to a limit, and draws only those on the screen."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

MAX_CHARACTERS = 64 << 20
"""Maximum characters in memory; the oldest lines of a longer log are dropped."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log.

    Attributes:
        time: Number of leading characters that are the time.
        colour: Style of the other characters.
    """

    text: str
    time: int = 0
    colour: str = ""


class LogView(ScrollView, can_focus=True):
    """Lines, wrapped to the width; the view stays at the end while `follows` is set."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.lines: list[Line] = []
        self.follows = True
        self.missing = 0
        """Number of lines that were dropped at the beginning."""
        self.hits: list[int] = []
        """Numbers of the lines that match the search."""
        self._hit: int | None = None
        self._characters = 0
        self._goes_to_end = False
        self._rows: list[tuple[int, str, int]] = []
        """Rows of the screen: number of the line, its part, and the offset of the part in the line."""
        self._laid_out = 0
        """Number of lines that have been wrapped."""

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines at the end."""
        at_end = self._is_at_end
        self.lines += lines
        self._characters += sum(len(line.text) for line in lines)
        if self._characters > MAX_CHARACTERS:
            self._drop()
        self._lay_out()
        if self.follows and at_end:
            self.to_end()

    @property
    def _is_at_end(self) -> bool:
        return self._goes_to_end or self.is_vertical_scroll_end

    def to_end(self) -> None:
        """Go to the last line, after the layout of the added lines."""
        self._goes_to_end = True
        self.scroll_end(animate=False, on_complete=self._arrived)

    def _arrived(self) -> None:
        self._goes_to_end = False

    def _drop(self) -> None:
        """Drop the oldest lines, and 10 % more than needed, because all others have to be wrapped again."""
        dropped = 0
        while self._characters > MAX_CHARACTERS * 0.9 and dropped < len(self.lines) - 1:
            self._characters -= len(self.lines[dropped].text)
            dropped += 1
        del self.lines[:dropped]
        self.missing += dropped
        self.hits = [hit - dropped for hit in self.hits if hit >= dropped]
        self._hit = None
        self._rows, self._laid_out = [], 0

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if not width:
            return
        for number in range(self._laid_out, len(self.lines)):
            text, begin = self.lines[number].text, 0
            if len(text) <= width and (text.isascii() or cell_len(text) <= width):
                self._rows.append((number, text, 0))
                continue
            for part in chop_cells(text, width):
                self._rows.append((number, part, begin))
                begin += len(part)
        self._laid_out = len(self.lines)
        self.virtual_size = Size(width, len(self._rows))
        self.refresh()

    def on_resize(self) -> None:
        """Wrap the lines to the new width."""
        at_end, top = self._is_at_end, self.top
        self._rows, self._laid_out = [], 0
        self._lay_out()
        if self.follows and at_end:
            self.to_end()
        elif top is not None:
            self._show(top)

    @property
    def top(self) -> int | None:
        """The first line on the screen."""
        y = round(self.scroll_y)
        return self._rows[y][0] if y < len(self._rows) else None

    def _show(self, number: int) -> None:
        y = bisect_left(self._rows, number, key=lambda row: row[0])
        self.scroll_to(y=max(0, y - self.size.height // 3), animate=False, immediate=True)

    def search(self, hits: list[int]) -> None:
        """Mark the matching lines, and go to the next one."""
        start = self._hit if self._hit is not None else self.top or 0
        self.hits, self._hit = hits, None
        if hits:
            self._go(bisect_left(hits, start) % len(hits))
        self.refresh()

    def step(self, by: int) -> None:
        """Go to the next or the previous matching line."""
        if self.hits:
            at = bisect_left(self.hits, self._hit if self._hit is not None else self.top or 0)
            self._go((at + by) % len(self.hits))

    def _go(self, at: int) -> None:
        self._hit = self.hits[at]
        self.follows = False
        self._show(self._hit)
        self.refresh()

    @property
    def hit(self) -> int | None:
        """Number of the current match, from 1; `None` without one."""
        return None if self._hit is None else bisect_left(self.hits, self._hit) + 1

    def render_line(self, y: int) -> Strip:
        """Return one row of the screen."""
        at, width = round(self.scroll_y) + y, self.scrollable_content_region.width
        if at >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        number, part, begin = self._rows[at]
        line = self.lines[number]
        text, time = Text(part, end=""), max(0, line.time - begin)
        text.stylize("dim", 0, time)
        text.stylize(line.colour, time)
        if self.hits and (result := bisect_left(self.hits, number)) < len(self.hits) and self.hits[result] == number:
            text.stylize("reverse" if number == self._hit else "underline")
        strip = Strip(text.render(self.app.console)).adjust_cell_length(width)
        return strip.apply_style(self.rich_style)
