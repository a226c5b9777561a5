"""Convert a health snapshot to samples. Unknown values are absent: never 0, never NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dataops_core.config import ExporterSettings, PipelineSettings
from dataops_core.health.model import HealthSnapshot, PipelineHealth, StageHealth, StageState, Status
from dataops_core.health.observation import Observation, ProbeResult
from dataops_core.systems.base import StageObject
from dataops_core.systems.registry import registry
from dataops_core.units import duration
from dataops_exporter import metrics
from dataops_exporter.families import Picker, Sample, seconds
from dataops_exporter.metrics import Metric

TABLE_METRICS = {
    "data_files": metrics.ICEBERG_DATA_FILES,
    "delete_files": metrics.ICEBERG_DELETE_FILES,
    "snapshots": metrics.ICEBERG_SNAPSHOTS,
}
"""Values of a table's observation, and their metrics."""


@dataclass(frozen=True, slots=True)
class ServedSnapshot:
    """A health snapshot with its settings."""

    snapshot: HealthSnapshot
    pipelines: Mapping[str, PipelineSettings]
    exporter: ExporterSettings
    max_age: timedelta


class NewestSnapshot:
    """The newest snapshot; the monitor's thread writes it, request threads read it.

    Args:
        now: The clock.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.served: ServedSnapshot | None = None
        self._now = now

    def put(self, served: ServedSnapshot) -> None:
        """Replace the newest snapshot."""
        self.served = served

    def age(self) -> float | None:
        """Return the snapshot's age in seconds."""
        return None if self.served is None else max(0.0, (self._now() - self.served.snapshot.taken_at).total_seconds())

    def why_not_ready(self) -> str | None:
        """Return why there is no snapshot to serve, or `None` if there is one."""
        served, age = self.served, self.age()
        if served is None or age is None:
            return "no health snapshot yet"
        if age > served.max_age.total_seconds():
            return f"the newest health snapshot is {duration(age)} old"
        return None

    def samples(self) -> Iterator[Sample]:
        """Yield the samples of the newest snapshot; of one that is too old, only its time and age."""
        if self.served is None:
            return
        yield metrics.SNAPSHOT_TIME, (), seconds(self.served.snapshot.taken_at)
        yield metrics.SNAPSHOT_AGE, (), self.age()
        if self.why_not_ready() is None:  # outdated values must not look current
            yield from snapshot_samples(self.served)


def snapshot_samples(served: ServedSnapshot) -> Iterator[Sample]:
    """Yield all samples of a snapshot."""
    snapshot = served.snapshot
    for pipeline in snapshot.pipelines:
        yield from _pipeline(pipeline)
    for component in snapshot.components:
        if component.reachable is not None:
            up = component.reachable and component.error is None
            yield metrics.COMPONENT_UP, (component.name,), float(up)
        for result in component.findings:
            yield metrics.COMPONENT_FINDING, (component.name, result.check_id, result.severity.value), 1.0
        if component.reachable and component.observation is not None:
            for measurement in component.observation.figures:
                yield metrics.COMPONENT_VALUE, (component.name, measurement.name, measurement.unit), measurement.value
    for probe in snapshot.probes:
        yield from probe_samples(probe)
    yield from _objects(served)


def probe_samples(probe: ProbeResult) -> Iterator[Sample]:
    """Yield the result of a probe's newest run."""
    labels = (probe.probe, probe.target, probe.pipeline or "", probe.component)
    yield metrics.PROBE_SUCCESS, labels, float(probe.success)
    yield metrics.PROBE_DURATION, labels, probe.duration
    yield metrics.PROBE_LAST_RUN, labels, seconds(probe.started_at)


def picker_samples(picker: Picker) -> Iterator[Sample]:
    """Yield the number of exported, denied and dropped objects of a kind."""
    outcomes = {"exported": picker.exported, "denied": picker.denied, "dropped": picker.dropped}
    for outcome, count in outcomes.items():
        yield metrics.OBJECTS, (picker.kind, outcome), float(count)
    yield metrics.DROPPED_SERIES, (picker.kind,), float(picker.dropped_series)


def _pipeline(pipeline: PipelineHealth) -> Iterator[Sample]:
    label = (pipeline.name,)
    yield metrics.PIPELINE_DATA_AGE, label, pipeline.data_age
    yield metrics.PIPELINE_SOURCE_AGE, label, pipeline.source_age
    yield metrics.PIPELINE_OBJECTIVE, label, pipeline.objective
    if pipeline.verdict.status is not Status.STARTING:  # while starting, the status is absent
        for status in Status:
            if status is not Status.STARTING:
                yield metrics.PIPELINE_STATUS, (pipeline.name, status.value), float(pipeline.verdict.status is status)
    if (result := pipeline.verdict).check_id is not None:
        yield (
            metrics.PIPELINE_FINDING,
            (pipeline.name, result.check_id, result.stage or "", result.component or ""),
            1.0,
        )
    for stage in pipeline.stages:
        yield from _stage(stage, (pipeline.name, stage.name, stage.system))


