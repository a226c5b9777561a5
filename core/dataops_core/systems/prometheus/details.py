"""Details of observations of Prometheus and Alertmanager."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, value


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsDetails(ComponentDetails):
    """Active alerts.

    Attributes:
        oldest_alert: Start of the oldest active alert.
    """

    alerts_firing: int | None = value()
    oldest_alert: datetime | None = value()
