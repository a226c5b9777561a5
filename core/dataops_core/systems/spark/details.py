"""Details of observations of a streaming query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import value
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
