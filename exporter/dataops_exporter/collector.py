"""The newest health snapshot as metric families. What is not known is absent: never 0, never NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from dataops_core.health.model import (
    HealthSnapshot,
    PipelineHealth,
    ProbeResult,
    StageHealth,
    StageKind,
    StageState,
    Status,
)
from dataops_core.version import version
from dataops_exporter import metrics
from dataops_exporter.metrics import METRICS, Metric

SYSTEM = {
    StageKind.TOPIC: "kafka",
    StageKind.SPARK_QUERY: "spark",
    StageKind.CONSUMER_GROUP: "kafka",
    StageKind.ICEBERG_TABLE: "iceberg",
    StageKind.DAG: "airflow",
    StageKind.TRINO_VIEW: "trino",
}
Sample = tuple[Metric, tuple[str, ...], float | None]


class Latest:
    """The newest snapshot; the monitor's thread puts it in, threads of requests read it.

    Args:
        max_age: Age from which on a snapshot says nothing about the present any more.
        now: The clock.
    """

    def __init__(self, max_age: timedelta, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.snapshot: HealthSnapshot | None = None
        self._max_age = max_age
        self._now = now

    def put(self, snapshot: HealthSnapshot) -> None:
        """Replace the newest snapshot."""
        self.snapshot = snapshot

    def why_not_ready(self) -> str | None:
        """Say why there is nothing to serve; `None` if there is."""
        if self.snapshot is None:
            return "no health snapshot yet"
        age = self._now() - self.snapshot.taken_at
        if age > self._max_age:
            return f"the newest health snapshot is {age.total_seconds():.0f} s old"
        return None


class SnapshotCollector(Collector):
    """Renders the newest snapshot at each scrape.

    Args:
        latest: Where the newest snapshot is.
    """

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def describe(self) -> Iterator[Family]:
        """Yield each family, empty, so that registering needs no snapshot."""
        yield from (_family(metric) for metric in METRICS)

    def collect(self) -> Iterator[Family]:
        """Yield each family that has a sample, in the order of the list."""
        families = {metric.name: _family(metric) for metric in METRICS}
        for metric, labels, value in self._samples():
            family = families[metric.name]
            if isinstance(family, InfoMetricFamily):
                family.add_metric([], dict(zip(metric.labels, labels, strict=True)))
            elif value is not None:
                family.add_metric(labels, value)
        yield from (family for family in families.values() if family.samples)

    def _samples(self) -> Iterator[Sample]:
        yield metrics.BUILD_INFO, (version(),), None
        snapshot = self._latest.snapshot
        if snapshot is None:
            return
        yield metrics.SNAPSHOT_TIME, (), snapshot.taken_at.timestamp()
        if self._latest.why_not_ready() is not None:
            return  # what was true then must not pass for the present
        for pipeline in snapshot.pipelines:
            yield from _pipeline(pipeline)
        for component in snapshot.components:
            if component.reachable is not None:
                up = component.reachable and component.error is None
                yield metrics.COMPONENT_UP, (component.name,), float(up)
        for probe in snapshot.probes:
            yield from _probe(probe)


def _pipeline(pipeline: PipelineHealth) -> Iterator[Sample]:
    label = (pipeline.name,)
    yield metrics.PIPELINE_DATA_AGE, label, pipeline.data_age
    yield metrics.PIPELINE_SOURCE_AGE, label, pipeline.source_age
    yield metrics.PIPELINE_OBJECTIVE, label, pipeline.objective
    for status in Status:
        yield metrics.PIPELINE_STATUS, (pipeline.name, status.value), float(pipeline.verdict.status is status)
    if (found := pipeline.verdict).check_id is not None:
        yield metrics.PIPELINE_FINDING, (pipeline.name, found.check_id, found.stage or "", found.component or ""), 1.0
    for stage in pipeline.stages:
        yield from _stage(stage, (pipeline.name, stage.name, SYSTEM[stage.kind]))


def _stage(stage: StageHealth, labels: tuple[str, str, str]) -> Iterator[Sample]:
    for state in StageState:
        yield metrics.STAGE_STATE, (*labels, state.value), float(stage.state is state)
    yield metrics.STAGE_OBSERVATION, labels, _seconds(stage.observed_at)
    if stage.state is StageState.UNKNOWN:
        return  # its newest observation is from before the probe failed
    yield metrics.STAGE_LAG, labels, stage.hop_lag
    yield metrics.STAGE_LAG_RECORDS, labels, stage.observation.lag_records if stage.observation else None
    yield metrics.STAGE_PROGRESS, labels, _seconds(stage.progress_time)


def _probe(probe: ProbeResult) -> Iterator[Sample]:
    labels = (probe.probe, probe.target)
    yield metrics.PROBE_SUCCESS, labels, float(probe.success)
    yield metrics.PROBE_DURATION, labels, probe.duration
    yield metrics.PROBE_LAST_RUN, labels, _seconds(probe.started_at)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _family(metric: Metric) -> GaugeMetricFamily | InfoMetricFamily:
    if metric.kind == "info":
        return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
