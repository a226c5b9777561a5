"""The verdict on a pipeline: which stage holds the data back, since when, and whom it hurts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dataops_core.config import DagStage, PipelineSettings, Stage
from dataops_core.health.model import (
    Activity,
    ComponentHealth,
    Remedy,
    StageHealth,
    StageState,
    Status,
    Verdict,
)
from dataops_core.health.text import clock, count, duration, words

CRITICAL = (StageState.FAILED, StageState.STUCK)
WRITER_CHANGE_FOR = timedelta(days=1)
"""How long a lost checkpoint is said: whoever is on call next must still see it."""


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
    cannot be told is said; then a checkpoint that was lost; then the first stage that is behind. A slow stage is never
    the reason why one below it has failed, so it does not hide it.
    """
    to_blame = next((s for s in stages if s.state in CRITICAL), None) or next(
        (s for s in stages if s.state is StageState.SLOW), None
    )
    unknown = [s for s in stages if s.state is StageState.UNKNOWN]
    if to_blame is not None:
        return _blame(settings, to_blame, stages, components, now)
    if unknown:
        return _unknown(settings, unknown, components, previous, now)
    rewritten = next((s for s in stages if _lost_checkpoint(s, now) is not None), None)
    if rewritten is not None:
        return _checkpoint_lost(settings, rewritten, stages, now)
    behind = next((s for s in stages if s.state is StageState.BEHIND), None)
    if behind is not None:
        return _blame(settings, behind, stages, components, now)
    return _fine(settings, stages, previous, now)


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
    unreachable = tuple(f"{c.name} does not answer: {c.error or 'no reason given'}" for c in down)
    if unreachable:
        sentence += f"; {unreachable[0]}"
    return Verdict(
        status=Status.CRITICAL if health.state in CRITICAL else Status.WARNING,
        check_id=f"{health.name}/{words(health.state).replace(' ', '-')}",
        stage=health.name,
        component=down[0].name if down else None,
        sentence=sentence,
        since=health.since,
        evidence=(*_evidence(health, now), *unreachable, *_elsewhere(health, hurt, stages, now)),
        blast_radius=hurt,
        remedy=_bring_back(down[0]) if down else _remedy(settings, health),
    )


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
    needed = dict.fromkeys([health.component, *(by_name[name].component for name in neighbours)])
    return tuple(c for name in needed for c in components if c.name == name and c.reachable is False)


def _elsewhere(
    health: StageHealth, hurt: tuple[str, ...], stages: tuple[StageHealth, ...], now: datetime
) -> tuple[str, ...]:
    """Name what is wrong besides, so that one finding does not hide another."""
    found = []
    for stage in stages:
        where = " (downstream)" if stage.name in hurt else ""
        if stage.name != health.name and stage.state in (*CRITICAL, StageState.SLOW, StageState.UNKNOWN):
            found.append(f"also: {stage.name} is {words(stage.state)}{where}: {stage.reason}")
        if (text := _lost_checkpoint(stage, now)) is not None:
            found.append(f"also: {stage.name}{where}: {text}")
    return tuple(found)


def _lost_checkpoint(health: StageHealth, now: datetime) -> str | None:
    """Say that the query that writes is a new one, where that is not long ago.

    A query's id lives in its checkpoint (Spark's `metadata` file). A new id over the same table means that the
    checkpoint was lost or replaced, and that what the old one had written may have been written again.
    """
    change = health.observation.writer_change if health.observation else None
    if change is None or now - change.at > WRITER_CHANGE_FOR:
        return None
    return (
        f"a new streaming query writes to it since {clock(change.at, now)} ({change.new[:8]}, before {change.old[:8]}):"
        " the checkpoint was lost or replaced"
    )


def _checkpoint_lost(
    settings: PipelineSettings, health: StageHealth, stages: tuple[StageHealth, ...], now: datetime
) -> Verdict:
    change = health.observation.writer_change if health.observation else None
    return Verdict(
        status=Status.WARNING,
        check_id=f"{health.name}/checkpoint-lost",
        stage=health.name,
        sentence=f"{health.name}: {_lost_checkpoint(health, now)}",
        since=change.at if change else None,
        evidence=tuple(
            f"{s.name}: {text}"
            for s in stages
            if s.name != health.name and (text := _lost_checkpoint(s, now)) is not None
        ),
        blast_radius=downstream(settings.stages, health.name),
        remedy=Remedy(
            text="Compare the table's count of (partition, offset) with its count of distinct ones: more means that"
            " records were written twice. Keep checkpoints where they are not lost."
        ),
    )


def _unknown(
    settings: PipelineSettings,
    unknown: Sequence[StageHealth],
    components: tuple[ComponentHealth, ...],
    previous: Verdict | None,
    now: datetime,
) -> Verdict:
    first = unknown[0]
    down = next((c for c in components if c.reachable is False and c.name in {s.component for s in unknown}), None)
    blind = ", ".join(s.name for s in unknown)
    if down is not None:
        check_id = f"{down.name}/unreachable"
        sentence = f"{down.name} does not answer, so the state of {blind} is unknown: {down.error}"
        remedy = _bring_back(down)
    else:
        check_id = f"{first.name}/unknown"
        sentence = f"the state of {blind} is unknown: {first.reason}"
        remedy = None
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


def _fine(
    settings: PipelineSettings, stages: tuple[StageHealth, ...], previous: Verdict | None, now: datetime
) -> Verdict:
    ages = [(now - s.progress_time).total_seconds() for s in stages if s.progress_time is not None]
    age = max(ages, default=None)
    idle = stages[0].state is StageState.IDLE
    if settings.objective is not None and age is not None and age > settings.objective and not idle:
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
    if idle:
        return Verdict(status=Status.OK, sentence=f"all data has passed; nothing new arrives: {stages[0].reason}")
    sentence = "data flows" if age is None else f"data flows: the newest complete data is {duration(age)} old"
    return Verdict(status=Status.OK, sentence=sentence)


def _bring_back(down: ComponentHealth) -> Remedy:
    return Remedy(text=f"Bring {down.name} at {down.target} back, or correct its address in the settings.")


def _remedy(settings: PipelineSettings, health: StageHealth) -> Remedy | None:
    stage = next(s for s in settings.stages if s.name == health.name)
    activity = health.observation.activity if health.observation else Activity.UNKNOWN
    if isinstance(stage, DagStage):
        if activity is Activity.PAUSED:
            return Remedy(text=f"Unpause the DAG {stage.dag_id}.", command=stage.remedy)
        if health.state in CRITICAL:
            return Remedy(
                text=f"Look at the log of the DAG {stage.dag_id}, then trigger it.",
                command=stage.remedy or f"dataops dag trigger {stage.dag_id}",
                dag_id=stage.dag_id,
            )
    if stage.remedy is not None and health.state in CRITICAL:
        return Remedy(text=f"Start {stage.name} again, and look at its log.", command=stage.remedy)
    return None
