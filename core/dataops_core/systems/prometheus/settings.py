"""Settings of Prometheus and Alertmanager, and of stages with PromQL expressions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, WebSettings
from dataops_core.systems.measured.settings import ExpressionStage


class AlertsSettings(ComponentSettings, WebSettings):
    """A Prometheus or an Alertmanager."""

    url: str
    """Base URL, without `/api`."""


class PrometheusSettings(AlertsSettings):
    """A Prometheus server: the source of firing alerts and of `prometheus_query` stages."""

    component: ClassVar[str] = "prometheus"


class AlertmanagerSettings(AlertsSettings):
    """An Alertmanager: the source of active alerts."""

    component: ClassVar[str] = "alertmanager"


class PrometheusQueryStage(ExpressionStage):
    """A stage whose progress is in metrics of Prometheus."""

    kind: Literal["prometheus_query"]
    """Always `prometheus_query`."""
    progress_time: str | None = None
    """PromQL expression of the time up to which the stage has processed all data."""
    data_age: str | None = None
    """PromQL expression of the age of the newest complete data in seconds, in place of `progress_time`."""
    pending_since: str | None = None
    """PromQL expression of the time at which the oldest unread record entered the pipeline."""
    lag_records: str | None = None
    """PromQL expression of the number of unread records; a fraction is rounded up."""
    position: str | None = None
    """PromQL expression of a count that grows with each processed record; the base of rates."""
    status: str | None = None
    """PromQL expression of the status, a number such as that of `up`, which must be one of `status_ok`."""
    labels: dict[str, str] = Field(default={})
    """PromQL expressions of additional values by name; each becomes a metric."""
