"""Has it arrived: does a central Prometheus see the exporter, does it have our rules, do its alerts get through?

The platform may belong to another team and expose less than your own Prometheus: what it does not expose is unknown.
"""

from __future__ import annotations

from collections.abc import Callable

from dataops_core.diagnostics.base import Report
from dataops_core.diagnostics.monitoring.alertmanager import of_alertmanager
from dataops_core.diagnostics.monitoring.expected import JOB, Check, Drill, Wanted, shipped_rules
from dataops_core.diagnostics.monitoring.prometheus import of_prometheus
from dataops_core.errors import ClientError
from dataops_core.systems.prometheus.client import AlertmanagerClient, PrometheusClient

__all__ = ["JOB", "Check", "Drill", "Wanted", "as_dict", "shipped_rules", "verify"]

SCHEMA_VERSION = 1
"""Version of the JSON form; raised when a field changes its meaning or goes away."""
Send = Callable[[AlertmanagerClient, Drill], None]


def verify(
    prometheus: PrometheusClient,
    alertmanager: AlertmanagerClient | None,
    wanted: Wanted,
    drill: Drill | None = None,
    send: Send | None = None,
) -> Report[Check]:
    """Look whether the exporter, its rules and its alerts have arrived.

    Args:
        prometheus: The one that the exporter is brought to.
        alertmanager: Where its alerts go to, as far as that may be asked.
        wanted: What is expected.
        drill: A test alert to send.
        send: Sends it; raises ActionRefused.
    """
    sent: ClientError | None = None
    if drill is not None and send is not None and alertmanager is not None:
        try:
            send(alertmanager, drill)
        except ClientError as error:
            sent = error
    found: Report[Check] = Report()
    found.steps += of_prometheus(prometheus, wanted)
    found.steps += of_alertmanager(alertmanager, wanted, drill, sent)
    return found


def as_dict(found: Report[Check], prometheus: str, alertmanager: str | None) -> dict[str, object]:
    """Return what was found for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "result": found.status.value,
        "steps": [step.as_dict("check") for step in found.steps],
    }
