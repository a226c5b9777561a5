"""Checks of dbt projects, models and sources."""

from __future__ import annotations

import shlex

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import ago, clock
from dataops_core.systems.dbt.details import DbtDetails, DbtModelDetails, DbtSourceDetails
from dataops_core.systems.dbt.settings import DbtModelStage, DbtSourceStage, DbtThresholds
from dataops_core.units import duration


def _build(stage: DbtModelStage) -> str:
    name = stage.model.rpartition(".")[2]
    return stage.remedy or f"dbt build --select {shlex.quote(name)}+"


def _evidence(given: CheckInput[DbtModelDetails]) -> tuple[str, ...]:
    details = given.details
    lines = []
    if details.command_ended is not None:
        lines.append(f"dbt {details.command} ended {ago(details.command_ended, given.now)}")
    if details.query_id is not None:
        lines.append(f"its query: {details.query_id}")
    return tuple(lines)


def _failed(stage: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    details = given.details
    if details.status in (None, "success", "skipped") or details.cause is None:
        return None
    return Problem(
        f"its newest run failed: {details.cause}",
        evidence=_evidence(given),
        since=details.command_ended,
        command=_build(stage),
    )


def _tests_failed(stage: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    details = given.details
    if not details.tests_failed:
        return None
    return Problem(f"{details.tests_failed} of {numbered(details.tests or 0, 'test')} failed: {details.failed_tests}")


def _skipped(stage: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    details = given.details
    if details.status != "skipped":
        return None
    cause = f", because {details.skipped_for} failed" if details.skipped_for is not None else ""
    return Problem(
        f"its newest run was skipped{cause}",
        evidence=_evidence(given),
        since=details.command_ended,
        command=stage.remedy or "dbt retry",
    )


def _tests_warned(_: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    details = given.details
    if not details.tests_warned:
        return None
    return Problem(f"{details.tests_warned} of {numbered(details.tests or 0, 'test')} warned: {details.warned_tests}")


def _reads_stale(_: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    stale = given.details.stale_source
    return Problem(f"it reads a source beyond its `error_after`: {stale}") if stale is not None else None


def _no_results(_: DbtModelStage, given: CheckInput[DbtModelDetails]) -> Problem | None:
    started = given.details.later_command
    if started is None:
        return None
    return Problem(
        f"a later command parsed the project at {clock(started, given.now)} without leaving results: it is running,"
        " was killed, or is a command without results"
    )


def _run_failed(_: object, given: CheckInput[DbtModelDetails] | CheckInput[DbtDetails]) -> Problem | None:
    details = given.details
    if details.failed_run is None:
        return None
    cause = f": {details.failed_run_cause}" if details.failed_run_cause is not None else ""
    return Problem(
        f"run {details.failed_run} of the job did not succeed, and no result shows why{cause}",
        evidence=(details.failed_run_link,) if details.failed_run_link is not None else (),
        since=details.failed_run_ended,
    )


def _run_pending(thresholds: DbtThresholds, given: CheckInput[DbtDetails]) -> Problem | None:
    details = given.details
    since = details.job_run_pending_since
    if since is None or (given.now - since).total_seconds() <= thresholds.dbt_run_max:
        return None
    waits = duration((given.now - since).total_seconds())
    return Problem(
        f"run {details.job_run} of the job has not ended for {waits}",
        evidence=(details.job_run_link,) if details.job_run_link is not None else (),
        since=since,
    )


def _source_stale(_: DbtSourceStage, given: CheckInput[DbtSourceDetails]) -> Problem | None:
    return _freshness(given, "error", "`error_after`")


def _source_late(_: DbtSourceStage, given: CheckInput[DbtSourceDetails]) -> Problem | None:
    return _freshness(given, "warn", "`warn_after`")


def _freshness(given: CheckInput[DbtSourceDetails], status: str, limit: str) -> Problem | None:
    details = given.details
    if details.status != status or details.newest_row is None or details.checked_at is None:
        return None
    return Problem(
        f"its newest row was older than {limit} at the newest check",
        evidence=(
            f"newest row: {clock(details.newest_row, given.now)}",
            f"checked: {clock(details.checked_at, given.now)}",
        ),
    )


def _check_failed(_: DbtSourceStage, given: CheckInput[DbtSourceDetails]) -> Problem | None:
    details = given.details
    if details.status != "runtime error":
        return None
    return Problem(f"its freshness could not be checked: {details.cause or 'no reason'}")


def _nodes_failed(_: object, given: CheckInput[DbtDetails]) -> Problem | None:
    details = given.details
    number = (details.models_failed or 0) + (details.tests_failed or 0)
    link = (f"newest run: {details.job_run_link}",) if details.job_run_link is not None else ()
    return Problem(f"failed models and tests: {number} ({details.failed})", evidence=link) if number else None


def _unreadable(_: object, given: CheckInput[DbtDetails]) -> Problem | None:
    wrong = given.details.unreadable
    return Problem(f"an artifact cannot be read: {wrong}") if wrong is not None else None


DBT_CHECKS = (
    Check(
        "artifact-unreadable",
        Severity.WARNING,
        "An artifact of the project cannot be read or has another schema version, so states that need it are unknown.",
        "Fix the named cause: the dbt version, the job that copies the artifact, or the access to dbt's API.",
        _unreadable,
    ),
    Check(
        "job-run-failed",
        Severity.WARNING,
        "The newest finished run of the job in dbt's API failed or was cancelled, and no model or test shows why.",
        "Read the log of the run, fix the cause, and run the job again. All results are from earlier runs or steps.",
        _run_failed,
    ),
    Check(
        "job-run-pending",
        Severity.WARNING,
        "The newest run of the job in dbt's API has been queued or running for longer than `dbt_run_max`.",
        "Check whether the run waits for a run slot or hangs. If it is normal, raise `dbt_run_max`.",
        _run_pending,
    ),
    Check(
        "nodes-failed",
        Severity.NOTE,
        "Models or tests of the project failed in their newest run. Failures of stages are findings of the stages.",
        "Read dbt's log for the named models and tests, fix the cause, and run `dbt retry`.",
        _nodes_failed,
    ),
)
MODEL_CHECKS = (
    Check(
        "model-failed",
        Severity.CRITICAL,
        "The newest run of the model failed, so its table has the result of an earlier run.",
        "Fix the error that dbt reports, then build the model and its downstream models.",
        _failed,
    ),
    Check(
        "test-failed",
        Severity.CRITICAL,
        "A test of the model failed in its newest run, so its data violates a rule of the project.",
        "Check the rows that the test returns, fix them at their source, then build the model again.",
        _tests_failed,
    ),
    Check(
        "model-skipped",
        Severity.WARNING,
        "The newest run skipped the model, because a model or test upstream failed.",
        "Fix the upstream failure, then run `dbt retry`.",
        _skipped,
        explains=True,
    ),
    Check(
        "model-source-stale",
        Severity.WARNING,
        "A source that the model reads was older than its `error_after` at the newest freshness check.",
        "Find out why nothing loads the source, then build the model again.",
        _reads_stale,
        explains=True,
    ),
    Check(
        "test-warned",
        Severity.ADVICE,
        "A test of the model with severity `warn` returned rows.",
        "Check the rows that the test returns.",
        _tests_warned,
    ),
    Check(
        "results-missing",
        Severity.NOTE,
        "The manifest is from a later command than all results. A killed command leaves no results.",
        "Check whether a command is running or was killed. `dbt parse` and `dbt ls` do not leave results either.",
        _no_results,
        explains=True,
    ),
    Check(
        "job-run-failed",
        Severity.WARNING,
        "The newest finished run of the job in dbt's API failed or was cancelled without a result of the model.",
        "Read the log of the run, fix the cause, and run the job again. The model has the result of an earlier run.",
        _run_failed,
        explains=True,
    ),
)
SOURCE_CHECKS = (
    Check(
        "source-stale",
        Severity.WARNING,
        "The newest row of the source was older than its `error_after` at the newest freshness check.",
        "Find out why nothing loads the source.",
        _source_stale,
    ),
    Check(
        "freshness-unknown",
        Severity.WARNING,
        "The freshness check of the source failed.",
        "Fix the error that dbt reports, then run `dbt source freshness` again.",
        _check_failed,
    ),
    Check(
        "source-late",
        Severity.ADVICE,
        "The newest row of the source was older than its `warn_after` at the newest freshness check.",
        "Check that the source is still loaded.",
        _source_late,
    ),
)
