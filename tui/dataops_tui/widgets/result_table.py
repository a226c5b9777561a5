"""A table of a query result. It reads only the rows on the screen, so a million rows cost no more than twenty."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from dataops_core.plain import visible
from dataops_core.sql.results import Result
from dataops_core.units import count
from dataops_core.values import is_number, shown

HEADER = 2
"""Number of header lines: names and types of the columns."""
WIDEST = 50
"""Maximum width of a column in cells; a longer value is cut off with an ellipsis, and Enter shows all of it."""
MEASURED = 200
"""Number of first rows that set the initial widths of the columns; rows that come into view widen them."""
_LONGEST = 4 * WIDEST
"""Maximum characters of a value that its cell is made of."""
_GAP = "  "


class ResultTable(ScrollView, can_focus=True):
    """The rows of a result, with a cursor."""

    COMPONENT_CLASSES = {"result--header", "result--type", "result--number", "result--null", "result--cursor"}
    BINDINGS = [
        Binding("down,j", "move(1)", "Down", id="result.down", show=False, tooltip="Next row"),
        Binding("up,k", "move(-1)", "Up", id="result.up", show=False, tooltip="Previous row"),
        Binding("pagedown", "page(1)", "Page down", id="result.pagedown", show=False, tooltip="Next page of rows"),
        Binding("pageup", "page(-1)", "Page up", id="result.pageup", show=False, tooltip="Previous page of rows"),
        Binding("g,home", "jump(0)", "Top", id="result.top", show=False, tooltip="First row"),
        Binding("G,end", "jump(-1)", "Bottom", id="result.bottom", show=False, tooltip="Last row"),
        Binding("right,l", "pan(1)", "Right", id="result.right", show=False, tooltip="Scroll right"),
        Binding("left,h", "pan(-1)", "Left", id="result.left", show=False, tooltip="Scroll left"),
        Binding("enter", "choose", "Row", id="result.row", tooltip="Show the full row"),
    ]
    cursor: reactive[int] = reactive(0, repaint=False)

    @dataclass
    class Chosen(Message):
        """Enter was pressed on a row."""

        row: int

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._result: Result | None = None
        self._widths: list[int] = []
        self._right: list[bool] = []
        self._heads: list[tuple[str, str]] = []
        self._rows = 0

    @property
    def result(self) -> Result | None:
        """The current result."""
        return self._result

    @property
    def row_count(self) -> int:
        """Number of rows that are available."""
        return self._rows

    def show(self, result: Result | None) -> None:
        """Show a result; `None` clears the table."""
        self._result, self._rows = result, 0
        self._heads = [(visible(name), visible(kind)) for name, kind in result.columns] if result is not None else []
        self._right = [is_number(kind) for _, kind in result.columns] if result is not None else []
        self._widths = [min(WIDEST, max(cell_len(name), cell_len(kind))) for name, kind in self._heads]
        self.cursor = 0
        self.scroll_to(0, 0, animate=False)
        self.grow()

    def grow(self) -> None:
        """Show rows that were added to the result."""
        if self._result is None:
            self.virtual_size = Size(0, 0)
            self.refresh()
            return
        before, self._rows = self._rows, len(self._result)
        if before < MEASURED:
            self._measure(range(before, min(self._rows, MEASURED)))
        self._resize()
        if before < self.scroll_offset.y + self.size.height:
            self.refresh()

    def _resize(self) -> None:
        width = self._gutter + sum(self._widths) + len(_GAP) * len(self._widths)
        self.virtual_size = Size(width, self._rows + HEADER)

    @property
    def _gutter(self) -> int:
        return len(count(self._rows)) + len(_GAP)

    def _measure(self, rows: range) -> bool:
        """Widen the columns to the values of these rows; return whether one was too narrow."""
        result = self._result
        if result is None:
            return False
        before = list(self._widths)
        for index in rows:
            for column, value in enumerate(result.row(index)):
                if self._widths[column] < WIDEST:
                    width = min(WIDEST, cell_len(_text(value)))
                    self._widths[column] = max(self._widths[column], width)
        return self._widths != before

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Widen the columns to the rows that have come into view."""
        super().watch_scroll_y(old_value, new_value)
        self._fit_columns()

    def on_resize(self) -> None:
        """Widen the columns to the rows that have come into view."""
        self._fit_columns()

    def _fit_columns(self) -> None:
        first = self.scroll_offset.y
        last = min(self._rows, first + max(0, self.size.height - HEADER))
        if self._measure(range(first, last)):
            self._resize()
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen: a header line or a row."""
        width = self.size.width
        base = self.rich_style
        if self._result is None:
            return Strip.blank(width, base)
        if y < HEADER:
            style = self.get_component_rich_style("result--header" if y == 0 else "result--type")
            cells = [(self._aligned(head[y], column), style) for column, head in enumerate(self._heads)]
            return self._line("", cells, base, width)
        index = self.scroll_offset.y + y - HEADER
        if index >= self._rows:
            return Strip.blank(width, base)
        null = self.get_component_rich_style("result--null")
        cells = []
        first, last = self._columns_in_view()
        for column, value in enumerate(self._result.row(index)):
            text = self._aligned(_text(value), column) if first <= column <= last else ""
            cells.append((text, null if value is None else base))
        line = self._line(count(index + 1), cells, base, width)
        if index == self.cursor:
            behind = Style(bgcolor=self.get_component_rich_style("result--cursor").bgcolor)
            line = Strip(Segment.apply_style(line, post_style=behind), line.cell_length)
        return line

    def _columns_in_view(self) -> tuple[int, int]:
        ends = list(accumulate(width + len(_GAP) for width in self._widths))
        left = self.scroll_offset.x
        right = left + self.size.width
        first = next((column for column, end in enumerate(ends) if end > left), 0)
        last = next((column for column, end in enumerate(ends) if end >= right), len(ends))
        return first, last

    def _line(self, number: str, cells: list[tuple[str, Style]], base: Style, width: int) -> Strip:
        gutter = self._gutter
        numbers = self.get_component_rich_style("result--number")
        segments = [
            Segment((set_cell_size(text, size) if text else " " * size) + _GAP, style)
            for (text, style), size in zip(cells, self._widths, strict=True)
        ]
        left = self.scroll_offset.x
        body = Strip(segments).crop_extend(left, left + width - gutter, base)
        return Strip([Segment(number.rjust(gutter - len(_GAP)) + _GAP, numbers), *body]).crop_extend(0, width, base)

    def _aligned(self, text: str, column: int) -> str:
        size = self._widths[column]
        length = cell_len(text)
        if length > size:
            return set_cell_size(text, size - 1) + "…"
        return " " * (size - length) + text if self._right[column] else text

    def validate_cursor(self, cursor: int) -> int:
        """Clamp the cursor to the rows."""
        return max(0, min(cursor, self._rows - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Scroll to the row, and redraw the old and the new one."""
        top, page = self.scroll_offset.y, self._page
        if not top <= new < top + page:
            self.scroll_to(y=new if new < top else new - page + 1, animate=False)
        for row in (old, new):
            line = row - self.scroll_offset.y + HEADER
            if HEADER <= line < self.size.height:
                self.refresh(Region(0, line, self.size.width, 1))

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - HEADER)

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self.cursor += by

    def action_page(self, by: int) -> None:
        """Move the cursor by pages."""
        self.cursor += by * self._page

    def action_jump(self, to: int) -> None:
        """Move the cursor to a row; -1 is the last one."""
        self.cursor = to if to >= 0 else self._rows - 1

    def action_pan(self, by: int) -> None:
        """Scroll horizontally by half a screen."""
        self.scroll_to(x=self.scroll_offset.x + by * max(10, self.size.width // 2), animate=False)

    def action_choose(self) -> None:
        """Show the selected row in full."""
        if self._rows:
            self.post_message(self.Chosen(self.cursor))

    def on_click(self, event: events.Click) -> None:
        """Select the clicked row; a double click shows it in full."""
        row = self.scroll_offset.y + event.y - HEADER
        if event.y >= HEADER and row < self._rows:
            self.cursor = row
            if event.chain == 2:
                self.action_choose()


def _text(value: object) -> str:
    """Return the text of a cell: `NULL`, or the value, quoted if it is empty or the text NULL."""
    if value is None:
        return "NULL"
    text = shown(value[:_LONGEST] if isinstance(value, str) else value)
    if isinstance(value, str | bytes) and text in ("", "NULL"):
        return f'"{text}"'
    return visible(text[:_LONGEST])
