"""The figures of a stage in words; the same in the console and in the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dataops_core.health.details import Figure
from dataops_core.health.model import Observation, ProgressSource, StageHealth
from dataops_core.health.text import UNKNOWN, ago, clock, count, duration

SOURCES = {
    ProgressSource.STAMPED: "stamped into the commit by the job that wrote it",
    ProgressSource.DERIVED: "worked out from offsets, statistics or run times",
}


def stage_figures(stage: StageHealth, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what is known about a stage: a name, and the figure or time in words; a further line has an empty name."""

    def at(time: datetime | None) -> str:
        return UNKNOWN if time is None else f"{clock(time, now)} ({ago(time, now)})"

    def span(seconds: float | None) -> str:
        return UNKNOWN if seconds is None else duration(seconds)

    def rate(value: float | None) -> str:
        return UNKNOWN if value is None else f"{value:,.1f} records/s"

    seen = stage.observation
    yield "kind", f"{stage.kind.replace('_', ' ')}, answered for by {stage.component or UNKNOWN}"
    yield "reads", ", ".join(stage.reads) or "nothing: it is a source"
    if stage.affected_by is not None:
        yield "affected by", stage.affected_by
    yield "in this state since", at(stage.since)
    yield "last seen", ago(stage.observed_at, now)
    if stage.error is not None:
        yield "probe", stage.error
    yield "progress", at(stage.progress_time)
    if seen is not None and seen.progress_source is not None:
        yield "", SOURCES[seen.progress_source]
    yield "hop lag", span(stage.hop_lag)
    yield "data age", span(stage.data_age)
    if seen is not None:
        yield "records waiting", UNKNOWN if seen.lag_records is None else count(seen.lag_records)
        yield "oldest one entered", at(seen.pending_since)
        yield "output last advanced", at(seen.advanced_at)
    yield "passes", rate(stage.rate)
    yield "arrives", rate(stage.inflow)
    yield "caught up in", span(stage.eta)
    yield "the probe took", UNKNOWN if stage.probe_duration is None else f"{stage.probe_duration * 1000:.0f} ms"
    if seen is not None:
        yield from further(seen, now)


def further(seen: Observation, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the further numbers of an observation, as `stage_figures` does."""
    for figure in seen.figures:
        yield figure.name.replace("_", " "), _figure(figure, now)


def _figure(figure: Figure, now: datetime) -> str:
    match figure.unit:
        case "s":
            return duration(figure.value)
        case "timestamp":
            return clock(datetime.fromtimestamp(figure.value, now.tzinfo), now)
        case _:
            return f"{count(figure.value)} {figure.unit}".rstrip()
