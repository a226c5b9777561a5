"""Kafka Connect: clusters of workers, and connectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.config.check import has_parts, web_problems
from dataops_core.errors import PermissionDenied
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
from dataops_core.systems.connect import checks
from dataops_core.systems.connect.details import ConnectDetails, ConnectorDetails
from dataops_core.systems.connect.settings import ConnectorStage, ConnectSettings
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.checks import READER_CHECKS

if TYPE_CHECKING:
    from dataops_core.systems.connect.client import ConnectClient


def _connect(name: str, settings: ConnectSettings, timeout: float) -> ConnectClient:
    from dataops_core.systems.connect.client import ConnectClient

    return ConnectClient(name, settings, timeout)


def _probes(name: str, settings: ConnectSettings, client: ConnectClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.connect.probe import observe_connect

    ask = lambda: ComponentReport(*observe_connect(client))  # noqa: E731 - short enough for a lambda
    return {name: ComponentProbe("connect", client.target, ask, web_identity(name, settings))}


def _observe(stage: ConnectorStage, clients: Clients) -> Observation:
    from dataops_core.systems.connect.probe import observe_connector

    client: ConnectClient = clients.need("connect", stage.on)
    return observe_connector(stage, client, clients.need("kafka", stage.kafka), clients)


def _diagnose(client: ConnectClient) -> Iterator[DoctorStep]:
    connectors = client.connectors()
    for connector in connectors:
        failed = connector.of_state("FAILED")
        if connector.state == "FAILED" or failed or (connector.state == "RUNNING" and not connector.tasks):
            yield DoctorStep(
                ok=False,
                detail=f"connector {connector.name} is {connector.state}; failed tasks: {len(failed)} of"
                f" {len(connector.tasks)}",
                remedy=f"Read the trace in {client.target}/connectors/{connector.name}/status.",
            )
    if connectors:
        yield _configurations(client, connectors[0].name)
    yield DoctorStep(ok=True, detail=f"connectors: {len(connectors)}")


def _configurations(client: ConnectClient, name: str) -> DoctorStep:
    try:
        client.config(name)
    except PermissionDenied:
        return DoctorStep(
            ok=None,
            detail="access to connector configurations is denied: errors.tolerance and tables are unknown",
            remedy="Allow GET /connectors/NAME/config. DataOps keeps only a few keys, no secrets.",
        )
    return DoctorStep(ok=True, detail="connector configurations are readable")


def _needs(stage: ConnectorStage) -> tuple[Need, ...]:
    database = (Need("database", stage.database, "database"),) if stage.database is not None else ()
    return (Need("connect", stage.on), Need("kafka", stage.kafka, "kafka"), *database)


def _problems(stage: ConnectorStage) -> Iterator[str]:
    if (stage.catalog is None) != (stage.table is None):
        yield ": `catalog` and `table` come together"
    if stage.slot is not None and stage.database is None:
        yield ".slot: is only used with `database`"
    if stage.table is not None and not has_parts(stage.table, at_least=2):
        yield ".table: must be namespace.table"


def _why_unknown(_: ConnectorStage, observation: Observation) -> str | None:
    unknown = observation.attribute("slot_unknown")
    return (
        f"progress is unknown, because the replication slot could not be read: {unknown}"
        if unknown is not None
        else None
    )


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.connect.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="connect",
    tested="Kafka Connect 4.3.1 on Kafka 4.4.0 with Debezium 3.6.1 (PostgreSQL 15) and the Iceberg sink 1.12.0 (REST"
    " catalog of SeaweedFS 4.48), by `make test-systems`",
    discover=_discover,
    discovery_turn=3,
    components=(
        ComponentKind(
            name="connect",
            settings=ConnectSettings,
            details=ConnectDetails,
            title="The Kafka Connect cluster.",
            connect=_connect,
            probes=_probes,
            checks=checks.CONNECT_CHECKS,
            diagnose=_diagnose,
            problems=lambda settings: web_problems(settings, settings.url, settings.tls),
        ),
    ),
    stage_kinds=(
        StageKind(
            name="connector",
            settings=ConnectorStage,
            details=ConnectorDetails,
            observe=_observe,
            checks=(*READER_CHECKS, *checks.CONNECTOR_CHECKS),
            needs=_needs,  # the lag of a sink is measured in Kafka
            problems=_problems,
            why_unknown=_why_unknown,
        ),
    ),
)
