"""Probe the active alerts of Prometheus and Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime

from dataops_core.health.observation import Observation
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.prometheus.details import AlertsDetails
from dataops_core.systems.prometheus.responses import Alert

SHOWN = 50
"""Maximum number of listed alerts."""


def _since(alert: Alert) -> str:
    if alert.since is None:
        return f"cannot be read: {alert.unreadable}"
    return f"since {alert.since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def observe_alerts(client: AlertsClient, name: str) -> tuple[str, Observation]:
    """Return one line about the alerts, and their observation."""
    now = datetime.now(UTC)
    alerts = client.alerts()
    lines = [f"{alert.name} {_since(alert)}" + (f": {alert.summary}" if alert.summary else "") for alert in alerts]
    detail = f"{len(alerts)} alert{'s' if len(alerts) != 1 else ''} firing"
    times = [alert.since for alert in alerts if alert.since is not None]
    details = AlertsDetails(alerts_firing=len(alerts), oldest_alert=min(times, default=None))
    return detail, Observation(stage=name, observed_at=now, notes=tuple(lines[:SHOWN]), details=details)
