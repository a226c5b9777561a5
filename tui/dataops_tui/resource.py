"""A screen with one table of things that are fetched in the background: what all such screens have in common."""

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

from dataops_core.health.text import ago, duration
from dataops_core.json_text import dumps
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
"""Columns from which on a table has room for more."""
SLOW = 2.0
"""Seconds after which it is said how long a fetch has been going on."""
FETCHING = "fetching"
Source = tuple[str, str | None]
"""A context, and the component of it that is shown."""
REST = 4
"""How many times the CPU seconds of a fetch it is waited before the next: what is large is in the way of the keys."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        cells: What is shown, one for each heading.
        about: All its values, or a function that returns them, for the raw view.
        faulty: Whether something is wrong with it.
        unreadable: Whether it could not be read in full; the list says how many could not.
        more: What a filter looks at beside the cells.
        text: All that a filter looks at; made with the row, and not at each key.
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
    """A table of what is known: sort, filter, mark, copy, raw and faults only."""

    MARKABLE = False
    EMPTY = "no rows"
    """What is said where there is no row at all."""
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
    def found(self) -> T | None:
        """What is shown; `None` if nothing is there yet."""

    @abstractmethod
    def headings(self) -> tuple[str, ...]:
        """Return the headings for the present width."""

    @abstractmethod
    def rows(self, found: T, now: datetime) -> Mapping[str, Row]:
        """Return the rows of what was found, by key; called in the background too: of `found` alone, and no widget."""

    def open(self, key: str) -> None:
        """Open the row of that key."""

    def url(self, key: str | None) -> str | None:
        """Return where a row is to be seen in a web browser."""

    def draw_more(self, now: datetime) -> None:
        """Show what stands beside the table."""

    def said(self, now: datetime) -> Text:  # noqa: ARG002 - those who override it need the time
        """Return what stands in the last line."""
        shown, known = self.table.row_count, len(self._rows)
        if self.found is None:
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
        """Lay out: the table, what the screen adds, how old that is."""
        yield LiveTable(id="rows", markable=self.MARKABLE)
        yield FilterLine()
        yield from self.compose_more()
        yield Words(id="said")

    def compose_more(self) -> ComposeResult:
        """Add what stands beside the table."""
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
        """Whether there is room for more columns."""
        return self.size.width >= WIDE

    def on_mount(self) -> None:
        """Start in the table."""
        self.table.focus()

    def on_resize(self) -> None:
        """Show the columns that there is room for."""
        self.fill()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what this screen can do."""
        needed = {"open": "open", "browse": "url"}.get(action)
        if needed is not None and getattr(type(self), needed) is getattr(TableScreen, needed):
            return False
        return super().check_action(action, parameters)

    def fill(self) -> None:
        """Put what was found into the table; ages are as old as that."""
        self._fill_with(self.rows(self.found, self.moment) if self.found is not None else {})

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
        """Show what changes with the clock and the cursor."""
        self.draw_more(now)
        self.query_one("#said", Words).show(self.said(now))

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
        """Go back to the screen before; from the first one to the pipelines."""
        if len(self.app.screen_stack) > 1:
            self.dismiss()
        else:
            self.console.action_home()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        key = self.table.cursor_key
        if key is not None and self.app.screen is self:  # Enter that was pressed twice opens once
            self.open(key)

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.query_one(FilterLine).open()

    def action_faults(self) -> None:
        """Show only what is wrong, or everything again."""
        self._faults_only = not self._faults_only
        self._show()

    def action_raw(self) -> None:
        """Show everything that is known of the row."""
        key, row = self.table.cursor_key, self.row
        if key is not None and row is not None and row.about is not None and self.app.screen is self:
            about = row.about() if callable(row.about) else row.about
            self.app.push_screen(TextDialog(key, as_json(about)))

    def action_copy(self) -> None:
        """Copy the names of the marked rows, else of the one under the cursor, through the terminal (OSC 52)."""
        chosen = self.table.chosen
        if chosen:
            self.app.copy_to_clipboard("\n".join(chosen))
            self.notify(f"copied {styled.abbreviated(chosen)}", timeout=2, markup=False)

    def action_browse(self) -> None:
        """Open the row in the web browser."""
        self.console.browse(self.url(self.table.cursor_key))


