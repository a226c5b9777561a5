"""Checks of Structured Streaming queries, from their checkpoints."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, count, duration, size
from dataops_core.systems.spark.settings import SparkQueryStage

GROWTH_FROM = 64 * 2.0**20
"""Bytes of state from which growth matters."""


def _batch_longer_than_trigger(stage: SparkQueryStage, look: Look) -> Found | None:
    took = look.seen.figure("batch_duration")
    if stage.trigger is None or took is None or took <= stage.trigger:
        return None
    return Found(
        f"a batch takes {took:.1f} s, longer than its trigger of {stage.trigger:g} s",
        evidence=(
            f"median of the last {count(look.figure('batches_timed'))} batches",
            f"the newest one took {look.figure('batch_duration_last'):.1f} s",
        ),
    )


def _watermark_frozen(stage: SparkQueryStage, look: Look) -> Found | None:
    watermark, stood = look.time("watermark"), look.seen.figure("watermark_stood")
    if watermark is None or stood is None or stood <= stage.watermark_stall_after:
        return None
    return Found(
        f"its event-time watermark stands at {clock(watermark, look.now)} since {duration(stood)}, while"
        f" {count(look.figure('watermark_batches'))} batches with new records were committed",
        evidence=(f"batch {look.figure('batch_committed'):.0f} is the newest one",),
    )


def _clock_ahead(stage: SparkQueryStage, look: Look) -> Found | None:
    watermark = look.time("watermark")
    ahead = (watermark - look.seen.observed_at).total_seconds() if watermark else 0.0
    if watermark is None or ahead <= stage.clock_ahead_max:
        return None
    return Found(
        f"its event-time watermark is {clock(watermark, look.now)}, {duration(ahead)} ahead of now: records with a"
        " right clock count as late"
    )


def _state_large(stage: SparkQueryStage, look: Look) -> Found | None:
    held = look.figure("state_bytes")
    if held <= stage.state_bytes_max:
        return None
    return Found(f"its state takes {size(held)}, more than {size(stage.state_bytes_max)}")


def _state_growth(stage: SparkQueryStage, look: Look) -> Found | None:
    newest, oldest = look.figure("state_snapshot_bytes"), look.figure("state_snapshot_bytes_before")
    if newest < GROWTH_FROM or not oldest or newest <= stage.state_growth_max * oldest:
        return None
    over = duration(look.figure("state_snapshot_span"))
    return Found(f"its state has grown from {size(oldest)} to {size(newest)} within {over}")


def _late_rows(stage: SparkQueryStage, look: Look) -> Found | None:
    dropped, at = look.figure("rows_late_recent"), look.time("rows_late_at")
    if dropped <= stage.late_rows_max:
        return None
    return Found(
        f"{numbered(dropped, 'row')} dropped within ten minutes, because they came after the watermark",
        evidence=(f"the newest batch with such rows ended at {clock(at, look.now)}",) if at else (),
    )


CHECKS = (
    Check(
        "clock-ahead",
        ("spark_query",),
        Severity.WARNING,
        "The event-time watermark lies in the future: one fast clock makes honest records late, and they are dropped.",
        "Cap event times that lie in the future before withWatermark, and restart the query with a new checkpoint.",
        _clock_ahead,
    ),
    Check(
        "late-rows",
        ("spark_query",),
        Severity.WARNING,
        "Rows come after the event-time watermark, and the query drops them without a word.",
        "Look which source is late, or whether one fast clock moves the watermark; give withWatermark a longer delay."
        " What was dropped is still in the topic: read it again into where it is missing.",
        _late_rows,
    ),
    Check(
        "watermark-frozen",
        ("spark_query",),
        Severity.WARNING,
        "The event-time watermark stands still although records arrive: windows never close, and state grows.",
        "Look for a source or partition without events, or for events without a valid time: the watermark is the"
        " smallest over all inputs.",
        _watermark_frozen,
    ),
    Check(
        "state-growth",
        ("spark_query",),
        Severity.ADVICE,
        "The query's state has grown by more than its factor since the oldest one that the checkpoint keeps.",
        "Give the state a time-out or a watermark; look for keys that never end.",
        _state_growth,
        explains=True,
    ),
    Check(
        "state-large",
        ("spark_query",),
        Severity.ADVICE,
        "The query's state takes more than it may.",
        "Give the state a time-out or a shorter watermark, or use the RocksDB state store.",
        _state_large,
        explains=True,
    ),
    Check(
        "batch-longer-than-trigger",
        ("spark_query",),
        Severity.ADVICE,
        "A batch takes longer than the time until the next trigger: the query has no reserve left.",
        "Give the query more cores or a longer trigger; cap a batch with maxOffsetsPerTrigger.",
        _batch_longer_than_trigger,
        explains=True,
    ),
)
