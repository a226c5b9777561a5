"""Checks of DAGs, and of Airflow itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from functools import partial

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.checks.runs import is_slow, longest_run
from dataops_core.health.model import Severity
from dataops_core.health.observation import Activity
from dataops_core.health.text import clock
from dataops_core.systems.airflow.details import AirflowDetails, DagDetails
from dataops_core.systems.airflow.settings import DagStage
from dataops_core.units import duration

SLOTS = (
    "Check the logs of the tasks that hold the slots. Add slots to the pool only if its tasks may run at the same time."
)

MISSED_EVENTS = "If an asset starts it, trigger it too: Airflow queues no asset events for a paused DAG."


def trigger_command(stage: DagStage) -> str:
    """Return the command that triggers the stage's DAG."""
    on = f" --component {shlex.quote(stage.on)}" if stage.on is not None else ""
    return f"dataops dag trigger {shlex.quote(stage.dag_id)}{on}"


def _import_error(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    error = given.details.import_error
    if error is None:
        return None
    return Problem(f"its file fails to load: {error}")


def _paused(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    if given.observation.activity is not Activity.PAUSED:
        return None
    remedy = f"Unpause the DAG {stage.dag_id}."
    if given.details.next_run_due is None:  # no timetable: an asset or another DAG may start it
        remedy += f" {MISSED_EVENTS}"
    return Problem("it is paused", command=stage.remedy, remedy=remedy)


def _late(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    due = given.details.next_run_due
    late = (given.now - due).total_seconds() if due else 0.0
    paused = given.details.paused is True
    if due is None or late <= stage.late_after or paused or given.details.active_run is not None:
        return None
    return Problem(
        f"its run of {clock(due, given.now)} is {duration(late)} late: Airflow has not created it",
        since=due,
        command=trigger_command(stage),
        dag_id=stage.dag_id,
    )


def _queued(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    queued = given.details.run_queued_at
    waits = (given.now - queued).total_seconds() if queued else 0.0
    if queued is None or given.observation.activity is not Activity.QUEUED or waits <= stage.queued_max:
        return None
    return Problem(f"its run {given.details.active_run} has been queued for {duration(waits)}", since=queued)


def _too_long(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    started = given.details.run_started_at
    if started is None or given.observation.activity is not Activity.RUNNING:
        return None
    usual = given.details.run_duration_median
    allowed = longest_run(stage.run_max, usual)
    runs = (given.now - started).total_seconds()
    if allowed is None or runs <= allowed:
        return None
    return Problem(
        f"its run {given.details.active_run} has been running for {duration(runs)}, longer than {duration(allowed)}",
        evidence=(*_task(given), *((f"p50 of its last successful runs: {duration(usual)}",) if usual else ())),
        since=started,
    )


def _task(given: CheckInput[DagDetails]) -> tuple[str, ...]:
    """Return the running task of the run, and for how long it has been running."""
    task, started = given.details.task_running, given.details.task_started_at
    if task is None or started is None:
        return ()
    return (f"its task {task} has been running for {_for(started, given)}",)


def _slow_run(stage: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    """Find a run that takes longer than usual, and is not too long yet."""
    details = given.details
    started, usual = details.run_started_at, details.run_duration_median
    running = given.observation.activity is Activity.RUNNING and not details.waits_for_pool
    if started is None or not usual or not running:
        return None
    runs = (given.now - started).total_seconds()
    if not is_slow(runs, stage.run_max, usual):
        return None
    return Problem(
        f"its run {details.active_run} has been running for {duration(runs)}, longer than usual (p50:"
        f" {duration(usual)})",
        evidence=_task(given),
        since=started,
    )


def _waits_for_slot(_: DagStage, given: CheckInput[DagDetails]) -> Problem | None:
    """Find a run that waits for a pool slot. A pool with one slot is serial on purpose: its size is not the cause."""
    details = given.details
    pool, slots, holder, since = (
        details.waits_for_pool,
        details.waited_pool_slots,
        details.slot_held_by,
        details.slot_held_since,
    )
    if pool is None or slots is None:
        return None
    sentence = f"its task {details.task_waiting} waits for a slot of the pool {pool} ({numbered(slots, 'slot')})"
    if holder is not None and since is not None:
        sentence += f"; {holder} has held {'it' if slots == 1 else 'one'} for {_for(since, given)}"
    one = f"Check the log of {holder or 'the task that holds the slot'}: the pool {pool} runs one task at a time."
    return Problem(sentence, remedy=one if slots == 1 else None)


def _for(since: datetime, given: CheckInput[DagDetails]) -> str:
    return duration((given.now - since).total_seconds())


def _no_heartbeat(part: str, thresholds: object, given: CheckInput[AirflowDetails]) -> Problem | None:
    status: str | None = getattr(given.details, part)
    if status in (None, "healthy"):
        return None
    beat: datetime | None = getattr(given.details, f"{part}_heartbeat")
    if part == "metadatabase":
        return Problem("Airflow cannot use its metadata database")
    heard = "never" if beat is None else f"{clock(beat, given.now)}, {duration((given.now - beat).total_seconds())} ago"
    return Problem(
        f"the {part.replace('_', ' ')} sends no heartbeat", evidence=(f"last heartbeat: {heard}",), since=beat
    )


def _pool_full(thresholds: object, given: CheckInput[AirflowDetails]) -> Problem | None:
    full = given.details.pools_full
    return Problem(f"no free slot while tasks are waiting: {full}") if full else None


def _file_fails(thresholds: object, given: CheckInput[AirflowDetails]) -> Problem | None:
    number = given.details.import_errors
    if not number:
        return None
    return Problem(f"{numbered(number, 'DAG file')} not loaded: {given.details.import_error_files}")


def _part(name: str, part: str, meaning: str) -> Check:
    find: Callable[[object, CheckInput[AirflowDetails]], Problem | None] = partial(_no_heartbeat, part)
    return Check(
        name,
        Severity.CRITICAL,
        meaning,
        f"Restart Airflow's {part.replace('_', ' ')}, and check its log.",
        find,
        explains=True,
    )


DAG_CHECKS = (
    Check(
        "import-error",
        Severity.CRITICAL,
        "The DAG file fails to load. Airflow keeps the last version that loaded, or has none.",
        "Fix the file; `airflow dags list-import-errors` shows the full traceback.",
        _import_error,
    ),
    Check(
        "dag-late",
        Severity.WARNING,
        "A scheduled run of the DAG is overdue: Airflow has not created it.",
        "Check that the scheduler is running and that max_active_runs is not reached. Meanwhile trigger the DAG"
        " manually.",
        _late,
        explains=True,
    ),
    Check(
        "run-too-long",
        Severity.WARNING,
        "A run takes much longer than usual, or longer than the settings allow.",
        "Check the log of the running task; clear the task if it hangs.",
        _too_long,
        explains=True,
    ),
    Check(
        "pool-full",
        Severity.NOTE,
        "The next task of the run waits for a pool slot: other tasks hold all slots.",
        SLOTS,
        _waits_for_slot,
        explains=True,
    ),
    Check(
        "run-slow",
        Severity.NOTE,
        "A run takes longer than the last successful runs, but is still within its limit.",
        "Check the log of the running task.",
        _slow_run,
        explains=True,
    ),
    Check(
        "run-queued",
        Severity.WARNING,
        "A run has been queued for too long: the scheduler does not start it, or a limit is reached.",
        "Check the scheduler, max_active_runs and the pool slots. A backfill of a paused DAG stays queued.",
        _queued,
        explains=True,
    ),
    Check(
        "paused",
        Severity.NOTE,
        "The DAG is paused: Airflow schedules no runs.",
        f"Unpause the DAG. {MISSED_EVENTS}",
        _paused,
        explains=True,
    ),
)
AIRFLOW_CHECKS = (
    _part(
        "scheduler-lost",
        "scheduler",
        "Airflow's scheduler sends no heartbeat: no runs are created, and no tasks start.",
    ),
    _part(
        "metadatabase-lost",
        "metadatabase",
        "Airflow cannot use its metadata database: nothing runs.",
    ),
    _part(
        "dag-processor-lost",
        "dag_processor",
        "Airflow's DAG processor sends no heartbeat: changes of DAG files are not loaded.",
    ),
    _part(
        "triggerer-lost",
        "triggerer",
        "Airflow's triggerer sends no heartbeat: deferred tasks do not resume.",
    ),
    Check(
        "pool-full",
        Severity.NOTE,  # that tasks take turns is what a pool is for
        "A pool has no free slot, and tasks are waiting for one.",
        SLOTS,
        _pool_full,
    ),
    Check(
        "import-errors",
        Severity.NOTE,
        "DAG files fail to load.",
        "Fix the files; `airflow dags list-import-errors` shows the full tracebacks.",
        _file_fails,
    ),
)
