"""Spark: streaming queries from their checkpoints, and batch applications from the history server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.health.observation import Observation
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    DoctorStep,
    Need,
    StageKind,
    System,
    web_identity,
)
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.checks import READER_CHECKS
from dataops_core.systems.spark import checks
from dataops_core.systems.spark.batch_checks import BATCH_CHECKS
from dataops_core.systems.spark.details import BatchDetails, HistoryDetails, QueryDetails
from dataops_core.systems.spark.settings import SparkBatchStage, SparkHistorySettings, SparkQueryStage

SDK = ("dataops_core.systems.iceberg.sdk", "dataops_core.systems.iceberg.files", "dataops_core.systems.iceberg.table")

if TYPE_CHECKING:
    from dataops_core.systems.kafka.model import Sent
    from dataops_core.systems.spark.history import HistoryClient


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


def _connect(name: str, settings: SparkHistorySettings, timeout: float) -> HistoryClient:
    from dataops_core.systems.spark.history import HistoryClient

    return HistoryClient(name, settings, timeout)


def _probes(name: str, settings: SparkHistorySettings, client: HistoryClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.spark.batch import observe_history

    ask = lambda: ComponentReport(*observe_history(client))  # noqa: E731 - short enough for a lambda
    return {name: ComponentProbe("spark_history", client.target, ask, web_identity(name, settings))}


def _observe_batch(stage: SparkBatchStage, clients: Clients) -> Observation:
    from dataops_core.systems.spark.batch import observe_batch

    return observe_batch(stage, clients.need("spark_history", stage.on))


def _diagnose(client: HistoryClient) -> Iterator[DoctorStep]:
    from dataops_core.systems.spark.batch import diagnose

    return diagnose(client)


def _batch_unknown(_: SparkBatchStage, observation: Observation) -> str | None:
    if observation.progress_time is not None:
        return None
    if (error := observation.attribute("outcome_error")) is not None:
        return f"the outcome of its newest completed run is unknown: {error}"
    return "no successful run of it is known"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.spark.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="spark",
    tested="Apache Spark 4.1.3; its history server, by `make test-systems`",
    discover=_discover,
    discovery_turn=0,
    components=(
        ComponentKind(
            name="spark_history",
            settings=SparkHistorySettings,
            details=HistoryDetails,
            title="Spark's history server.",
            connect=_connect,
            probes=_probes,
            diagnose=_diagnose,
            problems=lambda settings: web_problems(settings, settings.url, settings.tls),
        ),
    ),
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
        StageKind(
            name="spark_batch",
            noun="batch application",
            settings=SparkBatchStage,
            details=BatchDetails,
            observe=_observe_batch,
            checks=BATCH_CHECKS,
            needs=lambda stage: (Need("spark_history", stage.on),),
            run_start_is_progress=True,
            why_unknown=_batch_unknown,
            min_interval=lambda stage: stage.every,
        ),
    ),
)
