"""Checks of stages that a program observes."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem
from dataops_core.health.model import Severity
from dataops_core.systems.command.details import CommandDetails
from dataops_core.systems.command.settings import CommandStage
from dataops_core.systems.measured import checks


def _critical(_: CommandStage, given: CheckInput[CommandDetails]) -> Problem | None:
    return _problem(given.details, "CRITICAL")


def _warning(_: CommandStage, given: CheckInput[CommandDetails]) -> Problem | None:
    return _problem(given.details, "WARNING")


def _problem(details: CommandDetails, state: str) -> Problem | None:
    if details.plugin_state != state:
        return None
    return Problem(f"its plug-in reports {state}: {details.plugin_text or 'no text'}")


CHECKS = (
    Check(
        "plugin-critical",
        Severity.CRITICAL,
        "The Nagios plug-in of the stage ended with exit code 2.",
        "Follow the plug-in's text. Run the plug-in manually to see its other lines.",
        _critical,
    ),
    Check(
        "plugin-warning",
        Severity.WARNING,
        "The Nagios plug-in of the stage ended with exit code 1.",
        "Follow the plug-in's text. Run the plug-in manually to see its other lines.",
        _warning,
    ),
    *checks.CHECKS,
)
