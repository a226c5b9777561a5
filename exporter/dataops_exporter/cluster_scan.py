"""Scan the whole Kafka cluster and all DAGs in the background, for metrics beyond the pipelines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from threading import Event, Lock, Thread

from dataops_core.config import DagSelection, ExporterSettings
from dataops_core.errors import DataopsError
from dataops_core.health.observation import ProbeResult
from dataops_core.systems.airflow.responses import Dag
from dataops_core.systems.kafka.model import ClusterSnapshot, ConsumerGroup, GroupLag, Topic
from dataops_core.values import largest_of
from dataops_exporter import compatibility, metrics
from dataops_exporter.collector import picker_samples, probe_samples
from dataops_exporter.exposition import ExpositionPart
from dataops_exporter.families import Picker, Sample, seconds, total
from dataops_exporter.metrics import Metric

NEVER = datetime.fromtimestamp(0, UTC)
DAG_STATES = ("active", "paused", "broken")


@dataclass(frozen=True)
class ScanResult:
    """The result of a cluster scan.

    Attributes:
        own: Samples of metric families that only this scan has.
        shared: Samples of metric families that several scans have.
    """

    own: Sequence[Sample] = ()
    shared: Sequence[Sample] = ()


def with_component(answer: ScanResult, component: str) -> ScanResult:
    """Return a result with the component as a label, for contexts with several components of one system."""
    labelled = [
        (_with_label(metric), (*labels, component), value) for metric, labels, value in (*answer.own, *answer.shared)
    ]
    return ScanResult((), labelled)  # other components have samples of the same families


@cache
def _with_label(metric: Metric) -> Metric:
    return replace(metric, labels=(*metric.labels, "component"))


class ClusterScan:
    """Scans one component periodically in a thread.

    Args:
        name: Name of the component.
        target: Its address, without secrets.
        ask: Runs one scan; raises DataopsError.
        every: Seconds between two cluster scans.
    """

    def __init__(self, name: str, target: str, ask: Callable[[], ScanResult], every: float) -> None:
        self.name = name
        self.part = ExpositionPart()
        """The metric families of the newest cluster scan; empty if it failed."""
        self._every = every
        self._ask = ask
        self._stop = Event()
        self._lock = Lock()
        self._result = ProbeResult(
            probe="survey",
            target=f"{name} {target}",
            component=name,
            started_at=NEVER,
            duration=0.0,
            success=False,
        )
        self._samples = ScanResult()
        self._thread = Thread(target=self._run, name=f"survey {name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, without waiting for a scan that hangs."""
        self._stop.set()

    def go_on_from(self, previous: ClusterScan) -> None:
        """Serve the previous result of the same component until the first scan ends."""
        if self._result.target == previous._result.target:
            self.part.go_on_from(previous.part)
            with previous._lock:
                self._samples, self._result = previous._samples, previous._result

    @property
    def shared(self) -> Iterator[Sample]:
        """Yield the newest scan's samples of shared metric families, and its success."""
        with self._lock:
            answer, result = self._samples, self._result
        yield metrics.SCAN_INTERVAL, (self.name,), self._every
        yield from answer.shared
        if result.started_at > NEVER:
            yield from probe_samples(result)

    def _run(self) -> None:
        while not self._stop.is_set():
            began, at = time.monotonic(), datetime.now(UTC)
            answer = ScanResult()
            error = None
            try:
                answer = self._ask()
            except DataopsError as failure:
                error = str(failure)
            except Exception as failure:  # noqa: BLE001 - a bug in one scan must not stop the others
                error = f"the cluster scan itself failed: {type(failure).__name__}: {failure}"
            took = time.monotonic() - began
            with self._lock:
                self._samples = answer
                self._result = replace(self._result, started_at=at, duration=took, success=error is None, error=error)
            self.part.replace(answer.own)
            self._stop.wait(max(1.0, self._every - took))


