"""What the probes make of what a component says."""

from __future__ import annotations

from dataclasses import dataclass

from tests.orders import T0, seconds

from dataops_core.clients.airflow import Dag, DagRun, DagState
from dataops_core.config import DagStage
from dataops_core.probes.airflow import observe_dag

STAGE = DagStage(name="conform", kind="dag", dag_id="conform")


@dataclass
class Airflow:
    """Runs, newest first, each with its state and those of its tasks."""

    runs: list[tuple[str, dict[str, str]]]

    def dag(self, dag_id: str) -> DagState:
        dag = Dag(dag_id, paused=False, schedule=None, owners=(), tags=(), import_errors=False)
        return DagState(dag, tuple(self._run(n, state) for n, (state, _) in enumerate(self.runs)))

    def tasks(self, dag_id: str, run_id: str, state: str, limit: int = 100) -> tuple[str, ...]:
        return tuple(task for task, its in self.runs[int(run_id)][1].items() if its == state)[:limit]

    def _run(self, number: int, state: str) -> DagRun:
        at = T0 - seconds(60 * number)
        return DagRun("conform", str(number), state, "scheduled", at, at, at + seconds(5), None, None)


def test_a_run_that_skipped_all_its_tasks_took_in_nothing() -> None:
    worked = {"look": "success", "load": "skipped"}
    seen = observe_dag(STAGE, Airflow([("success", {"load": "skipped"}), ("success", worked)]))  # type: ignore[arg-type]
    assert seen.progress_time == T0 - seconds(60)
    assert seen.failure is None
    seen = observe_dag(STAGE, Airflow([("success", {"load": "skipped"})]))  # type: ignore[arg-type]
    assert seen.progress_time is None
    assert "no run has done anything yet" in seen.notes


def test_a_failed_run_names_its_failed_tasks_and_leaves_the_progress_where_it_was() -> None:
    runs = [("failed", {"load": "failed", "look": "success"}), ("success", {"load": "success"})]
    seen = observe_dag(STAGE, Airflow(runs))  # type: ignore[arg-type]
    assert seen.failure == "its newest run 0 failed in task load"
    assert seen.progress_time == T0 - seconds(60)
