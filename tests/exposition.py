"""Whole expositions of the exporter over a fixed world; `make golden` writes them to tests/unit/golden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from prometheus_client import generate_latest
from tests.orders import CHAIN, T0, healthy, seconds, see
from tests.settings import PipelineSettings

from dataops_core.config import ExporterSettings
from dataops_core.health.model import Finding, Severity, StageState
from dataops_core.health.observation import Observation, WriterChange
from dataops_core.systems.airflow.details import DagDetails
from dataops_core.systems.airflow.responses import Dag
from dataops_core.systems.iceberg.details import TableDetails
from dataops_core.systems.kafka import lag
from dataops_core.systems.kafka.model import (
    Broker,
    ClusterSnapshot,
    ConsumerGroup,
    GroupLag,
    Member,
    Partition,
    PartitionKey,
    Topic,
)
from dataops_core.systems.trino.details import TrinoDetails
from dataops_core.version import version
from dataops_exporter import metrics
from dataops_exporter.cluster_scan import airflow_samples, kafka_samples
from dataops_exporter.collector import NewestSnapshot, ServedSnapshot
from dataops_exporter.exposition import registry_of
from dataops_exporter.families import Sample

GOLDEN = Path(__file__).parent / "unit/golden"
FILES = ("exporter.prom", "dialects.prom")
"""Our metrics, and those under the names of other exporters."""
CONFIG = """
[contexts.test.kafka]
bootstrap_servers = "127.0.0.1:9"
[contexts.test.trino]
url = "http://127.0.0.1:9"
[pipelines.p]
context = "test"
[[pipelines.p.stages]]
name = "view"
kind = "trino_view"
relation = "lake.s.o"
"""
"""Settings whose components nothing answers for."""
EVERYTHING = ExporterSettings.model_validate(
    {
        "dialects": ["kafka_exporter", "kminion", "kafka_lag_exporter"],
        "topics": {"granularity": "partition", "deny": ["__.*"]},
        "groups": {"granularity": "partition"},
        "dags": {"deny": ["secret_.*"]},
    }
)


def partition(
    number: int, low: int | None = 0, high: int | None = 100, isr: tuple[int, ...] = (1, 2), leader: int = 1
) -> Partition:
    return Partition(number, low, high, None, leader, (1, 2), isr)


def group(name: str, **committed: int) -> ConsumerGroup:
    """Return a group that has committed offsets in partitions of `orders`: `p0=90`."""
    at = {("orders", int(number.removeprefix("p"))): offset for number, offset in committed.items()}
    member = Member(id="m-1", client_id="c", host="/10.0.0.1", assigned=frozenset(at))
    return ConsumerGroup(name, "STABLE", (member,), at, assignor="range", coordinator=2)


ORDERS = Topic("orders", (partition(0, 10, 100), partition(1, 0, 50, isr=(1,))))
PAYMENTS = Topic("payments", (partition(0, 0, None), partition(1, 0, 5)))
BILLING = group("billing", p0=90, p1=50)
UNTOLD = ConsumerGroup("untold", None, None, None, unreadable="Group authorization failed")


def positions(committed: Mapping[PartitionKey, int], topics: Mapping[str, Topic]) -> tuple[GroupLag, ...]:
    """Return positions whose first unread record waits for as many seconds as records wait."""
    return tuple(replace(at, waits=float(at.lag) if at.lag else None) for at in lag.positions(committed, topics))


def kafka(
    topics: tuple[Topic, ...] = (ORDERS, PAYMENTS), groups: tuple[ConsumerGroup, ...] = (BILLING, UNTOLD)
) -> ClusterSnapshot:
    by_name = {topic.name: topic for topic in topics}
    return ClusterSnapshot(
        taken_at=T0 - timedelta(seconds=7),
        cluster_id="MkU3OEVBNTcwNTJENDM2Qk",
        controller=2,
        brokers=(Broker(1, "kafka-1", 9092, "a"), Broker(2, "kafka-2", 9092, None)),
        topics=by_name,
        groups={
            each.name: replace(each, lags=positions(each.committed, by_name) if each.committed else None)
            for each in groups
        },
        denied_topics=2,
        denied_groups=0,
        failures=(),
    )


def dags() -> tuple[Dag, ...]:
    def dag(dag_id: str, *, paused: bool = False, broken: bool = False) -> Dag:
        return Dag(dag_id=dag_id, paused=paused, schedule=None, owners=(), tags=(), import_errors=broken)

    return dag("conform"), dag("old", paused=True), dag("half", broken=True), dag("secret_one")


def seen() -> ServedSnapshot:
    """Return a snapshot in which each of our metrics has something to say."""
    chain = PipelineSettings.model_validate({**CHAIN.model_dump(), "objective": 90.0})
    observations: dict[str, Observation | str] = {**healthy(T0)}
    files = TableDetails(data_files=12, delete_files=1, snapshots=40, manifests=1)
    bronze = replace(healthy(T0)["bronze"], details=files)
    observations["bronze"] = replace(bronze, writer_change=WriterChange(T0 - seconds(7200), "old", "new"))
    observations["conform"] = replace(healthy(T0)["conform"], details=DagDetails(run_duration=30))
    snapshot = see(observations, T0, chain=chain, down={"airflow": "refused"})
    (pipeline,) = snapshot.pipelines
    stages = [replace(s, state=StageState.BEHIND, eta=42.0) if s.name == "land" else s for s in pipeline.stages]
    near = Finding("retention-near", "land", Severity.WARNING, "its oldest unread record is old")
    stages = [replace(s, findings=(near,)) if s.name == "land" else s for s in stages]
    pipeline = replace(pipeline, stages=tuple(stages))
    queued = Observation("trino", T0, details=TrinoDetails(queries_queued=7, queued_longest=90))
    waits = Finding("queries-queued", "trino", Severity.WARNING, "7 queries in the queue")
    components = [
        replace(c, observation=queued, findings=(waits,)) if c.name == "trino" else c for c in snapshot.components
    ]
    told = replace(snapshot, pipelines=(pipeline,), components=tuple(components))
    return ServedSnapshot(told, {"p": chain}, EVERYTHING, timedelta(seconds=30))


def samples() -> Iterator[Sample]:
    """Yield all that an exporter of this world serves, but its own process."""
    latest = NewestSnapshot(lambda: T0 + timedelta(seconds=1))
    latest.put(seen())
    yield metrics.BUILD_INFO, (version(),), 1.0
    yield metrics.RELOAD_SUCCESSFUL, ("config",), 1.0
    yield metrics.RELOAD_TIME, (), T0.timestamp()
    yield metrics.REQUESTS, ("/metrics", "200"), 3.0
    yield from latest.samples()
    yield metrics.SCAN_INTERVAL, ("kafka",), 30.0
    for answer in (kafka_samples(kafka(), EVERYTHING, "test"), airflow_samples(dags(), T0, EVERYTHING)):
        yield from answer.own
        yield from answer.shared


def text(file: str) -> str:
    """Return an exposition, without the version."""
    wanted = [sample for sample in samples() if (sample[0].compatible_with is None) == (file == "exporter.prom")]
    found = generate_latest(registry_of(lambda: wanted)).decode()
    return found.replace(f'version="{version()}"', 'version="0"')


if __name__ == "__main__":
    for name in FILES:
        (GOLDEN / name).write_text(text(name))
