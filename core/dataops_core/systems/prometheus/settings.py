"""Settings of Prometheus and Alertmanager, and of stages that are observed by PromQL expressions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, WebSettings
from dataops_core.systems.measured.settings import ExpressionStage


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


class PrometheusQueryStage(ExpressionStage):
    """A stage whose progress is in the metrics of a Prometheus."""

    kind: Literal["prometheus_query"]
    """Always `prometheus_query`."""
    progress_time: str | None = None
    """PromQL expression of the time up to which everything has passed the stage."""
    data_age: str | None = None
    """PromQL expression of the age of the newest complete data in seconds, in place of `progress_time`."""
    pending_since: str | None = None
    """PromQL expression of the time at which the oldest waiting record entered the pipeline."""
    lag_records: str | None = None
    """PromQL expression of the number of records that wait; a fraction is rounded up."""
    position: str | None = None
    """PromQL expression of a count that grows with each record that passes; the base of rates."""
    status: str | None = None
    """PromQL expression of the status, a number such as that of `up`, which must be one of `status_ok`."""
    labels: dict[str, str] = Field(default={})
    """PromQL expressions of further values by name; each becomes a metric."""
