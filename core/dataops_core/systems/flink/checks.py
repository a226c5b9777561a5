"""Checks of Flink clusters and jobs."""

from __future__ import annotations

from datetime import datetime

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import ago, clock
from dataops_core.systems.flink.details import FlinkDetails, FlinkJobDetails
from dataops_core.systems.flink.settings import FlinkJobStage
from dataops_core.units import duration

STARTING = 60.0
"""Seconds that the tasks of a job may take to start."""
RESTARTS = 2
"""Failures within 10 minutes, without a checkpoint, from which a job counts as restarting repeatedly."""
BACKPRESSURE = 0.5
"""Share of the time from which a vertex counts as backpressured."""
ENDED = ("CANCELED", "CANCELLING", "FINISHED", "SUSPENDED")


def _age(at: datetime | None, now: datetime) -> float | None:
    return (now - at).total_seconds() if at is not None else None


def has_started(changed: datetime | None, now: datetime) -> bool:
    """Return whether the tasks of a job had enough time to start since its state changed."""
    age = _age(changed, now)
    return age is not None and age > STARTING


def _failed(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    if details.job_state not in ("FAILED", "FAILING"):
        return None
    return Problem(f"the job is {details.job_state}: {details.cause or 'no exception'}", since=details.state_changed)


def _tasks_missing(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    running, tasks = details.tasks_running, details.tasks
    if details.job_state != "RUNNING" or running is None or not tasks or running >= tasks:
        return None
    if not has_started(details.state_changed, given.now):
        return None
    return Problem(
        f"the job is RUNNING with {running} of {numbered(tasks, 'task')}",
        evidence=(f"free task slots: {details.slots_free}",) if details.slots_free is not None else (),
        since=details.state_changed,
    )


def _restarting(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    if not _makes_no_progress(details):
        return None
    failures = f"{numbered(details.failures_recent or 0, 'failure')} in 10m, no checkpoint since"
    return Problem(
        f"the job restarts repeatedly ({failures}): {details.cause or 'no exception'}", evidence=_failures(given)
    )


def _restarted(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    if not details.failures_recent or details.job_state in ("FAILED", "FAILING", *ENDED) or _makes_no_progress(details):
        return None
    return Problem(
        f"the job had {numbered(details.failures_recent, 'failure')} in 10m: {details.cause or 'no exception'}",
        evidence=_failures(given),
    )


def _makes_no_progress(details: FlinkJobDetails) -> bool:
    """Return whether a job has failed several times without completing a checkpoint afterwards."""
    if (details.failures_recent or 0) < RESTARTS or details.job_state in ("FAILED", "FAILING", *ENDED):
        return False
    done, failed = details.checkpoint_completed, details.failed_at
    return done is None or failed is None or done < failed


def _failures(given: CheckInput[FlinkJobDetails]) -> tuple[str, ...]:
    details = given.details
    restarts = (f"restarts since it was submitted: {details.restarts}",) if details.restarts is not None else ()
    return (f"newest failure: {ago(details.failed_at, given.now)}", *restarts)


def _ended(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    if details.job_state not in ENDED:
        return None
    return Problem(f"the job is {details.job_state}: it reads nothing", since=details.state_changed)


def _checkpoint_late(stage: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    if details.job_state != "RUNNING" or not details.checkpointing:
        return None
    newest = details.checkpoint_completed or details.job_started
    age = _age(newest, given.now)
    if age is None or age <= stage.checkpoint_within:
        return None
    failed = f", and {details.checkpoints_failed} failed" if details.checkpoints_failed else ""
    which = "its newest checkpoint completed" if details.checkpoint_completed else "no checkpoint since it started"
    return Problem(
        f"{which} {duration(age)} ago{failed}",
        evidence=(f"newest failure: {details.checkpoint_failure}",) if details.checkpoint_failure is not None else (),
        since=newest,
    )


def _checkpoint_failed(stage: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    failed, done = details.checkpoint_failed, details.checkpoint_completed
    if failed is None or (done is not None and done >= failed) or _checkpoint_late(stage, given) is not None:
        return None
    why = f": {details.checkpoint_failure}" if details.checkpoint_failure is not None else ""
    return Problem(f"its newest checkpoint failed at {clock(failed, given.now)}{why}", since=failed)


def _no_checkpoints(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    if given.details.checkpointing is not False or given.details.job_state != "RUNNING":
        return None
    return Problem("checkpointing is not enabled: after a failure the job starts without its state")


def _watermark_held(stage: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    newest, oldest = details.source_watermark_newest, details.source_watermark_oldest
    if details.job_state != "RUNNING" or newest is None:
        return None
    if details.watermark_missing:
        if not has_started(details.job_started, given.now):
            return None
        return Problem(
            "a source subtask has no watermark yet, so windows produce no output",
            evidence=(f"newest watermark of the other subtasks: {clock(newest, given.now)}",),
        )
    skew = (newest - oldest).total_seconds() if oldest is not None else 0.0
    if skew <= stage.watermark_skew_max:
        return None
    return Problem(f"a source subtask holds the watermark back by {duration(skew)}")


def _backpressured(_: FlinkJobStage, given: CheckInput[FlinkJobDetails]) -> Problem | None:
    details = given.details
    share = details.backpressure
    if share is None or share < BACKPRESSURE or details.job_state != "RUNNING":
        return None
    busiest = details.busiest is not None and details.busy is not None
    return Problem(
        f"{details.backpressured} is backpressured for {share:.0%} of the time",
        evidence=(f"busiest: {details.busiest}, {details.busy:.0%} of the time",) if busiest else (),
    )


def _no_task_managers(_: object, given: CheckInput[FlinkDetails]) -> Problem | None:
    if given.details.task_managers != 0:
        return None
    return Problem("no TaskManager is registered: no job can run")


def _jobs_failed(_: object, given: CheckInput[FlinkDetails]) -> Problem | None:
    details = given.details
    if not details.jobs_failed:
        return None
    return Problem(f"{numbered(details.jobs_failed, 'job')} FAILED: {details.failed}")


FLINK_CHECKS = (
    Check(
        "no-task-managers",
        Severity.CRITICAL,
        "No TaskManager is registered at the JobManager, so no job can run.",
        "Start the TaskManagers. If they run, check in their log why they cannot reach the JobManager.",
        _no_task_managers,
        explains=True,
    ),
    Check(
        "jobs-failed",
        Severity.NOTE,
        "Jobs of the cluster have failed. Failed jobs of a pipeline are findings of their stages.",
        "Read the root exception in Flink's web UI, fix its cause, and submit the job again from its checkpoint.",
        _jobs_failed,
    ),
)
JOB_CHECKS = (
    Check(
        "job-failed",
        Severity.CRITICAL,
        "The job has failed and no longer restarts.",
        "Fix the cause that the exception names, then submit the job again from its newest checkpoint.",
        _failed,
    ),
    Check(
        "tasks-missing",
        Severity.CRITICAL,
        "The job is RUNNING without all of its tasks, usually because no task slot is free.",
        "Add TaskManagers or slots, cancel other jobs, or lower the parallelism.",
        _tasks_missing,
    ),
    Check(
        "job-restarting",
        Severity.CRITICAL,
        "The job fails and restarts repeatedly without completing a checkpoint, even if it is RUNNING in between.",
        "Fix the cause that the exception names. An unreadable record is read again after each restart.",
        _restarting,
    ),
    Check(
        "job-restarted",
        Severity.WARNING,
        "The job failed and restarted within the last 10 minutes.",
        "Read the exception. After a restart the job reads the records since its newest checkpoint again.",
        _restarted,
        explains=True,
    ),
    Check(
        "checkpoint-late",
        Severity.WARNING,
        "No checkpoint has completed within `checkpoint_within`. After a failure many records are read again.",
        "Read the reason in Flink's web UI: backpressure, a slow state backend, or an unavailable checkpoint store.",
        _checkpoint_late,
        explains=True,
    ),
    Check(
        "checkpoint-failed",
        Severity.WARNING,
        "The newest checkpoint of the job failed.",
        "Read the reason in Flink's web UI, and check whether the checkpoint store is writable.",
        _checkpoint_failed,
    ),
    Check(
        "watermark-held",
        Severity.WARNING,
        "A source subtask without records holds the watermark back, so windows close late or never.",
        "Set an idle timeout of the source (`table.exec.source.idle-timeout`, `withIdleness`), or lower its parallelism"
        " to the number of partitions.",
        _watermark_held,
        explains=True,
    ),
    Check(
        "job-ended",
        Severity.WARNING,
        "The job was cancelled, suspended, or has finished.",
        "Submit it again from its newest checkpoint or savepoint, if it is meant to run.",
        _ended,
        explains=True,
    ),
    Check(
        "backpressured",
        Severity.NOTE,
        "A vertex of the job waits for downstream vertices for more than half of the time.",
        "Increase the parallelism of the busiest vertex, or find out why its sink is slow.",
        _backpressured,
        explains=True,
    ),
    Check(
        "no-checkpoints",
        Severity.ADVICE,
        "The job runs without checkpoints.",
        "Set `execution.checkpointing.interval`.",
        _no_checkpoints,
    ),
)
