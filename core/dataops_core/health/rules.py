"""Evaluation rules of a kind of stage; each system declares them for its kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dataops_core.health.checks.base import Check
from dataops_core.health.details import Details
from dataops_core.health.model import Remedy
from dataops_core.health.observation import Observation


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class StageRules:
    """Evaluation rules of one kind of stage.

    Attributes:
        details: Type of the details of an observation.
        checks: Checks of such a stage.
        run_start_is_progress: Whether the observed progress is the start of a run. The run has read only what its
            upstream stages held then.
        min_interval: Returns the seconds between two observations of a stage, by its settings.
        why_unknown: Returns why the progress of a stage is unknown although data may have passed, by its settings and
            its observation; `None` if it is known.
        failure_remedy: Remedy that the doctor suggests for a failure that is not caused by data, such as a view whose
            query fails; `None` if the doctor only reports a failure.
        failure_is_current: Whether a reported failure is the current state, because a failed stage is observed again at
            every refresh. The failure of a run may be older.
        remedy: Returns the remedy for a stage that has failed or is stuck, by its settings.
    """

    details: type[Details] = Details
    checks: tuple[Check, ...] = ()
    run_start_is_progress: bool = False
    min_interval: Callable[[Any], float] = lambda _stage: 0.0
    why_unknown: Callable[[Any, Observation], str | None] = _nothing
    failure_remedy: str | None = None
    failure_is_current: bool = False
    remedy: Callable[[Any], Remedy | None] = _nothing


class Rules(Protocol):
    """The rules of all kinds of stages and components."""

    def stage(self, kind: str) -> StageRules:
        """Return the rules of a kind of stage; the defaults for an unknown kind."""

    def component_checks(self, kind: str) -> tuple[type[Details], tuple[Check, ...]]:
        """Return the type of the details of a kind of component, and its checks."""
