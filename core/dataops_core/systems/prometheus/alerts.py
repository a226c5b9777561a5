"""Prometheus and Alertmanager: the alerts that are active, read only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dataops_core.errors import BadAnswer
from dataops_core.systems.prometheus.settings import AlertsSettings
from dataops_core.transport.http import get_json

PATHS = {"prometheus": "/api/v1/alerts", "alertmanager": "/api/v2/alerts?active=true&silenced=false&inhibited=false"}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is firing.

    Attributes:
        labels: Its labels without its name.
        summary: Its annotation `summary`, else `description`, else nothing.
        since: Since when it is firing, or pending before that.
    """

    name: str
    labels: Mapping[str, str]
    summary: str
    since: datetime


class AlertsClient:
    """A Prometheus or an Alertmanager; safe to share between threads.

    Args:
        name: `prometheus` or `alertmanager`.
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: AlertsSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout

    def alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that fire, the oldest first; raises ClientError."""
        where = f"{self.name} {self.target}"
        found = get_json(where, self._settings, PATHS[self.name], self._timeout)
        try:
            if self.name == "alertmanager":
                alerts = [_alert(alert, alert["startsAt"]) for alert in found]
            else:
                firing = [alert for alert in found["data"]["alerts"] if alert["state"] == "firing"]
                alerts = [_alert(alert, alert["activeAt"]) for alert in firing]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadAnswer(f"{where}: the answer is not that of {self.name.title()}") from error
        return tuple(sorted(alerts, key=lambda alert: alert.since))


def _alert(found: Mapping[str, Any], since: str) -> Alert:
    labels = dict(found["labels"])
    notes = found.get("annotations") or {}
    name = str(labels.pop("alertname", ""))
    return Alert(
        name, labels, str(notes.get("summary") or notes.get("description") or ""), datetime.fromisoformat(since)
    )
