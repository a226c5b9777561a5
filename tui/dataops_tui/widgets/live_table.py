"""A table that shows what is, again and again, without losing the reader's place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from textual.binding import Binding
from textual.widgets import DataTable

Cells = Sequence[RenderableType]


class LiveTable(DataTable[RenderableType]):
    """Rows by key; cursor and scroll position stay with the key when rows come, go and change."""

    BINDINGS = [
        Binding("j", "cursor_down", "Down", id="table.down", show=False, tooltip="Next row"),
        Binding("k", "cursor_up", "Up", id="table.up", show=False, tooltip="Row before"),
        Binding("g", "scroll_top", "Top", id="table.top", show=False, tooltip="First row"),
        Binding("G", "scroll_bottom", "Bottom", id="table.bottom", show=False, tooltip="Last row"),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        # a state keeps its colour under the cursor
        super().__init__(id=id, cursor_type="row", cursor_foreground_priority="renderable")
        self._headings: tuple[str, ...] = ()
        self._shown: dict[str, Cells] = {}

    @property
    def cursor_key(self) -> str | None:
        """Key of the row under the cursor; `None` in an empty table."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def show(self, headings: Sequence[str], rows: Mapping[str, Cells]) -> None:
        """Show these rows and nothing else."""
        if tuple(headings) != self._headings:
            self._rebuild(tuple(headings), rows)
        elif list(rows) != list(self._shown):
            self._rebuild(self._headings, rows)
        else:
            self._update(rows)
        self._shown = dict(rows)

    def _update(self, rows: Mapping[str, Cells]) -> None:
        for index, (key, cells) in enumerate(rows.items()):
            for column, (new, old) in enumerate(zip(cells, self._shown[key], strict=True)):
                if new != old:
                    self.update_cell_at((index, column), new, update_width=True)  # type: ignore[arg-type]

    def _rebuild(self, headings: tuple[str, ...], rows: Mapping[str, Cells]) -> None:
        key, offset = self.cursor_key, self.scroll_offset
        self.clear(columns=True)
        self.add_columns(*headings)
        self._headings = headings
        for row_key, cells in rows.items():
            self.add_row(*cells, key=row_key)
        keys = list(rows)
        if key in keys:
            self.move_cursor(row=keys.index(key), animate=False, scroll=False)
        self.scroll_to(y=offset.y, animate=False)
