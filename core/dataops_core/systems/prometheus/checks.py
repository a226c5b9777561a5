"""Checks of Prometheus and Alertmanager."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.systems.prometheus.details import AlertsDetails


def _firing(_: object, given: CheckInput[AlertsDetails]) -> Problem | None:
    number = given.details.alerts_firing
    if not number:
        return None
    return Problem(
        f"{numbered(number, 'alert')} firing", evidence=given.observation.notes, since=given.details.oldest_alert
    )


CHECKS = (
    Check(
        "alerts-firing",
        Severity.NOTE,
        "Alerts are firing. They do not affect verdicts, because they may report the same problem as a verdict.",
        "Follow the runbook of each alert.",
        _firing,
    ),
)
