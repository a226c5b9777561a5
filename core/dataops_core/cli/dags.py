"""`dataops dag`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import typer

from dataops_core.actions import Backfill, Gate
from dataops_core.cli.invocation import Invocation
from dataops_core.cli.listing import listed, say_unreadable, write_rows
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say, write, write_exact
from dataops_core.errors import ClientError, NotFound, TimedOut, Unreachable
from dataops_core.health.checks.base import numbered
from dataops_core.health.text import duration
from dataops_core.systems.airflow.answers import DagRun
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.runs import LogLine, backfill_dates, log, task_instances

LOOK_EVERY = 1.0
"""Seconds between two looks at a run that is waited for."""
ENDED = ("success", "failed")
LOG_EVERY = 2.0
"""Seconds between two looks at a log that grows."""
RUN_COLUMNS = (
    ("run_id", "varchar"),
    ("state", "varchar"),
    ("run_type", "varchar"),
    ("queued_at", "timestamp"),
    ("started_at", "timestamp"),
    ("ended_at", "timestamp"),
    ("seconds", "double"),
    ("error", "varchar"),
)


def list_dags(invocation: Invocation, component: str | None, output: str) -> int:
    """Write all DAGs."""
    _, _, airflow = _open(invocation, component)
    columns = [(name, "varchar") for name in ("dag_id", "state", "schedule", "tags", "error")]
    dags, failed = airflow.dags(), _failed_files(airflow)
    rows: list[tuple[Any, ...]] = []
    for dag in dags:
        state = "import errors" if dag.import_errors else "paused" if dag.paused else "active"
        error = f"{dag.file}: {failed[dag.file]}" if dag.import_errors and dag.file in failed else dag.unreadable
        tags = listed(dag.tags, output)
        rows.append((dag.dag_id, "unknown" if dag.unreadable else state, dag.schedule, tags, error))
    shown = {dag.file for dag in dags if dag.import_errors}
    others = [(file, reason) for file, reason in failed.items() if file not in shown]
    rows += [(None, "import errors", None, listed((), output), f"{file}: {reason}") for file, reason in others]
    write_rows(output, columns, rows)
    say_unreadable(dags, "DAGs")
    if failed:
        say(f"dataops: {numbered(len(failed), 'DAG file')} not loaded")
    return Exit.OK


def _failed_files(airflow: AirflowClient) -> dict[str, str]:
    """Return why DAG files fail to load, by file: their DAGs are not in the list, or as they were before."""
    try:
        return {failed.file: failed.reason for failed in airflow.failed_files()}
    except ClientError as error:  # to see import errors is a right of its own
        say(f"dataops: import errors are unknown: {error}")
        return {}


def list_runs(invocation: Invocation, component: str | None, dag_id: str, limit: int, output: str) -> int:
    """Write the newest runs of a DAG, newest first."""
    _, _, airflow = _open(invocation, component)
    runs = airflow.runs(dag_id, limit)
    write_rows(output, RUN_COLUMNS, [_run(run) for run in runs])
    say_unreadable(runs, "runs")
    return Exit.OK


def set_paused(
    invocation: Invocation, component: str | None, dag_id: str, *, paused: bool, confirmed: str | None
) -> int:
    """Pause a DAG, or let it go on."""
    place, gate, airflow = _open(invocation, component)
    word = gate.confirmation()
    if word is not None and confirmed is None and can_ask():
        what = "pauses" if paused else "unpauses"
        confirmed = ask_word(f"This {what} {dag_id} {place}.", word)
    gate.set_paused(airflow, [dag_id], paused=paused, confirmed=confirmed)
    say(f"dataops: {dag_id} is {'paused' if paused else 'unpaused'}")
    return Exit.OK


def write_log(
    invocation: Invocation,
    component: str | None,
    dag_id: str,
    run_id: str,
    task_id: str,
    number: int | None,
    *,
    follow: bool,
) -> int:
    """Write the log of a task's newest try, or of another one, and go on until it ends if asked to."""
    _, _, airflow = _open(invocation, component)
    task = next((task for task in task_instances(airflow, dag_id, run_id) if task.key == task_id), None)
    if task is None:
        raise NotFound(f"airflow {airflow.target}: no task {task_id} in the run {run_id} of {dag_id}")
    if number is not None and number > task.tries:
        raise typer.BadParameter(f"--try: {task_id} has been tried {numbered(task.tries, 'time')}")
    task = replace(task, tries=number or task.tries)
    token = None
    while True:
        part = log(airflow, dag_id, run_id, task, token)
        write_exact("".join(f"{text}\n" for line in part.lines for text in _log_lines(line)))
        token = part.token
        if token is None or not (part.lines or follow):
            return Exit.OK
        if not part.lines:
            time.sleep(LOG_EVERY)


