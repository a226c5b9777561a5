"""Evidence of a verdict: values, times and further findings."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from dataops_core.errors import Unreachable
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.model import ComponentHealth, Finding, Severity, StageHealth, StageState
from dataops_core.health.needs import needs_of
from dataops_core.health.text import clock, words
from dataops_core.units import count, duration

BAD = (StageState.FAILED, StageState.STUCK, StageState.SLOW, StageState.UNKNOWN)
"""States that the evidence of a verdict on another stage mentions."""


def findings(stages: Collection[StageHealth], components: Iterable[ComponentHealth]) -> list[Finding]:
    """Return the findings of the pipeline's stages and of the components that they need, most important first.

    A stage's finding is not repeated for its component. Critical findings of components come first, because they cause
    findings of stages.
    """
    at_stages = [f for s in stages for f in s.findings]
    covered = {f.check for f in at_stages}
    needed = {name for s in stages for name in needs_of(s)}
    at_components = [f for c in components if c.name in needed for f in c.findings if f.check not in covered]
    critical = [f for f in at_components if f.severity is Severity.CRITICAL]
    others = [f for f in at_components if f.severity is not Severity.CRITICAL]
    return [*critical, *at_stages, *others]


def evidence(stage: StageHealth, now: datetime) -> tuple[str, ...]:
    """Return the numbers and times of a stage, one line each."""
    lines = []
    observation = stage.observation
    if stage.hop_lag is not None:
        lines.append(f"lag: {duration(stage.hop_lag)}")
    if observation is not None:
        if observation.lag_records is not None:
            lines.append(f"lag in records: {count(observation.lag_records)}")
        if observation.advanced_at is not None:
            ago = duration((now - observation.advanced_at).total_seconds())
            lines.append(f"output last advanced at {clock(observation.advanced_at, now)}, {ago} ago")
        if observation.pending_since is not None:
            ago = duration((now - observation.pending_since).total_seconds())
            lines.append(f"oldest unread record entered at {clock(observation.pending_since, now)}, {ago} ago")
        lines.extend(observation.notes)
    return tuple(lines)


def also(
    stages: Collection[StageHealth],
    components: Collection[ComponentHealth],
    covered: Collection[StageHealth],
    component: ComponentHealth | None,
    cause: Finding | None,
    affected: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the other problems, one line each, so that one finding does not hide another.

    Args:
        stages: The stages of the pipeline.
        components: The components of the context.
        covered: Stages that the verdict is about.
        component: The component that the verdict is about.
        cause: The finding that is the cause of the verdict.
        affected: Names of the stages downstream of the cause.
    """
    needed = {name for s in stages for name in needs_of(s)}
    down = [c for c in components if c.reachable is False and c.name in needed and c != component]
    lines = [f"also: {unavailable(c)}" for c in down]
    for stage in stages:
        where = " (downstream)" if stage.name in affected else ""
        if stage not in covered and stage.state in BAD:
            lines.append(f"also: {stage.name} is {words(stage.state)}{where}: {stage.reason}")
    others = (finding for finding in findings(stages, components) if finding != cause)
    return (*lines, *other_findings(others, affected))


def other_findings(others: Iterable[Finding], affected: Collection[str] = ()) -> tuple[str, ...]:
    """Return other findings, one line for each sentence: a cause can be found on many stages. Notes are left out.

    Args:
        others: The findings.
        affected: Names of the stages downstream of the cause.
    """
    subjects: dict[str, list[str]] = {}
    for finding in others:
        where = " (downstream)" if finding.subject in affected else ""
        if finding.severity is not Severity.NOTE:
            subjects.setdefault(finding.sentence, []).append(f"{finding.subject}{where}")
    return tuple(f"also: {', '.join(names)}: {sentence}" for sentence, names in subjects.items())


def unavailable(component: ComponentHealth) -> str:
    """Return a sentence that says that a component is unavailable, and why."""
    predicate = failure_of(component.error_kind or Unreachable.kind).predicate
    return f"{component.name} {predicate}: {component.error or 'no reason reported'}"