def _stage(stage: StageHealth, labels: tuple[str, str, str]) -> Iterator[Sample]:
    if stage.state is StageState.STARTING:
        return
    for state in StageState:
        if state is not StageState.STARTING:
            yield metrics.STAGE_STATE, (*labels, state.value), float(stage.state is state)
    yield metrics.STAGE_OBSERVATION, labels, seconds(stage.observed_at)
    for result in stage.findings:  # empty if the probe failed
        yield metrics.STAGE_FINDING, (*labels, result.check_id, result.severity.value), 1.0
    if stage.observation is not None and stage.error is None:
        for measurement in stage.observation.figures:
            yield metrics.STAGE_VALUE, (*labels, measurement.name, measurement.unit), measurement.value
    if stage.state is StageState.UNKNOWN:
        return
    yield metrics.STAGE_LAG, labels, stage.hop_lag
    yield metrics.STAGE_LAG_RECORDS, labels, stage.observation.lag_records if stage.observation else None
    yield metrics.STAGE_PROGRESS, labels, seconds(stage.progress_time)
    yield metrics.STAGE_ETA, labels, stage.eta


def _objects(served: ServedSnapshot) -> Iterator[Sample]:
    """Yield the samples of the tables, DAGs and relations of stages."""
    settings = served.exporter
    tables = Picker("tables", settings.tables, settings.max_series)
    picked: list[Sample] = []
    for result, observation in sorted(_observed(served).items(), key=_by_name):
        match result:
            case StageObject("iceberg_table", (catalog, namespace, table)):
                picked += tables.pick(result.name, _table(observation, (catalog, namespace, table)))
            case StageObject("airflow_dag", (dag_id,)):
                if settings.dags.granularity == "dag" and settings.dags.admits(dag_id):
                    yield from _dag(dag_id, observation)
            case StageObject("trino_relation", (relation,)):
                yield metrics.TRINO_COMMIT_TIME, (relation,), seconds(observation.advanced_at)
    yield from picked if settings.tables.granularity == "table" else _sums(picked)
    yield from picker_samples(tables)


def _observed(served: ServedSnapshot) -> Mapping[StageObject, Observation]:
    """Return each object of a stage once, with a current observation."""
    results: dict[StageObject, Observation] = {}
    for pipeline in served.snapshot.pipelines:
        settings = {stage.name: stage for stage in served.pipelines[pipeline.name].stages}
        for health in pipeline.stages:
            if health.observation is not None and health.error is None:
                observed = registry().object_of(settings[health.name])
                if observed is not None:
                    results.setdefault(observed, health.observation)
    return results


def _by_name(results: tuple[StageObject, Observation]) -> tuple[str, str]:
    return results[0].kind, results[0].name


def _table(observation: Observation, labels: tuple[str, str, str]) -> Iterator[Sample]:
    yield metrics.ICEBERG_RECORDS, labels, observation.position
    for measurement in observation.figures:
        if measurement.name in TABLE_METRICS:
            yield TABLE_METRICS[measurement.name], labels, measurement.value
    yield metrics.ICEBERG_COMMIT_TIME, labels, seconds(observation.advanced_at)
    yield (
        metrics.ICEBERG_WRITER_CHANGE,
        labels,
        seconds(observation.writer_change.at) if observation.writer_change else None,
    )


def _sums(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield the sums of counts by namespace, without times."""
    sums: dict[tuple[Metric, str, str], float] = {}
    for metric, (catalog, namespace, _), value in samples:
        if not metric.name.endswith("_timestamp_seconds"):
            key = metric, catalog, namespace
            sums[key] = sums.get(key, 0.0) + (value or 0.0)
    for (metric, catalog, namespace), value in sums.items():
        yield metric, (catalog, namespace, ""), value


def _dag(name: str, observation: Observation) -> Iterator[Sample]:
    yield metrics.AIRFLOW_LAST_SUCCESS, (name,), seconds(observation.advanced_at)
    for measurement in observation.figures:
        if measurement.name == "run_duration":
            yield metrics.AIRFLOW_RUN_DURATION, (name,), measurement.value
    yield metrics.AIRFLOW_FAILED, (name,), float(observation.failure is not None)
