"""The queries screen: Trino's queries of all users, why they wait, and killing them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.binding import Binding

from dataops_core.errors import ClientError
from dataops_core.plain import visible
from dataops_core.systems.trino.responses import splits
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.dialogs.text import TextDialog
from dataops_tui.query_messages import QueryDetailLoaded
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.workflows.change import change

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import TrinoClient
    from dataops_core.systems.trino.responses import ServerQuery

Queries = tuple["ServerQuery", ...]
_STATES = {"FINISHED": "green", "FAILED": "red", "QUEUED": "yellow", "WAITING_FOR_RESOURCES": "yellow"}
_GLYPHS = {"FINISHED": "●", "FAILED": "✖", "QUEUED": "○", "WAITING_FOR_RESOURCES": "○"}
HEADINGS = ("QUERY", "STATE", "TOOK", "WHY", "USER", "STATEMENT")
WIDE_HEADINGS = (*HEADINGS, "QUEUED", "CPU", "SPLITS", "ROWS", "READ", "MEMORY", "SOURCE", "AGE")
_SHOWN = 300
"""Maximum characters of a statement in a narrow table, and in a preview."""
_SHOWN_WIDE = 48
"""Maximum characters of a statement in a wide table; a filter matches all of it."""


def _state(query: ServerQuery, colour: str) -> Text:
    if query.unreadable is not None:
        return Text("✖ unknown", "red")
    return Text(f"{_GLYPHS.get(query.state, '◐')} {visible(query.state.lower().replace('_', ' '))}", colour)


class QueriesScreen(ResourceScreen["Queries"]):
    """The coordinator's list of queries, which is available even while Trino admits no query."""

    COMPONENT = "trino"
    CRUMB = "queries"
    MARKABLE = True
    EVERY = 2.0
    BINDINGS = [
        Binding("ctrl+k", "kill", "Kill", id="queries.kill", tooltip="Kill the selected or the marked queries"),
        Binding("a", "ended", "Ended", id="queries.ended", tooltip="Show all queries, or only the active ones"),
        Binding("e", "edit", "SQL", id="queries.edit", tooltip="Open the statement in the SQL screen"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._with_ended = True

    def fetch(self) -> Queries:
        """Fetch the queries from the coordinator."""
        return self._trino().queries()

    def _trino(self) -> TrinoClient:
        trino = self.console.clients.trino
        if trino is None:
            raise ClientError(self.console.clients.why_not("Trino"))
        return trino

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return WIDE_HEADINGS if self.wide else HEADINGS

    def rows(self, result: Queries, now: datetime) -> Mapping[str, Row]:
        """Return the queries, active ones first."""
        shown = sorted((q for q in result if self._with_ended or not q.ended), key=lambda q: q.ended)
        return {
            query.query_id: Row(
                self._cells(query, result, now),
                query,
                bool(query.error or query.unreadable),
                query.statement,
                unreadable=query.unreadable is not None,
            )
            for query in shown
        }

    def _cells(self, query: ServerQuery, result: Queries, now: datetime) -> list[Text]:
        colour = _STATES.get(query.state, "cyan")
        why = query.error or query.unreadable or query.why_waiting(result)
        cells = {
            "QUERY": styled.plain(query.query_id),
            "STATE": _state(query, colour),
            "USER": styled.plain(query.user),
            "SOURCE": styled.plain(query.source or styled.UNKNOWN, "dim"),
            "AGE": styled.when(query.created, now),
            "TOOK": styled.seconds(query.elapsed),
            "QUEUED": styled.seconds(query.queued),
            "CPU": styled.seconds(query.cpu),
            "SPLITS": styled.plain(splits(query)),
            "ROWS": styled.number(query.rows),
            "READ": styled.size(query.bytes),
            "MEMORY": styled.size(query.memory),
            "WHY": styled.plain(why, "red" if query.error or query.unreadable else "yellow"),
            "STATEMENT": styled.plain(" ".join(query.statement.split())[: _SHOWN_WIDE if self.wide else _SHOWN], "dim"),
        }
        return [cells[heading] for heading in self.headings()]

    def url(self, key: str | None) -> str | None:
        """Return the query's page in Trino's web UI."""
        trino = self.console.clients.trino
        return f"{trino.target}/ui/query.html?{key}" if key and trino else None

    def open(self, key: str) -> None:
        """Show the whole statement, and why the query failed or waits."""
        self._open_detail(key, edit=False)

    def _open_detail(self, key: str, *, edit: bool) -> None:
        trino = self._trino_or_notify()
        if trino is None:
            return

        def work() -> None:
            self.post_message(QueryDetailLoaded(trino.query_detail(key), edit))

        in_background(self, f"loading {key}", work)

    def _trino_or_notify(self) -> TrinoClient | None:
        try:
            return self._trino()
        except ClientError as error:
            self.notify(str(error), severity="error", markup=False)
            return None

    @on(QueryDetailLoaded)
    def _show_detail(self, message: QueryDetailLoaded) -> None:
        detail, query = message.detail, message.detail.query
        if message.edit:
            self.console.open_sql(detail.statement, run=False)
            return
        if self.app.screen is not self:  # pressing Enter twice opens one dialog
            return
        why = query.why_waiting(self.result or ())
        lines = [
            f"{query.state.lower()}  {query.user}  {query.source}  {query.resource_group}".rstrip(),
            *([f"{query.error}: {detail.failure}"] if detail.failure else []),
            *([why] if why else []),
            "",
            detail.statement,
        ]
        self.app.push_screen(TextDialog(query.query_id, "\n".join(lines)))

    def action_ended(self) -> None:
        """Show all queries, or only the active ones."""
        self._with_ended = not self._with_ended
        self.fill()

    def action_edit(self) -> None:
        """Open the selected statement in the SQL screen, without running it."""
        key = self.table.cursor_key
        if key is not None:
            self._open_detail(key, edit=True)

    def action_kill(self) -> None:
        """Kill the selected queries after confirmation."""
        active = {query.query_id: query for query in self.result or () if not query.ended}
        chosen = [active[key] for key in self.table.chosen if key in active]
        trino = self._trino_or_notify()
        if trino is None:
            return
        if not chosen:
            self.notify("no active query selected: move the cursor to one", severity="warning")
            return
        policy = self.console.policy
        ids = [query.query_id for query in chosen]
        preview = [
            line
            for query in chosen
            for line in (
                f"PUT {trino.target}/v1/query/{query.query_id}/killed",
                f"    {query.user}: {' '.join(query.statement.split())[:_SHOWN]}",
            )
        ]

        def do(typed: str | None) -> str:
            for query_id in ids:
                policy.kill_query(trino, query_id, typed)
            return f"killed {styled.abbreviated(ids)}"

        change(self.console, f"Kill {styled.abbreviated(ids)}", preview, do)
