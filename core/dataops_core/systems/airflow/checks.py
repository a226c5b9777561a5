"""Checks of DAGs, and of Airflow itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from functools import partial

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Activity, Severity
from dataops_core.health.text import clock, duration
from dataops_core.systems.airflow.settings import DagStage

RUN_FACTOR = 3.0
"""How many times the median of the last successful runs a run may take where the settings do not say."""
SLOW_FACTOR = 1.5
"""How many times the median a run takes from which on it explains a stage that is stuck or behind."""
RUN_MIN = 300.0
"""Seconds that every run may take where the settings do not say."""


SLOTS = "Look at the logs of the tasks that hold the slots; give the pool more only if its tasks need not take turns."


def _import_error(stage: DagStage, look: Look) -> Found | None:
    error = look.seen.fact("import_error")
    if error is None:
        return None
    return Found(f"its file fails to load: {error}")


def _paused(stage: DagStage, look: Look) -> Found | None:
    if look.seen.activity is not Activity.PAUSED:
        return None
    return Found("it is paused", command=stage.remedy, remedy=f"Unpause the DAG {stage.dag_id}.")


def _late(stage: DagStage, look: Look) -> Found | None:
    due = look.time("next_run_due")
    late = (look.now - due).total_seconds() if due else 0.0
    paused = look.seen.fact("paused") is not None
    if due is None or late <= stage.late_after or paused or look.seen.fact("active_run") is not None:
        return None
    return Found(
        f"its run of {clock(due, look.now)} is {duration(late)} late: Airflow has not made it",
        since=due,
        command=f"dataops dag trigger {shlex.quote(stage.dag_id)}",
        dag_id=stage.dag_id,
    )


def _queued(stage: DagStage, look: Look) -> Found | None:
    queued = look.time("run_queued_at")
    waits = (look.now - queued).total_seconds() if queued else 0.0
    if queued is None or look.seen.activity is not Activity.QUEUED or waits <= stage.queued_max:
        return None
    return Found(f"its run {look.seen.fact('active_run')} is queued for {duration(waits)}", since=queued)


def _too_long(stage: DagStage, look: Look) -> Found | None:
    started = look.time("run_started_at")
    if started is None or look.seen.activity is not Activity.RUNNING:
        return None
    usual = look.seen.figure("run_duration_median")
    allowed = _allowed(stage, usual)
    runs = (look.now - started).total_seconds()
    if allowed is None or runs <= allowed:
        return None
    return Found(
        f"its run {look.seen.fact('active_run')} runs for {duration(runs)}, longer than {duration(allowed)}",
        evidence=(*_task(look), *((f"p50 of its last successful runs: {duration(usual)}",) if usual else ())),
        since=started,
    )


def _allowed(stage: DagStage, usual: float | None) -> float | None:
    return stage.run_max or (max(RUN_MIN, RUN_FACTOR * usual) if usual is not None else None)


def _task(look: Look) -> tuple[str, ...]:
    """Return which task of the run is at work, and for how long."""
    task, started = look.seen.fact("task_running"), look.time("task_started_at")
    if task is None or started is None:
        return ()
    return (f"its task {task} runs for {_for(started, look)}",)


def _slow_run(stage: DagStage, look: Look) -> Found | None:
    """Find a run that takes longer than usual, and is not too long yet."""
    started, usual = look.time("run_started_at"), look.seen.figure("run_duration_median")
    if started is None or not usual or look.seen.activity is not Activity.RUNNING or look.seen.fact("waits_for_pool"):
        return None
    runs, allowed = (look.now - started).total_seconds(), _allowed(stage, usual)
    if runs <= SLOW_FACTOR * usual or allowed is None or runs > allowed:
        return None
    return Found(
        f"its run {look.seen.fact('active_run')} runs for {duration(runs)}, longer than usual (p50: {duration(usual)})",
        evidence=_task(look),
        since=started,
    )


def _waits_for_slot(stage: DagStage, look: Look) -> Found | None:
    """Find a run that waits for a slot; where the pool has one, its tasks take turns, and its size is no cause."""
    pool = look.seen.fact("waits_for_pool")
    if pool is None:
        return None
    slots, holder, since = (
        look.figure("waited_pool_slots"),
        look.seen.fact("slot_held_by"),
        look.time("slot_held_since"),
    )
    sentence = (
        f"its task {look.seen.fact('task_waiting')} waits for a slot of the pool {pool} ({numbered(slots, 'slot')})"
    )
    if holder is not None and since is not None:
        sentence += f"; {holder} has held {'it' if slots == 1 else 'one'} for {_for(since, look)}"
    one = f"Look at the log of {holder or 'the task that holds the slot'}: the tasks in the pool {pool} take turns."
    return Found(sentence, remedy=one if slots == 1 else None)


def _for(since: datetime, look: Look) -> str:
    return duration((look.now - since).total_seconds())


def _no_heartbeat(part: str, thresholds: object, look: Look) -> Found | None:
    if look.seen.fact(part) in (None, "healthy"):
        return None
    beat = look.time(f"{part}_heartbeat")
    if part == "metadatabase":
        return Found("Airflow cannot use its metadata database")
    heard = "never" if beat is None else f"{clock(beat, look.now)}, {duration((look.now - beat).total_seconds())} ago"
    return Found(f"no heartbeat of the {part.replace('_', ' ')}", evidence=(f"last heartbeat: {heard}",), since=beat)


def _pool_full(thresholds: object, look: Look) -> Found | None:
    full = look.seen.fact("pools_full")
    return Found(f"no slot is free while tasks wait: {full}") if full else None


def _file_fails(thresholds: object, look: Look) -> Found | None:
    number = look.figure("import_errors")
    if not number:
        return None
    return Found(f"{numbered(number, 'DAG file')} not loaded: {look.seen.fact('import_error_files')}")


def _part(name: str, part: str, meaning: str) -> Check:
    look: Callable[[object, Look], Found | None] = partial(_no_heartbeat, part)
    return Check(
        name,
        ("airflow",),
        Severity.CRITICAL,
        meaning,
        f"Start Airflow's {part.replace('_', ' ')} again, and look at its log.",
        look,
        explains=True,
    )


CHECKS = (
    Check(
        "import-error",
        ("dag",),
        Severity.CRITICAL,
        "The DAG's file fails to load: Airflow goes on with the last version that did, or has none.",
        "Mend the file; `airflow dags list-import-errors` shows the whole trace.",
        _import_error,
    ),
    _part(
        "scheduler-lost",
        "scheduler",
        "Airflow's scheduler sends no heartbeat: no run is made, and no task is started.",
    ),
    _part(
        "metadatabase-lost",
        "metadatabase",
        "Airflow cannot use its metadata database: it does nothing at all.",
    ),
    _part(
        "dag-processor-lost",
        "dag_processor",
        "Airflow's DAG processor sends no heartbeat: changed DAG files are not read.",
    ),
    _part(
        "triggerer-lost",
        "triggerer",
        "Airflow's triggerer sends no heartbeat: deferred tasks never wake up.",
    ),
    Check(
        "pool-full",
        ("airflow",),
        Severity.NOTE,  # that tasks take turns is what a pool is for
        "A pool has no free slot, and tasks wait for one.",
        SLOTS,
        _pool_full,
    ),
    Check(
        "pool-full",
        ("dag",),
        Severity.NOTE,
        "The run's next task waits for a slot of a pool that other tasks hold.",
        SLOTS,
        _waits_for_slot,
        explains=True,
    ),
    Check(
        "import-errors",
        ("airflow",),
        Severity.NOTE,
        "DAG files fail to load.",
        "Mend the files; `airflow dags list-import-errors` shows the whole traces.",
        _file_fails,
    ),
    Check(
        "dag-late",
        ("dag",),
        Severity.WARNING,
        "A run is due by the DAG's schedule, and Airflow has not made it.",
        "Look whether the scheduler runs and whether max_active_runs holds it back; trigger the DAG by hand meanwhile.",
        _late,
        explains=True,
    ),
    Check(
        "run-too-long",
        ("dag",),
        Severity.WARNING,
        "A run takes much longer than usual, or than the settings allow.",
        "Look at the log of the task that runs; clear it if it hangs.",
        _too_long,
        explains=True,
    ),
    Check(
        "run-slow",
        ("dag",),
        Severity.NOTE,
        "A run takes longer than the last successful ones took, and not too long yet.",
        "Look at the log of the task that runs.",
        _slow_run,
        explains=True,
    ),
    Check(
        "run-queued",
        ("dag",),
        Severity.WARNING,
        "A run is queued for long: the scheduler does not start it, or something holds it back.",
        "Look at the scheduler, at max_active_runs and at the pools' slots; a backfill of a paused DAG stays queued.",
        _queued,
        explains=True,
    ),
    Check(
        "paused",
        ("dag",),
        Severity.NOTE,
        "The DAG is paused: it does not run by itself.",
        "Unpause the DAG.",
        _paused,
        explains=True,
    ),
)


def of(kind: str) -> tuple[Check, ...]:
    """Return the checks of a kind of stage or component."""
    return tuple(check for check in CHECKS if kind in check.on)
