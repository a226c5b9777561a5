"""The values of a stage as labelled text, for the console and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dataops_core.health.details import Measurement
from dataops_core.health.model import StageHealth
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.health.text import ago, clock
from dataops_core.times import moment
from dataops_core.units import UNKNOWN, count, duration, size

SOURCES = {
    ProgressSource.STAMPED: "from the stamp in the commit",
    ProgressSource.DERIVED: "derived from offsets, statistics or run times",
}


def stage_values(stage: StageHealth, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the known values of a stage as label and text; a continuation line has an empty label."""

    def at(time: datetime | None) -> str:
        return UNKNOWN if time is None else f"{clock(time, now)} ({ago(time, now)})"

    def span(seconds: float | None) -> str:
        return UNKNOWN if seconds is None else duration(seconds)

    def rate(value: float | None) -> str:
        return UNKNOWN if value is None else f"{value:,.1f} records/s"

    observation = stage.observation
    yield "kind", stage.kind.replace("_", " ")
    yield "component", stage.component or UNKNOWN
    yield "inputs", ", ".join(stage.reads) or "none (source)"
    if stage.affected_by is not None:
        yield "affected by", stage.affected_by
    yield "state since", at(stage.since)
    yield "last checked", ago(stage.observed_at, now)
    if stage.error is not None:
        yield "probe error", stage.error
    yield "progress time", at(stage.progress_time)
    if observation is not None and observation.progress_source is not None:
        yield "", SOURCES[observation.progress_source]
    yield "hop lag", span(stage.hop_lag)
    yield "data age", span(stage.data_age)
    if observation is not None:
        yield "lag (records)", UNKNOWN if observation.lag_records is None else count(observation.lag_records)
        yield "oldest unread", at(observation.pending_since)
        yield "last output", at(observation.advanced_at)
    yield "throughput out", rate(stage.rate)
    yield "throughput in", rate(stage.inflow)
    yield "ETA", span(stage.eta)
    yield "probe duration", duration(stage.probe_duration, precise=True)
    if observation is not None:
        yield from further_values(observation, now)


def further_values(observation: Observation, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the further values of an observation, as `stage_values` does."""
    for measurement in observation.figures:
        yield measurement.name.replace("_", " "), measurement_text(measurement, now)


def measurement_text(measurement: Measurement, now: datetime) -> str:
    """Return a measurement with its unit: `4m 30s`, `1.5 KiB`, `12,345 rows`."""
    match measurement.unit:
        case "s":
            return duration(measurement.value)
        case "bytes":
            return size(measurement.value)
        case "timestamp":
            return clock(moment(measurement.value, "s"), now)
        case _:
            return f"{count(measurement.value)} {measurement.unit}".rstrip()
