"""Prometheus and Alertmanager: their active alerts, and stages whose progress is in metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from dataops_core.systems.measured.checks import CHECKS
from dataops_core.systems.measured.details import MeasuredDetails
from dataops_core.systems.measured.settings import expression_problems
from dataops_core.systems.prometheus import checks
from dataops_core.systems.prometheus.details import AlertsDetails
from dataops_core.systems.prometheus.settings import (
    AlertmanagerSettings,
    AlertsSettings,
    PrometheusQueryStage,
    PrometheusSettings,
)

if TYPE_CHECKING:
    from dataops_core.systems.prometheus.alerts import AlertsClient


def _connect(_name: str, settings: AlertsSettings, timeout: float) -> AlertsClient:
    from dataops_core.systems.prometheus.alerts import AlertsClient

    return AlertsClient(settings.component, settings, timeout)


def _probes(name: str, settings: AlertsSettings, client: AlertsClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.prometheus.probe import observe_alerts

    ask = lambda: ComponentReport(*observe_alerts(client, name))  # noqa: E731 - short enough for a lambda
    return {name: ComponentProbe(client.name, client.target, ask, web_identity(name, settings))}


def _problems(settings: AlertsSettings) -> Iterator[str]:
    return web_problems(settings, settings.url, settings.tls)


def _stage_problems(stage: PrometheusQueryStage) -> Iterator[str]:
    from dataops_core.systems.prometheus.expressions import expression_problem

    return expression_problems(stage, expression_problem)


def _observe(stage: PrometheusQueryStage, clients: Clients) -> Observation:
    from dataops_core.systems.measured.observe import observe_values
    from dataops_core.systems.prometheus.expressions import values

    client: AlertsClient = clients.need("prometheus", stage.on)
    metrics = client.metrics()
    return observe_values(stage, values(stage, metrics), metrics.where, clients)


def _diagnose(stage: PrometheusQueryStage, clients: Clients) -> Iterator[DoctorStep]:
    from dataops_core.systems.prometheus.expressions import steps

    client: AlertsClient = clients.need("prometheus", stage.on)
    yield from steps(stage, client.metrics())


def _why_unknown(stage: PrometheusQueryStage, seen: Observation) -> str | None:
    from dataops_core.systems.measured.observe import why_unknown

    return why_unknown(stage, seen)


SYSTEM = System(
    name="prometheus",
    tested="Prometheus 2.42, Alertmanager 0.25",
    components=(
        ComponentKind(
            name="prometheus",
            settings=PrometheusSettings,
            details=AlertsDetails,
            title="A Prometheus server: the source of firing alerts and of `prometheus_query` stages.",
            connect=_connect,
            probes=_probes,
            checks=checks.CHECKS,
            problems=_problems,
        ),
        ComponentKind(
            name="alertmanager",
            settings=AlertmanagerSettings,
            details=AlertsDetails,
            title="An Alertmanager: the source of active alerts.",
            connect=_connect,
            probes=_probes,
            checks=checks.CHECKS,
            problems=_problems,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="prometheus_query",
            noun="query",
            settings=PrometheusQueryStage,
            details=MeasuredDetails,
            observe=_observe,
            checks=CHECKS,
            needs=lambda stage: (Need("prometheus", stage.on),),
            problems=_stage_problems,
            diagnose=_diagnose,
            min_interval=lambda stage: stage.every,
            why_unknown=_why_unknown,
        ),
    ),
)
