"""Probes: from clients to observations. One file per component; no probe computes a status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dataops_core.config import ContextSettings, SparkQueryStage, Stage
from dataops_core.errors import ConfigError
from dataops_core.health.model import Fact, Figure, Observation, StageKind, store_of
from dataops_core.systems import lazy_imports
from dataops_core.systems.airflow import probe as airflow
from dataops_core.systems.airflow import sdk as airflow_sdk
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.iceberg import files as iceberg_files
from dataops_core.systems.iceberg import probe as iceberg
from dataops_core.systems.iceberg import sdk as iceberg_sdk
from dataops_core.systems.iceberg import table as iceberg_table
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka import probe as kafka
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.systems.prometheus import probe as alerts
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.spark import probe as spark
from dataops_core.systems.spark.ui import SparkUi
from dataops_core.systems.trino import probe as trino
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.transport.credentials import Credentials

_AIRFLOW = (airflow_sdk,)
_ICEBERG = (iceberg_sdk, iceberg_files, iceberg_table)
SDKS = {
    "iceberg": _ICEBERG,
    "store": _ICEBERG,
    "iceberg_table": _ICEBERG,
    "spark_query": _ICEBERG,
    "airflow": _AIRFLOW,
    "dag": _AIRFLOW,
}
"""What is imported only for the probes that need it, by their kind; first that whose answers take longest."""


def rank(kind: str) -> int:
    """Return a key by which kinds of probes are started: those that can ask at once, then in the order of `SDKS`."""
    return list(SDKS).index(kind) if kind in SDKS else -1


def prepare(kind: str) -> None:
    """Import what a probe of a kind asks with; it may take longer than the answer, and is not the component's time."""
    lazy_imports.load(*SDKS.get(kind, ()))


@dataclass(frozen=True)
class Clients:
    """The clients of one context; `None` where a component is not configured."""

    kafka: KafkaClient | None = None
    schema_registry: SchemaRegistry | None = None
    airflow: AirflowClient | None = None
    trino: TrinoClient | None = None
    catalogs: Mapping[str, CatalogClient] = field(default_factory=dict)
    alerts: Mapping[str, AlertsClient] = field(default_factory=dict)
    spark_uis: dict[str, SparkUi] = field(default_factory=dict)
    credentials: Credentials | None = None

    @classmethod
    def of(cls, context: ContextSettings, timeout: float) -> Clients:
        """Make the clients of a context; nothing is connected yet.

        Args:
            context: Where the components are.
            timeout: Deadline of each call, in seconds.
        """
        return cls(
            kafka=KafkaClient(context.kafka, timeout) if context.kafka else None,
            schema_registry=SchemaRegistry(context.schema_registry, timeout) if context.schema_registry else None,
            airflow=AirflowClient(context.airflow, timeout) if context.airflow else None,
            trino=TrinoClient(context.trino, timeout) if context.trino else None,
            catalogs={name: CatalogClient(name, catalog, timeout) for name, catalog in context.catalogs.items()},
            alerts={
                name: AlertsClient(name, settings, timeout)
                for name, settings in (("prometheus", context.prometheus), ("alertmanager", context.alertmanager))
                if settings is not None
            },
            credentials=Credentials(context),
        )

    def spark_ui(self, stage: SparkQueryStage) -> SparkUi | None:
        """Return the client of the web UI of a query's driver, the same one each time; `None` where it has none."""
        if stage.ui is None:
            return None
        return self.spark_uis.setdefault(stage.checkpoint, SparkUi(stage.ui))

    def need(self, what: str) -> Any:  # noqa: ANN401 - one of the clients
        """Return a client; raises ConfigError where it is not configured."""
        client = self.catalogs.get(what) or getattr(self, what, None)
        if client is None:
            raise ConfigError(f"{what} is not configured in this context")
        return client


@dataclass(frozen=True)
class ComponentReport:
    """What a component says of itself.

    Attributes:
        detail: One line about it.
        observation: What was seen of it.
    """

    detail: str
    observation: Observation | None = None


def component_of(stage: Stage) -> str:
    """Return the name of the component that answers for a stage."""
    by_kind = {
        StageKind.TOPIC: "kafka",
        StageKind.CONSUMER_GROUP: "kafka",
        StageKind.SPARK_QUERY: "spark",
        StageKind.DAG: "airflow",
        StageKind.TRINO_VIEW: "trino",
    }
    return stage.catalog if stage.kind == "iceberg_table" else by_kind[StageKind(stage.kind)]


def observe(stage: Stage, clients: Clients) -> Observation:
    """Observe a stage now; raises DataopsError."""
    match stage.kind:
        case "topic":
            return kafka.observe_topic(stage, clients.need("kafka"))
        case "consumer_group":
            return kafka.observe_group(stage, clients.need("kafka"))
        case "spark_query":
            store = clients.need(stage.store) if stage.store is not None else None
            return spark.observe_query(stage, clients.need("kafka"), store, clients.spark_ui(stage))
        case "iceberg_table":
            return iceberg.observe_table(stage, clients.need(stage.catalog))
        case "dag":
            return airflow.observe_dag(stage, clients.need("airflow"))
        case "trino_view":
            return trino.observe_view(stage, clients.need("trino"))


def component_probes(clients: Clients) -> dict[str, tuple[str, str, Callable[[], ComponentReport]]]:
    """Return a probe for each component that is configured: by name its kind, its target, and how to ask."""
    found: dict[str, tuple[str, str, Callable[[], ComponentReport]]] = {}
    if clients.kafka is not None:
        found["kafka"] = ("kafka", clients.kafka.target, _asking(kafka.observe_cluster, clients.kafka))
    for name, catalog in clients.catalogs.items():
        found[name] = ("iceberg", catalog.target, _asking(iceberg.observe_catalog, catalog))
        if catalog.warehouse is not None:
            found[store_of(name)] = ("store", catalog.warehouse, _asking(iceberg.observe_store, catalog))
    if clients.airflow is not None:
        found["airflow"] = ("airflow", clients.airflow.target, _asking(airflow.observe_airflow, clients.airflow))
    if clients.trino is not None:
        found["trino"] = (
            "trino",
            clients.trino.target,
            _asking(partial(trino.observe_trino, load=trino.Load()), clients.trino),
        )
    for name, source in clients.alerts.items():
        found[name] = (name, source.target, _asking(alerts.observe_alerts, source))
    credentials = clients.credentials
    if credentials is None:
        return found
    return {
        name: (kind, target, partial(_with_credentials, name, ask, credentials))
        for name, (kind, target, ask) in found.items()
    }


def _asking(observe: Callable[[Any], tuple[str, Observation]], client: object) -> Callable[[], ComponentReport]:
    return lambda: ComponentReport(*observe(client))


def _with_credentials(name: str, ask: Callable[[], ComponentReport], credentials: Credentials) -> ComponentReport:
    """Ask a component, and say when the first of its credentials ends."""
    report = ask()
    due = next(iter(credentials.seen(name, datetime.now(UTC))), None)
    if due is None or report.observation is None:
        return report
    figures = (
        Figure("credentials_end", due.ends.timestamp(), "timestamp"),
        Figure("credentials_due", due.due.timestamp(), "timestamp"),
    )
    seen = replace(
        report.observation,
        figures=(*report.observation.figures, *figures),
        facts=(*report.observation.facts, Fact("credentials_end", due.what)),
    )
    return replace(report, observation=seen)
