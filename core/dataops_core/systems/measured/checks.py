"""Checks of stages that are observed by values."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.systems.measured.details import MeasuredDetails
from dataops_core.systems.measured.settings import MeasuredStage
from dataops_core.units import count, duration

AHEAD_MAX = 60.0
"""Maximum clock difference in seconds."""


def _status(stage: MeasuredStage, given: CheckInput[MeasuredDetails]) -> Problem | None:
    status = given.details.status
    if status is None or not stage.status_ok or status in stage.status_ok:
        return None
    return Problem(f'reports the status "{status}"', evidence=given.observation.notes)


def _backlog(stage: MeasuredStage, given: CheckInput[MeasuredDetails]) -> Problem | None:
    lag = given.observation.lag_records
    if lag is None or stage.lag_records_max is None or lag <= stage.lag_records_max:
        return None
    return Problem(f"{numbered(lag, 'record')} waiting, more than {count(stage.lag_records_max)}")


def _ahead(_: MeasuredStage, given: CheckInput[MeasuredDetails]) -> Problem | None:
    ahead = given.details.progress_ahead
    if ahead is None or ahead <= AHEAD_MAX:
        return None
    return Problem(f"its progress time is {duration(ahead)} in the future")


CHECKS = (
    Check(
        "status-not-ok",
        Severity.CRITICAL,
        "The system reports a status that is not in `status_ok`.",
        "Check the log of the system that reports it, and fix the cause.",
        _status,
    ),
    Check(
        "progress-in-future",
        Severity.WARNING,
        "The progress time is in the future, so a late stage would appear current.",
        "Correct the clock of the system, or `time_unit` and the time zone of the value.",
        _ahead,
    ),
    Check(
        "backlog-large",
        Severity.WARNING,
        "The lag in records is above `lag_records_max`.",
        "Find out why the stage processes less than its input. Add capacity, or raise `lag_records_max`.",
        _backlog,
    ),
)
"""Checks of all kinds of stages that are observed by values."""
