"""Convert samples to metric families, and select the exported objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from dataops_core.config import Selection
from dataops_exporter.metrics import METRICS, Metric

Sample = tuple[Metric, tuple[str, ...], float | None]
"""A metric, the values of its labels, and its value; a sample without a value is not exported."""
ORDER = {metric.name: index for index, metric in enumerate(METRICS)}


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """Yield each family with samples, compatibility metrics last; the first of duplicate samples counts."""
    by_metric: dict[Metric, dict[tuple[str, ...], float]] = {}
    for metric, labels, value in samples:
        if value is not None:
            by_metric.setdefault(metric, {}).setdefault(labels, value)
    for metric, result in sorted(by_metric.items(), key=lambda item: ORDER.get(item[0].name, len(ORDER))):
        family = empty(metric)
        for labels, value in result.items():
            if isinstance(family, InfoMetricFamily):
                family.add_metric([], dict(zip(metric.labels, labels, strict=True)))
            else:
                family.add_metric(labels, value)
        yield family


def empty(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily | InfoMetricFamily:
    """Return a metric's family without a sample."""
    match metric.kind:
        case "info":
            return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)
        case "counter":
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case _:
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def seconds(at: datetime | None) -> float | None:
    """Return a time as seconds since the epoch."""
    return None if at is None else at.timestamp()


class SamplesCollector(Collector):
    """A collector of the samples that a function yields at each scrape."""

    def __init__(self, metrics: Iterable[Metric], samples: Callable[[], Iterable[Sample]]) -> None:
        self._metrics = tuple(metrics)
        self._samples = samples

    def describe(self) -> Iterator[Family]:
        """Yield each family without samples, so that registration calls no function."""
        yield from (empty(metric) for metric in self._metrics)

    def collect(self) -> Iterator[Family]:
        """Yield each family that has a sample."""
        yield from families(self._samples())


def total(values: Iterable[int | None]) -> float | None:
    """Return the sum; `None` unless all are known."""
    results = list(values)
    return None if None in results else float(sum(value for value in results if value is not None))


@dataclass
class Picker:
    """Selects the exported objects of one kind, by the lists and up to the limit.

    An object is exported completely or not at all, so that sums over it are correct.

    Attributes:
        kind: `topics`, `groups`, `tables` or `dags`.
        limit: Maximum number of series of all objects.
        denied: Number of objects that the lists exclude.
        dropped: Number of objects beyond the limit.
        dropped_series: Number of their series.
    """

    kind: str
    rules: Selection
    limit: int
    denied: int = 0
    dropped: int = 0
    dropped_series: int = 0
    exported: int = 0
    _left: int = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.limit

    def pick(self, name: str, samples: Iterable[Sample]) -> list[Sample]:
        """Return an object's samples, or none if it is not exported."""
        if not self.rules.admits(name):
            self.denied += 1
            return []
        results = [sample for sample in samples if sample[2] is not None]
        if len(results) > self._left:
            self.dropped += 1
            self.dropped_series += len(results)
            return []
        self._left -= len(results)
        self.exported += 1
        return results
