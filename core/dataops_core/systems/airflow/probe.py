"""Airflow DAGs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import median

from dataops_core.errors import ClientError, PermissionDenied
from dataops_core.health.model import Activity, Fact, Figure, Observation, ProgressSource
from dataops_core.systems.airflow.client import NEWEST, PARTS, AirflowClient, DagRun, DagState, FailedFile, Pool
from dataops_core.systems.airflow.settings import DagStage
from dataops_core.systems.airflow.work import facts, figures, work_of


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
    doing = work_of(client, active) if active is not None and active.state == "running" else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=succeeded.started_at if succeeded else None,
        progress_source=ProgressSource.DERIVED if succeeded and succeeded.started_at else None,
        advanced_at=succeeded.ended_at if succeeded else None,
        activity=_activity(state, active),
        failure=_failure(client, state, finished, active),
        notes=_notes(state, succeeded, active),
        figures=(*_figures(state, succeeded, active), *(figures(doing) if doing else ())),
        facts=(*_facts(client, state, succeeded, active), *(facts(doing) if doing else ())),
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
    if succeeded is None:
        idle = any(run.state == "success" for run in state.runs)
        notes.append("its successful runs had nothing to do" if idle else "no run has succeeded yet")
    return tuple(notes)


def _figures(state: DagState, succeeded: DagRun | None, active: DagRun | None) -> Iterator[Figure]:
    if succeeded is not None and (took := _took(succeeded)) is not None:
        yield Figure("run_duration", took, "s")
    durations = [took for run in state.runs if run.state == "success" and (took := _took(run)) is not None]
    if durations:
        yield Figure("run_duration_median", median(durations), "s")
    for run_state in ("queued", "running", "failed"):
        yield Figure(f"runs_{run_state}", sum(run.state == run_state for run in state.runs))
    times = {
        "next_run_due": state.dag.next_run_after,
        "run_queued_at": active.queued_at if active else None,
        "run_started_at": active.started_at if active else None,
    }
    yield from (Figure(name, at.timestamp(), "timestamp") for name, at in times.items() if at is not None)


def _took(run: DagRun) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at).total_seconds()


def _facts(client: AirflowClient, state: DagState, succeeded: DagRun | None, active: DagRun | None) -> Iterator[Fact]:
    if active is not None:
        yield Fact("active_run", active.run_id)
    if succeeded is None and len(state.runs) >= NEWEST:
        yield Fact("last_work", "before the runs that are looked at")
    if state.dag.paused:
        yield Fact("paused", "yes")
    if state.dag.import_errors:
        yield Fact("import_error", _import_error(client, state.dag.file))


def _import_error(client: AirflowClient, file: str | None) -> str:
    try:
        failed = next((f for f in client.failed_files() if f.file == file), None)
    except ClientError:  # that it fails stands without the reason
        failed = None
    return f"{failed.file}: {failed.reason}" if failed else file or "import error"


def _load(pools: Sequence[Pool], failed: Sequence[FailedFile]) -> tuple[list[Figure], list[Fact]]:
    full = [f"{p.name} (slots: {p.slots}, tasks that wait: {p.waiting})" for p in pools if p.open == 0 and p.waiting]
    facts = [Fact("pools_full", ", ".join(full))] if full else []
    if failed:
        facts.append(Fact("import_error_files", ", ".join(f"{f.file} ({f.reason})" for f in failed[:3])))
    return [
        Figure("pool_slots", sum(pool.slots for pool in pools if pool.slots > 0)),
        Figure("pool_slots_open", sum(pool.open for pool in pools if pool.open > 0)),
        Figure("tasks_waiting_for_slot", sum(pool.waiting for pool in pools)),
        Figure("import_errors", len(failed)),
    ], facts


def observe_airflow(client: AirflowClient, name: str = "airflow") -> tuple[str, Observation]:
    """Return one line about Airflow, and what was seen of it."""
    now = datetime.now(UTC)
    health = client.health()
    seen = [Figure(f"{part}_heartbeat", at.timestamp(), "timestamp") for part, at in health.heartbeats.items()]
    parts = [Fact(part, status) for part, status in health.parts.items()]
    try:
        more, words = _load(client.pools(), client.failed_files())
        seen += more
        parts += words
    except PermissionDenied:  # to see pools and import errors are rights of their own
        pass
    well = ", ".join(part.replace("_", " ") for part in PARTS if health.parts.get(part) == "healthy")
    detail = f"{well} healthy" if well else "unhealthy"
    return detail, Observation(stage=name, observed_at=now, figures=tuple(seen), facts=tuple(parts))
