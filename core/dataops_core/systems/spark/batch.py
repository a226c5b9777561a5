"""Probe the history server, and batch applications by their runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import pairwise
from statistics import median

from dataops_core.errors import ClientError, NotFound
from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.health.text import clock
from dataops_core.systems.base import DoctorStep
from dataops_core.systems.spark.applications import Outcome, Run
from dataops_core.systems.spark.batch_checks import SILENT_MIN
from dataops_core.systems.spark.details import BatchDetails, HistoryDetails
from dataops_core.systems.spark.history import HistoryClient
from dataops_core.systems.spark.settings import SparkBatchStage
from dataops_core.transport.deadlines import within
from dataops_core.units import duration

CHECKED = 10
"""Number of completed runs among which the last successful one is searched, and whose durations count."""
Outcomes = Mapping[Run, Outcome | ClientError]
"""Outcomes of the checked runs, the newest first, or why they are unknown."""


def observe_history(client: HistoryClient) -> tuple[str, Observation]:
    """Return one line about a history server, and its observation."""
    now = datetime.now(UTC)
    with within(client.timeout):
        version, history = client.version(), client.history()
    details = HistoryDetails(
        version=version,
        applications=len(history.runs),
        applications_open=sum(not run.completed for run in history.runs),
        applications_unreadable=history.unreadable or None,
        listed_since=history.since,
        newest_end=max((run.ended_at for run in history.runs if run.ended_at is not None), default=None),
    )
    line = f"Spark {version}, applications: {details.applications}, not completed: {details.applications_open}"
    return line, Observation(stage=client.name, observed_at=now, details=details)


def observe_batch(stage: SparkBatchStage, client: HistoryClient) -> Observation:
    """Return an observation of a batch application; its progress time is the start of its newest successful run.

    A run has read what was there when it started. It is successful if it ran jobs or queries, and at most
    `failures_max` of them failed.
    """
    now = datetime.now(UTC)
    with within(client.timeout):
        history = client.history()
        runs = runs_of(stage.application, history.runs)
        completed = [run for run in runs if run.completed][:CHECKED]
        outcomes = _outcomes(stage, client, completed)
    if not runs:
        raise NotFound(
            f"{client.where}: no application {stage.application} has run since {clock(history.since, now)}",
            hint="compare its name with the list of the history server, and check that it writes an event log",
        )
    newest = runs[0]
    succeeded = next((run for run, outcome in outcomes.items() if state_of(stage, outcome) == "succeeded"), None)
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=succeeded.started_at if succeeded is not None else None,
        progress_source=ProgressSource.DERIVED if succeeded is not None else None,
        advanced_at=succeeded.ended_at if succeeded is not None else None,
        activity=Activity.WAITING if newest.completed else Activity.RUNNING,
        notes=_notes(stage, newest, outcomes, history.unreadable),
        details=_details(stage, client, runs, completed, outcomes, succeeded),
    )


def diagnose(client: HistoryClient) -> Iterator[DoctorStep]:
    """Yield the doctor's steps for a history server; raise ClientError if the outcome of a run cannot be read."""
    now, history = datetime.now(UTC), client.history()
    since = f"since {clock(history.since, now)}"
    if not history.runs:
        yield DoctorStep(
            ok=None,
            detail=f"it lists no application {since}",
            remedy="Set `spark.eventLog.enabled` and `spark.eventLog.dir` of the applications. The history server reads"
            " `spark.history.fs.logDirectory`.",
        )
        return
    yield DoctorStep(ok=True, detail=f"applications {since}: {len(history.runs)}")
    silent = [
        run.title
        for run in history.runs
        if not run.completed and run.updated_at is not None and (now - run.updated_at).total_seconds() > SILENT_MIN
    ]
    if silent:
        yield DoctorStep(
            ok=None,
            detail=f"not completed, and without a new event for {duration(SILENT_MIN)}: {len(silent)}, such as"
            f" {silent[0]}",
            remedy="Check whether their drivers still run. A killed driver leaves such an event log for ever.",
        )
    completed = next((run for run in history.runs if run.completed), None)
    if completed is not None:
        yield DoctorStep(ok=True, detail=f"jobs and queries of {completed.title}: {client.outcome(completed).done}")


