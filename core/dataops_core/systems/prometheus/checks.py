"""Checks of Prometheus and Alertmanager."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Severity


def _firing(thresholds: object, look: Look) -> Found | None:
    number = look.figure("alerts_firing")
    if not number:
        return None
    return Found(f"{numbered(number, 'alert')} firing", evidence=look.seen.notes, since=look.time("oldest_alert"))


CHECKS = (
    Check(
        "alerts-firing",
        ("prometheus", "alertmanager"),
        Severity.NOTE,
        "Alerts are firing. They are shown, and judge no pipeline: they may be about what the verdict says already.",
        "Follow the runbook of each alert.",
        _firing,
    ),
)


def of(kind: str) -> tuple[Check, ...]:
    """Return the checks of a kind of stage or component."""
    return tuple(check for check in CHECKS if kind in check.on)
