"""Base classes of the screens that show one table, fetched in the background or taken from a health snapshot."""

from __future__ import annotations

import dataclasses
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Generic, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.health.text import ago
from dataops_core.json_text import dumps
from dataops_core.units import duration
from dataops_core.values import plain
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.base import ConsoleScreen
from dataops_tui.dialogs.text import TextDialog
from dataops_tui.messages import Fetched, WorkFailed
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.live_table import Cells, LiveTable
from dataops_tui.widgets.words import Words

T = TypeVar("T")
WIDE = 120
"""Minimum width, in columns, of the screen for the additional columns of a table."""
SLOW = 2.0
"""Seconds after which the duration of a running fetch is shown."""
FETCHING = "fetching"
Source = tuple[str, str | None]
"""A context, and its component that the screen shows."""
REST = 4
"""Minimum pause between two fetches, as a multiple of the CPU seconds of the last one; large fetches delay keys."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        cells: One for each heading.
        about: All values of the row, or a function that returns them, for the raw view.
        faulty: Whether the row has a problem.
        unreadable: Whether the row could not be read in full; the screen shows the number of such rows.
        more: Text that a filter matches in addition to the cells.
        text: All text that a filter matches; computed once per row.
    """

    cells: Cells
    about: Any = None
    faulty: bool = False
    more: str = ""
    unreadable: bool = False
    text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        words = (cell.plain if isinstance(cell, Text) else str(cell) for cell in self.cells)
        object.__setattr__(self, "text", " ".join((*words, self.more)))


