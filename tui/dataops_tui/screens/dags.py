"""The screens of Airflow's DAGs and their runs: trigger, backfill, pause, clear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.health.text import ago
from dataops_tui import styled
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.screens.tasks import TasksScreen, clear_call
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.backfill import backfill_dag
from dataops_tui.workflows.change import change
from dataops_tui.workflows.trigger import trigger_dag

if TYPE_CHECKING:
    from dataops_core.systems.airflow.responses import Dag, DagRun

RUNS = 100
"""Number of newest runs that are requested, over all DAGs; Airflow's limit (`[api] maximum_page_limit`)."""
STRIP = 10
"""Number of newest runs that a DAG's row shows."""


class DagsScreen(ResourceScreen["tuple[tuple[Dag, ...], tuple[DagRun, ...]]"]):
    """All DAGs, and the runs of the selected DAG."""

    COMPONENT = "airflow"
    CRUMB = "dags"
    MARKABLE = True
    BINDINGS = [
        Binding("t", "trigger", "Trigger", id="dags.trigger", tooltip="Trigger the selected DAG"),
        Binding("b", "backfill", "Backfill", id="dags.backfill", tooltip="Run the DAG for past dates"),
        Binding("p", "pause", "Pause", id="dags.pause", tooltip="Pause or unpause the selected or the marked DAGs"),
    ]

    def compose_more(self) -> ComposeResult:
        """Compose the runs of the selected DAG."""
        yield Words(id="runs-title")
        yield LiveTable(id="runs")

    def fetch(self) -> tuple[tuple[Dag, ...], tuple[DagRun, ...]]:
        """Fetch the DAGs and their newest runs from Airflow."""
        airflow = self.console.clients.require_airflow()
        dags = airflow.dags()
        self.console.learn("DAG", [dag.dag_id for dag in dags])
        return dags, airflow.runs("~", RUNS)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return (
            ("DAG", "STATE", "RUNS", "NEWEST", "SCHEDULE", "TAGS") if self.wide else ("DAG", "STATE", "RUNS", "NEWEST")
        )

    def rows(self, results: tuple[tuple[Dag, ...], tuple[DagRun, ...]], now: datetime) -> Mapping[str, Row]:
        """Return the DAGs."""
        rows = {}
        for dag in results[0]:
            runs = _runs(results, dag.dag_id)
            faulty = dag.import_errors or (bool(runs) and runs[0].state == "failed")
            cells = _dag(dag, runs, now)[: len(self.headings())]
            missing = dag.unreadable is not None
            rows[dag.dag_id] = Row(cells, dag, faulty or missing, unreadable=missing)
        return rows

    def draw_more(self, now: datetime) -> None:
        """Draw the newest runs of the selected DAG."""
        chosen = self.table.cursor_key
        title = f"newest runs of {chosen}" if chosen else ""
        self.query_one("#runs-title", Words).show(styled.plain(title, "bold"))
        runs = _runs(self.result, chosen)[:STRIP] if chosen and self.result else []
        self.query_one("#runs", LiveTable).show(RUN_HEADINGS, {run.run_id: _run(run, now) for run in runs})

    def open(self, key: str) -> None:
        """Open the DAG's runs."""
        self.console.drill(f"dags {key}", RunsScreen(key))

    def url(self, key: str | None) -> str | None:
        """Return the DAG's page in Airflow."""
        return self.console.clients.airflow_page(key)

    def action_trigger(self) -> None:
        """Trigger the selected DAG."""
        trigger_dag(self.console, self.table.cursor_key)

    def action_backfill(self) -> None:
        """Run the selected DAG for past dates."""
        backfill_dag(self.console, self.table.cursor_key)

    def action_pause(self) -> None:
        """Pause the selected DAGs, or unpause them if the first one is paused."""
        airflow, chosen = self.console.clients.airflow, self.table.chosen
        if airflow is None or not chosen or self.result is None:
            return
        paused = not next(dag.paused for dag in self.result[0] if dag.dag_id == chosen[0])
        word = "paused" if paused else "unpaused"
        calls = [f'PATCH {airflow.api_url}/dags/{dag_id} {{"is_paused": {str(paused).lower()}}}' for dag_id in chosen]

        def do(confirmed: str | None) -> str:
            self.console.policy.set_paused(airflow, chosen, paused=paused, confirmed=confirmed)
            return f"{word} {styled.abbreviated(chosen)}"

        change(self.console, f"{'Pause' if paused else 'Unpause'} {styled.abbreviated(chosen)}", calls, do)
        self.table.unmark()


