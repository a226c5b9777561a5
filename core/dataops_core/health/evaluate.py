"""Evaluate a health snapshot from probe results: progress, hop lags, trends, states and verdicts.

All functions are pure functions of the previous snapshot, the newest probe results, the settings and the time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dataops_core.config import PipelineSettings, Section, StageSettings
from dataops_core.health.affected import Components, with_affected
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.freshness import why_unknown
from dataops_core.health.model import (
    ComponentHealth,
    Finding,
    HealthSnapshot,
    OwnState,
    PipelineHealth,
    Sample,
    Severity,
    StageHealth,
    StageState,
)
from dataops_core.health.observation import Observation, ProbeResult
from dataops_core.health.paths import ends, flowing, slowest_path, sources
from dataops_core.health.progress import (
    Reached,
    newest_passed_by,
    newest_taken,
    progress_of,
    reached_at,
    stands_still,
    taken_by,
)
from dataops_core.health.rules import Rules
from dataops_core.health.state import Reading, evaluate_state, own_before
from dataops_core.health.trend import mean_rate, slope, time_left
from dataops_core.health.verdict import evaluate_verdict

HISTORY = timedelta(minutes=5)
"""Length of a stage's history of samples."""
TREND_WINDOW = timedelta(seconds=60)
"""Window of the samples for rates and trends."""


def evaluate(
    previous: HealthSnapshot | None,
    results: Sequence[ProbeResult],
    pipelines: Mapping[str, PipelineSettings],
    now: datetime,
    context: str,
    rules: Rules,
    thresholds: Section,
    refresh: float = 0.0,
    pending: Collection[str] = (),
) -> HealthSnapshot:
    """Evaluate the health of a context.

    Args:
        previous: The previous snapshot, for trends and for the start of a state; `None` for the first one.
        results: The newest result of each probe.
        pipelines: The pipelines of the context, by name.
        now: The time of the snapshot.
        context: Name of the context.
        rules: Evaluation rules of each kind of stage, and checks of each kind of component.
        thresholds: Thresholds of the checks of components.
        refresh: Seconds between two refreshes.
        pending: Names of components without a probe result.
    """
    components = _components(previous, results, rules, thresholds, now)
    evaluated = []
    for name, settings in pipelines.items():
        before = next((p for p in previous.pipelines if p.name == name), None) if previous else None
        own = _own_states(name, settings, before, results, components, rules, now, refresh)
        of_context = Components(components, rules, frozenset(pending))
        evaluated.append(_pipeline(name, settings, before, own, of_context, now))
    return HealthSnapshot(
        taken_at=now, context=context, pipelines=tuple(evaluated), components=components, probes=tuple(results)
    )


def _components(
    previous: HealthSnapshot | None, results: Iterable[ProbeResult], rules: Rules, thresholds: Section, now: datetime
) -> tuple[ComponentHealth, ...]:
    before = {c.name: c for c in previous.components} if previous else {}
    return tuple(
        _component(result, before.get(result.component), rules, thresholds, now)
        for result in results
        if result.stage is None
    )


def _component(
    result: ProbeResult, last: ComponentHealth | None, rules: Rules, thresholds: Section, now: datetime
) -> ComponentHealth:
    results: tuple[Finding, ...] = ()
    if result.success and result.observation is not None:
        given = CheckInput(
            subject=result.component,
            details=result.observation.details,
            observation=result.observation,
            previous=last.observation if last else None,
            upstream=(),
            previous_findings=last.findings if last else (),
            now=now,
        )
        details, checks = rules.component_checks(result.probe)
        results = findings(checks, details, thresholds, given)
    critical = next((f.sentence for f in results if f.severity is Severity.CRITICAL), None)
    error = critical if result.success else result.error
    return ComponentHealth(
        name=result.component,
        kind=result.probe,
        target=result.target,
        reachable=result.success,
        error=error,
        error_kind=result.error_kind,
        remedy=result.remedy,
        detail=result.detail,
        checked_at=result.started_at,
        duration=result.duration,
        since=last.since if last and (last.error is None) == (error is None) else now,
        well_at=result.started_at if error is None else last.well_at if last else None,
        failed_at=last.failed_at if last and (result.success or last.reachable is False) else _outage(result),
        observation=result.observation or (last.observation if last else None),
        findings=results,
    )


def _outage(result: ProbeResult) -> datetime | None:
    return None if result.success else result.started_at


def _own_states(
    name: str,
    settings: PipelineSettings,
    before: PipelineHealth | None,
    results: Sequence[ProbeResult],
    components: tuple[ComponentHealth, ...],
    rules: Rules,
    now: datetime,
    refresh: float,
) -> tuple[StageHealth, ...]:
    """Return the stages with their own states, from their own input and output."""
    by_stage = {r.stage: r for r in results if r.pipeline == name and r.stage is not None}
    stages: dict[str, StageHealth] = {}
    earlier = {s.name: s for s in before.stages} if before else {}
    for stage in settings.stages:
        result = by_stage.get(stage.name)
        pause = rules.stage(stage.kind).min_interval(stage)
        error = why_unknown(result, components, pause, refresh, now)
        stages[stage.name] = _stage(stage, result, error, earlier, stages, rules, now)
    return tuple(stages.values())


