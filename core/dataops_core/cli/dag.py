"""`dataops dag`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import (
    HELP,
    AirflowOption,
    ConfirmOption,
    DagArgument,
    RowOutput,
    RowsOption,
    YesOption,
    confirmation,
)
from dataops_core.cli.terminal import Exit, ask_word, can_ask, say, write, write_exact
from dataops_core.errors import ClientError, NotFound, TimedOut, Unreachable

if TYPE_CHECKING:
    from dataops_core.actions import ActionPolicy, Backfill
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.airflow.responses import DagRun
    from dataops_core.systems.airflow.runs import LogLine

POLL_EVERY = 1.0
"""Seconds between two polls of a run."""
ENDED = ("success", "failed")
LOG_EVERY = 2.0
"""Seconds between two polls of a log that grows."""
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


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="Airflow's DAGs.")


@app.command("list")
def list_(context: TyperContext, component: AirflowOption = None, output: RowsOption = RowOutput.TABLE) -> int:
    """List all DAGs.

    Example: dataops dag list -o json

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_dags(context.obj, component, output.value)


@app.command("runs")
def runs(
    context: TyperContext,
    dag_id: DagArgument,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Runs.")] = 20,
    component: AirflowOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List the newest runs of a DAG, newest first.

    Example: dataops dag runs conform_readings --limit 5

    Exit codes: 0 done, 1 no such DAG, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    return _list_runs(context.obj, component, dag_id, limit, output.value)


@app.command("logs")
def logs(
    context: TyperContext,
    dag_id: DagArgument,
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The run; dataops dag runs lists them.")],
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="The task; task[3] for a mapped task.")],
    number: Annotated[int | None, typer.Option("--try", min=1, metavar="N", help="Default: the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until it ends.")] = False,
    component: AirflowOption = None,
) -> int:
    """Write the log of a task, with the tracebacks that Airflow stores.

    Example: dataops dag logs conform_readings manual__2026-01-05T03:00:00 conform --try 1

    Exit codes: 0 done, 1 no such DAG, run, task or log, 2 wrong use or settings, 3 no connection, 4 timed out,
    130 interrupted.
    """
    return _write_log(context.obj, component, dag_id, run_id, task_id, number, follow=follow)


def _add_pause_command(name: str, summary: str, *, paused: bool) -> None:
    @app.command(
        name,
        help=f"""{summary}

It requires confirmation and is audited.

Example: dataops dag {name} conform_readings --yes

Exit codes: 0 done, 1 no such DAG, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
130 interrupted.""",
    )
    def command(
        context: TyperContext,
        dag_id: DagArgument,
        component: AirflowOption = None,
        yes: YesOption = False,
        confirm: ConfirmOption = None,
    ) -> int:
        return _set_paused(context.obj, component, dag_id, paused=paused, confirmed=confirmation(confirm, yes=yes))


_add_pause_command("pause", "Pause a DAG: Airflow schedules no more runs.", paused=True)
_add_pause_command("unpause", "Unpause a DAG.", paused=False)


