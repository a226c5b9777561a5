"""What probes observe of Prometheus and Alertmanager."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, value


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsDetails(ComponentDetails):
    """Active alerts.

    Attributes:
        oldest_alert: Since when the oldest one is active.
    """

    alerts_firing: int | None = value()
    oldest_alert: datetime | None = value()
