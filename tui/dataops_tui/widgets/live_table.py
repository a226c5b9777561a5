"""A table that is updated often, without losing the cursor and the scroll position."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import DataTable
from textual.widgets.data_table import ColumnKey, Row, RowKey

from dataops_tui.styled import SortableText

Cells = Sequence[RenderableType]
MARK = "✓ "
SHARE, LEAST = 0.4, 16
"""Width that a column may always have: a share of the table, and a number of cells."""


class LiveTable(DataTable[RenderableType]):
    """A table with rows by key; cursor and scroll position follow the key when rows change.

    Args:
        markable: Whether rows can be marked, for actions on several rows.
    """

    BINDINGS = [
        Binding("j", "cursor_down", "Down", id="table.down", show=False, tooltip="Next row"),
        Binding("k", "cursor_up", "Up", id="table.up", show=False, tooltip="Previous row"),
        Binding("g", "scroll_top", "Top", id="table.top", show=False, tooltip="First row"),
        Binding("G", "scroll_bottom", "Bottom", id="table.bottom", show=False, tooltip="Last row"),
        Binding("s", "sort", "Sort", id="table.sort", show=False, tooltip="Sort by the next column, then unsorted"),
        Binding("S", "reverse", "Reverse", id="table.reverse", show=False, tooltip="Reverse the sort order"),
        Binding(
            "space", "mark", "Mark", id="table.mark", show=False, tooltip="Mark the row for an action on several rows"
        ),
    ]

    def __init__(self, *, id: str | None = None, markable: bool = False) -> None:  # noqa: A002 - Textual's name for it
        # a state keeps its colour under the cursor
        super().__init__(id=id, cursor_type="row", cursor_foreground_priority="renderable")
        self._markable = markable
        self._headings: tuple[str, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._given: Mapping[str, Cells] = {}
        self._shown: dict[str, Cells] = {}
        self._sort: str | None = None
        self._descending = False
        self._marks: set[str] = set()
        self._base_style: Style | None = None
        self._widths: dict[int, int] = {}
        """Width of the content of each column, by its number."""

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor; `None` in an empty table."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    @property
    def chosen(self) -> tuple[str, ...]:
        """Keys of the marked rows that are shown, or of the selected row."""
        marked = tuple(key for key in self._shown if key in self._marks)
        return marked or ((self.cursor_key,) if self.cursor_key is not None else ())

    def move_to(self, key: str) -> bool:
        """Move the cursor to a row; return whether it exists."""
        keys = list(self._shown)
        if key in keys:
            self.move_cursor(row=keys.index(key), animate=False)
        return key in keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable sorting without columns, and marking if rows cannot be marked."""
        if action in ("sort", "reverse"):
            return bool(self._headings)
        if action == "mark":
            return self._markable
        return super().check_action(action, parameters)

    def show(self, headings: Sequence[str], rows: Mapping[str, Cells]) -> None:
        """Show these rows, in their order or sorted."""
        self._headings, self._given = tuple(headings), rows
        arranged = {key: self._marked(key, cells) for key, cells in self._arranged().items()}
        labels = tuple(self._label(heading) for heading in headings)
        if labels != self._labels or list(arranged) != list(self._shown):
            self._rebuild(labels, arranged)
        else:
            self._update(arranged)
        self._shown = arranged

    def unmark(self) -> None:
        """Remove all marks."""
        self._marks.clear()
        self.show(self._headings, self._given)

    def action_sort(self) -> None:
        """Sort by the next column; after the last one, restore the rows' order."""
        order = [None, *self._headings]
        at = order.index(self._sort) if self._sort in order else 0
        self._sort_by(order[(at + 1) % len(order)])

    def action_reverse(self) -> None:
        """Reverse the sort order."""
        self._descending = not self._descending
        self.show(self._headings, self._given)

    def action_mark(self) -> None:
        """Mark or unmark the selected row, and move to the next one."""
        key = self.cursor_key
        if key is not None:
            self._marks ^= {key}
            self.show(self._headings, self._given)
            self.action_cursor_down()

    @on(DataTable.HeaderSelected)
    def _header_clicked(self, event: DataTable.HeaderSelected) -> None:
        if event.column_index < len(self._headings):
            heading = self._headings[event.column_index]
            if heading == self._sort:
                self.action_reverse()
            else:
                self._sort_by(heading)

    def _sort_by(self, heading: str | None) -> None:
        self._sort, self._descending = heading, False
        self.show(self._headings, self._given)

    def _arranged(self) -> Mapping[str, Cells]:
        if self._sort not in self._headings:
            return self._given
        column = self._headings.index(self._sort)
        known = {key: result for key, cells in self._given.items() if (result := _value(cells[column])) is not None}
        keys = sorted(known, key=lambda key: known[key], reverse=self._descending)
        keys += [key for key in self._given if key not in known]
        return {key: self._given[key] for key in keys}

    def _marked(self, key: str, cells: Cells) -> Cells:
        if key not in self._marks:
            return cells
        first = cells[0]
        return [Text.assemble((MARK, "bold cyan"), first if isinstance(first, Text) else str(first)), *cells[1:]]

    def _label(self, heading: str) -> str:
        arrow = " ▼" if self._descending else " ▲"
        return heading + (arrow if heading == self._sort else "")

    def _update(self, rows: Mapping[str, Cells]) -> None:
        """Update all changed cells in one step; Textual's method redraws the table for each of them."""
        changed: set[tuple[RowKey | None, ColumnKey]] = set()
        columns: set[int] = set()
        keys = [column.key for column in self.ordered_columns]
        for key, cells in rows.items():
            for number, (new, old) in enumerate(zip(cells, self._shown[key], strict=True)):
                if new != old:
                    position = RowKey(key), keys[number]
                    self._data[position[0]][position[1]] = new
                    changed.add(position)
                    columns.add(number)
        if self._fit(columns, rows):
            self._clear_caches()
        elif changed:
            self._forget(changed)
        if changed:
            self._require_update_dimensions = True
            self.refresh()

    def _forget(self, changed: Collection[tuple[RowKey | None, ColumnKey]]) -> None:
        """Drop the cached rendering of the changed cells; the other cells stay cached."""
        for key in [key for key in self._cell_render_cache.keys() if key[:2] in changed]:  # noqa: SIM118 - no dict
            self._cell_render_cache.discard(key)
        for cache in (self._row_render_cache, self._row_renderable_cache, self._line_cache):
            cache.clear()

    def _fit(self, columns: Iterable[int], rows: Mapping[str, Cells]) -> bool:
        """Fit the columns to their content; return whether a width has changed.

        Textual renders every cell to measure it. If one gets narrower, it renders the whole column again for each such
        cell, which blocked the console for a minute with a thousand rows. Here each row is one line, and its text has a
        known width. Textual also measures only when idle, and caches the lines that it drew too narrow before.
        """
        for number in columns:
            widths = (self._width(cells[number]) for cells in rows.values())
            self._widths[number] = max((self._width(self.ordered_columns[number].label), *widths))
        return self._limit()

    def _limit(self) -> bool:
        """Narrow long columns that push others off the table; return whether a width has changed.

        The last column has no limit, because no column follows it.
        """
        before = [column.content_width for column in self.ordered_columns]
        widths = [self._widths[number] for number in range(len(before))]
        room = self.size.width
        least = max(LEAST, int(room * SHARE))
        for number in sorted(range(len(widths) - 1), key=lambda number: -widths[number]):
            excess = sum(widths) + 2 * self.cell_padding * len(widths) - room
            if room and excess > 0 and widths[number] > least:
                widths[number] = max(least, widths[number] - excess)
        for column, width in zip(self.ordered_columns, widths, strict=True):
            column.content_width = width
        return before != widths

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        if self._shown and self._limit():
            self._clear_caches()
            self._require_update_dimensions = True
            self.refresh()

    def _render_cell(
        self,
        row_index: int,
        column_index: int,
        base_style: Style,
        width: int,
        cursor: bool = False,
        hover: bool = False,
    ) -> list[list[Segment]]:
        """Return the lines of a cell; Textual's method wraps and pads through Rich, which takes twice the time."""
        row, column = self._row_locations.get_key(row_index), self._column_locations.get_key(column_index)
        if row is None or column is None:  # a heading
            return super()._render_cell(row_index, column_index, base_style, width, cursor, hover)
        cell, state = self._data[row][column], self._pseudo_class_state
        key = (row, column, base_style, cursor, hover, self._show_hover_cursor, self._update_count, state)
        if not isinstance(cell, Text) or "\n" in cell.plain or key in self._cell_render_cache:
            return super()._render_cell(row_index, column_index, base_style, width, cursor, hover)
        component, post_style = self._get_styles_to_render_cell(
            False,
            False,
            False,
            hover,
            cursor,
            self.show_cursor,
            self._show_hover_cursor,
            self.cursor_foreground_priority == "css",
            self.cursor_background_priority == "css",
        )
        style = base_style + Style.from_meta({"row": row_index, "column": column_index}) + component
        line, room, padding = cell.copy(), width - 2 * self.cell_padding, " " * self.cell_padding
        line = _shortened(line, room) if column_index < len(self._labels) - 1 else line
        line.truncate(room)
        if cell.justify == "right":
            line.pad_left(room - line.cell_len)
        line.stylize_before(line.style)  # without the padding
        line.style = ""
        line.pad_right(room - line.cell_len)
        segments = [Segment(padding), *line.render(self.app.console), Segment(padding)]
        rendered = [list(Segment.apply_style(segments, style, post_style))]
        self._cell_render_cache[key] = rendered
        return rendered

    def render_lines(self, crop: Region) -> list[Strip]:
        """Render lines, with the base style computed once for all of them."""
        self._base_style = super().rich_style
        try:
            return super().render_lines(crop)
        finally:
            self._base_style = None

    @property
    def rich_style(self) -> Style:
        """The base style of the table."""
        return super().rich_style if self._base_style is None else self._base_style

    def _update_dimensions(self, new_rows: Iterable[RowKey]) -> None:  # noqa: ARG002 - Textual's name for it
        """Set the scrollable size; the columns have their widths already."""
        super()._update_dimensions(())

    def _width(self, cell: RenderableType) -> int:
        if not isinstance(cell, Text):
            return self.app.console.measure(cell).maximum
        return len(cell.plain) if cell.plain.isascii() else cell.cell_len

    def _rebuild(self, labels: tuple[str, ...], rows: Mapping[str, Cells]) -> None:
        key, offset = self.cursor_key, self.scroll_offset
        self.clear(columns=True)
        self.add_columns(*labels)
        self._labels = labels
        self._add(rows)
        self._fit(range(len(labels)), rows)
        keys = list(rows)
        if key in keys:
            self.move_cursor(row=keys.index(key), animate=False, scroll=False)
        self.scroll_to(y=offset.y, animate=False)

    def _add(self, rows: Mapping[str, Cells]) -> None:
        """Add rows to the empty table: the first one through Textual, which sets the cursor, the others in bulk."""
        columns = [column.key for column in self.ordered_columns]
        for number, (key, cells) in enumerate(rows.items()):
            if number == 0:
                self.add_row(*cells, key=key)
                continue
            row = RowKey(key)
            self._row_locations[row] = number
            self._data[row] = dict(zip(columns, cells, strict=True))
            self.rows[row] = Row(row, 1)


def _value(cell: RenderableType) -> tuple[bool, float, str] | None:
    """Return the sort key of a cell, values before texts; `None` if it is unknown."""
    if isinstance(cell, SortableText):
        return None if cell.value is None else (False, cell.value, "")
    text = cell.plain if isinstance(cell, Text) else str(cell)
    return (True, 0.0, text.casefold())


def _shortened(line: Text, room: int) -> Text:
    """Return a long name without its middle, as names mostly differ at their ends."""
    if line.cell_len <= room or room < LEAST:
        return line
    head, tail = line.copy(), line.copy()
    head.truncate(room // 3)
    while tail.cell_len > room - head.cell_len - 1:
        tail = tail[max(1, (tail.cell_len - (room - head.cell_len - 1)) // 2) :]
    shortened = Text("…", line.style, justify=line.justify)
    return Text.assemble(head, shortened, tail)
