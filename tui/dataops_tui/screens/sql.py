"""The SQL screen: tabs, each with an editor and a query."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import TabbedContent, TabPane

from dataops_core.errors import DataopsError
from dataops_core.plain import visible
from dataops_core.sql.library import History, SavedQueries
from dataops_core.sql.names import Names
from dataops_core.times import in_shown_zone, offset_text
from dataops_core.units import count
from dataops_tui.base import ConsoleScreen
from dataops_tui.dialogs.pick import Choice, PickDialog
from dataops_tui.widgets.result_table import ResultTable
from dataops_tui.widgets.sql_pane import SqlPane

MAX_TABS = 9
"""Maximum number of tabs, as each may keep a million rows on disk."""
_OUTCOMES = {"finished": ("●", "green"), "failed": ("✖", "red"), "cancelled": ("○", "yellow")}


class SqlScreen(ConsoleScreen):
    """The tabs; keys act on the current tab."""

    COMPONENT = "trino"
    CRUMB = "sql"
    FOLLOWS_TIME = False
    BINDINGS = [
        Binding(
            "f5,ctrl+j",
            "run",
            "Run",
            id="sql.run",
            tooltip="Run the selection, or the statement under the cursor",
            priority=True,
        ),
        Binding("f8", "run_all", "Run all", id="sql.run-all", show=False, tooltip="Run all statements in order"),
        Binding("f9", "explain", "Plan", id="sql.explain", tooltip="Show the plan of the statement under the cursor"),
        Binding("a", "analyze", "Measure", id="sql.analyze", tooltip="Run the statement and show the cost of its plan"),
        Binding("ctrl+c", "cancel", "Cancel", id="sql.cancel", tooltip="Cancel the query in Trino", priority=True),
        Binding("f4", "history", "History", id="sql.history", tooltip="Search the query history"),
        Binding("f3", "saved", "Saved", id="sql.saved", tooltip="Open a saved query"),
        Binding("ctrl+s", "save", "Save", id="sql.save", show=False, tooltip="Save the text as a query"),
        Binding("e", "export", "Export", id="sql.export", tooltip="Export the rows to a file"),
        Binding("i", "statistics", "Columns", id="sql.columns", tooltip="Show statistics of the columns"),
        Binding("f6", "swap", "Rows", id="sql.swap", tooltip="Switch between the rows and the editor", priority=True),
        Binding("ctrl+t", "new_tab", "New tab", id="sql.new-tab", tooltip="Open a new tab"),
        Binding("alt+w", "close_tab", "Close tab", id="sql.close-tab", show=False, tooltip="Close the tab"),
        Binding("ctrl+pagedown", "tab(1)", "Next tab", id="sql.next-tab", show=False, tooltip="Next tab"),
        Binding("ctrl+pageup", "tab(-1)", "Previous tab", id="sql.tab-before", show=False, tooltip="Previous tab"),
        # No common key leaves the editor: the letters that the user types next would act on another screen.
        Binding("escape", "edit", "Editor", id="sql.editor", show=False, tooltip="Go back to the editor"),
        Binding("f10", "app.home", "Pipelines", id="sql.back", tooltip="Go back to the pipelines"),
        # `:` and `?` are text in the editor
        Binding("f2", "app.command", "Command", id="sql.command", tooltip="Type a command"),
        Binding("f1", "app.help", "Help", id="sql.help", tooltip="Show all keys"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[tuple[str, str | None], Names] = {}
        self._opened = 1
        self.history = History()
        """Query history."""

    @property
    def names(self) -> Names:
        """The names of tables, columns and so on in the current Trino."""
        trino = self.console.context_name, self.console.clients.name("trino")
        return self._names.setdefault(trino, Names())

    @property
    def saved(self) -> SavedQueries:
        """Saved queries: those of the user, and those that the context's settings name."""
        trino = self.console.clients.trino_settings
        return SavedQueries(others=trino.saved_queries if trino else ())

    def compose_body(self) -> ComposeResult:
        """Compose one tab."""
        with TabbedContent(), TabPane("1"):
            yield SqlPane()

    def on_mount(self) -> None:
        """Focus the editor."""
        self._show_tabs()
        self.pane.editor.focus()

    @property
    def pane(self) -> SqlPane:
        """The current tab."""
        shown = self.query_one(TabbedContent).active_pane
        return (shown or self).query_one(SqlPane)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable a binding only if it applies now; single letters act in the rows and in a plan only."""
        if not self.is_mounted:
            return True
        if action == "cancel":
            return self.pane.session.busy  # otherwise the editor handles the key
        if action in ("export", "statistics"):
            return isinstance(self.focused, ResultTable)
        if action == "analyze":
            return self.pane.session.shows_plan and not self.pane.editor.has_focus
        return super().check_action(action, parameters)

    def draw(self, now: datetime) -> None:
        """Do nothing: the screen shows no health snapshot."""

    def put(self, statement: str, *, run: bool = True) -> None:
        """Open a statement in an empty editor or a new tab, and run it."""
        self._in_free_pane(statement, run=run)

    def _in_free_pane(self, text: str, *, run: bool) -> None:
        async def go() -> None:
            pane = self.pane
            if pane.session.busy or (pane.editor.text.strip() and pane.editor.text != text):
                if not await self._open_tab():
                    return
                pane = self.pane
            pane.editor.text = text
            pane.editor.move_cursor(pane.editor.document.end)
            pane.editor.focus()
            pane.close_completions()
            if run:
                pane.run_current()

        self.call_next(go)

    # --- tabs ------------------------------------------------------------------------------------------------

    async def _open_tab(self) -> bool:
        tabs = self.query_one(TabbedContent)
        if tabs.tab_count >= MAX_TABS:
            self.notify(f"{MAX_TABS} tabs are open: close one first (alt+w)", severity="warning")
            return False
        self._opened += 1
        pane = TabPane(str(self._opened), SqlPane(), id=f"tab-{self._opened}")
        await tabs.add_pane(pane)
        tabs.active = f"tab-{self._opened}"
        self._show_tabs()
        self.pane.editor.focus()
        return True

    def _show_tabs(self) -> None:
        tabs = self.query_one(TabbedContent)
        tabs.set_class(tabs.tab_count < 2, "-one")

    async def action_new_tab(self) -> None:
        """Open a new tab."""
        await self._open_tab()

    async def action_close_tab(self) -> None:
        """Close the current tab and cancel its query; the last tab is only cleared."""
        tabs = self.query_one(TabbedContent)
        if tabs.tab_count < 2:
            self.pane.editor.text = ""
            return
        await tabs.remove_pane(tabs.active)
        self._show_tabs()
        self.pane.editor.focus()

    def action_tab(self, by: int) -> None:
        """Show another tab."""
        tabs = self.query_one(TabbedContent)
        ids = [str(pane.id) for pane in tabs.query(TabPane)]
        tabs.active = ids[(ids.index(tabs.active) + by) % len(ids)]
        self.pane.editor.focus()

    @on(TabbedContent.TabActivated)
    def _activated(self) -> None:
        self.refresh_bindings()

    def on_descendant_focus(self) -> None:
        """Show the keys of the focused widget."""
        self.refresh_bindings()

    # --- keys ------------------------------------------------------------------------------------------------

    def action_run(self) -> None:
        """Run the selection, or the statement under the cursor."""
        self.pane.run_current()

    def action_run_all(self) -> None:
        """Run all statements."""
        self.pane.run_all()

    def action_explain(self) -> None:
        """Show the plan of the statement under the cursor."""
        self.pane.run_explain(analyze=False)

    def action_analyze(self) -> None:
        """Run the statement, and show the cost of each step of its plan."""
        self.pane.run_explain(analyze=True)

    def action_cancel(self) -> None:
        """Cancel the query in Trino."""
        self.pane.cancel()

    def action_export(self) -> None:
        """Export the rows to a file."""
        self.pane.ask_export()

    def action_statistics(self) -> None:
        """Show statistics of the columns."""
        self.pane.show_statistics()

    def action_save(self) -> None:
        """Save the text as a query."""
        self.pane.ask_save()

    def action_swap(self) -> None:
        """Switch the focus between the result and the editor, at once, so that it receives the next key."""
        pane = self.pane
        self.set_focus(pane.result_view if pane.editor.has_focus else pane.editor)

    def action_edit(self) -> None:
        """Go back to the editor; in the editor, show which key leaves the screen."""
        pane = self.pane
        if pane.editor.has_focus:
            self.notify(f"{self.key_of('sql.back')} goes back to the pipelines", timeout=3)
        else:
            self.set_focus(pane.editor)

    def action_history(self) -> None:
        """Pick a statement from the query history."""
        try:
            entries = self.history.newest()
        except DataopsError as problem:
            self.notify(str(problem), severity="error", markup=False)
            return
        choices = []
        for entry in entries:
            glyph, colour = _OUTCOMES.get(entry.outcome, ("?", "magenta"))
            at = f"{in_shown_zone(entry.when):%Y-%m-%d %H:%M}{offset_text(entry.when) or 'Z'}"
            label = Text.assemble(
                (f"{glyph} {entry.outcome:<9}", colour),
                (f"  {at}  {visible(entry.context)}  {count(entry.rows)} rows  ", "dim"),
                visible(" ".join(entry.statement.split())),
                no_wrap=True,
                overflow="ellipsis",
            )
            choices.append(Choice(label, entry.statement))
        self._pick("Query history", choices, "no statements yet")

    def action_saved(self) -> None:
        """Pick a saved query."""
        try:
            saved = self.saved.all()
        except DataopsError as problem:
            self.notify(str(problem), severity="error", markup=False)
            return
        width = max((len(query.name) for query in saved), default=0)
        choices = [
            Choice(
                Text.assemble(
                    (f"{visible(query.name):<{width}}  ", "bold"), (visible(query.about), "dim"), no_wrap=True
                ),
                query.statement,
            )
            for query in saved
        ]
        self._pick("Saved queries", choices, f"no saved queries yet; ctrl+s saves one in {self.saved.own}")

    def _pick(self, title: str, choices: list[Choice], none: str) -> None:
        def chosen(text: str | None) -> None:
            if text is not None:
                self._in_free_pane(text, run=False)

        self.app.push_screen(PickDialog(title, choices, none), chosen)