def kafka_samples(snapshot: ClusterSnapshot, settings: ExporterSettings, context: str) -> ScanResult:
    """Return the samples of a Kafka cluster.

    Args:
        snapshot: The cluster.
        settings: Selection of the exported objects, and compatibility metrics.
        context: Name of the context; `cluster_name` in kafka-lag-exporter's metrics.
    """
    topics = Picker("topics", settings.topics, settings.max_series, denied=snapshot.denied_topics)
    groups = Picker("groups", settings.groups, settings.max_series, denied=snapshot.denied_groups)
    results: list[Sample] = [
        (metrics.KAFKA_BROKERS, (), float(len(snapshot.brokers))),
        (metrics.SCAN_FAILURES, (), float(len(snapshot.failures))),
        *compatibility.cluster(snapshot, settings.dialects),
    ]
    each = settings.topics.granularity == "partition"
    for name, topic in sorted(snapshot.topics.items()):
        own = _topic(topic, each=each)
        results += topics.pick(name, (*own, *compatibility.topic(topic, context, settings.dialects, each=each)))
    for name, group in sorted(snapshot.groups.items()):
        lags = _lags(group)
        own = _group(name, group, lags, settings.groups.granularity)
        foreign = compatibility.group(name, group, lags, context, settings.dialects, settings.groups.granularity)
        results += groups.pick(name, (*own, *foreign))
    taken: Sample = (metrics.SCAN_TIME, ("kafka",), seconds(snapshot.taken_at))
    return ScanResult(results, (taken, *picker_samples(topics), *picker_samples(groups)))


def _topic(topic: Topic, *, each: bool) -> Iterator[Sample]:
    label = (topic.name,)
    yield metrics.TOPIC_PARTITIONS, label, float(len(topic.partitions))
    yield metrics.TOPIC_OFFLINE, label, float(len(topic.offline))
    yield metrics.TOPIC_UNDER_REPLICATED, label, float(sum(p.under_replicated for p in topic.partitions))
    yield metrics.TOPIC_LOW, label, total(p.low for p in topic.partitions)
    yield metrics.TOPIC_HIGH, label, total(p.high for p in topic.partitions)
    if each:
        for partition in topic.partitions:
            yield metrics.PARTITION_LOW, (topic.name, str(partition.number)), partition.low
            yield metrics.PARTITION_HIGH, (topic.name, str(partition.number)), partition.high


def _lags(group: ConsumerGroup) -> compatibility.Lags:
    """Return the lags of a group by topic and partition."""
    results: dict[str, dict[int, GroupLag]] = {}
    for lag in group.lags or ():
        results.setdefault(lag.topic, {})[lag.partition] = lag
    return results


def _group(name: str, group: ConsumerGroup, lags: compatibility.Lags, granularity: str) -> Iterator[Sample]:
    if group.state is not None:
        yield metrics.GROUP_STATE, (name, group.state.lower()), 1.0
    if group.members is not None:
        yield metrics.GROUP_MEMBERS, (name,), float(len(group.members))
    if lags:
        yield metrics.GROUP_LAG, (name,), group.lag
        yield metrics.GROUP_LAG_SECONDS, (name,), group.lag_seconds
    if granularity == "group":
        return
    for topic, of_topic in lags.items():
        yield metrics.GROUP_TOPIC_LAG, (name, topic), total(at.lag for at in of_topic.values())
        yield metrics.GROUP_TOPIC_LAG_SECONDS, (name, topic), largest_of(at.lag_seconds for at in of_topic.values())
        yield metrics.GROUP_TOPIC_COMMITTED, (name, topic), compatibility.committed(of_topic)
        if granularity == "partition":
            for number, at in of_topic.items():
                yield metrics.GROUP_PARTITION_LAG, (name, topic, str(number)), at.lag
                yield metrics.GROUP_PARTITION_LAG_SECONDS, (name, topic, str(number)), at.lag_seconds
                yield metrics.GROUP_PARTITION_COMMITTED, (name, topic, str(number)), at.committed


def airflow_samples(dags: Iterable[Dag], taken_at: datetime, settings: ExporterSettings) -> ScanResult:
    """Return the samples of Airflow's DAGs."""
    rules: DagSelection = settings.dags
    picker = Picker("dags", rules, settings.max_series)
    counts = dict.fromkeys(DAG_STATES, 0)
    results: list[Sample] = []
    for dag in sorted(dags, key=lambda dag: dag.dag_id):
        state = "broken" if dag.import_errors else "paused" if dag.paused else "active"
        if rules.admits(dag.dag_id):
            counts[state] += 1
        each = DAG_STATES if rules.granularity == "dag" else ()
        results += picker.pick(
            dag.dag_id, ((metrics.AIRFLOW_DAG_STATE, (dag.dag_id, other), float(state == other)) for other in each)
        )
    results += [(metrics.AIRFLOW_DAGS, (state,), float(count)) for state, count in counts.items()]
    taken: Sample = (metrics.SCAN_TIME, ("airflow",), seconds(taken_at))
    return ScanResult(results, (taken, *picker_samples(picker)))