def _pipeline(
    name: str,
    settings: PipelineSettings,
    before: PipelineHealth | None,
    own: tuple[StageHealth, ...],
    components: Components,
    now: datetime,
) -> PipelineHealth:
    earlier = {s.name: s for s in before.stages} if before else {}
    components = replace(components, blamed=before.verdict.component if before else None)
    path = slowest_path(own)
    return PipelineHealth(
        name=name,
        title=settings.title,
        stages=with_affected(own, components, earlier, now),
        verdict=evaluate_verdict(settings, own, components, before.verdict if before else None, now),
        data_age=_age(path[-1:] or flowing(ends(own)), now),
        source_age=_age(path[:1] or sources(own), now),
        objective=settings.objective,
        slowest_path=tuple(s.name for s in path),
    )


def _age(stages: Sequence[StageHealth], now: datetime) -> float | None:
    known = [s.progress_time for s in stages if s.progress_time is not None]
    if not known or len(known) < len(stages):
        return None
    return max(0.0, (now - min(known)).total_seconds())


def _stage(
    stage: StageSettings,
    result: ProbeResult | None,
    error: str | None,
    earlier: Mapping[str, StageHealth],
    above: Mapping[str, StageHealth],
    rules: Rules,
    now: datetime,
) -> StageHealth:
    last = earlier.get(stage.name)
    kind = rules.stage(stage.kind)
    observation = result.observation if result and result.success else None
    upstream = [above[name] for name in stage.reads]
    waited, read_to = (last.waiting_since, last.read_to) if last else (None, None)
    progress, waiting_since, hop_lag = (None, waited, None)
    reached: list[Reached] = []
    if observation is not None and not error:
        reached = [reached_at(s, observation.observed_at) for s in flowing(upstream)]
        own = observation.progress_time
        same = last.observation if last and last.observation and stands_still(last.observation, observation) else None
        if kind.run_start_is_progress:
            newest = newest_taken(own, reached) or (same.newest_passed if same else None)
            observation = replace(observation, newest_passed=newest)
            own = taken_by(own, reached)
        read_to = read_to if same else None
        progress, waiting_since, hop_lag = progress_of(own, observation.pending_since, reached, read_to)
        if hop_lag != 0 and same:
            waiting_since = waiting_since or waited
        if hop_lag and observation.advanced_at is None:  # else a stall is measured from there
            waiting_since = waiting_since or observation.observed_at
    samples = _samples(observation, progress, hop_lag, last, now)
    recent = [sample for sample in samples if now - sample.at <= TREND_WINDOW]
    lag_trend = slope([(s.at, s.lag) for s in recent if s.lag is not None])
    record_trend = slope([(s.at, s.lag_records) for s in recent if s.lag_records is not None])
    rate = mean_rate([(s.at, s.position) for s in recent if s.position is not None])
    results: tuple[Finding, ...] = ()
    last_findings = last.last_findings if last else ()
    if observation is not None and error is None:
        previous_observation = last.observation if last else None
        given = CheckInput(
            stage.name, observation.details, observation, previous_observation, tuple(upstream), last_findings, now
        )
        last_findings = results = findings(kind.checks, kind.details, stage, given)
    reading = Reading(
        stage=stage,
        observation=observation,
        error=error,
        starting=result is None,
        upstream=tuple(upstream),
        progress_time=progress,
        hop_lag=hop_lag,
        lag_trend=lag_trend,
        waiting_since=waiting_since,
        previous=last,
        findings=results,
    )
    state, reason, since = evaluate_state(reading, rules, now)
    # What it has not read by now, it leaves out; but a run reads all of its input.
    if state is StageState.IDLE and not kind.run_start_is_progress and observation and not observation.lag_records:
        read_to = max((each.progress_time for each in reached if each.progress_time is not None), default=None)
        waiting_since = None
    before = own_before(last)
    noticed_at = None if before is None else before.noticed_at if before.state is state else now
    lagging = state in (StageState.BEHIND, StageState.SLOW)
    return StageHealth(
        name=stage.name,
        kind=stage.kind,
        component=result.component if result else "",
        reads=stage.reads,
        state=state,
        reason=reason,
        since=since,
        observation=observation or (last.observation if last else None),
        observed_at=observation.observed_at if observation else (last.observed_at if last else None),
        error=error if result else None,
        error_kind=result.error_kind if result else None,
        remedy=result.remedy if result else None,
        probe_duration=result.duration if result else None,
        progress_time=progress,
        hop_lag=hop_lag,
        waiting_since=waiting_since,
        read_to=read_to,
        data_age=None if progress is None else max(0.0, (now - progress).total_seconds()),
        rate=rate,
        inflow=None if rate is None or record_trend is None else max(0.0, rate + record_trend),
        eta=_eta(recent) if lagging else None,
        own=OwnState(state, since, noticed_at),
        samples=samples,
        findings=results,
        last_findings=last_findings,
        system=result.system if result else "",
        needs=result.needs if result else (),
    )


def _samples(
    observation: Observation | None,
    progress: datetime | None,
    hop_lag: float | None,
    last: StageHealth | None,
    now: datetime,
) -> tuple[Sample, ...]:
    kept = last.samples if last else ()
    while len(kept) > 1 and now - kept[1].at > HISTORY:  # one older sample shows since when a reader waits
        kept = kept[1:]
    if observation is None or (kept and kept[-1].at >= observation.observed_at):
        return kept
    newest = Sample(
        at=observation.observed_at,
        lag=hop_lag,
        lag_records=observation.lag_records,
        position=observation.position,
        progress_time=progress,
        newest_passed=newest_passed_by(observation),
    )
    return (*kept, newest)


def _eta(recent: Sequence[Sample]) -> float | None:
    if recent and recent[-1].lag_records:
        return time_left([(s.at, s.lag_records) for s in recent if s.lag_records is not None])
    return time_left([(s.at, s.lag) for s in recent if s.lag is not None])
