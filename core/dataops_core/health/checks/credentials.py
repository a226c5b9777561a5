"""Checks of the credentials of components."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem
from dataops_core.health.details import ComponentDetails
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.units import duration


def _ending(_: object, given: CheckInput[ComponentDetails]) -> Problem | None:
    ends, due = given.details.credentials_end, given.details.credentials_due
    if ends is None or due is None or given.now < due:
        return None
    left = (ends - given.now).total_seconds()
    name = given.details.credential or "a credential"
    expiry = f"expires in {duration(left)}" if left > 0 else f"expired {duration(-left)} ago"
    return Problem(f"{name} {expiry}", evidence=(f"it is valid until {clock(ends, given.now)}",), since=due)


CHECKS = (
    Check(
        "credentials-end",
        Severity.ADVICE,
        "A certificate or token expires soon (within 21 days and the last sixth of its lifetime) and has not been"
        " renewed.",
        "Renew it, and check why automatic renewal did not. After the expiry date, access is denied.",
        _ending,
    ),
)
