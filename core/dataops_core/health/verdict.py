"""Evaluate the verdict on a pipeline: the stage that holds the data back, since when, and the affected stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dataops_core.config import PipelineSettings
from dataops_core.errors import NotFound
from dataops_core.health.affected import GREEN, LAGGING, Components, explained
from dataops_core.health.checks.unreachable import failure_of
from dataops_core.health.evidence import also, evidence, findings, other_findings
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
from dataops_core.health.needs import needs_of, relies_on
from dataops_core.health.outage import CRITICAL, by_component, predicate
from dataops_core.health.paths import downstream, ends, flowing, slowest_path, sources
from dataops_core.health.rules import Rules
from dataops_core.health.text import clock, words
from dataops_core.units import duration


def evaluate_verdict(
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: Components,
    previous: Verdict | None,
    now: datetime,
) -> Verdict:
    """Return the verdict on stages with their own states.

    Priority: the first stage, upstream first, that has failed or is stuck; the first slow stage; unknown stages; risks
    to the data; the first stage that is behind; a missed objective; due maintenance. A slow stage never hides a failed
    stage downstream, because it cannot be its cause. If a component is the cause, the verdict blames the component. If
    a finding of a healthy input explains the lag of the stage, the verdict blames the input.
    While a stage or component that could change the verdict has not been probed, the pipeline is starting.
    """
    return (
        _held_back(settings, stages, components, previous, now)
        or _unknown_status(settings, stages, components, previous, now)
        or _lesser(settings, stages, components, previous, now)
        or _fine(stages)
    )


def _held_back(
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: Components,
    previous: Verdict | None,
    now: datetime,
) -> Verdict | None:
    """Return the verdict on the stage or component that stops the data; `None` if none does."""
    because = explained(stages, components)
    to_blame = next((s for s in stages if s.state in CRITICAL), None) or next(
        (s for s in stages if s.state is StageState.SLOW), None
    )
    if to_blame is not None and not _may_change(to_blame, stages, components):
        if to_blame.name in because:
            return by_component(because[to_blame.name], stages, components, previous, now)
        held_by = _held_by(to_blame, stages)
        if held_by is not None:
            return _blame_input(settings, to_blame, held_by, stages, components, now)
        return _blame(settings, to_blame, stages, components, now)
    down = _down(stages, components)
    return by_component(down, stages, components, previous, now) if down is not None else None


def _unknown_status(
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: Components,
    previous: Verdict | None,
    now: datetime,
) -> Verdict | None:
    """Return the verdict on stages that are starting or unknown; `None` if there are none."""
    starting = [s for s in stages if s.state is StageState.STARTING]
    if starting or components.pending.intersection(name for s in stages for name in needs_of(s)):
        probed = f"{len(stages) - len(starting)} of {len(stages)} stages probed"
        return Verdict(status=Status.STARTING, sentence=probed)
    unknown = [s for s in stages if s.state is StageState.UNKNOWN]
    return _unknown(settings, unknown, previous, now) if unknown else None


def _lesser(
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: Components,
    previous: Verdict | None,
    now: datetime,
) -> Verdict | None:
    """Return the verdict on a problem that does not stop the data; `None` if there is none."""
    result = findings(stages, components.known)
    risk = next((f for f in result if f.severity in (Severity.CRITICAL, Severity.WARNING)), None)
    if risk is not None:
        return _warn(settings, risk, result, stages)
    behind = next((s for s in stages if s.state is StageState.BEHIND), None)
    if behind is not None:
        return _blame(settings, behind, stages, components, now)
    late = _too_old(settings, stages, previous, now)
    if late is not None:
        return late
    maintenance = next((f for f in result if f.severity is Severity.ADVICE), None)
    return _warn(settings, maintenance, result, stages) if maintenance is not None else None


def _down(stages: tuple[StageHealth, ...], components: Components) -> ComponentHealth | None:
    """Return the unavailable component that makes the most stages unknown; `None` if there is none."""
    stores = {c.name for c in components.known if c.kind == "store" and c.reachable is False}
    # A catalog reports a table's progress even while the table's files are unavailable.
    unknown = [s for s in stages if s.state is StageState.UNKNOWN or stores.intersection(needs_of(s))]
    needed = Counter(name for s in unknown for name in needs_of(s))
    down = [c for c in components.known if c.reachable is False and c.name in needed]
    return max(down, key=lambda c: (needed[c.name], c.name == components.blamed), default=None)


def _may_change(health: StageHealth, stages: tuple[StageHealth, ...], components: Components) -> bool:
    """Return whether an upstream stage or a component that is not probed yet could be the cause."""
    upstream = any(s.state is StageState.STARTING for s in stages if health.name in downstream(stages, s.name))
    return upstream or bool(components.pending.intersection(relies_on(health, stages)))


def _cause(health: StageHealth, components: tuple[ComponentHealth, ...]) -> Finding | None:
    """Return the finding that is the cause of a failed or lagging stage; `None` if there is none."""
    if health.state is StageState.FAILED:
        return next((f for f in health.findings if f.sentence == health.reason), None)
    if health.state not in LAGGING:
        return None
    # An unhealthy component is blamed in place of the stage, unless the stage was stuck before.
    results = [f for f in findings((health,), components) if f.subject == health.name or not _is_critical(f)]
    return next((f for f in results if f.explains), None)


def _is_critical(finding: Finding) -> bool:
    return finding.severity is Severity.CRITICAL


def _warn(
    settings: PipelineSettings,
    finding: Finding,
    results: Sequence[Finding],
    stages: tuple[StageHealth, ...],
) -> Verdict:
    stage = next((s for s in stages if s.name == finding.subject), None)
    dependents = [s.name for s in stages if finding.subject in needs_of(s)] if stage is None else []
    affected = {finding.subject, *dependents}
    for name in tuple(affected):
        affected.update(downstream(settings.stages, name))
    return Verdict(
        status=Status.WARNING,
        check_id=finding.check_id,
        stage=stage.name if stage else None,
        component=None if stage else finding.subject,
        sentence=f"{finding.subject}: {finding.sentence}",
        since=finding.since,
        evidence=(*finding.evidence, *other_findings(each for each in results if each is not finding)),
        blast_radius=tuple(s.name for s in stages if s.name in affected and s.name != finding.subject),
        remedy=finding.remedy,
    )


def _blame(
    settings: PipelineSettings,
    health: StageHealth,
    stages: tuple[StageHealth, ...],
    components: Components,
    now: datetime,
) -> Verdict:
    affected = downstream(settings.stages, health.name)
    sentence = f"{health.name} {predicate(health)}"
    if health.since is not None and health.state in CRITICAL:
        sentence += f" since {clock(health.since, now)} ({duration((now - health.since).total_seconds())})"
    sentence += f": {health.reason}"
    if health.eta is not None:
        sentence += f"; ETA {duration(health.eta)}"
    cause = _cause(health, components.known)
    if cause is not None and cause.sentence not in health.reason:
        sentence += f"; {_finding_text(cause, health)}"
    return Verdict(
        status=Status.CRITICAL if health.state in CRITICAL else Status.WARNING,
        check_id=cause.check_id if cause else f"{health.name}/{words(health.state).replace(' ', '-')}",
        stage=health.name,
        component=cause.subject if cause is not None and cause.subject != health.name else None,
        sentence=sentence,
        since=health.since,
        evidence=(
            *evidence(health, now),
            *(cause.evidence if cause else ()),
            *also(stages, components.known, [health], None, cause, affected),
        ),
        blast_radius=affected,
        remedy=_remedy(settings, health, cause, components.rules),
    )


def _held_by(health: StageHealth, stages: tuple[StageHealth, ...]) -> Finding | None:
    """Return the finding of a healthy input that explains why a stage gets no data; `None` if there is none.

    A job may read all of its input without output, for instance while its watermark is held back. A stage with unread
    records gets data.
    """
    waiting = health.observation is not None and health.observation.lag_records
    if health.state not in LAGGING or waiting or any(f.explains for f in health.findings):
        return None
    inputs = [s for s in stages if s.name in health.reads and s.state in GREEN]
    return next((f for s in inputs for f in s.findings if f.explains and f.severity is Severity.WARNING), None)


def _blame_input(
    settings: PipelineSettings,
    health: StageHealth,
    finding: Finding,
    stages: tuple[StageHealth, ...],
    components: Components,
    now: datetime,
) -> Verdict:
    """Return the verdict on an input whose finding explains why a stage lags."""
    affected = downstream(settings.stages, finding.subject)
    blamed = next(s for s in stages if s.name == finding.subject)
    since = f" since {clock(health.since, now)}" if health.since is not None else ""
    return Verdict(
        status=Status.CRITICAL if health.state in CRITICAL else Status.WARNING,
        check_id=finding.check_id,
        stage=finding.subject,
        sentence=f"{finding.subject}: {finding.sentence}; {health.name} {predicate(health)}{since}: {health.reason}",
        since=health.since,
        evidence=(
            *finding.evidence,
            *evidence(health, now),
            *also(stages, components.known, [health, blamed], None, finding, affected),
        ),
        blast_radius=affected,
        remedy=_remedy(settings, blamed, finding, components.rules),
    )


def _finding_text(finding: Finding, health: StageHealth) -> str:
    return finding.sentence if finding.subject == health.name else f"{finding.subject}: {finding.sentence}"


def _unknown(
    settings: PipelineSettings, unknown: Sequence[StageHealth], previous: Verdict | None, now: datetime
) -> Verdict:
    """Return the verdict on stages whose probes fail although their components are up."""
    first = unknown[0]
    failure = failure_of(first.error_kind)
    check_id = f"{first.name}/{failure.name}"
    # A missing object may only have to be started.
    exists = first.error_kind != NotFound.kind
    command = None if exists else next(s.remedy for s in settings.stages if s.name == first.name)
    text = first.remedy or failure.remedy.format(name=first.component, target=first.component)
    return Verdict(
        status=Status.UNKNOWN,
        check_id=check_id,
        sentence=f"the state of {', '.join(s.name for s in unknown)} is unknown: {first.reason}",
        since=previous.since if previous and previous.check_id == check_id else first.since or now,
        evidence=tuple(f"{s.name}: {s.reason}" for s in unknown),
        blast_radius=tuple(dict.fromkeys(d for s in unknown for d in downstream(settings.stages, s.name))),
        remedy=Remedy(text, command=command) if first.error else None,
    )


def _too_old(
    settings: PipelineSettings, stages: tuple[StageHealth, ...], previous: Verdict | None, now: datetime
) -> Verdict | None:
    """Return the verdict on a data age above the objective; `None` if the objective is met or unknown."""
    path = slowest_path(stages)
    age = path[-1].data_age if path else None
    if settings.objective is None or age is None or age <= settings.objective or path[0].state is StageState.IDLE:
        return None
    slowest = max(path, key=lambda s: s.hop_lag or 0.0)
    check_id = f"{slowest.name}/objective"
    lag = duration(slowest.hop_lag or 0.0)
    return Verdict(
        status=Status.WARNING,
        check_id=check_id,
        stage=slowest.name,
        sentence=f"the data age of {duration(age)} is above the objective of {duration(settings.objective)}: "
        f"{slowest.name} contributes {lag}",
        since=previous.since if previous and previous.check_id == check_id else now,
        evidence=tuple(f"{s.name}: {duration(s.hop_lag)}" for s in path if s.hop_lag is not None),
        blast_radius=downstream(settings.stages, slowest.name),
    )


def _fine(stages: tuple[StageHealth, ...]) -> Verdict:
    first = sources(stages)
    if all(s.state is StageState.IDLE for s in first):
        silent = "; ".join(f"{s.name}: {s.reason}" if len(first) > 1 else s.reason for s in first)
        slowest = max(stages, key=lambda s: s.hop_lag or 0.0)
        lag = slowest.hop_lag or 0.0
        processed = "all records are processed" if lag < 1 else f"{slowest.name} is {duration(lag)} behind its input"
        return Verdict(status=Status.OK, sentence=f"{processed}, and no new records arrive: {silent}")
    ages = [s.data_age for s in flowing(ends(stages)) if s.data_age is not None]
    if not ages:
        return Verdict(status=Status.OK, sentence="healthy")
    return Verdict(status=Status.OK, sentence=f"healthy: data age {duration(max(ages))}")


def _remedy(settings: PipelineSettings, health: StageHealth, cause: Finding | None, rules: Rules) -> Remedy | None:
    stage = next(s for s in settings.stages if s.name == health.name)
    if cause is not None and cause.remedy is not None:
        own = stage.remedy if health.state in CRITICAL else None
        return replace(cause.remedy, command=cause.remedy.command or own)
    if health.state in CRITICAL and (of_its_kind := rules.stage(stage.kind).remedy(stage)) is not None:
        return of_its_kind
    if stage.remedy is not None and health.state in CRITICAL:
        return Remedy(text=f"Restart {stage.name} and check its log.", command=stage.remedy)
    return None