def _runs(results: tuple[tuple[Dag, ...], tuple[DagRun, ...]], dag_id: str) -> list[DagRun]:
    return [run for run in results[1] if run.dag_id == dag_id]


class RunsScreen(ResourceScreen["tuple[DagRun, ...]"]):
    """The newest runs of one DAG."""

    COMPONENT = "airflow"
    MARKABLE = True
    BINDINGS = [
        Binding("t", "trigger", "Trigger", id="runs.trigger", tooltip="Trigger the DAG"),
        Binding("b", "backfill", "Backfill", id="runs.backfill", tooltip="Run the DAG for past dates"),
        Binding(
            "x",
            "clear",
            "Clear failed",
            id="runs.clear",
            tooltip="Clear the failed tasks of the selected or the marked runs",
        ),
    ]

    def __init__(self, dag_id: str) -> None:
        super().__init__()
        self._dag_id = dag_id

    def crumb(self) -> str:
        """Return the DAG's id."""
        return self._dag_id

    def fetch(self) -> tuple[DagRun, ...]:
        """Fetch the newest runs of the DAG from Airflow."""
        return self.console.clients.require_airflow().runs(self._dag_id, RUNS)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return RUN_HEADINGS

    def rows(self, results: tuple[DagRun, ...], now: datetime) -> Mapping[str, Row]:
        """Return the runs."""
        return {run.run_id: _run_row(run, now) for run in results}

    def open(self, key: str) -> None:
        """Open the run's tasks."""
        self.console.drill(f"dags {self._dag_id}", TasksScreen(self._dag_id, key))

    def url(self, key: str | None) -> str | None:
        """Return the run's page in Airflow."""
        return self.console.clients.airflow_page(self._dag_id, key)

    def action_trigger(self) -> None:
        """Trigger the DAG."""
        trigger_dag(self.console, self._dag_id)

    def action_backfill(self) -> None:
        """Run the DAG for past dates."""
        backfill_dag(self.console, self._dag_id)

    def action_clear(self) -> None:
        """Clear the failed tasks of the selected runs, so that they run again."""
        airflow, chosen = self.console.clients.airflow, self.table.chosen
        if airflow is None or not chosen:
            return
        calls = [clear_call(airflow, self._dag_id, run_id) for run_id in chosen]
        clear = partial(self.console.policy.clear_failed, airflow, self._dag_id)

        def do(confirmed: str | None) -> str:
            cleared = sum(clear(run_id, confirmed=confirmed) for run_id in chosen)
            return f"{cleared} tasks cleared in {styled.abbreviated(chosen)}"

        change(self.console, f"Clear the failed tasks of {styled.abbreviated(chosen)}", calls, do)
        self.table.unmark()


RUN_HEADINGS = ("STATE", "STARTED", "TOOK", "RUN")


def _dag(dag: Dag, runs: list[DagRun], now: datetime) -> list[Text]:
    if dag.unreadable is not None:
        state = styled.unreadable(dag.unreadable)
    elif dag.import_errors:
        state = Text("✖ import errors", "red bold")
    elif dag.paused:
        state = Text("‖ paused", "magenta")
    else:
        state = Text("● active", "green")
    strip = Text()
    for run in reversed(runs[:STRIP]):
        strip.append_text(styled.task_state(run.state)[:1])
    newest = f"{runs[0].state} {ago(runs[0].started_at or runs[0].queued_at, now)}" if runs else styled.UNKNOWN
    return [
        styled.plain(dag.dag_id),
        state,
        strip,
        styled.plain(newest),
        styled.plain(dag.schedule or styled.UNKNOWN, "dim"),
        styled.plain(", ".join(dag.tags) or styled.UNKNOWN, "dim"),
    ]


def _run_row(run: DagRun, now: datetime) -> Row:
    missing = run.unreadable is not None
    return Row(_run(run, now), run, missing or run.state == "failed", unreadable=missing)


def _run(run: DagRun, now: datetime) -> list[Text]:
    if run.unreadable is not None:
        return [styled.unreadable(run.unreadable), *[styled.plain(styled.UNKNOWN)] * 2, styled.plain(run.run_id, "dim")]
    began = run.started_at
    took = ((run.ended_at or now) - began).total_seconds() if began is not None else None
    return [styled.task_state(run.state), styled.at(began, now), styled.seconds(took), styled.plain(run.run_id, "dim")]
