"""The verdict on a component that is the cause; the stages that it stops are affected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dataops_core.errors import NotFound, Unreachable
from dataops_core.health.affected import Components, explained, unseen
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.evidence import also, evidence
from dataops_core.health.model import (
    ComponentHealth,
    Finding,
    Remedy,
    Severity,
    StageHealth,
    StageState,
    Status,
    Verdict,
)
from dataops_core.health.needs import needs_of
from dataops_core.health.paths import downstream
from dataops_core.health.text import clock, words
from dataops_core.units import duration

CRITICAL = (StageState.FAILED, StageState.STUCK)


def by_component(
    component: ComponentHealth,
    stages: tuple[StageHealth, ...],
    components: Components,
    previous: Verdict | None,
    now: datetime,
) -> Verdict:
    """Return the verdict that a component is the cause.

    Args:
        component: The unavailable or unhealthy component.
        stages: The stages of the pipeline with their own states.
        components: The components of the context.
        previous: The previous verdict.
        now: The time of the snapshot.
    """
    because = explained(stages, components)
    held = [s for s in stages if because.get(s.name) == component]
    unknown = _unknown(component, held, stages, components)
    finding = None if component.reachable is False else _critical(component)
    failure = failure_of(component.error_kind or Unreachable.kind)
    check_id = finding.check_id if finding else f"{component.name}/{failure.name}"
    times = [s.since for s in held if s.state is StageState.STUCK and s.since is not None]
    since = min((*times, component.since or now))
    affected = {s.name for s in (*held, *unknown)} | {s.name for s in stages if component.name in needs_of(s)}
    for name in tuple(affected):
        affected.update(downstream(stages, name))
    return Verdict(
        status=_status(held, unknown),
        check_id=check_id,
        component=component.name,
        sentence=_sentence(component, finding, held, unknown),
        since=previous.since if previous and previous.check_id == check_id else since,
        evidence=(
            *(finding.evidence if finding else ()),
            *(line for number, s in enumerate(held) for line in _held(s, now, in_full=not number)),
            *(f"{s.name}: {s.reason}" for s in unknown),
            *also(stages, components.known, [*held, *unknown], component, finding),
        ),
        blast_radius=tuple(s.name for s in stages if s.name in affected),
        remedy=finding.remedy if finding else bring_back(component),
    )


def _unknown(
    component: ComponentHealth,
    held: Sequence[StageHealth],
    stages: tuple[StageHealth, ...],
    components: Components,
) -> list[StageHealth]:
    """Return the stages that are unknown because of the component, including those downstream without another cause."""
    hit = {s.name for s in held} | {s.name for s in stages if component.name in needs_of(s)}
    for name in tuple(hit):
        hit.update(downstream(stages, name))
    elsewhere = unseen(stages, components)
    others = {s.name for s in stages if s.name in elsewhere and component.name not in needs_of(s)}
    return [s for s in stages if s.state is StageState.UNKNOWN and s.name in hit - others]


def bring_back(down: ComponentHealth) -> Remedy:
    """Return the remedy for an unavailable component."""
    failure = failure_of(down.error_kind or Unreachable.kind)
    if down.remedy is None and failure.kind == NotFound.kind:  # another service responds at this address
        return Remedy(text=f"Correct the address of {down.name} in the settings: {down.target} is another service.")
    return Remedy(text=down.remedy or failure.remedy.format(name=down.name, target=down.target))


def _critical(component: ComponentHealth) -> Finding | None:
    return next((f for f in component.findings if f.severity is Severity.CRITICAL), None)


def _status(held: Sequence[StageHealth], unknown: Sequence[StageHealth]) -> Status:
    if any(s.state in CRITICAL for s in held):
        return Status.CRITICAL
    return Status.WARNING if held and not unknown else Status.UNKNOWN


def _sentence(
    component: ComponentHealth,
    finding: Finding | None,
    held: Sequence[StageHealth],
    unknown: Sequence[StageHealth],
) -> str:
    failure = failure_of(component.error_kind or Unreachable.kind)
    head = f"{component.name}: {finding.sentence}" if finding else f"{component.name} {failure.predicate}"
    unknown_names = ", ".join(s.name for s in unknown)
    why = "" if finding else f": {component.error or 'no reason reported'}"
    if not held:
        return f"{head}, so the state of {unknown_names} is unknown{why}" if unknown_names else f"{head}{why}"
    groups = [
        f"{words(state)}: {', '.join(names)}"
        for state in (StageState.FAILED, StageState.STUCK, StageState.SLOW, StageState.BEHIND)
        if (names := [s.name for s in held if s.state is state])
    ]
    return "; ".join((f"{head}{why}", *groups, *([f"unknown: {unknown_names}"] if unknown_names else [])))


def _held(stage: StageHealth, now: datetime, *, in_full: bool) -> tuple[str, ...]:
    since = ""
    if stage.since is not None:
        since = f" since {clock(stage.since, now)} ({duration((now - stage.since).total_seconds())})"
    head = f"{stage.name} {predicate(stage)}{since}: {stage.reason}"
    return (head, *evidence(stage, now)) if in_full else (head,)


def predicate(stage: StageHealth) -> str:
    """Return the state of a stage as the predicate of a sentence about it."""
    return "has failed" if stage.state is StageState.FAILED else f"is {words(stage.state)}"