@app.command("trigger")
def trigger(
    context: TyperContext,
    dag_id: DagArgument,
    conf: Annotated[str | None, typer.Option(metavar="JSON", help="The run's parameters, a JSON object.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait.")] = 3600.0,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Trigger a run of a DAG and write its run id.

    It requires confirmation and is audited.

    Example: dataops dag trigger conform_readings --wait --yes

    Exit codes: 0 triggered (with --wait: the run succeeded), 1 no such DAG or the run failed, 2 wrong use or settings
    or refused, 3 no connection, 4 timed out, 130 interrupted; the run continues.
    """
    from dataops_core.actions import parse_conf

    return _trigger(
        context.obj,
        component,
        dag_id,
        parse_conf(conf or ""),
        wait=timeout if wait else None,
        confirmed=confirmation(confirm, yes=yes),
    )


@app.command("backfill")
def backfill(
    context: TyperContext,
    dag_id: Annotated[str, typer.Argument(metavar="DAG_ID", help="The DAG; it needs a time-based schedule.")],
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First date, in UTC without a zone.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="Last date.")],
    again: Annotated[
        str, typer.Option(metavar="RUNS", help="Also rerun dates that have a run: none, failed or completed.")
    ] = "none",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the dates that would run, and start nothing.")
    ] = False,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Run a DAG for past dates, and write the dates and the backfill's id.

    It requires confirmation and is audited.

    Example: dataops dag backfill assess_shipments --from 2026-01-01 --to 2026-01-07 --dry-run

    Exit codes: 0 done, 1 no such DAG or Airflow refuses it, 2 wrong use or settings or refused, 3 no connection,
    4 timed out, 130 interrupted.
    """
    from dataops_core.actions import Backfill

    wanted = Backfill.of(dag_id, start, end, again)
    return _backfill(context.obj, component, wanted, dry_run=dry_run, confirmed=confirmation(confirm, yes=yes))


def _list_dags(invocation: Invocation, component: str | None, output: str) -> int:
    """Write all DAGs."""
    from dataops_core.cli.listing import listed, say_unreadable, write_rows
    from dataops_core.health.checks.base import numbered

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
    """Return the import errors by DAG file; the DAGs of these files are missing or outdated."""
    try:
        return {failed.file: failed.reason for failed in airflow.failed_files()}
    except ClientError as error:  # reading import errors needs a permission of its own
        say(f"dataops: import errors are unknown: {error}")
        return {}


def _list_runs(invocation: Invocation, component: str | None, dag_id: str, limit: int, output: str) -> int:
    """Write the newest runs of a DAG, newest first."""
    from dataops_core.cli.listing import say_unreadable, write_rows

    _, _, airflow = _open(invocation, component)
    runs = airflow.runs(dag_id, limit)
    write_rows(output, RUN_COLUMNS, [_run(run) for run in runs])
    say_unreadable(runs, "runs")
    return Exit.OK


def _set_paused(
    invocation: Invocation, component: str | None, dag_id: str, *, paused: bool, confirmed: str | None
) -> int:
    """Pause or unpause a DAG."""
    where, policy, airflow = _open(invocation, component)
    word = policy.confirmation()
    if word is not None and confirmed is None and can_ask():
        verb = "pauses" if paused else "unpauses"
        confirmed = ask_word(f"This {verb} {dag_id} {where}.", word)
    policy.set_paused(airflow, [dag_id], paused=paused, confirmed=confirmed)
    say(f"dataops: {dag_id} is {'paused' if paused else 'unpaused'}")
    return Exit.OK


def _write_log(
    invocation: Invocation,
    component: str | None,
    dag_id: str,
    run_id: str,
    task_id: str,
    number: int | None,
    *,
    follow: bool,
) -> int:
    """Write the log of one try of a task, the newest by default; with `follow`, continue until the log ends."""
    from dataops_core.health.checks.base import numbered
    from dataops_core.systems.airflow.runs import log, task_instances

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


def _trigger(
    invocation: Invocation,
    component: str | None,
    dag_id: str,
    conf: dict[str, Any],
    *,
    wait: float | None,
    confirmed: str | None,
) -> int:
    """Trigger a run, write its id, and wait at most `wait` seconds for its end; `None` does not wait."""
    where, policy, airflow = _open(invocation, component)
    word = policy.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"This triggers {dag_id} {where}.", word)
    run = policy.trigger_dag(airflow, dag_id, conf, confirmed)
    write(f"{run.run_id}\n")
    if wait is None:
        return Exit.OK
    try:
        run = _wait(airflow, run, wait)
    except KeyboardInterrupt:
        say(f"dataops: interrupted; the run {run.run_id} continues")
        return Exit.INTERRUPTED
    if run.state == "success":
        return Exit.OK
    say(f"dataops: the run has failed{_failed_tasks(airflow, run)}")
    return Exit.FAILED


def _backfill(
    invocation: Invocation, component: str | None, wanted: Backfill, *, dry_run: bool, confirmed: str | None
) -> int:
    """Write the dates of a backfill, one per line, and start it unless it is a dry run."""
    from dataops_core.systems.airflow.runs import backfill_dates

    where, policy, airflow = _open(invocation, component)
    dates = backfill_dates(airflow, wanted.body)
    for date in dates:
        write(f"{date.isoformat()}\n")
    if dry_run or not dates:
        say(f"dataops: {len(dates)} runs of {wanted.dag_id} would be created")
        return Exit.OK
    word = policy.confirmation()
    if word is not None and confirmed is None and can_ask():
        confirmed = ask_word(f"This creates {len(dates)} runs of {wanted.dag_id} {where}.", word)
    say(f"dataops: backfill {policy.backfill(airflow, wanted, confirmed)} of {wanted.dag_id} has started")
    return Exit.OK


def _open(invocation: Invocation, component: str | None) -> tuple[str, ActionPolicy, AirflowClient]:
    """Return the component and context in words for a question, the policy for actions, and the client."""
    chosen = invocation.chosen()
    name = chosen.component("airflow", "Airflow", component)
    return chosen.where("airflow", name), chosen.policy, chosen.clients.need("airflow", name)


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
    from dataops_core.units import duration

    began = time.monotonic()
    reported = ""
    while True:
        if (news := run.state) != reported:
            say(f"{run.run_id}: {news} after {duration(time.monotonic() - began)}")
            reported = news
        if run.state in ENDED:
            return run
        if time.monotonic() - began > within:
            raise TimedOut(f"the run {run.run_id} did not end within {duration(within)}", hint="it continues")
        time.sleep(POLL_EVERY)
        try:
            run = airflow.run(run.dag_id, run.run_id)
        except (Unreachable, TimedOut) as error:
            # the API server may be restarting; the run continues without it
            if (news := str(error)) != reported:
                say(f"dataops: {news}; waiting")
                reported = news


def _failed_tasks(airflow: AirflowClient, run: DagRun) -> str:
    try:
        tasks = airflow.tasks(run.dag_id, run.run_id, "failed")
    except ClientError as error:
        return f" (its tasks are unknown: {error})"
    return f": {', '.join(tasks)}" if tasks else ""
