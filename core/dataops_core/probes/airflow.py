"""Airflow DAGs."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.clients.airflow import PARTS, AirflowClient, DagRun, DagState
from dataops_core.config import DagStage
from dataops_core.errors import ClientError
from dataops_core.health.model import Activity, Figure, Observation, ProgressSource

LOOK_AT = 3
"""Successful runs that are looked at for one that did something."""


def observe_dag(stage: DagStage, client: AirflowClient) -> Observation:
    """Observe a DAG: what its newest successful run took in; one whose tasks were all skipped took in nothing.

    A run takes in what was there when it started, so its start is the progress time. (Not the end of its data interval:
    a run that covers an interval to the end has still not seen what arrived for it later.)
    """
    now = datetime.now(UTC)
    state = client.dag(stage.dag_id)
    succeeded = _did_something(client, state)
    finished = next((run for run in state.runs if run.state in ("success", "failed")), None)
    active = next((run for run in state.runs if run.state in ("running", "queued")), None)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=succeeded.started_at if succeeded else None,
        progress_source=ProgressSource.DERIVED if succeeded and succeeded.started_at else None,
        advanced_at=succeeded.ended_at if succeeded else None,
        activity=_activity(state, active),
        failure=_failure(client, state, finished, active),
        notes=_notes(state, succeeded, active),
        figures=_figures(succeeded),
    )


def _did_something(client: AirflowClient, state: DagState) -> DagRun | None:
    """Return the newest successful run of which a task succeeded; one that skipped them all is a success to Airflow."""
    successful = [run for run in state.runs if run.state == "success"][:LOOK_AT]
    return next((run for run in successful if client.tasks(run.dag_id, run.run_id, "success", limit=1)), None)


def _activity(state: DagState, active: DagRun | None) -> Activity:
    if active is not None:
        return Activity.RUNNING if active.state == "running" else Activity.QUEUED
    return Activity.PAUSED if state.dag.paused else Activity.WAITING


def _failure(client: AirflowClient, state: DagState, finished: DagRun | None, active: DagRun | None) -> str | None:
    if state.dag.import_errors:
        return "its file fails to load (import error)"
    if finished is None or finished.state != "failed" or active is not None:
        return None
    try:
        tasks = client.tasks(finished.dag_id, finished.run_id, "failed")
    except ClientError:  # the run's failure stands without the name of its task
        tasks = ()
    where = f" in task {', '.join(tasks)}" if tasks else ""
    return f"its newest run {finished.run_id} failed{where}"


def _notes(state: DagState, succeeded: DagRun | None, active: DagRun | None) -> tuple[str, ...]:
    notes = []
    if active is not None:
        notes.append(f"run {active.run_id} is {active.state}")
    if state.dag.paused:
        notes.append("the DAG is paused")
    if succeeded is None:
        notes.append("no run has done anything yet")
    return tuple(notes)


def _figures(succeeded: DagRun | None) -> tuple[Figure, ...]:
    if succeeded is None or succeeded.started_at is None or succeeded.ended_at is None:
        return ()
    return (Figure("run_duration", (succeeded.ended_at - succeeded.started_at).total_seconds(), "s"),)


def report(client: AirflowClient) -> tuple[str, str | None]:
    """Return one line about Airflow, and which of its parts are not well."""
    health = client.health()
    if health.unhealthy:
        return "unhealthy", "no heartbeat: " + ", ".join(part.replace("_", " ") for part in health.unhealthy)
    return ", ".join(part.replace("_", " ") for part in PARTS if part in health.parts) + " healthy", None
