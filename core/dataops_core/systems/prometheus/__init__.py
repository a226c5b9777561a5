"""Prometheus and Alertmanager: their active alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport, System, web_identity
from dataops_core.systems.prometheus import checks
from dataops_core.systems.prometheus.details import AlertsDetails
from dataops_core.systems.prometheus.settings import AlertmanagerSettings, AlertsSettings, PrometheusSettings

if TYPE_CHECKING:
    from dataops_core.systems.prometheus.alerts import AlertsClient


def _connect(_name: str, settings: AlertsSettings, timeout: float) -> AlertsClient:
    from dataops_core.systems.prometheus.alerts import AlertsClient

    return AlertsClient(settings.component, settings, timeout)


def _probes(name: str, settings: AlertsSettings, client: AlertsClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.prometheus.probe import observe_alerts

    ask = lambda: ComponentReport(*observe_alerts(client, name))  # noqa: E731 - one line for one question
    return {name: ComponentProbe(client.name, client.target, ask, web_identity(name, settings))}


def _problems(settings: AlertsSettings) -> Iterator[str]:
    return web_problems(settings, settings.url, settings.tls)


SYSTEM = System(
    name="prometheus",
    tested="Prometheus 2.42, Alertmanager 0.25",
    components=(
        ComponentKind(
            name="prometheus",
            settings=PrometheusSettings,
            details=AlertsDetails,
            title="A Prometheus whose firing alerts are shown.",
            connect=_connect,
            probes=_probes,
            checks=checks.CHECKS,
            problems=_problems,
        ),
        ComponentKind(
            name="alertmanager",
            settings=AlertmanagerSettings,
            details=AlertsDetails,
            title="An Alertmanager whose active alerts are shown.",
            connect=_connect,
            probes=_probes,
            checks=checks.CHECKS,
            problems=_problems,
        ),
    ),
)
