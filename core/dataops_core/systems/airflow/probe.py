"""Airflow DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from statistics import median
from typing import Any

from dataops_core.errors import ClientError, PermissionDenied
from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.items import how_many
from dataops_core.systems.airflow.client import NEWEST, AirflowClient
from dataops_core.systems.airflow.details import AirflowDetails, DagDetails
from dataops_core.systems.airflow.responses import PARTS, DagRun, DagState, FailedFile, Pool
from dataops_core.systems.airflow.running_task import RunningTask, details_of, running_task
from dataops_core.systems.airflow.settings import DagStage
from dataops_core.values import sum_of


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
    doing = running_task(client, active) if active is not None and active.state == "running" else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=succeeded.started_at if succeeded else None,
        progress_source=ProgressSource.DERIVED if succeeded and succeeded.started_at else None,
        advanced_at=succeeded.ended_at if succeeded else None,
        activity=_activity(state, active),
        failure=_failure(client, state, finished, active),
        notes=_notes(state, succeeded, active),
        details=_details(client, state, succeeded, active, doing),
    )


def _did_something(client: AirflowClient, state: DagState) -> DagRun | None:
    """Return the newest successful run of which a task succeeded; one that skipped them all is a success to Airflow."""
    return next((run for run in state.runs if run.state == "success" and client.did_something(run)), None)


def _activity(state: DagState, active: DagRun | None) -> Activity:
    if active is not None:
        return Activity.RUNNING if active.state == "running" else Activity.QUEUED
    return Activity.PAUSED if state.dag.paused else Activity.WAITING


def _failure(client: AirflowClient, state: DagState, finished: DagRun | None, active: DagRun | None) -> str | None:
    if finished is None or finished.state != "failed" or active is not None or state.dag.import_errors:
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
    if (missing := how_many(state.runs, "runs")) is not None:
        notes.append(missing)
    if succeeded is None:
        idle = any(run.state == "success" for run in state.runs)
        notes.append("its successful runs had nothing to do" if idle else "no run has succeeded yet")
    return tuple(notes)


def _details(
    client: AirflowClient, state: DagState, succeeded: DagRun | None, active: DagRun | None, doing: RunningTask | None
) -> DagDetails:
    durations = [took for run in state.runs if run.state == "success" and (took := _took(run)) is not None]
    older = succeeded is None and len(state.runs) >= NEWEST
    return DagDetails(
        active_run=active.run_id if active else None,
        last_work="before the checked runs" if older else None,
        paused=state.dag.paused,
        import_error=_import_error(client, state.dag.file) if state.dag.import_errors else None,
        run_duration=_took(succeeded) if succeeded is not None else None,
        run_duration_median=median(durations) if durations else None,
        runs_queued=sum(run.state == "queued" for run in state.runs),
        runs_running=sum(run.state == "running" for run in state.runs),
        runs_failed=sum(run.state == "failed" for run in state.runs),
        next_run_due=state.dag.next_run_after,
        run_queued_at=active.queued_at if active else None,
        run_started_at=active.started_at if active else None,
        **(details_of(doing) if doing is not None else {}),
    )


def _took(run: DagRun) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at).total_seconds()


def _import_error(client: AirflowClient, file: str | None) -> str:
    try:
        failed = next((f for f in client.failed_files() if f.file == file), None)
    except ClientError:  # that it fails stands without the reason
        failed = None
    return f"{failed.file}: {failed.reason}" if failed else file or "import error"


def _load(pools: Sequence[Pool], failed: Sequence[FailedFile]) -> dict[str, Any]:
    full = [f"{p.name} (slots: {p.slots}, waiting tasks: {p.waiting})" for p in pools if p.open == 0 and p.waiting]
    known = not any(pool.unreadable for pool in pools)
    return {
        "pools_full": ", ".join(full) or None,
        "import_error_files": ", ".join(f"{f.file} ({f.reason})" for f in failed[:3]) or None,
        "pool_slots": sum(pool.slots for pool in pools if pool.slots and pool.slots > 0) if known else None,
        "pool_slots_open": sum(pool.open for pool in pools if pool.open and pool.open > 0) if known else None,
        "tasks_waiting_for_slot": sum_of(pool.waiting for pool in pools),
        "import_errors": len(failed),
    }


def observe_airflow(client: AirflowClient, name: str = "airflow") -> tuple[str, Observation]:
    """Return one line about Airflow, and what was seen of it."""
    now = datetime.now(UTC)
    health = client.health()
    seen: dict[str, Any] = {part: health.parts.get(part) for part in PARTS}
    seen |= {f"{part}_heartbeat": health.heartbeats.get(part) for part in PARTS}
    with suppress(PermissionDenied):  # to see pools and import errors are rights of their own
        seen |= _load(client.pools(), client.failed_files())
    well = ", ".join(part.replace("_", " ") for part in PARTS if health.parts.get(part) == "healthy")
    detail = f"{well} healthy" if well else "unhealthy"
    return detail, Observation(stage=name, observed_at=now, details=AirflowDetails(**seen))
