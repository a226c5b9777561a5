"""Checks of prefixes in object stores."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.systems.object_prefix.details import PrefixDetails
from dataops_core.systems.object_prefix.settings import ObjectPrefixStage
from dataops_core.units import count, size


def _waiting(stage: ObjectPrefixStage, given: CheckInput[PrefixDetails]) -> Problem | None:
    number = given.details.objects_waiting
    if number is None or stage.waiting_max is None or number <= stage.waiting_max:
        return None
    held = given.details.bytes_waiting
    return Problem(
        f"{numbered(number, 'object')} waiting, more than {count(stage.waiting_max)}",
        evidence=(f"{size(held)} wait",) if held is not None else (),
    )


CHECKS = (
    Check(
        "objects-waiting",
        Severity.WARNING,
        "More objects are waiting below the prefix than `waiting_max` allows.",
        "Check that the reader of the prefix runs. Add capacity, or raise `waiting_max`.",
        _waiting,
    ),
)
