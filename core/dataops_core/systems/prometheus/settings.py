"""Settings of Prometheus and Alertmanager, of which the active alerts are shown."""

from __future__ import annotations

from typing import ClassVar

from dataops_core.config.base import ComponentSettings, WebSettings


class AlertsSettings(ComponentSettings, WebSettings):
    """A Prometheus or an Alertmanager, of which the active alerts are shown."""

    url: str
    """Base URL, without `/api`."""


class PrometheusSettings(AlertsSettings):
    """A Prometheus, of which the firing alerts are shown."""

    component: ClassVar[str] = "prometheus"


class AlertmanagerSettings(AlertsSettings):
    """An Alertmanager, of which the active alerts are shown."""

    component: ClassVar[str] = "alertmanager"
