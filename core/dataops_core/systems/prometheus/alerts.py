"""Read the active alerts of Prometheus and Alertmanager."""

from __future__ import annotations

from dataops_core.bounded import Malformed
from dataops_core.errors import BadAnswer
from dataops_core.systems.prometheus.client import PrometheusClient
from dataops_core.systems.prometheus.responses import Alert, read_active, read_data, read_firing
from dataops_core.systems.prometheus.settings import AlertsSettings
from dataops_core.transport.http import get_json

PATHS = {"prometheus": "/api/v1/alerts", "alertmanager": "/api/v2/alerts?active=true&silenced=false&inhibited=false"}


class AlertsClient:
    """A Prometheus or an Alertmanager; safe to share between threads.

    Args:
        name: `prometheus` or `alertmanager`.
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: AlertsSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout

    def metrics(self) -> PrometheusClient:
        """Return a client for the metrics of the same server; requires Prometheus."""
        return PrometheusClient(self._settings, self._timeout)

    def alerts(self) -> tuple[Alert, ...]:
        """Return the firing alerts, oldest first; raise ClientError."""
        where = f"{self.name} {self.target}"
        result = get_json(where, self._settings, PATHS[self.name], self._timeout)
        try:
            return read_active(result) if self.name == "alertmanager" else read_firing(read_data(result))
        except Malformed as error:
            raise BadAnswer(f"{where}: the response is not from {self.name.title()}: it {error}") from error
