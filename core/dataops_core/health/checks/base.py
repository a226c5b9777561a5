"""What a check is: one thing that can be wrong, how it is seen, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from dataops_core.health.details import Details
from dataops_core.health.model import Finding, Remedy, Severity, StageHealth
from dataops_core.health.observation import Observation

D_co = TypeVar("D_co", bound=Details, covariant=True)


@dataclass(frozen=True, slots=True)
class CheckInput(Generic[D_co]):
    """What a check goes by.

    Attributes:
        subject: Name of the stage or component.
        details: What the kind adds to the newest observation.
        observation: The newest observation.
        previous: The one before; `None` for the first one.
        upstream: Health of what the stage reads; nothing for a component.
        previous_findings: Findings of the evaluation before.
        now: The time.
    """

    subject: str
    details: D_co
    observation: Observation
    previous: Observation | None
    upstream: tuple[StageHealth, ...]
    previous_findings: tuple[Finding, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """That something is wrong.

    Attributes:
        sentence: What, without the subject, with numbers.
        evidence: Further numbers and times, one line each.
        since: Since when, where the system reports it; else since it was found first.
        command: The exact shell command of the remedy, where there is one.
        dag_id: The DAG to trigger, where that is the remedy.
        remedy: What to do, where more can be said than the check's own sentence.
    """

    sentence: str
    evidence: tuple[str, ...] = ()
    since: datetime | None = None
    command: str | None = None
    dag_id: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that can be wrong.

    Attributes:
        name: Second half of the check id; never changes.
        severity: What a finding does to the verdict.
        meaning: What is wrong, in one sentence for the docs.
        remedy: What to do, in one sentence.
        find: Return the problem, given the settings of the stage, or the thresholds of the context for a component,
            and the input; `None` where there is none.
        explains: Whether it is why a stage is stuck, slow or behind, or a view of Trino has failed, where it is.
    """

    name: str
    severity: Severity
    meaning: str
    remedy: str
    find: Callable[[Any, CheckInput[Any]], Problem | None]
    explains: bool = False


def findings(
    checks: Iterable[Check], details: type[Details], settings: object, given: CheckInput[Details]
) -> tuple[Finding, ...]:
    """Return what the checks of a stage or component find, the worst first.

    Args:
        checks: The checks of its kind.
        details: What that kind adds to an observation; there are no findings on one with other details.
        settings: The stage's settings, or the context's thresholds for a component.
        given: What they go by.
    """
    if not isinstance(given.details, details):
        return ()
    found = []
    for check in checks:
        wrong = check.find(settings, given)
        if wrong is None:
            continue
        before = next((f for f in given.previous_findings if f.check == check.name), None)
        found.append(
            Finding(
                check=check.name,
                subject=given.subject,
                severity=check.severity,
                sentence=wrong.sentence,
                since=wrong.since or (before.since if before else given.now),
                evidence=wrong.evidence,
                remedy=Remedy(wrong.remedy or check.remedy, wrong.command, wrong.dag_id),
                explains=check.explains,
            )
        )
    rank = list(Severity)
    return tuple(sorted(found, key=lambda f: rank.index(f.severity)))


def numbered(count: float, what: str) -> str:
    """Return a count with its noun: `1 partition`, `1,200 data files`; nouns end in -s or -y."""
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,.0f} {what if count == 1 else plural}"