def runs_of(application: str, runs: Iterable[Run]) -> list[Run]:
    """Return the runs of an application in their order: those of this name, else those that match the pattern."""
    runs = list(runs)
    named = [run for run in runs if run.name == application]
    return named or [run for run in runs if fnmatchcase(run.name, application)]


def state_of(stage: SparkBatchStage, outcome: Outcome | ClientError) -> str:
    """Return the state of a completed run: `succeeded`, `failed`, `empty`, or `unknown`."""
    if not isinstance(outcome, Outcome):
        return "unknown"
    if outcome.failed > stage.failures_max:
        return "failed"
    return "succeeded" if outcome.done else "empty"


def _outcomes(stage: SparkBatchStage, client: HistoryClient, completed: Iterable[Run]) -> Outcomes:
    """Return the outcomes of completed runs back to the first successful one."""
    outcomes: dict[Run, Outcome | ClientError] = {}
    for run in completed:
        try:
            outcomes[run] = client.outcome(run)
        except ClientError as error:  # the outcomes of the other runs may be known
            outcomes[run] = error
        if state_of(stage, outcomes[run]) == "succeeded":
            break
    return outcomes


def _notes(stage: SparkBatchStage, newest: Run, outcomes: Outcomes, unreadable: int) -> tuple[str, ...]:
    notes = []
    states = {run: state_of(stage, outcome) for run, outcome in outcomes.items()}
    if not newest.completed:
        notes.append(f"run {newest.title} has not ended")
    for run, state in list(states.items())[:1]:
        took = f", took {duration(run.duration)}" if run.duration is not None else ""
        notes.append(f"newest completed run: {run.title}, {state}{took}")
    if "succeeded" not in states.values():
        notes.append("no successful run of it is known")
    if unreadable:
        notes.append(f"applications that cannot be read: {unreadable}")
    return tuple(notes)


def _details(
    stage: SparkBatchStage,
    client: HistoryClient,
    runs: Sequence[Run],
    completed: Sequence[Run],
    outcomes: Outcomes,
    succeeded: Run | None,
) -> BatchDetails:
    newest = runs[0]
    outcome = next(iter(outcomes.values()), None)
    known = outcome if isinstance(outcome, Outcome) else None
    lasted = [
        run.duration
        for run in completed
        if run.duration is not None and (run not in outcomes or state_of(stage, outcomes[run]) != "failed")
    ]
    gaps = [(later.started_at - earlier.started_at).total_seconds() for later, earlier in pairwise(runs[: CHECKED + 1])]
    finished = state_of(stage, outcomes[newest]) if newest in outcomes else "unknown"
    return BatchDetails(
        run=newest.title,
        run_state=finished if newest.completed else "running",
        run_page=(known.page if known is not None and newest.completed else None) or client.page(newest),
        run_started_at=newest.started_at,
        run_ended_at=newest.ended_at,
        run_updated_at=newest.updated_at,
        work_done=known.done if known is not None else None,
        work_failed=known.failed if known is not None else None,
        failed_in=known.where if known is not None else None,
        cause=known.cause if known is not None else None,
        outcome_error=str(outcome) if isinstance(outcome, ClientError) else None,
        last_success=succeeded.title if succeeded is not None else None,
        last_success_started=succeeded.started_at if succeeded is not None else None,
        run_duration=succeeded.duration if succeeded is not None else None,
        run_duration_median=median(lasted) if lasted else None,
        run_interval_median=median(gaps) if gaps else None,
        runs_open=sum(not run.completed for run in runs),
        user=newest.user,
        spark_version=newest.version,
    )
