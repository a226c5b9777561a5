"""The verdict on a pipeline: which stage holds the data back, since when, and whom it hurts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dataops_core.config import DagStage, PipelineSettings, Stage
from dataops_core.errors import NotFound, Unreachable
from dataops_core.health.checks import failure_of
from dataops_core.health.model import (
    ComponentHealth,
    Finding,
    Remedy,
    Severity,
    StageHealth,
    StageKind,
    StageState,
    Status,
    Verdict,
    store_of,
)
from dataops_core.health.text import clock, count, duration, words

CRITICAL = (StageState.FAILED, StageState.STUCK)
LAGGING = (StageState.STUCK, StageState.SLOW, StageState.BEHIND)


def downstream(stages: Sequence[Stage], name: str) -> tuple[str, ...]:
    """Return the names of all stages that read the named one, directly or not, upstream first."""
    reached = {name}
    for stage in stages:
        if reached.intersection(stage.reads):
            reached.add(stage.name)
    return tuple(stage.name for stage in stages if stage.name in reached and stage.name != name)


def conclude(
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: tuple[ComponentHealth, ...],
    previous: Verdict | None,
    now: datetime,
) -> Verdict:
    """Return the verdict.

    The first stage, upstream first, that has failed or is stuck is to blame; then the first that is slow; then what
    cannot be told is said; then what puts data at risk; then the first stage that is behind; then the promise on the
    data age; then the upkeep that is due. A slow stage is never the reason why one below it has failed, so it does not
    hide it.
    """
    to_blame = next((s for s in stages if s.state in CRITICAL), None) or next(
        (s for s in stages if s.state is StageState.SLOW), None
    )
    if to_blame is not None:
        return _blame(settings, to_blame, stages, components, now)
    stores = {c.name for c in components if c.kind == "store" and c.reachable is False}
    # A catalog tells a table's progress while the files that it speaks of are out of reach.
    unknown = [s for s in stages if s.state is StageState.UNKNOWN or stores.intersection(_answer_for(s))]
    if unknown:
        return _unknown(settings, unknown, components, previous, now)
    found = _findings(stages, components)
    risk = next((f for f in found if f.severity in (Severity.CRITICAL, Severity.WARNING)), None)
    if risk is not None:
        return _warn(settings, risk, found, stages)
    behind = next((s for s in stages if s.state is StageState.BEHIND), None)
    if behind is not None:
        return _blame(settings, behind, stages, components, now)
    late = _too_old(settings, stages, previous, now)
    if late is not None:
        return late
    upkeep = next((f for f in found if f.severity is Severity.ADVICE), None)
    return _warn(settings, upkeep, found, stages) if upkeep is not None else _fine(stages, now)


def _findings(stages: tuple[StageHealth, ...], components: tuple[ComponentHealth, ...]) -> list[Finding]:
    """Return the findings of the pipeline's stages and of the components that answer for them, by their weight.

    What a stage tells itself, its component need not tell again; a component that does not do its work comes before
    what it causes at a stage.
    """
    at_stages = [f for s in stages for f in s.findings]
    told = {f.check for f in at_stages}
    needed = {name for s in stages for name in _answer_for(s)}
    at_components = [f for c in components if c.name in needed for f in c.findings if f.check not in told]
    critical = [f for f in at_components if f.severity is Severity.CRITICAL]
    others = [f for f in at_components if f.severity is not Severity.CRITICAL]
    return [*critical, *at_stages, *others]


def _answer_for(stage: StageHealth) -> tuple[str, ...]:
    """Return the names of the components that a stage needs."""
    match stage.kind:
        case StageKind.ICEBERG_TABLE:
            return stage.component, store_of(stage.component)
        case StageKind.SPARK_QUERY:  # its lag is measured in Kafka
            return stage.component, "kafka"
        case _:
            return (stage.component,)


def _cause(health: StageHealth, components: tuple[ComponentHealth, ...]) -> Finding | None:
    """Return the finding that says why a stage has failed or lags; `None` where none does."""
    if health.state is StageState.FAILED:
        own = next((f for f in health.findings if f.sentence == health.reason), None)
        if own is not None or health.kind is not StageKind.TRINO_VIEW:
            return own
        # What has failed is asked again at each look, so this is how Trino is now; a run may have failed before that.
        severities = {Severity.CRITICAL}
    elif health.state in LAGGING:
        severities = set(Severity)
    else:
        return None
    found = _findings((health,), components)
    return next((f for f in found if f.explains and f.severity in severities), None)


def _warn(
    settings: PipelineSettings,
    finding: Finding,
    found: Sequence[Finding],
    stages: tuple[StageHealth, ...],
) -> Verdict:
    stage = next((s for s in stages if s.name == finding.subject), None)
    suffering = [s.name for s in stages if finding.subject in _answer_for(s)] if stage is None else []
    hurt = {finding.subject, *suffering}
    for name in tuple(hurt):
        hurt.update(downstream(settings.stages, name))
    return Verdict(
        status=Status.WARNING,
        check_id=finding.check_id,
        stage=stage.name if stage else None,
        component=None if stage else finding.subject,
        sentence=f"{finding.subject}: {finding.sentence}",
        since=finding.since,
        evidence=(
            *finding.evidence,
            *(
                f"also: {f.subject}: {f.sentence}"
                for f in found
                if f is not finding and f.severity is not Severity.NOTE
            ),
        ),
        blast_radius=tuple(s.name for s in stages if s.name in hurt and s.name != finding.subject),
        remedy=finding.remedy,
    )


def _blame(
    settings: PipelineSettings,
    health: StageHealth,
    stages: tuple[StageHealth, ...],
    components: tuple[ComponentHealth, ...],
    now: datetime,
) -> Verdict:
    hurt = downstream(settings.stages, health.name)
    sentence = f"{health.name} {_predicate(health)}"
    if health.since is not None and health.state in CRITICAL:
        sentence += f" since {clock(health.since, now)} ({duration((now - health.since).total_seconds())})"
    sentence += f": {health.reason}"
    if health.eta is not None:
        sentence += f"; caught up in about {duration(health.eta)}"
    down = _out_of_reach(health, settings, stages, components)
    unreachable = tuple(_does_not_answer(c) for c in down)
    # What does not answer is why a stage lags; that it has failed, a check knows better.
    cause = None if down and health.state is not StageState.FAILED else _cause(health, components)
    if unreachable:
        sentence += f"; {unreachable[0]}"
    elif cause is not None and cause.sentence not in health.reason:
        sentence += f"; {_told(cause, health)}"
    return Verdict(
        status=Status.CRITICAL if health.state in CRITICAL else Status.WARNING,
        check_id=cause.check_id if cause else f"{health.name}/{words(health.state).replace(' ', '-')}",
        stage=health.name,
        component=_component_to_blame(down, cause, health),
        sentence=sentence,
        since=health.since,
        evidence=(
            *_evidence(health, now),
            *(cause.evidence if cause else ()),
            *unreachable,
            *_elsewhere(health, cause, hurt, stages, components),
        ),
        blast_radius=hurt,
        remedy=_bring_back(down[0]) if down and cause is None else _remedy(settings, health, cause),
    )


def _component_to_blame(down: Sequence[ComponentHealth], cause: Finding | None, health: StageHealth) -> str | None:
    if cause is not None:
        return cause.subject if cause.subject != health.name else None
    return down[0].name if down else None


def _does_not_answer(component: ComponentHealth) -> str:
    predicate = failure_of(component.error_kind or Unreachable.kind).predicate
    return f"{component.name} {predicate}: {component.error or 'no reason given'}"


def _told(finding: Finding, health: StageHealth) -> str:
    return finding.sentence if finding.subject == health.name else f"{finding.subject}: {finding.sentence}"


def _predicate(health: StageHealth) -> str:
    return "has failed" if health.state is StageState.FAILED else f"is {words(health.state)}"


def _evidence(health: StageHealth, now: datetime) -> tuple[str, ...]:
    lines = []
    seen = health.observation
    if health.hop_lag is not None:
        lines.append(f"lag: {duration(health.hop_lag)}")
    if seen is not None:
        if seen.lag_records is not None:
            lines.append(f"records waiting: {count(seen.lag_records)}")
        if seen.advanced_at is not None:
            ago = duration((now - seen.advanced_at).total_seconds())
            lines.append(f"output last advanced at {clock(seen.advanced_at, now)}, {ago} ago")
        if seen.pending_since is not None:
            ago = duration((now - seen.pending_since).total_seconds())
            lines.append(f"oldest waiting record entered at {clock(seen.pending_since, now)}, {ago} ago")
        lines.extend(seen.notes)
    return tuple(lines)


def _out_of_reach(
    health: StageHealth,
    settings: PipelineSettings,
    stages: tuple[StageHealth, ...],
    components: tuple[ComponentHealth, ...],
) -> tuple[ComponentHealth, ...]:
    """Return the components that the stage needs and that do not answer: its own, or that of a direct neighbour."""
    by_name = {s.name: s for s in stages}
    neighbours = [s.name for s in settings.stages if health.name in s.reads] + list(health.reads)
    needed = dict.fromkeys(name for s in (health, *(by_name[n] for n in neighbours)) for name in _answer_for(s))
    return tuple(c for name in needed for c in components if c.name == name and c.reachable is False)


def _elsewhere(
    health: StageHealth,
    cause: Finding | None,
    hurt: tuple[str, ...],
    stages: tuple[StageHealth, ...],
    components: tuple[ComponentHealth, ...],
) -> tuple[str, ...]:
    """Name what is wrong besides, so that one finding does not hide another."""
    found = []
    for stage in stages:
        where = " (downstream)" if stage.name in hurt else ""
        if stage.name != health.name and stage.state in (*CRITICAL, StageState.SLOW, StageState.UNKNOWN):
            found.append(f"also: {stage.name} is {words(stage.state)}{where}: {stage.reason}")
    for finding in _findings(stages, components):
        where = " (downstream)" if finding.subject in hurt else ""
        if finding != cause and finding.severity is not Severity.NOTE:
            found.append(f"also: {finding.subject}{where}: {finding.sentence}")
    return tuple(found)


def _unknown(
    settings: PipelineSettings,
    unknown: Sequence[StageHealth],
    components: tuple[ComponentHealth, ...],
    previous: Verdict | None,
    now: datetime,
) -> Verdict:
    first = unknown[0]
    needed = {name for s in unknown for name in _answer_for(s)}
    down = next((c for c in components if c.reachable is False and c.name in needed), None)
    blind = ", ".join(s.name for s in unknown)
    if down is not None:
        failure = failure_of(down.error_kind or Unreachable.kind)
        check_id = f"{down.name}/{failure.name}"
        sentence = f"{down.name} {failure.predicate}, so the state of {blind} is unknown: {down.error}"
        remedy: Remedy | None = _bring_back(down)
    else:
        failure = failure_of(first.error_kind)
        check_id = f"{first.name}/{failure.name}"
        sentence = f"the state of {blind} is unknown: {first.reason}"
        text = failure.remedy.format(name=first.component, target=first.component)
        # What is not there yet may only have to be started.
        there = first.error_kind != NotFound.kind
        command = None if there else next(s.remedy for s in settings.stages if s.name == first.name)
        remedy = Remedy(text, command=command) if first.error else None
    since = down.since if down else first.since
    return Verdict(
        status=Status.UNKNOWN,
        check_id=check_id,
        stage=None,
        component=down.name if down else None,
        sentence=sentence,
        since=previous.since if previous and previous.check_id == check_id else since or now,
        evidence=tuple(f"{s.name}: {s.reason}" for s in unknown),
        blast_radius=tuple(dict.fromkeys(d for s in unknown for d in downstream(settings.stages, s.name))),
        remedy=remedy,
    )


def _too_old(
    settings: PipelineSettings, stages: tuple[StageHealth, ...], previous: Verdict | None, now: datetime
) -> Verdict | None:
    """Return the verdict on data that is older than promised; `None` where it is not."""
    age = _age(stages, now)
    idle = stages[0].state is StageState.IDLE
    if settings.objective is None or age is None or age <= settings.objective or idle:
        return None
    slowest = max(stages, key=lambda s: s.hop_lag or 0.0)
    check_id = f"{slowest.name}/objective"
    lag = duration(slowest.hop_lag or 0.0)
    return Verdict(
        status=Status.WARNING,
        check_id=check_id,
        stage=slowest.name,
        sentence=f"the data is {duration(age)} old, more than the promised {duration(settings.objective)}: "
        f"{slowest.name} owns {lag} of it",
        since=previous.since if previous and previous.check_id == check_id else now,
        evidence=tuple(f"{s.name}: {duration(s.hop_lag)}" for s in stages if s.hop_lag is not None),
        blast_radius=downstream(settings.stages, slowest.name),
    )


def _fine(stages: tuple[StageHealth, ...], now: datetime) -> Verdict:
    age = _age(stages, now)
    if stages[0].state is StageState.IDLE:
        return Verdict(status=Status.OK, sentence=f"all data has passed; nothing new arrives: {stages[0].reason}")
    sentence = "data flows" if age is None else f"data flows: the newest complete data is {duration(age)} old"
    return Verdict(status=Status.OK, sentence=sentence)


def _age(stages: tuple[StageHealth, ...], now: datetime) -> float | None:
    return max(((now - s.progress_time).total_seconds() for s in stages if s.progress_time is not None), default=None)


def _bring_back(down: ComponentHealth) -> Remedy:
    failure = failure_of(down.error_kind or Unreachable.kind)
    return Remedy(text=failure.remedy.format(name=down.name, target=down.target))


def _remedy(settings: PipelineSettings, health: StageHealth, cause: Finding | None) -> Remedy | None:
    stage = next(s for s in settings.stages if s.name == health.name)
    if cause is not None and cause.remedy is not None:
        own = stage.remedy if health.state in CRITICAL else None
        return replace(cause.remedy, command=cause.remedy.command or own)
    if isinstance(stage, DagStage) and health.state in CRITICAL:
        return Remedy(
            text=f"Look at the log of the DAG {stage.dag_id}, then trigger it.",
            command=stage.remedy or f"dataops dag trigger {stage.dag_id}",
            dag_id=stage.dag_id,
        )
    if stage.remedy is not None and health.state in CRITICAL:
        return Remedy(text=f"Start {stage.name} again, and look at its log.", command=stage.remedy)
    return None
