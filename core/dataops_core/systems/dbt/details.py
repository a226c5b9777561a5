"""Details of observations of dbt projects, models and sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtDetails(ComponentDetails):
    """A dbt project: the newest command with results, and the known failures.

    Attributes:
        command: The newest command with results, such as `build`.
        command_ended: Time at which it wrote them.
        models: Models, seeds and snapshots with a result.
        tests: Tests with a result.
        failed: Names of the first failed models and tests.
        unreadable: Why artifacts are unreadable.
        job_run: The newest run of the job in dbt's API, with its state: `105 (running)`.
        job_run_pending_since: Time since which that run has been queued or running; `None` if it has ended.
        job_run_link: Page of that run.
        failed_run: The newest finished run of the job, if it failed and its results do not show why: `105 (error)`.
        failed_run_cause: Why, if the API reports it.
        failed_run_link: Page of that run.
    """

    dbt_version: str | None = value()
    command: str | None = value()
    command_ended: datetime | None = value()
    models: int | None = value()
    models_failed: int | None = value()
    models_skipped: int | None = value()
    tests: int | None = value()
    tests_failed: int | None = value()
    sources_checked: int | None = value()
    sources_stale: int | None = value()
    failed: str | None = value()
    unreadable: str | None = value()
    job_run: str | None = value()
    job_run_pending_since: datetime | None = value()
    job_run_link: str | None = value()
    failed_run: str | None = value()
    failed_run_ended: datetime | None = value()
    failed_run_cause: str | None = value()
    failed_run_link: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtModelDetails(Details):
    """A model, seed or snapshot.

    Attributes:
        relation: Its name in the database.
        status: Of its newest run: `success`, `error`, `skipped`, `partial success`.
        cause: dbt's message of a failed run.
        command: The command of that run, such as `build`.
        command_ended: Time at which that command wrote its results.
        skipped_for: Failed upstream nodes of a skipped run.
        query_id: The engine's id of the query of its newest run, such as Trino's.
        run_duration: Duration of the newest successful run.
        tests: Its tests with a result.
        failed_tests: Its first failed tests, with dbt's messages.
        warned_tests: Its first tests that warned, likewise.
        stale_source: Sources that it reads and whose freshness is beyond `error_after`.
        later_command: Start of a later command without results.
        failed_run: A later run of the job in dbt's API that failed without a result of the model: `105 (error)`.
        failed_run_cause: Why, if the API reports it.
        failed_run_link: Page of that run.
    """

    relation: str | None = value()
    materialized: str | None = value()
    status: str | None = value()
    cause: str | None = value()
    command: str | None = value()
    command_ended: datetime | None = value()
    skipped_for: str | None = value()
    query_id: str | None = value()
    run_started_at: datetime | None = value()
    run_duration: float | None = value("s")
    tests: int | None = value()
    tests_failed: int | None = value()
    tests_warned: int | None = value()
    failed_tests: str | None = value()
    warned_tests: str | None = value()
    stale_source: str | None = value()
    later_command: datetime | None = value()
    failed_run: str | None = value()
    failed_run_ended: datetime | None = value()
    failed_run_cause: str | None = value()
    failed_run_link: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class DbtSourceDetails(Details):
    """A source.

    Attributes:
        status: Of the newest freshness check: `pass`, `warn`, `error`, `runtime error`.
        checked_at: Time of that check.
        newest_row: Time of the newest row at that check.
        cause: Why the check failed.
    """

    relation: str | None = value()
    status: str | None = value()
    checked_at: datetime | None = value()
    newest_row: datetime | None = value()
    cause: str | None = value()
