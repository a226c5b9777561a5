"""Check that a central Prometheus scrapes the exporter, has our rules, and delivers its alerts.

The platform may belong to another team and expose less than your own Prometheus: values that it hides are unknown.
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
"""Version of the JSON; increased when a field changes its meaning or is removed."""
Send = Callable[[AlertmanagerClient, Drill], None]


def verify(
    prometheus: PrometheusClient,
    alertmanager: AlertmanagerClient | None,
    wanted: Wanted,
    drill: Drill | None = None,
    send: Send | None = None,
) -> Report[Check]:
    """Check the exporter's target, its rules and its alerts.

    Args:
        prometheus: The Prometheus that scrapes the exporter.
        alertmanager: The Alertmanager that receives its alerts; `None` if it cannot be queried.
        wanted: The expected job, rules and receiver.
        drill: A test alert to send.
        send: Sends the test alert; raises ActionRefused.
    """
    send_error: ClientError | None = None
    if drill is not None and send is not None and alertmanager is not None:
        try:
            send(alertmanager, drill)
        except ClientError as error:
            send_error = error
    report: Report[Check] = Report()
    report.steps += of_prometheus(prometheus, wanted)
    report.steps += of_alertmanager(alertmanager, wanted, drill, send_error)
    return report


def as_dict(result: Report[Check], prometheus: str, alertmanager: str | None) -> dict[str, object]:
    """Return a report as JSON-ready data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "result": result.status.value,
        "steps": [step.as_dict("check") for step in result.steps],
    }