class SnapshotScreen(TableScreen[T]):
    """Shows what a health snapshot says: the newest one, or that of the past that is looked at."""

    def on_mount(self) -> None:
        """Follow the health snapshots."""
        self.watch(self.app, "snapshot", self._follow)
        self.watch(self.app, "past", self._follow)

    def on_screen_resume(self) -> None:
        """Show what came while another screen was shown."""
        self.fill()

    def _follow(self) -> None:
        if self.is_current:
            self.fill()


class ResourceScreen(TableScreen[T]):
    """Fetches again and again while it is shown; what was fetched last stays, with its age, when a fetch fails."""

    FOLLOWS_TIME = False
    EVERY: float | None = None
    """Seconds between two fetches; as often as the monitor looks where not given."""

    def __init__(self) -> None:
        super().__init__()
        self._found: T | None = None
        self._at: datetime | None = None
        self._of: Source | None = None
        self._failed: str | None = None
        self._asked: datetime | None = None
        self._rested = 0.0

    @abstractmethod
    def fetch(self) -> T:
        """Fetch; runs in the background, and raises DataopsError."""

    @property
    def found(self) -> T | None:
        """What was fetched last."""
        return self._found

    def on_mount(self) -> None:
        """Fetch now, and again and again."""
        self.load()
        self.set_interval(self.EVERY or self.console.settings.refresh, self._load_again)

    def on_screen_resume(self) -> None:
        """Fetch what changed while another screen was shown."""
        self._load_again()

    def _load_again(self) -> None:
        if time.monotonic() >= self._rested or self._of != self._source:
            self.load()

    @property
    def _source(self) -> Source:
        return self.console.context_name, self.console.clients.name(self.COMPONENT)

    def load(self) -> None:
        """Fetch now, unless the last fetch still goes on or nobody looks."""
        source = self._source
        if self._of != source:  # what another context or component has is not shown in this one
            self._of, self._found, self._failed, self._asked = source, None, None, None
            self.fill()
        if self._asked is not None or not self.is_current:
            return
        self._asked = datetime.now(UTC)

        def work() -> None:
            began = time.process_time()
            try:
                found, at, filling = self.fetch(), datetime.now(UTC), self._filling
                self.post_message(Fetched(source, found, at, self.rows(found, at), filling))
            finally:
                self._rested = time.monotonic() + REST * (time.process_time() - began)

        in_background(self, _fetching(source), work)
        self._redraw()

    @on(Fetched)
    def _fetched(self, message: Fetched) -> None:
        if message.source == self._of:
            self._asked, self._failed, self._found, self._at = None, None, message.value, message.at
            if message.filling == self._filling:
                self._fill_with(message.rows)
            else:  # another section, another width: other rows
                self.fill()

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        if not message.what.startswith(FETCHING):
            return
        message.stop()
        if self._of is not None and message.what == _fetching(self._of):
            self._asked, self._failed = None, message.error
            self._redraw()

    def said(self, now: datetime) -> Text:
        """Return how many rows there are, how old they are, and what is being done."""
        text = super().said(now)
        if self.found is not None:
            text.append(f"  updated {ago(self._at, now)}")
        if self._asked is not None:
            waited = (now - self._asked).total_seconds()
            if self.found is None or waited > SLOW:
                text.append("  loading …")
            if waited > SLOW:
                text.append(f" for {duration(waited)}", "not dim yellow")
        if self._failed is not None:
            text = Text.assemble(styled.plain(self._failed, "red"), "  ", text)
        return text


def _fetching(source: Source) -> str:
    """Return what a fetch of a context's component is called."""
    return " of ".join([FETCHING, *(name for name in reversed(source) if name)])


def as_json(about: Any) -> str:  # noqa: ANN401 - whatever a row is made of
    """Return what is known of a row as JSON of several lines."""
    found = dataclasses.asdict(about) if dataclasses.is_dataclass(about) and not isinstance(about, type) else about
    return dumps(plain(found), indent=2)
