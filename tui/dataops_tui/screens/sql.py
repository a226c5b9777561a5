"""SQL: a statement, how far it is, and its rows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static, TextArea

from dataops_core.actions import classify_sql
from dataops_core.actions.sql import SqlRisk
from dataops_core.errors import ClientError
from dataops_core.health.text import count, duration, visible
from dataops_core.values import Columns, as_text, is_number
from dataops_tui import look
from dataops_tui.background import in_background
from dataops_tui.base import ConsoleScreen
from dataops_tui.dialogs.confirm import ConfirmDialog
from dataops_tui.messages import QueryEnded, RowsArrived, WorkFailed
from dataops_tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from dataops_core.clients.trino import QueryHandle, TrinoClient

MAX_ROWS = 5_000
"""Rows that are kept; a query with more is stopped there, and that is said."""
MAX_CELL = 200
"""Characters of a cell that are shown; the rest is cut off with an ellipsis."""
AT_ONCE = 200
"""Rows that are put into the table before the screen is drawn again and keys are read."""
WATCH_EVERY = 0.25
"""Seconds between two looks at the progress of a query."""


class SqlScreen(ConsoleScreen):
    """One editor, one query at a time."""

    CRUMB = "sql"
    FOLLOWS_TIME = False
    BINDINGS = [
        Binding("f5,ctrl+j", "run", "Run", id="sql.run", tooltip="Run the statement", priority=True),
        Binding("ctrl+c", "cancel", "Cancel", id="sql.cancel", tooltip="Cancel the query in the server", priority=True),
        Binding("escape", "app.home", "Pipelines", id="sql.back", tooltip="Back to the pipelines"),
        # `:` and `?` are typed into the statement here
        Binding("f2", "app.command", "Command", id="sql.command", tooltip="Type a command"),
        Binding("f1", "app.help", "Help", id="sql.help", tooltip="Show all keys"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._handle: QueryHandle | None = None
        self._busy = False
        self._columns: Columns = ()
        self._rows = 0

    def compose_body(self) -> ComposeResult:
        """Lay out: editor, progress, rows."""
        yield TextArea(
            "",
            id="statement",
            placeholder="a statement, e.g. SHOW TABLES",
            tab_behavior="focus",
            soft_wrap=False,
            compact=True,
        )
        yield Static(Text("F5 runs the statement", "dim"), id="said")
        yield LiveTable(id="rows")

    def on_mount(self) -> None:
        """Start in the editor."""
        super().on_mount()
        self.query_one(TextArea).focus()
        self.set_interval(WATCH_EVERY, self._watch)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Cancel only while there is something to cancel; else the key is the editor's."""
        if action == "cancel":
            return self._busy
        return super().check_action(action, parameters)

    def draw(self, now: datetime) -> None:
        """Nothing here depends on the health snapshot."""

    def put(self, statement: str) -> None:
        """Put a statement into the editor and run it."""
        self.query_one(TextArea).text = statement
        self.action_run()

    def action_run(self) -> None:
        """Run what is in the editor, once it is confirmed where it changes something."""
        statement = self.query_one(TextArea).text.strip()
        trino = self.console.trino
        if trino is None:
            self._say(self.console.why_not("Trino"), "red")
        elif self._busy:
            self._say("a query is running: cancel it first (ctrl+c)", "red")
        elif statement:
            self._confirm(trino, statement)

    def _confirm(self, trino: TrinoClient, statement: str) -> None:
        risk = classify_sql(statement)
        word = self.console.gate.confirmation(risk)
        if word is None:
            self._start(trino, statement, None)
            return
        what = "This statement changes something" if risk is not SqlRisk.UNKNOWN else "This may change something"
        title = f'{what} in the context "{self.console.context_name}"'

        def confirmed(typed: str | None) -> None:
            if typed is not None:
                self._start(trino, statement, typed)

        self.app.push_screen(ConfirmDialog(title, statement, word), confirmed)

    def _start(self, trino: TrinoClient, statement: str, confirmed: str | None) -> None:
        self._number += 1
        self._busy, self._handle, self._rows, self._columns = True, None, 0, ()
        self._say("submitted …", "dim")
        self.query_one("#rows", LiveTable).show((), {})
        number, gate = self._number, self.console.gate

        def work() -> None:
            handle = gate.run_sql(trino, statement, confirmed)
            self._handle = handle
            kept = 0
            try:
                for batch in handle.batches():
                    rows = batch[: MAX_ROWS - kept]
                    kept += len(rows)
                    for at in range(0, len(rows), AT_ONCE):
                        # waits until the rows are in the table: a fast query must not flood a slow terminal
                        part = RowsArrived(number, handle.columns, rows[at : at + AT_ONCE])
                        self.app.call_from_thread(self._rows_arrived, part)
                    if len(batch) > len(rows) or handle.cancelled:
                        break
            except ClientError as error:
                self.post_message(QueryEnded(number, error=str(error)))
                return
            finally:
                if kept >= MAX_ROWS:
                    handle.stop()
            self.post_message(QueryEnded(number, truncated=kept >= MAX_ROWS))

        in_background(self, "running the statement", work)

    def _rows_arrived(self, message: RowsArrived) -> None:
        if message.query != self._number:
            return
        table = self.query_one("#rows", LiveTable)
        if not self._columns:
            self._columns = message.columns
            table.show([visible(name) for name, _ in message.columns], {})
        numbers = [is_number(kind) for _, kind in self._columns]
        for row in message.rows:
            table.add_row(*(_cell(value, right=right) for value, right in zip(row, numbers, strict=True)))
        self._rows += len(message.rows)

    @on(QueryEnded)
    def _ended(self, message: QueryEnded) -> None:
        if message.query != self._number:
            return
        self._busy = False
        handle = self._handle
        progress = handle.progress() if handle else None
        took = f" in {progress.elapsed:.1f} s" if progress else ""
        query = f"  {handle.query_id}" if handle and handle.query_id else ""
        if handle is not None and handle.cancelled and not message.truncated:
            self._say(f"cancelled after {count(self._rows)} rows{query}", "yellow")
        elif message.error is not None:
            self._say(message.error + query, "red")
        elif message.truncated:
            self._say(f"TRUNCATED: the first {count(self._rows)} rows; the query was stopped there{query}", "yellow")
        elif handle is not None and not handle.columns:
            changed = f", {count(handle.update_count)} rows" if handle.update_count else ""
            self._say(f"{handle.update_type or 'done'}{changed}{took}{query}", "green")
        else:
            self._show_empty()
            self._say(f"{count(self._rows)} rows{took}{query}", "green")
        self.refresh_bindings()

    def _show_empty(self) -> None:
        if not self._rows and self._handle is not None:
            self.query_one("#rows", LiveTable).show([visible(name) for name, _ in self._handle.columns], {})

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        message.stop()
        self._busy = False
        self._say(message.error, "red")
        self.refresh_bindings()

    def action_cancel(self) -> None:
        """Cancel the query in the server."""
        handle = self._handle
        if handle is None:
            self._say("the query is being submitted; try again", "yellow")
            return
        self._say("cancelling …", "yellow")

        def work() -> None:
            handle.stop()

        in_background(self, "cancelling the query", work)

    def _watch(self) -> None:
        handle = self._handle
        progress = handle.progress() if self._busy and handle and not handle.cancelled else None
        if progress is not None:
            line = f"{progress.state.lower()}  {progress.splits_done}/{progress.splits_total} splits"
            line += f"  {count(progress.rows)} rows read  {duration(progress.elapsed)}"
            if progress.state == "QUEUED":
                line += f"  (queued for {duration(progress.queued)})"
            self._say(line, "yellow")
        if self._busy:
            self.refresh_bindings()

    def _say(self, text: str, style: str) -> None:
        self.query_one("#said", Static).update(look.plain(text, style))


def _cell(value: object, *, right: bool) -> RenderableType:
    if value is None:
        return Text("NULL", "dim", justify="right" if right else "left")
    text = visible(as_text(value))
    if len(text) > MAX_CELL:
        text = text[: MAX_CELL - 1] + "…"
    return Text(text, justify="right" if right else "left")