class TableScreen(ConsoleScreen, Generic[T]):
    """A screen with one table: sort, filter, mark, copy, raw view, and problems only."""

    MARKABLE = False
    EMPTY = "no rows"
    """Text that is shown if the table has no rows."""
    BINDINGS = [
        Binding("escape", "leave", "Back", id="list.back", tooltip="Go back to the previous screen"),
        Binding("enter", "open", "Open", id="list.open", tooltip="Open the selected row"),
        Binding("slash", "filter", "Filter", id="list.filter", tooltip="Filter the rows", priority=True),
        Binding(
            "ctrl+z",
            "faults",
            "Faults",
            id="list.faults",
            show=False,
            tooltip="Show only rows with problems, or all rows",
        ),
        Binding("y", "raw", "Raw", id="list.raw", show=False, tooltip="Show all values of the row as JSON"),
        Binding(
            "c",
            "copy",
            "Copy",
            id="list.copy",
            show=False,
            tooltip="Copy the name of the selected row or of the marked rows",
        ),
        Binding("o", "browse", "Browser", id="list.browse", show=False, tooltip="Open the row in the web browser"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._rows: Mapping[str, Row] = {}
        self._filling = 0
        self._faults_only = False

    @property
    @abstractmethod
    def result(self) -> T | None:
        """The data that the table shows; `None` before the first fetch."""

    @abstractmethod
    def headings(self) -> tuple[str, ...]:
        """Return the headings for the current width."""

    @abstractmethod
    def rows(self, result: T, now: datetime) -> Mapping[str, Row]:
        """Return the rows of `found` by key; it also runs in the background, so it must not use widgets."""

    def open(self, key: str) -> None:
        """Open the row of that key."""

    def url(self, key: str | None) -> str | None:
        """Return the web page of a row; `None` if it has none."""

    def draw_more(self, now: datetime) -> None:
        """Draw the widgets beside the table."""

    def status_line(self, now: datetime) -> Text:  # noqa: ARG002 - subclasses use the time
        """Return the text of the status line."""
        shown, known = self.table.row_count, len(self._rows)
        if self.result is None:
            text = Text("", "dim")
        elif not known:
            text = Text(self.EMPTY, "dim")
        else:
            text = Text(f"{shown} of {known}" if shown != known else f"{known}", "dim")
        if missing := sum(row.unreadable for row in self._rows.values()):
            text.append(f"  {missing} cannot be read", "not dim red")
        if self._faults_only:
            text.append("  only problems (ctrl+z shows all)", "not dim yellow")
        return text

    def compose_body(self) -> ComposeResult:
        """Compose the table, the filter, the screen's own widgets and the status line."""
        yield LiveTable(id="rows", markable=self.MARKABLE)
        yield FilterLine()
        yield from self.compose_more()
        yield Words(id="status-line")

    def compose_more(self) -> ComposeResult:
        """Compose the widgets beside the table."""
        yield from ()

    @property
    def table(self) -> LiveTable:
        """The table."""
        return self.query_one("#rows", LiveTable)

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.get(self.table.cursor_key or "")

    @property
    def wide(self) -> bool:
        """Whether the screen has room for the additional columns."""
        return self.size.width >= WIDE

    def on_mount(self) -> None:
        """Focus the table."""
        self.table.focus()

    def on_resize(self) -> None:
        """Show the columns that fit."""
        self.fill()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable `open` and `browse` on screens that do not implement them."""
        needed = {"open": "open", "browse": "url"}.get(action)
        if needed is not None and getattr(type(self), needed) is getattr(TableScreen, needed):
            return False
        return super().check_action(action, parameters)

    def fill(self) -> None:
        """Fill the table with the rows of `found`."""
        self._fill_with(self.rows(self.result, self.moment) if self.result is not None else {})

    def _fill_with(self, rows: Mapping[str, Row]) -> None:
        self._filling += 1
        self._rows = rows
        self._show()

    def _show(self) -> None:
        rows = {key: row for key, row in self._rows.items() if row.faulty or not self._faults_only}
        kept = self.query_one(FilterLine).keep([row.text for row in rows.values()])
        shown = {key: row.cells for key, row in compress(rows.items(), kept)}
        self.table.show(self.headings(), shown)
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Draw everything that depends on the time and the cursor."""
        self.draw_more(now)
        self.query_one("#status-line", Words).show(self.status_line(now))

    @on(FilterLine.Filtered)
    def _filtered(self) -> None:
        self._show()

    @on(LiveTable.RowHighlighted, "#rows")
    def _moved(self) -> None:
        self._redraw()

    @on(LiveTable.RowSelected, "#rows")
    def _selected(self) -> None:
        self.action_open()

    def action_leave(self) -> None:
        """Go back to the previous screen; from the first one, to the pipelines."""
        if len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self.console.action_home()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        key = self.table.cursor_key
        if key is not None and self.app.screen is self:  # pressing Enter twice opens one screen
            self.open(key)

    def action_filter(self) -> None:
        """Open the filter line."""
        self.query_one(FilterLine).open()

    def action_faults(self) -> None:
        """Show only rows with problems, or all rows."""
        self._faults_only = not self._faults_only
        self._show()

    def action_raw(self) -> None:
        """Show all values of the row."""
        key, row = self.table.cursor_key, self.row
        if key is not None and row is not None and row.about is not None and self.app.screen is self:
            about = row.about() if callable(row.about) else row.about
            self.app.push_screen(TextDialog(key, as_json(about)))

    def action_copy(self) -> None:
        """Copy the names of the marked rows, or of the selected row, through the terminal (OSC 52)."""
        chosen = self.table.chosen
        if chosen:
            self.app.copy_to_clipboard("\n".join(chosen))
            self.notify(f"copied {styled.abbreviated(chosen)}", timeout=2, markup=False)

    def action_browse(self) -> None:
        """Open the row in the web browser."""
        self.console.browse(self.url(self.table.cursor_key))


class SnapshotScreen(TableScreen[T]):
    """A table of a health snapshot: the newest one, or the selected one of the past."""

    def on_mount(self) -> None:
        """Refill the table with every health snapshot."""
        self.watch(self.app, "snapshot", self._follow)
        self.watch(self.app, "past", self._follow)

    def on_screen_resume(self) -> None:
        """Show the changes that came while another screen was shown."""
        self.fill()

    def _follow(self) -> None:
        if self.is_current:
            self.fill()


class ResourceScreen(TableScreen[T]):
    """A table that is fetched periodically while it is shown; if a fetch fails, the last data stays, with its age."""

    FOLLOWS_TIME = False
    EVERY: float | None = None
    """Seconds between two fetches. Default: the refresh interval of the settings."""

    def __init__(self) -> None:
        super().__init__()
        self._result: T | None = None
        self._at: datetime | None = None
        self._of: Source | None = None
        self._failed: str | None = None
        self._requested_at: datetime | None = None
        self._rested = 0.0

    @abstractmethod
    def fetch(self) -> T:
        """Return the data; runs in the background, and raises DataopsError."""

    @property
    def result(self) -> T | None:
        """The data of the last successful fetch."""
        return self._result

    def on_mount(self) -> None:
        """Fetch now, and then periodically."""
        self.load()
        self.set_interval(self.EVERY or self.console.settings.refresh, self._load_again)

    def on_screen_resume(self) -> None:
        """Fetch the changes that came while another screen was shown."""
        self._load_again()

    def _load_again(self) -> None:
        if time.monotonic() >= self._rested or self._of != self._source:
            self.load()

    @property
    def _source(self) -> Source:
        return self.console.context_name, self.console.clients.name(self.COMPONENT)

    def load(self) -> None:
        """Fetch now, unless a fetch is running or the screen is not shown."""
        source = self._source
        if self._of != source:  # drop the data of another context or component
            self._of, self._result, self._failed, self._requested_at = source, None, None, None
            self.fill()
        if self._requested_at is not None or not self.is_current:
            return
        self._requested_at = datetime.now(UTC)

        def work() -> None:
            began = time.process_time()
            try:
                result, at, filling = self.fetch(), datetime.now(UTC), self._filling
                self.post_message(Fetched(source, result, at, self.rows(result, at), filling))
            finally:
                self._rested = time.monotonic() + REST * (time.process_time() - began)

        in_background(self, _fetching(source), work)
        self._redraw()

    @on(Fetched)
    def _fetched(self, message: Fetched) -> None:
        if message.source == self._of:
            self._requested_at, self._failed, self._result, self._at = None, None, message.value, message.at
            if message.filling == self._filling:
                self._fill_with(message.rows)
            else:  # the section or the width has changed, and so have the rows
                self.fill()

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        if not message.what.startswith(FETCHING):
            return
        message.stop()
        if self._of is not None and message.what == _fetching(self._of):
            self._requested_at, self._failed = None, message.error
            self._redraw()

    def status_line(self, now: datetime) -> Text:
        """Return the number of rows, their age, and the state of the fetch."""
        text = super().status_line(now)
        if self.result is not None:
            text.append(f"  updated {ago(self._at, now)}")
        if self._requested_at is not None:
            waited = (now - self._requested_at).total_seconds()
            if self.result is None or waited > SLOW:
                text.append("  loading …")
            if waited > SLOW:
                text.append(f" for {duration(waited)}", "not dim yellow")
        if self._failed is not None:
            text = Text.assemble(styled.plain(self._failed, "red"), "  ", text)
        return text


def _fetching(source: Source) -> str:
    """Return the name of a fetch, by which its failure is recognised."""
    return " of ".join([FETCHING, *(name for name in reversed(source) if name)])


def as_json(about: Any) -> str:  # noqa: ANN401 - whatever a row is made of
    """Return all values of a row as indented JSON."""
    result = dataclasses.asdict(about) if dataclasses.is_dataclass(about) and not isinstance(about, type) else about
    return dumps(plain(result), indent=2)
