"""Details of observations of Flink clusters and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, value
from dataops_core.systems.kafka.details import ReaderDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkDetails(ComponentDetails):
    """A Flink cluster.

    Attributes:
        jobs_failed: Jobs whose newest submission is FAILED.
        failed: Names of the first failed jobs.
    """

    version: str | None = value()
    task_managers: int | None = value()
    slots: int | None = value()
    slots_free: int | None = value()
    jobs_running: int | None = value()
    jobs_failed: int | None = value()
    failed: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkJobDetails(ReaderDetails):
    """A job.

    Attributes:
        state_changed: Time of the last state change.
        tasks_running: Tasks that run or have finished.
        slots_free: Free slots of the cluster.
        restarts: Since it was submitted.
        failures_recent: Failures within the last 10 minutes, as far as Flink keeps them.
        cause: Innermost cause of the newest failure.
        checkpoint_completed: Completion time of the newest checkpoint.
        checkpoint_failure: Why the newest failed checkpoint failed.
        pending_records: Records that its sources have not read yet.
        watermark: Minimum of the output watermarks of sources and the input watermarks of all tasks.
        source_watermark_newest: Maximum watermark over the source subtasks.
        source_watermark_oldest: Minimum; unknown while a source subtask has no watermark.
        watermark_missing: Whether a source subtask has no watermark yet.
        backpressured: The most backpressured vertex.
        backpressure: Its share of backpressured time, of its worst subtask.
        busiest: The busiest vertex.
        busy: Its share of busy time, of its busiest subtask.
    """

    job_id: str | None = value()
    job_state: str | None = value()
    job_started: datetime | None = value()
    state_changed: datetime | None = value()
    tasks: int | None = value()
    tasks_running: int | None = value()
    slots_free: int | None = value()
    restarts: int | None = value()
    failures_recent: int | None = value()
    failed_at: datetime | None = value()
    cause: str | None = value()
    checkpointing: bool | None = value()
    checkpoints_completed: int | None = value()
    checkpoints_failed: int | None = value()
    checkpoint_completed: datetime | None = value()
    checkpoint_duration: float | None = value("s")
    checkpoint_size: int | None = value("bytes")
    checkpoint_failed: datetime | None = value()
    checkpoint_failure: str | None = value()
    pending_records: int | None = value("records")
    watermark: datetime | None = value()
    source_watermark_newest: datetime | None = value()
    source_watermark_oldest: datetime | None = value()
    watermark_missing: bool | None = value()
    backpressured: str | None = value()
    backpressure: float | None = value()
    busiest: str | None = value()
    busy: float | None = value()
