"""What probes observe of Flink clusters and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, value
from dataops_core.systems.kafka.details import ReaderDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class FlinkDetails(ComponentDetails):
    """A Flink cluster.

    Attributes:
        jobs_running: Jobs in the state RUNNING.
        jobs_failed: Jobs whose newest submission is FAILED.
        failed: The first few of these.
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
        state_changed: When its state changed last.
        tasks_running: Tasks that run or have finished.
        slots_free: Free slots of the cluster.
        restarts: Restarts since it was submitted.
        failures_recent: Failures within the last 10 minutes, as far as Flink keeps them.
        cause: Innermost cause of the newest failure.
        checkpointing: Whether checkpoints are enabled.
        checkpoint_completed: When the newest checkpoint was complete.
        checkpoint_failure: Why the newest checkpoint that failed did so.
        pending_records: Records that wait in front of its sources.
        watermark: The least of the watermarks of sources and of all tasks that take input.
        source_watermark_newest: The newest watermark of a subtask of a source.
        source_watermark_oldest: The oldest one; unknown while a subtask has had none.
        watermark_missing: Whether a subtask of a source has had no watermark.
        backpressured: The vertex that waits most for those downstream.
        backpressure: Share of the time for which its busiest subtask does so.
        busiest: The vertex that is busy the most.
        busy: Share of the time for which its busiest subtask is.
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
