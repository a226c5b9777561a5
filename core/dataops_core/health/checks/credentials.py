"""Checks of the credentials of components."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, Found, Look
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, duration


def _ending(thresholds: object, look: Look) -> Found | None:
    ends, due = look.time("credentials_end"), look.time("credentials_due")
    if ends is None or due is None or look.now < due:
        return None
    left = (ends - look.now).total_seconds()
    what = look.seen.fact("credentials_end") or "a credential"
    how = f"ends in {duration(left)}" if left > 0 else f"ended {duration(-left)} ago"
    return Found(f"{what} {how}", evidence=(f"it is valid until {clock(ends, look.now)}",), since=due)


CHECKS = (
    Check(
        "credentials-end",
        ("kafka", "iceberg", "store", "airflow", "trino", "prometheus", "alertmanager"),
        Severity.ADVICE,
        "A certificate or token is in the last sixth of its life, or within 21 days of its end, and was not renewed.",
        "Renew it, and see why what should renew it has not: at its end nothing is let in any more.",
        _ending,
    ),
)
