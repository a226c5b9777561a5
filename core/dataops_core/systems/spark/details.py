"""Details of observations of streaming queries, batch applications and the history server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value
from dataops_core.systems.kafka.details import ReaderDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryDetails(ReaderDetails):
    """A streaming query.

    Attributes:
        sources: Kinds of its sources, with their offsets if these are numbers.
        batch_committed: Number of the newest committed batch; -1 without one.
        batch_planned: Number of the newest planned batch; -1 without one.
        batch_duration: Median of the last `batches_timed` batches.
        watermark: Event-time watermark of the newest planned batch.
        watermark_stood: Time for which it has not advanced while batches with records were committed.
        watermark_batches: Number of these batches.
        state_snapshot_bytes: Size of the newest full snapshot of the state.
        state_snapshot_bytes_before: Size of the oldest snapshot in the checkpoint.
        state_snapshot_span: Time between these snapshots.
        rows_late_recent: Rows dropped as late within 10 minutes.
        rows_late_at: End of the newest batch with such rows.
    """

    query_id: str | None = value()
    sources: str | None = value()
    batch_committed: int | None = value()
    batch_planned: int | None = value()
    batch_duration: float | None = value("s")
    batch_duration_last: float | None = value("s")
    batches_timed: int | None = value()
    watermark: datetime | None = value()
    watermark_stood: float | None = value("s")
    watermark_batches: int | None = value()
    state_bytes: int | None = value("bytes")
    state_snapshot_bytes: int | None = value("bytes")
    state_snapshot_bytes_before: int | None = value("bytes")
    state_snapshot_span: float | None = value("s")
    rows_late_recent: int | None = value("rows")
    rows_late_at: datetime | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDetails(ComponentDetails):
    """A history server.

    Attributes:
        applications: Applications that started or ended within `lookback`.
        applications_open: Those whose event log has no end: they run, or their driver was killed.
        applications_unreadable: Applications that cannot be read.
        listed_since: Time from which all completed runs are known.
        newest_end: End of the newest completed run.
    """

    version: str | None = value()
    applications: int | None = value()
    applications_open: int | None = value()
    applications_unreadable: int | None = value()
    listed_since: datetime | None = value()
    newest_end: datetime | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDetails(Details):
    """A batch application.

    Attributes:
        run: Id of its newest run.
        run_state: `running`, `succeeded`, `failed`, `empty` (without jobs and queries), or `unknown`.
        run_page: Its page in the history server, or that of its failure.
        run_updated_at: Time at which the history server last found its event log grown.
        work_done: Spark jobs and SQL queries of the newest completed run.
        work_failed: Those that failed, or had not ended when the application did.
        failed_in: The newest of them.
        cause: Reason of its failed stage.
        outcome_error: Why the outcome of the newest completed run is unknown.
        last_success: Id of the newest successful run.
        run_duration: Duration of the newest successful run.
        run_duration_median: Median duration of the last completed runs, without those found to have failed.
        run_interval_median: Median time between the starts of the last runs.
        runs_open: Runs whose event log has no end.
    """

    run: str | None = value()
    run_state: str | None = value()
    run_page: str | None = value()
    run_started_at: datetime | None = value()
    run_ended_at: datetime | None = value()
    run_updated_at: datetime | None = value()
    work_done: int | None = value()
    work_failed: int | None = value()
    failed_in: str | None = value()
    cause: str | None = value()
    outcome_error: str | None = value()
    last_success: str | None = value()
    last_success_started: datetime | None = value()
    run_duration: float | None = value("s")
    run_duration_median: float | None = value("s")
    run_interval_median: float | None = value("s")
    runs_open: int | None = value()
    user: str | None = value()
    spark_version: str | None = value()
