"""The running exporter: its monitor, cluster scans, newest results and settings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Lock

from prometheus_client import CollectorRegistry, ProcessCollector

from dataops_core.config import Settings
from dataops_core.errors import DataopsError
from dataops_core.health.model import HealthSnapshot
from dataops_core.monitor import Monitor
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.cluster import scan
from dataops_core.version import version
from dataops_exporter import metrics
from dataops_exporter.cluster_scan import ClusterScan, ScanResult, airflow_samples, kafka_samples, with_component
from dataops_exporter.collector import NewestSnapshot, ServedSnapshot
from dataops_exporter.exposition import ExpositionPart
from dataops_exporter.families import Sample, SamplesCollector
from dataops_exporter.metrics import METRICS
from dataops_exporter.web import WebConfigFile


class Watch:
    """The monitor and scans of one settings file; re-created at a reload.

    Args:
        settings: The settings.
        context: Context to watch; `None`: the default context.

    Raises:
        ConfigError: There is no such context.
    """

    def __init__(self, settings: Settings, context: str | None) -> None:
        self.settings = settings
        self.monitor = Monitor(settings, context)
        self.scans = {each.name: each for each in self._scans()}
        self._stopped = Event()
        self._probes: dict[str, _OnePipeline] = {
            name: _OnePipeline(settings.model_copy(update={"pipelines": {name: pipeline}}), self.monitor.context)
            for name, pipeline in self.monitor.pipelines.items()
        }

    def start(self, latest: NewestSnapshot, previous: Watch | None) -> None:
        """Start the monitor and the scans.

        The first snapshot is published after each probe has run, so that a reload makes no known state unknown.

        Args:
            latest: Receives the snapshots.
            previous: The watch before the reload; this one continues its history.
        """
        if previous is not None:
            self.monitor.latest = previous.monitor.latest
            for name, scan in self.scans.items():
                if name in previous.scans:
                    scan.go_on_from(previous.scans[name])

        def put(snapshot: HealthSnapshot) -> None:
            if self.monitor.complete and not self._stopped.is_set():
                latest.put(self.served(snapshot))

        self.monitor.start(put)
        for scan in self.scans.values():
            scan.start()

    def stop(self) -> None:
        """Stop the monitor and the scans, without waiting for those that hang."""
        self._stopped.set()
        self.monitor.stop()
        for each in self.scans.values():
            each.stop()

    def served(self, snapshot: HealthSnapshot) -> ServedSnapshot:
        """Return a snapshot with its settings."""
        settings = self.settings
        max_age = timedelta(seconds=max(30.0, 3 * settings.refresh + settings.probe_timeout))
        return ServedSnapshot(snapshot, self.monitor.pipelines, settings.exporter, max_age)

    def probe(self, pipeline: str, within: float | None) -> ServedSnapshot:
        """Return a snapshot of one pipeline, probed now; raise KeyError if there is no such pipeline."""
        return self.served(self._probes[pipeline].snapshot(within))

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Names of the pipelines."""
        return tuple(self._probes)

    def _scans(self) -> Iterator[ClusterScan]:
        exporter, clients, context = self.settings.exporter, self.monitor.clients, self.monitor.context
        clusters: dict[str, KafkaClient] = clients.all("kafka")
        instances: dict[str, AirflowClient] = clients.all("airflow")

        def scan_kafka(client: KafkaClient) -> ScanResult:
            result = scan(client, exporter.topics.admits, exporter.groups.admits)
            return kafka_samples(result, exporter, context)

        def scan_airflow(client: AirflowClient) -> ScanResult:
            return airflow_samples(client.dags(), datetime.now(UTC), exporter)

        for name, cluster in clusters.items():
            ask = _naming(partial(scan_kafka, cluster), name if len(clusters) > 1 else None)
            yield ClusterScan(name, cluster.target, ask, exporter.survey_every)
        for name, instance in instances.items():
            ask = _naming(partial(scan_airflow, instance), name if len(instances) > 1 else None)
            yield ClusterScan(name, instance.target, ask, exporter.survey_every)


def _naming(ask: Callable[[], ScanResult], component: str | None) -> Callable[[], ScanResult]:
    """Return a scan whose samples have the component as a label, if there are several components."""
    return ask if component is None else lambda: with_component(ask(), component)


class _OnePipeline:
    """Probes one pipeline on demand; concurrent requests share one probe run."""

    def __init__(self, settings: Settings, context: str) -> None:
        self._settings = settings
        self._context = context
        self._monitor: Monitor | None = None
        self._lock = Lock()
        self._finished = 0.0

    def snapshot(self, within: float | None) -> HealthSnapshot:
        requested = time.monotonic()
        with self._lock:
            if self._monitor is None:
                self._monitor = Monitor(self._settings, self._context)
            latest = self._monitor.latest
            if latest is None or self._finished < requested:
                latest = self._monitor.once(within)
                self._finished = time.monotonic()
            return latest


@dataclass
class Service:
    """The exporter.

    Args:
        load: Reads the settings; raises DataopsError.
        context: Context to watch; `None`: the default context.
        web: The web configuration.
        latest: The newest snapshot.
    """

    load: Callable[[], Settings]
    context: str | None
    web: WebConfigFile
    latest: NewestSnapshot = field(default_factory=NewestSnapshot)

    def __post_init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self._requests_lock = Lock()
        self._reloaded = True
        self._watch = Watch(self.load(), self.context)
        self._read_at = time.time()
        self.registry = CollectorRegistry()
        self.registry.register(SamplesCollector(METRICS, self._samples))
        ProcessCollector(registry=self.registry)

    @property
    def watch(self) -> Watch:
        """The current monitor and scans."""
        return self._watch

    @property
    def parts(self) -> tuple[ExpositionPart, ...]:
        """The parts of the exposition that are rendered in advance."""
        return tuple(each.part for each in self._watch.scans.values())

    def start(self) -> None:
        """Start the monitor and the scans."""
        self._watch.start(self.latest, None)

    def reload(self) -> str | None:
        """Reload the settings; return the error if the previous ones stay active."""
        try:
            watch = Watch(self.load(), self.context)
        except DataopsError as error:
            self._reloaded = False
            return str(error)
        previous, self._watch = self._watch, watch
        previous.stop()
        watch.start(self.latest, previous)
        self._reloaded, self._read_at = True, time.time()
        return None

    def stop(self) -> None:
        """Stop the monitor and the scans."""
        self._watch.stop()

    def count(self, handler: str, code: str) -> None:
        """Count a request."""
        with self._requests_lock:
            self.requests[handler, code] += 1

    def _samples(self) -> Iterator[Sample]:
        yield metrics.BUILD_INFO, (version(),), 1.0
        yield metrics.RELOAD_SUCCESSFUL, ("config",), float(self._reloaded)
        yield metrics.RELOAD_SUCCESSFUL, ("web",), float(self.web.last_reload_successful)
        yield metrics.RELOAD_TIME, (), self._read_at
        yield from self.latest.samples()
        for each in self._watch.scans.values():
            yield from each.shared
        with self._requests_lock:
            counts = sorted(self.requests.items())
        for labels, count in counts:
            yield metrics.REQUESTS, labels, float(count)