def trigger(
    invocation: Invocation,
    component: str | None,
    dag_id: str,
    conf: dict[str, Any],
    *,
    wait: float | None,
    confirmed: str | None,
) -> int:
    """Trigger a run, write its id, and wait for its end if asked to; `wait` is in seconds."""
    place, gate, airflow = _open(invocation, component)
    word = gate.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"This triggers {dag_id} {place}.", word)
    run = gate.trigger_dag(airflow, dag_id, conf, confirmed)
    write(f"{run.run_id}\n")
    if wait is None:
        return Exit.OK
    try:
        run = _wait(airflow, run, wait)
    except KeyboardInterrupt:
        say(f"dataops: interrupted; the run {run.run_id} goes on")
        return Exit.INTERRUPTED
    if run.state == "success":
        return Exit.OK
    say(f"dataops: the run has failed{_failed_tasks(airflow, run)}")
    return Exit.FAILED


def backfill(
    invocation: Invocation, component: str | None, wanted: Backfill, *, dry_run: bool, confirmed: str | None
) -> int:
    """Write the dates that a backfill runs, one a line, and start it unless only they are asked for."""
    place, gate, airflow = _open(invocation, component)
    dates = backfill_dates(airflow, wanted.body)
    for date in dates:
        write(f"{date.isoformat()}\n")
    if dry_run or not dates:
        say(f"dataops: {len(dates)} runs of {wanted.dag_id} would be made")
        return Exit.OK
    word = gate.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"This makes {len(dates)} runs of {wanted.dag_id} {place}.", word)
    say(f"dataops: backfill {gate.backfill(airflow, wanted, confirmed)} of {wanted.dag_id} is under way")
    return Exit.OK


def _open(invocation: Invocation, component: str | None) -> tuple[str, Gate, AirflowClient]:
    """Return where the command works, what allows its actions, and the client."""
    chosen = invocation.chosen()
    name = chosen.component("airflow", "Airflow", component)
    return chosen.place("airflow", name), chosen.gate, chosen.clients.need("airflow", name)


def _run(run: DagRun) -> tuple[Any, ...]:
    took = (run.ended_at or datetime.now(UTC)) - run.started_at if run.started_at is not None else None
    return (
        run.run_id,
        run.state,
        run.run_type,
        run.queued_at,
        run.started_at,
        run.ended_at,
        round(took.total_seconds(), 1) if took is not None else None,
        run.unreadable,
    )


def _log_lines(line: LogLine) -> Iterator[str]:
    at = f"{line.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} " if line.at else ""
    yield f"{at}{line.level.upper() + ' ' if line.level else ''}{line.text}"
    yield from line.traceback


def _wait(airflow: AirflowClient, run: DagRun, within: float) -> DagRun:
    began = time.monotonic()
    said = ""
    while True:
        if (news := run.state) != said:
            say(f"{run.run_id}: {news} after {duration(time.monotonic() - began)}")
            said = news
        if run.state in ENDED:
            return run
        if time.monotonic() - began > within:
            raise TimedOut(f"the run {run.run_id} did not end within {duration(within)}", hint="it goes on")
        time.sleep(LOOK_EVERY)
        try:
            run = airflow.run(run.dag_id, run.run_id)
        except (Unreachable, TimedOut) as error:
            # the API server may be starting anew; the run does not depend on it
            if (news := str(error)) != said:
                say(f"dataops: {news}; waiting")
                said = news


def _failed_tasks(airflow: AirflowClient, run: DagRun) -> str:
    try:
        tasks = airflow.tasks(run.dag_id, run.run_id, "failed")
    except ClientError as error:
        return f" (its tasks are not known: {error})"
    return f": {', '.join(tasks)}" if tasks else ""
