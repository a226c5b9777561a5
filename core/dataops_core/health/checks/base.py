"""What a check is: one thing that can be wrong, how it is seen, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dataops_core.health.model import Finding, Observation, Remedy, Severity, StageHealth


@dataclass(frozen=True, slots=True)
class Look:
    """What a check looks at.

    Attributes:
        subject: Name of the stage or component.
        seen: The newest observation.
        previous: The one before; `None` for the first one.
        upstream: Health of what the stage reads; nothing for a component.
        told: Findings of the look before.
        now: The time.
    """

    subject: str
    seen: Observation
    previous: Observation | None
    upstream: tuple[StageHealth, ...]
    told: tuple[Finding, ...]
    now: datetime

    def figure(self, name: str) -> float:
        """Return a figure of the newest observation; 0 where it is not known."""
        return self.seen.figure(name) or 0.0

    def time(self, name: str) -> datetime | None:
        """Return a figure that is a time."""
        seconds = self.seen.figure(name)
        return None if seconds is None else datetime.fromtimestamp(seconds, self.now.tzinfo)


@dataclass(frozen=True, slots=True)
class Found:
    """That something is wrong.

    Attributes:
        sentence: What, without the subject, with numbers.
        evidence: Further numbers and times, one line each.
        since: Since when, where the system tells; else since it was found first.
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
        on: Kinds of stages, or kinds of components, that it looks at.
        severity: What a finding does to the verdict.
        meaning: What is wrong, in one sentence for the docs.
        remedy: What to do, in one sentence.
        look: Looks, given the settings of the stage, or the thresholds of the context for a component.
        explains: Whether it is why a stage is stuck, slow or behind, or a view of Trino has failed, where it is.
    """

    name: str
    on: tuple[str, ...]
    severity: Severity
    meaning: str
    remedy: str
    look: Callable[[Any, Look], Found | None]
    explains: bool = False


def findings(checks: Iterable[Check], settings: object, look: Look) -> tuple[Finding, ...]:
    """Return what the checks of a stage or component find, the worst first.

    Args:
        checks: The checks of its kind.
        settings: The stage's settings, or the context's thresholds for a component.
        look: What was observed.
    """
    found = []
    for check in checks:
        wrong = check.look(settings, look)
        if wrong is None:
            continue
        before = next((f for f in look.told if f.check == check.name), None)
        found.append(
            Finding(
                check=check.name,
                subject=look.subject,
                severity=check.severity,
                sentence=wrong.sentence,
                since=wrong.since or (before.since if before else look.now),
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
