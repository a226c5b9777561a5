"""Checks of Structured Streaming queries, from their checkpoints."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.systems.spark.details import QueryDetails
from dataops_core.systems.spark.settings import SparkQueryStage
from dataops_core.units import count, duration, size

GROWTH_FROM = 64 * 2.0**20
"""Minimum bytes of state for a finding about growth."""


def _batch_longer_than_trigger(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    details, took = given.details, given.details.batch_duration
    if stage.trigger is None or took is None or took <= stage.trigger:
        return None
    timed, last = details.batches_timed, details.batch_duration_last
    takes, trigger = duration(took, precise=True), duration(stage.trigger, precise=True)
    return Problem(
        f"a batch takes {takes}, longer than its trigger of {trigger}",
        evidence=(
            *((f"p50 of the last {count(timed)} batches",) if timed is not None else ()),
            *((f"the newest batch took {duration(last, precise=True)}",) if last is not None else ()),
        ),
    )


def _watermark_frozen(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    details = given.details
    watermark, stood, batches = details.watermark, details.watermark_stood, details.watermark_batches
    if watermark is None or stood is None or batches is None or stood <= stage.watermark_stall_after:
        return None
    return Problem(
        f"its event-time watermark has been at {clock(watermark, given.now)} for {duration(stood)}, while"
        f" {count(batches)} batches with new records were committed",
        evidence=(f"batch {details.batch_committed} is the newest",) if details.batch_committed is not None else (),
    )


def _clock_ahead(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    watermark = given.details.watermark
    ahead = (watermark - given.observation.observed_at).total_seconds() if watermark else 0.0
    if watermark is None or ahead <= stage.clock_ahead_max:
        return None
    return Problem(
        f"its event-time watermark is {clock(watermark, given.now)}, {duration(ahead)} ahead of now: records with"
        " correct timestamps count as late"
    )


def _state_large(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    held = given.details.state_bytes
    if held is None or held <= stage.state_bytes_max:
        return None
    return Problem(f"its state takes {size(held)}, more than {size(stage.state_bytes_max)}")


def _state_growth(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    details = given.details
    newest, oldest, span = (
        details.state_snapshot_bytes,
        details.state_snapshot_bytes_before,
        details.state_snapshot_span,
    )
    if newest is None or not oldest or span is None:
        return None
    if newest < GROWTH_FROM or newest <= stage.state_growth_max * oldest:
        return None
    return Problem(f"its state has grown from {size(oldest)} to {size(newest)} within {duration(span)}")


def _late_rows(stage: SparkQueryStage, given: CheckInput[QueryDetails]) -> Problem | None:
    dropped, at = given.details.rows_late_recent, given.details.rows_late_at
    if dropped is None or dropped <= stage.late_rows_max:
        return None
    return Problem(
        f"{numbered(dropped, 'row')} dropped within 10 minutes because they were older than the watermark",
        evidence=(f"the newest batch with such rows ended at {clock(at, given.now)}",) if at else (),
    )


CHECKS = (
    Check(
        "clock-ahead",
        Severity.WARNING,
        "The event-time watermark is in the future, so Spark drops records with correct timestamps as late.",
        "Cap event times in the future before withWatermark, and restart the query with a new checkpoint.",
        _clock_ahead,
    ),
    Check(
        "late-rows",
        Severity.WARNING,
        "Rows are older than the event-time watermark, so the query drops them silently.",
        "Find the late source, or the fast clock that advances the watermark. Set a longer delay in withWatermark."
        " Reprocess the dropped records: they are still in the topic.",
        _late_rows,
    ),
    Check(
        "watermark-frozen",
        Severity.WARNING,
        "The event-time watermark does not advance although records arrive, so windows do not close and state grows.",
        "Check for a source or partition without events, or for events without a valid time. The watermark is the"
        " minimum over all inputs.",
        _watermark_frozen,
    ),
    Check(
        "state-growth",
        Severity.ADVICE,
        "The query's state has grown by more than `state_growth_max` since the oldest state snapshot in the"
        " checkpoint.",
        "Set a timeout or a watermark for the state. Check for keys that never expire.",
        _state_growth,
        explains=True,
    ),
    Check(
        "state-large",
        Severity.ADVICE,
        "The query's state is larger than `state_bytes_max`.",
        "Set a timeout or a shorter watermark for the state, or use the RocksDB state store.",
        _state_large,
        explains=True,
    ),
    Check(
        "batch-longer-than-trigger",
        Severity.ADVICE,
        "A batch takes longer than the trigger interval, so the query has no spare capacity.",
        "Give the query more cores, lengthen the trigger interval, or limit batches with maxOffsetsPerTrigger.",
        _batch_longer_than_trigger,
        explains=True,
    ),
)
