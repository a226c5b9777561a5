"""One tab of the SQL screen: editor, running query and result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static, Tree

from dataops_core.sql.library import ran_now
from dataops_core.sql.plan import PlanNode, explain
from dataops_core.sql.results import Result
from dataops_core.sql.scan import Statement, statements
from dataops_core.sql.statistics import column_statistics
from dataops_core.units import count
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.dialogs.confirm import ConfirmDialog
from dataops_tui.dialogs.text import TextDialog
from dataops_tui.messages import WorkFailed
from dataops_tui.query_messages import (
    Classified,
    ExportProgress,
    NamesLoaded,
    QueryRead,
    ResultBegan,
    StatisticsReady,
    WhyQueued,
)
from dataops_tui.query_session import Outcome, QueryEnd, QuerySession
from dataops_tui.widgets.completer import Completer
from dataops_tui.widgets.plan_tree import PlanTree, described
from dataops_tui.widgets.result_table import ResultTable
from dataops_tui.widgets.sql_editor import Completions, SqlEditor
from dataops_tui.widgets.sql_tables import row_text, stages_table, statistics_table, statistics_text
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.export import export_rows
from dataops_tui.workflows.save_query import save_query

if TYPE_CHECKING:
    from dataops_core.sql.library import History, SavedQueries
    from dataops_core.sql.names import Names
    from dataops_core.sql.syntax import SyntaxProblem
    from dataops_core.systems.trino.client import TrinoClient
    from dataops_tui.console import Console

WATCH_EVERY = 0.25
"""Seconds between two polls of the running query and its new rows."""
RUNNING = "running the statement"
CANCELLING = "cancelling the query"
_OUTCOME_STYLES = {Outcome.FINISHED: "green", Outcome.FAILED: "red", Outcome.CANCELLED: "yellow"}
_HINT = "F5 runs the statement under the cursor"


class SqlTabs(Protocol):
    """The part of `SqlScreen` that all tabs share."""

    history: History

    @property
    def names(self) -> Names:
        """The names of tables, columns and so on in the context's Trino."""

    @property
    def saved(self) -> SavedQueries:
        """Saved queries."""

    def refresh_bindings(self) -> None:
        """Update the key hints."""


