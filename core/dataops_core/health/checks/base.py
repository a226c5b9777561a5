"""The type of a check: one possible problem, how to detect it, and its remedy."""

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
    """The input of a check.

    Attributes:
        subject: Name of the stage or component.
        details: Details of the newest observation.
        observation: The newest observation.
        previous: The previous observation; `None` for the first one.
        upstream: Health of the stage's inputs; empty for a component.
        previous_findings: Findings of the previous evaluation.
        now: The time of the evaluation.
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
    """A problem that a check found.

    Attributes:
        sentence: The problem, without the subject, with numbers.
        evidence: Further numbers and times, one line each.
        since: Start of the problem, if the system reports it; else it starts when it is first found.
        command: The exact shell command of the remedy, if there is one.
        dag_id: The DAG to trigger, if that is the remedy.
        remedy: A more specific remedy than the check's own sentence.
    """

    sentence: str
    evidence: tuple[str, ...] = ()
    since: datetime | None = None
    command: str | None = None
    dag_id: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A check for one possible problem.

    Attributes:
        name: Second half of the check id; never changes.
        meaning: The problem, in one sentence for the docs.
        remedy: The fix, in one sentence.
        find: Returns the problem, by the settings of the stage (for a component, the thresholds of the context) and the
            input; `None` if there is none.
        explains: Whether the problem can be the cause of a stuck, slow, lagging or failed stage.
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
    """Return the findings of the checks of a stage or component, the most severe first.

    Args:
        checks: The checks of its kind.
        details: Type of the details of its kind; an observation with other details has no findings.
        settings: The stage's settings, or the context's thresholds for a component.
        given: The input of the checks.
    """
    if not isinstance(given.details, details):
        return ()
    results = []
    for check in checks:
        problem = check.find(settings, given)
        if problem is None:
            continue
        before = next((f for f in given.previous_findings if f.check == check.name), None)
        results.append(
            Finding(
                check=check.name,
                subject=given.subject,
                severity=check.severity,
                sentence=problem.sentence,
                since=problem.since or (before.since if before else given.now),
                evidence=problem.evidence,
                remedy=Remedy(problem.remedy or check.remedy, problem.command, problem.dag_id),
                explains=check.explains,
            )
        )
    severities = list(Severity)
    return tuple(sorted(results, key=lambda f: severities.index(f.severity)))


def numbered(count: float, noun: str) -> str:
    """Return a count with its noun, in the plural unless it is one: `1 partition`, `1,200 data files`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,.0f} {noun if count == 1 else plural}"
