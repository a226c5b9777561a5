"""Active alerts of Prometheus and Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.health.model import Observation
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.prometheus.details import AlertsDetails

SHOWN = 50
"""Alerts that are listed."""


def observe_alerts(client: AlertsClient, name: str) -> tuple[str, Observation]:
    """Return one line about the alerts, and what was seen of them."""
    now = datetime.now(UTC)
    alerts = client.alerts()
    lines = [
        f"{alert.name} since {alert.since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        + (f": {alert.summary}" if alert.summary else "")
        for alert in alerts
    ]
    detail = f"{len(alerts)} alert{'s' if len(alerts) != 1 else ''} firing"
    details = AlertsDetails(alerts_firing=len(alerts), oldest_alert=alerts[0].since if alerts else None)
    return detail, Observation(stage=name, observed_at=now, notes=tuple(lines[:SHOWN]), details=details)
