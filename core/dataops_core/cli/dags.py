"""`dataops dag`."""

from __future__ import annotations

import time
from typing import Any

from dataops_core.actions import Backfill, Gate
from dataops_core.cli.app import Invocation
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say, write
from dataops_core.clients.airflow import AirflowClient, DagRun
from dataops_core.clients.airflow_runs import backfill_dates
from dataops_core.config import ContextSettings, context_of, find_config, load_settings
from dataops_core.errors import ClientError, ConfigError, TimedOut, Unreachable
from dataops_core.health.text import duration
from dataops_core.rows import writer

LOOK_EVERY = 1.0
"""Seconds between two looks at a run that is waited for."""
ENDED = ("success", "failed")


def list_dags(invocation: Invocation, *, as_json: bool) -> int:
    """Write all DAGs."""
    _, _, airflow = _open(invocation)
    columns = [(name, "varchar") for name in ("dag_id", "state", "schedule", "tags")]
    rows = []
    for dag in airflow.dags():
        state = "import errors" if dag.import_errors else "paused" if dag.paused else "active"
        rows.append((dag.dag_id, state, dag.schedule, list(dag.tags) if as_json else " ".join(dag.tags)))
    out = writer("json" if as_json else "table", write)
    if rows:
        out.rows(columns, rows)
    out.end(columns)
    return Exit.OK


def trigger(
    invocation: Invocation, dag_id: str, conf: dict[str, Any], *, wait: float | None, confirmed: str | None
) -> int:
    """Trigger a run, write its id, and wait for its end if asked to; `wait` is in seconds."""
    name, context, airflow = _open(invocation)
    gate = Gate(name, context)
    word = gate.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f'This triggers {dag_id} in the context "{name}".', word)
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


def backfill(invocation: Invocation, wanted: Backfill, *, dry_run: bool, confirmed: str | None) -> int:
    """Write the dates that a backfill runs, one a line, and start it unless only they are asked for."""
    name, context, airflow = _open(invocation)
    dates = backfill_dates(airflow, wanted.body)
    for date in dates:
        write(f"{date.isoformat()}\n")
    if dry_run or not dates:
        say(f"dataops: {len(dates)} runs of {wanted.dag_id} would be made")
        return Exit.OK
    gate = Gate(name, context)
    word = gate.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f'This makes {len(dates)} runs of {wanted.dag_id} in the context "{name}".', word)
    say(f"dataops: backfill {gate.backfill(airflow, wanted, confirmed)} of {wanted.dag_id} is under way")
    return Exit.OK


def _open(invocation: Invocation) -> tuple[str, ContextSettings, AirflowClient]:
    settings = load_settings(find_config(invocation.config))
    name, context = context_of(settings, invocation.context)
    if context.airflow is None:
        raise ConfigError(f'the context "{name}" has no Airflow')
    return name, context, AirflowClient(context.airflow, settings.probe_timeout)


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
