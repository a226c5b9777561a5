"""Spark: streaming queries, from their checkpoints and the topics that they read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.health.observation import Observation
from dataops_core.systems.base import Clients, Need, StageKind, System
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.checks import READER_CHECKS
from dataops_core.systems.spark import checks
from dataops_core.systems.spark.details import QueryDetails
from dataops_core.systems.spark.settings import SparkQueryStage

SDK = ("dataops_core.systems.iceberg.sdk", "dataops_core.systems.iceberg.files", "dataops_core.systems.iceberg.table")

if TYPE_CHECKING:
    from dataops_core.systems.kafka.model import Sent


def _observe(stage: SparkQueryStage, clients: Clients) -> Observation:
    from dataops_core.systems.spark.probe import observe_query
    from dataops_core.systems.spark.ui import SparkUi

    store = clients.need("iceberg", stage.store) if stage.store is not None else None
    ui = None if stage.ui is None else clients.keep(("spark ui", stage.checkpoint), partial(SparkUi, stage.ui))
    return observe_query(stage, partial(clients.need, "kafka", stage.on), store, ui)


def _find_canary(stage: SparkQueryStage, clients: Clients, _where: str) -> Callable[[Sent], bool]:
    from dataops_core.systems.spark.checkpoint import read_checkpoint

    store = clients.need("iceberg", stage.store) if stage.store is not None else None

    def is_committed(sent: Sent) -> bool:
        committed = read_checkpoint(stage.checkpoint, store).committed
        return committed is not None and committed.offsets.get(sent.topic, {}).get(sent.partition, 0) > sent.offset

    return is_committed


def _needs(stage: SparkQueryStage) -> tuple[Need, ...]:
    store = () if stage.store is None else (Need("iceberg", stage.store, "store"),)
    return (*((Need("kafka", stage.on),) if stage.reads_kafka else ()), *store)


def _problems(stage: SparkQueryStage) -> Iterator[str]:
    if stage.ui is not None:
        yield from web_problems(stage.ui, stage.ui.url, stage.ui.tls, ".ui")
    if stage.store is None and "://" in stage.checkpoint.removeprefix("file://"):
        yield ".store: missing: set the catalog whose properties open the object store"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.spark.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="spark",
    tested="Apache Spark 4.1.3",
    discover=_discover,
    discovery_turn=0,
    stage_kinds=(
        StageKind(
            name="spark_query",
            noun="query",
            settings=SparkQueryStage,
            details=QueryDetails,
            observe=_observe,
            checks=(*READER_CHECKS, *checks.CHECKS),
            needs=_needs,  # its lag is measured in Kafka
            problems=_problems,
            canary="offsets",
            find_canary=_find_canary,
            modules=SDK,
            import_turn=2,
        ),
    ),
)
