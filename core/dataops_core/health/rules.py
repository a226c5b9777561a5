"""What evaluation has to know about a kind of stage; each system declares it for its own."""

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
    """How stages of one kind are evaluated.

    Attributes:
        details: What it adds to an observation.
        checks: What can be wrong with such a stage.
        run_start_is_progress: Whether the observed progress is the start of a run, which has taken in what its
            upstream stages held then, and no more.
        min_interval: Seconds between two observations of a stage, given its settings.
        why_unknown: Why the progress of a stage is unknown although data may have passed, given its settings and its
            observation; `None` if that is not so.
        failure_remedy: What the doctor suggests where the stage reports a failure that is no failure of its data, such
            as a view whose query fails; `None` where a failure is only reported.
        failure_is_current: Whether a failure that it reports is how things are now, because what has failed is observed
            again with each refresh; the failure of a run may be older.
        remedy: What to do when the stage itself has failed or is stuck, given its settings.
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
    """The rules of all kinds."""

    def stage(self, kind: str) -> StageRules:
        """Return the rules of a kind of stage; the defaults for one that is unknown."""

    def component_checks(self, kind: str) -> tuple[type[Details], tuple[Check, ...]]:
        """Return what a kind of component adds to an observation, and its checks."""