class SqlPane(Vertical):
    """A tab: it runs the editor's statements in a session, and shows the results."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._completions = Completions()
        self.editor = SqlEditor(self._completions)
        self._completer = Completer(self, self.editor, self._completions)
        self.session = QuerySession()
        self._text = ""
        """The editor's text when the statements were submitted."""
        self._trino: TrinoClient | None = None
        """The Trino of the submitted statements; they never run in another one that the user selects meanwhile."""

    @property
    def console(self) -> Console:
        """The app."""
        return cast("Console", self.app)

    @property
    def sql(self) -> SqlTabs:
        """The screen that holds the tabs."""
        return cast("SqlTabs", self.screen)

    def compose(self) -> ComposeResult:
        """Compose the editor, the progress, and the rows, the plan or the stages of a query."""
        yield self.editor
        yield self._completions
        yield Words(Text(_HINT, "dim"), classes="progress")
        with ContentSwitcher(initial="rows"):
            yield ResultTable(id="rows")
            yield PlanTree(id="plan")
            yield Static(id="stages")

    def on_mount(self) -> None:
        """Poll the query."""
        self.set_interval(WATCH_EVERY, self._watch)

    def on_unmount(self) -> None:
        """Cancel the query in the server, and delete the rows on disk."""
        if (stop := self.session.close()) is not None:
            in_background(self, CANCELLING, stop)

    @property
    def table(self) -> ResultTable:
        """The rows."""
        return self.query_one(ResultTable)

    # --- running ---------------------------------------------------------------------------------------------

    def run_current(self) -> None:
        """Run the selection, or the statement under the cursor."""
        result = self.editor.to_run()
        self._run([result] if result else [])

    def run_all(self) -> None:
        """Run all statements in order, until one does not finish."""
        self._run(statements(self.editor.text))

    def run_explain(self, *, analyze: bool) -> None:
        """Show the plan of the statement under the cursor; `analyze` runs and measures it."""
        result = self.editor.to_run()
        self._run([replace(result, text=explain(result.text, analyze=analyze))] if result else [])

    def close_completions(self) -> None:
        """Close the list of candidates until the user types again."""
        self._completer.close()

    def _run(self, chosen: Sequence[Statement]) -> None:
        self.close_completions()
        if self.session.busy:
            self.say("a query is running: cancel it first (ctrl+c)", "red")
        elif self.console.clients.trino is None:
            self.say(self.console.clients.why_not("Trino"), "red")
        elif not chosen:
            self.say("no statement to run", "red")
        else:
            self.session.queue(chosen)
            self._trino = self.console.clients.trino
            self._text = self.editor.text
            self._run_next()

    def _same_trino(self) -> TrinoClient | None:
        """Return the Trino of the submitted statements; drop them if the console has switched to another one."""
        if self._trino is not None and self.console.clients.trino is self._trino:
            return self._trino
        self._leave_off()
        self.say("the remaining statements did not run: the console has switched to another Trino", "red")
        return None

    def _run_next(self) -> None:
        trino, policy = self._same_trino(), self.console.policy
        if trino is None:
            return
        chosen = self.session.next()

        def work() -> None:
            self.post_message(Classified(chosen, policy.assess_sql(trino, chosen.text)))

        in_background(self, RUNNING, work)

    @on(Classified)
    def _confirm(self, message: Classified) -> None:
        trino, statement, result = self._same_trino(), message.statement.text, message.classification
        if trino is None:
            return
        word = self.console.policy.confirmation(result.risk)
        if not self.session.accepts(statement, result, confirmable=word is not None):
            self.sql.refresh_bindings()
            if result.problem is not None:
                self._show_problem(message.statement, result.problem, offer=word is not None)
            return
        if word is None:
            self._start(trino, statement, None)
            return
        title = f'{result.why[:1].upper()}{result.why[1:]} in the context "{self.console.context_name}"'

        def confirmed(typed: str | None) -> None:
            if typed is None:
                self._leave_off()
            elif self._same_trino() is not None:
                self._start(trino, statement, typed)

        self.app.push_screen(ConfirmDialog(title, statement, word), confirmed)

    def _show_problem(self, chosen: Statement, problem: SyntaxProblem, *, offer: bool) -> None:
        """Show a syntax error, and move the cursor to it."""
        if self.editor.text == self._text:
            before = len(chosen.text) - (chosen.end - chosen.start)  # the prefix of EXPLAIN
            at = chosen.start + max(0, problem.offset - before)
            row, column = self.editor.location_at(at)
            problem = replace(problem, line=row + 1, column=column + 1)
            self.editor.move_cursor((row, column))
        again = ". Run it again to confirm it as a change" if offer else ""
        self.say(f"the statement does not parse: {problem}{again}", "red")

    def _leave_off(self) -> None:
        self.session.leave_off()
        self.sql.refresh_bindings()

    def _start(self, trino: TrinoClient, statement: str, confirmed: str | None) -> None:
        self.table.show(None)
        number, policy = self.session.start(statement), self.console.policy
        self._show("stages")
        self.query_one("#stages", Static).update("")
        self.say("submitted …", "dim")
        self.sql.refresh_bindings()

        def began(query: int, result: Result) -> None:
            self.post_message(ResultBegan(query, result))

        def work() -> None:
            end = self.session.run(number, lambda: policy.run_sql(trino, statement, confirmed), began)
            self.post_message(QueryRead(end))

        in_background(self, RUNNING, work)

    @on(ResultBegan)
    def _began_rows(self, message: ResultBegan) -> None:
        if self.session.take(message.query, message.result):
            self.table.show(message.result)
            self._show("rows")

    @on(QueryRead)
    def _ended(self, message: QueryRead) -> None:
        end = self.session.end(message.end)
        if end is None:
            return
        self.table.grow()
        if self.session.plan is not None:
            self.query_one(PlanTree).show(self.session.plan)
        self._show("plan" if self.session.plan is not None else "rows")
        self.say(end.text, "yellow bold" if end.truncated else _OUTCOME_STYLES[end.outcome])
        self._remember(end)
        if end.outcome is Outcome.FINISHED and self.session.changed_names:
            self.sql.names.forget()
        if self.session.has_next:
            self._run_next()
        self.sql.refresh_bindings()

    def _remember(self, end: QueryEnd) -> None:
        ran = ran_now(self.console.context_name, end.statement, end.outcome, end.rows, end.seconds)
        history = self.sql.history
        in_background(self, "saving the history", lambda: history.add(ran))

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        message.stop()
        if message.what == RUNNING:
            self._leave_off()
        self.say(message.error, "red")

    def cancel(self) -> None:
        """Cancel the query in the server."""
        stop = self.session.cancel()
        if stop is None:
            self.say("the query is being submitted; try again", "yellow")
            return
        self.say("cancelling …", "yellow")
        in_background(self, CANCELLING, stop)

    # --- watching --------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        session = self.session
        if not session.busy:
            return
        self.table.grow()
        progress = session.progress()
        if progress is None:
            return
        self.say(session.progress_text(progress), "yellow")
        if session.result is None:
            self.query_one("#stages", Static).update(stages_table(progress))
        if (waiting := session.asks_why()) is not None:
            self._ask_why(*waiting)

    def _ask_why(self, number: int, query_id: str) -> None:
        trino = self._trino

        def work() -> None:
            queries = trino.queries() if trino is not None else ()
            reasons = [query.why_waiting(queries) for query in queries if query.query_id == query_id]
            self.post_message(WhyQueued(number, "".join(reasons)))

        in_background(self, "checking why the query waits", work)

    @on(WhyQueued)
    def _explain_wait(self, message: WhyQueued) -> None:
        self.session.waits(message.query, message.reason)

    def say(self, text: str, style: str) -> None:
        """Show a line in the progress line."""
        self.query_one(".progress", Words).show(styled.plain(text, style))

    def _show(self, what: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        focused = not self.editor.has_focus and self.screen.focused in switcher.walk_children()
        switcher.current = what
        if focused:
            self.screen.set_focus(self.result_view)

    @property
    def result_view(self) -> Widget:
        """The rows or the plan."""
        return self.query_one(PlanTree) if self.session.plan is not None else self.table

    # --- plans -----------------------------------------------------------------------------------------------

    @on(Tree.NodeSelected)
    def _show_step(self, message: Tree.NodeSelected[PlanNode]) -> None:
        if message.node.data is not None:
            self.app.push_screen(TextDialog(message.node.data.name, described(message.node.data)))

    # --- completion ------------------------------------------------------------------------------------------

    @on(SqlEditor.CompletionRequested)
    def _offer(self, message: SqlEditor.CompletionRequested) -> None:
        message.stop()
        self._complete(typed=message.typed)

    @on(NamesLoaded)
    def _names_loaded(self) -> None:
        if self._completer.wants_names:
            self._complete(typed=not self._completer.is_open)

    def _complete(self, *, typed: bool) -> None:
        clients = self.console.clients
        self._completer.complete(self.sql.names, clients.trino_settings, clients.trino, typed=typed)

    # --- rows ------------------------------------------------------------------------------------------------

    @on(ResultTable.Chosen)
    def _show_row(self, message: ResultTable.Chosen) -> None:
        if self.session.result is not None:
            text = row_text(self.session.result, message.row)
            self.app.push_screen(TextDialog(f"row {count(message.row + 1)}", text))

    def show_statistics(self) -> None:
        """Compute the statistics of the columns, over the fetched rows."""
        result = self.session.result
        if result is None or not len(result):
            self.say("no rows to analyze", "red")
            return
        self.say("analyzing the rows …", "yellow")

        def work() -> None:
            self.post_message(StatisticsReady(column_statistics(result.columns, result.chunks())))

        in_background(self, "analyzing the rows", work)

    @on(StatisticsReady)
    def _statistics_ready(self, message: StatisticsReady) -> None:
        rows = message.columns[0].rows if message.columns else 0
        cut = " (TRUNCATED: the query has more)" if self._is_cut else ""
        title = f"columns of the {count(rows)} rows that were fetched{cut}"
        self.say(title, "green")
        self.app.push_screen(TextDialog(title, statistics_text(message.columns), statistics_table(message.columns)))

    @property
    def _is_cut(self) -> bool:
        return self.session.result is not None and self.session.result.full

    def ask_export(self) -> None:
        """Prompt for a file, and write the rows to it."""
        result = self.session.result
        if self.session.busy:
            self.say("the query is running: wait for its end, or cancel it (ctrl+c)", "red")
            return
        if result is None:
            self.say("no rows to export", "red")
            return
        export_rows(self, result)

    @on(ExportProgress)
    def _exporting(self, message: ExportProgress) -> None:
        cut = ", TRUNCATED: the query has more" if self._is_cut else ""
        done = f"exported {count(message.rows)} rows to {message.path}{cut}"
        self.say(done if message.done else f"exporting: {count(message.rows)} rows …", "green")

    def ask_save(self) -> None:
        """Prompt for a name, and save the editor's text under it."""
        save_query(self, self.sql.saved, self.editor.text, self.say)
