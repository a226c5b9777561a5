"""Airflow's DAGs: how their newest runs went, and triggering one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static

from dataops_core.health.text import clock, duration
from dataops_tui import look
from dataops_tui.background import in_background
from dataops_tui.base import ConsoleScreen
from dataops_tui.messages import DagsLoaded, WorkFailed
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from dataops_core.clients.airflow import Dag, DagRun

RUNS = 100
"""Newest runs that are asked for, of all DAGs together; Airflow's own limit (`[api] maximum_page_limit`)."""
STRIP = 10
"""Newest runs of a DAG that are drawn."""
RUN_GLYPHS = {"success": ("●", "green"), "failed": ("✖", "red"), "running": ("◐", "yellow"), "queued": ("○", "cyan")}


class DagsScreen(ConsoleScreen):
    """All DAGs, and the runs of the one under the cursor."""

    CRUMB = "dags"
    FOLLOWS_TIME = False
    BINDINGS = [
        Binding("escape", "app.home", "Pipelines", id="dags.back", tooltip="Back to the pipelines"),
        Binding("slash", "filter", "Filter", id="dags.filter", tooltip="Show only the DAGs that match"),
        Binding("t", "trigger", "Trigger", id="dags.trigger", tooltip="Trigger the DAG under the cursor"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._loaded: DagsLoaded | None = None
        self._failed: str | None = None
        self._loading = False

    def compose_body(self) -> ComposeResult:
        """Lay out: DAGs, runs, how old that is."""
        yield LiveTable(id="dags")
        yield FilterLine()
        yield Static(id="runs-title")
        yield LiveTable(id="runs")
        yield Static(id="said")

    def on_mount(self) -> None:
        """Load at once, and again as often as the monitor looks."""
        super().on_mount()
        self.query_one("#dags").focus()
        self.load()
        self.set_interval(self.console.settings.refresh, self.load)

    def on_screen_resume(self) -> None:
        """Load what changed while another screen was shown."""
        super().on_screen_resume()
        self.load()

    def load(self) -> None:
        """Ask Airflow, unless the last question is still open."""
        if self._loading or not self.is_current:
            return
        airflow = self.console.airflow
        if airflow is None:
            self._failed = self.console.why_not("Airflow")
            self._redraw()
            return
        self._loading = True

        def work() -> None:
            self.post_message(DagsLoaded(airflow.dags(), airflow.runs("~", RUNS), datetime.now(UTC)))

        in_background(self, "loading the DAGs", work)

    @on(DagsLoaded)
    def _show(self, message: DagsLoaded) -> None:
        self._loading, self._failed, self._loaded = False, None, message
        self._redraw()

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        message.stop()
        self._loading, self._failed = False, message.error
        self._redraw()

    @on(FilterLine.Filtered)
    @on(LiveTable.RowHighlighted, "#dags")
    def _changed(self) -> None:
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Show what was loaded last, with its age."""
        said = Text("loading …", "dim") if self._failed is None else look.plain(self._failed, "red")
        if self._loaded is not None:
            said.append(f"  seen {look.ago(self._loaded.at, now)}" if self._failed else "")
            if self._failed is None:
                said = Text(f"seen {look.ago(self._loaded.at, now)}", "dim")
            keep = self.query_one(FilterLine).matches
            self.query_one("#dags", LiveTable).show(
                ("DAG", "STATE", "RUNS", "NEWEST", "SCHEDULE"),
                {
                    dag.dag_id: _dag(dag, self._runs(dag.dag_id), now)
                    for dag in self._loaded.dags
                    if keep(f"{dag.dag_id} {' '.join(dag.tags)}")
                },
            )
            chosen = self.query_one("#dags", LiveTable).cursor_key
            runs = self._runs(chosen) if chosen else []
            title = f"newest runs of {chosen}" if chosen else ""
            self.query_one("#runs-title", Static).update(look.plain(title, "bold"))
            self.query_one("#runs", LiveTable).show(
                ("STATE", "STARTED", "TOOK", "RUN"), {run.run_id: _run(run, now) for run in runs[:STRIP]}
            )
        self.query_one("#said", Static).update(said)

    def _runs(self, dag_id: str) -> list[DagRun]:
        return [run for run in self._loaded.runs if run.dag_id == dag_id] if self._loaded else []

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.query_one(FilterLine).open()

    def action_trigger(self) -> None:
        """Trigger the DAG under the cursor."""
        self.console.trigger(self.query_one("#dags", LiveTable).cursor_key)


def _dag(dag: Dag, runs: list[DagRun], now: datetime) -> list[RenderableType]:
    if dag.import_errors:
        state = Text("✖ import errors", "red bold")
    elif dag.paused:
        state = Text("‖ paused", "magenta")
    else:
        state = Text("● active", "green")
    strip = Text()
    for run in reversed(runs[:STRIP]):
        glyph, colour = RUN_GLYPHS.get(run.state, ("?", "magenta"))
        strip.append(glyph, colour)
    newest = f"{runs[0].state} {look.ago(runs[0].started_at or runs[0].queued_at, now)}" if runs else look.UNKNOWN
    return [look.plain(dag.dag_id), state, strip, look.plain(newest), look.plain(dag.schedule or look.UNKNOWN, "dim")]


def _run(run: DagRun, now: datetime) -> list[RenderableType]:
    glyph, colour = RUN_GLYPHS.get(run.state, ("?", "magenta"))
    took = look.UNKNOWN
    if run.started_at is not None:
        took = duration(((run.ended_at or now) - run.started_at).total_seconds())
    started = clock(run.started_at, now) if run.started_at else look.UNKNOWN
    return [Text(f"{glyph} {run.state}", colour), Text(started), look.right(took), look.plain(run.run_id, "dim")]
