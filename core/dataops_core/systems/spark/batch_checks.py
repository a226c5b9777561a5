"""Checks of batch applications."""

from __future__ import annotations

from datetime import datetime

from dataops_core.health.checks.base import Check, CheckInput, Problem
from dataops_core.health.checks.runs import is_slow, longest_run
from dataops_core.health.model import Severity
from dataops_core.health.text import ago, clock
from dataops_core.systems.spark.details import BatchDetails
from dataops_core.systems.spark.settings import SparkBatchStage
from dataops_core.units import duration

SILENT_MIN = 900.0
"""Default of `silent_max` in seconds, if the median duration of runs is smaller."""


def _failed(_: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    if details.run_state != "failed":
        return None
    cause = f": {details.cause}" if details.cause is not None else ""
    return Problem(
        f"its newest run {details.run} failed in {details.failed_in}{cause}",
        evidence=_evidence(given),
        since=details.run_ended_at,
    )


def _silent(stage: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    updated = details.run_updated_at
    if details.run_state != "running" or updated is None:
        return None
    allowed = stage.silent_max or max(SILENT_MIN, details.run_duration_median or 0.0)
    silent = _seconds(updated, given)
    if silent <= allowed:
        return None
    return Problem(
        f"its newest run {details.run} has not ended, and its event log has had no new event for {duration(silent)}:"
        " its driver was killed, or it hangs",
        evidence=_evidence(given),
        since=updated,
    )


def _too_long(stage: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    allowed = longest_run(stage.run_max, details.run_duration_median)
    runs = _runs(stage, given)
    if runs is None or allowed is None or runs <= allowed:
        return None
    return Problem(
        f"its run {details.run} has been running for {duration(runs)}, longer than {duration(allowed)}",
        evidence=(*_usual(details), *_evidence(given)),
        since=details.run_started_at,
    )


def _slow_run(stage: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    usual, runs = details.run_duration_median, _runs(stage, given)
    if runs is None or not usual or not is_slow(runs, stage.run_max, usual):
        return None
    return Problem(
        f"its run {details.run} has been running for {duration(runs)}, longer than usual (p50: {duration(usual)})",
        evidence=_evidence(given),
        since=details.run_started_at,
    )


def _runs(stage: SparkBatchStage, given: CheckInput[BatchDetails]) -> float | None:
    """Return for how many seconds the newest run has been running; `None` if it has ended or is silent."""
    details = given.details
    if details.run_state != "running" or details.run_started_at is None or _silent(stage, given) is not None:
        return None
    return _seconds(details.run_started_at, given)


def _overdue(stage: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    started = details.run_started_at
    if stage.interval is None or started is None or details.run_state == "running":
        return None
    late = _seconds(started, given) - stage.interval
    if late <= stage.late_after:
        return None
    return Problem(
        f"its next run is {duration(late)} late: the newest run {details.run} started at {clock(started, given.now)},"
        f" and it runs every {duration(stage.interval)}",
        evidence=_evidence(given),
        command=stage.remedy,
    )


def _outcome_unknown(_: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    error = given.details.outcome_error
    if error is None:
        return None
    return Problem(f"the outcome of its newest completed run is unknown: {error}", evidence=_evidence(given))


def _empty(_: SparkBatchStage, given: CheckInput[BatchDetails]) -> Problem | None:
    details = given.details
    if details.run_state != "empty":
        return None
    return Problem(
        f"its newest run {details.run} ended without a job or query: its driver failed early, or it had nothing to do",
        evidence=_evidence(given),
        since=details.run_ended_at,
    )


def _evidence(given: CheckInput[BatchDetails]) -> tuple[str, ...]:
    details = given.details
    lines = []
    if details.work_failed and details.run_state == "failed":
        lines.append(f"failed jobs and queries: {details.work_failed} of {details.work_done}")
    if details.run_started_at is not None:
        lines.append(f"it started {ago(details.run_started_at, given.now)}")
    if details.last_success_started is not None:
        took = f", and took {duration(details.run_duration)}" if details.run_duration is not None else ""
        lines.append(
            f"last successful run: {details.last_success}, started at {clock(details.last_success_started, given.now)}"
            f"{took}"
        )
    if details.run_page is not None:
        lines.append(f"history server: {details.run_page}")
    return tuple(lines)


def _usual(details: BatchDetails) -> tuple[str, ...]:
    usual = details.run_duration_median
    return (f"p50 of its last completed runs: {duration(usual)}",) if usual is not None else ()


def _seconds(since: datetime, given: CheckInput[BatchDetails]) -> float:
    return (given.now - since).total_seconds()


BATCH_CHECKS = (
    Check(
        "run-failed",
        Severity.CRITICAL,
        "A job or query of the newest run failed, or had not ended when the application did.",
        "Read the reason in the history server and in the driver's log, fix it, then run the application again.",
        _failed,
    ),
    Check(
        "run-silent",
        Severity.CRITICAL,
        "The newest run has not ended, and its event log no longer grows. A killed driver leaves such a log for ever.",
        "Check whether the driver still runs. If it does, read its log and a thread dump; if not, run the application"
        " again.",
        _silent,
    ),
    Check(
        "run-too-long",
        Severity.WARNING,
        "A run takes much longer than usual, or longer than the settings allow.",
        "Compare its stages with those of an earlier run: a skewed partition, more input, or missing executors.",
        _too_long,
        explains=True,
    ),
    Check(
        "run-overdue",
        Severity.WARNING,
        "The next run did not start within `interval` and `late_after`.",
        "Check the scheduler that submits the application, and whether the cluster accepts it.",
        _overdue,
        explains=True,
    ),
    Check(
        "outcome-unknown",
        Severity.WARNING,
        "The jobs and queries of the newest completed run cannot be read, so it is unknown whether it succeeded.",
        "Allow this user to view the application (`spark.history.ui.admin.acls`), or raise the deadline: the history"
        " server reads the whole event log at the first request.",
        _outcome_unknown,
        explains=True,
    ),
    Check(
        "run-slow",
        Severity.NOTE,
        "A run takes longer than the last completed runs, but is still within its limit.",
        "Compare its stages with those of an earlier run.",
        _slow_run,
        explains=True,
    ),
    Check(
        "run-empty",
        Severity.NOTE,
        "The newest run ended without a Spark job or SQL query, so it does not count as successful.",
        "Read the driver's log, unless the application had nothing to do.",
        _empty,
        explains=True,
    ),
)
