"""Evaluate a health snapshot from probe results: progress, hop lags, trends, states and verdicts.

All functions are pure functions of the previous snapshot, the newest probe results, the settings and the time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter

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
from dataops_core.health.observation import Advance, Observation, ProbeResult
from dataops_core.health.paths import ends, flowing, slowest_path, sources
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
        failed_at=None if result.success else (last.failed_at if last else None) or result.started_at,
        observation=result.observation or (last.observation if last else None),
        findings=results,
    )


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
    waited = last.waiting_since if last else None
    progress, waiting_since, hop_lag = (None, waited, None)
    if observation is not None and not error:
        reached = [_reached(s, observation.observed_at) for s in flowing(upstream)]
        own = _taken(observation.progress_time, reached) if kind.run_start_is_progress else observation.progress_time
        progress, waiting_since, hop_lag = _progress(own, observation.pending_since, reached)
        # the same input still waits, also while the input's progress is unknown
        if hop_lag != 0 and last and last.observation and last.observation.progress_time == observation.progress_time:
            waiting_since = waiting_since or waited
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


@dataclass(frozen=True, slots=True)
class _Reached:
    """Progress of an upstream stage when its reader was observed; fields as in `Observation` and `StageHealth`."""

    progress_time: datetime | None
    newest_passed: datetime | None
    advances: tuple[Advance, ...]
    samples: tuple[Sample, ...]


def _reached(upstream: StageHealth, at: datetime) -> _Reached:
    """Return the upstream stage's progress at the time when its reader was observed.

    Output that the upstream stage has passed on since then does not count as lag of the reader. If the upstream stage
    was first observed after its reader, its first observation is the nearest one.
    """
    observation = upstream.observation
    advances = observation.advances if observation is not None else ()
    if observation is not None and observation.advanced_at is not None and observation.advanced_at > at:
        known = [sample for sample in upstream.samples if sample.progress_time is not None]
        then = next((sample for sample in reversed(known) if sample.at <= at), next(iter(known), None))
        if then is not None:
            return _Reached(then.progress_time, then.newest_passed, advances, upstream.samples)
    if observation is None:
        return _Reached(upstream.progress_time, None, advances, upstream.samples)
    return _Reached(upstream.progress_time, _newest_passed(observation), advances, upstream.samples)


def _newest_passed(observation: Observation) -> datetime | None:
    """Return what a reader has to reach to be up to date: the stage's progress may count as that of its input."""
    return observation.newest_passed or observation.progress_time


def _taken(started: datetime | None, upstream: Sequence[_Reached]) -> datetime | None:
    """Return the progress of a run by its start: it has read only what its upstream stages held at that time.

    Without the upstream's advances, the run is assumed to have read all that had entered the pipeline by then. `None`
    if the upstream stages held nothing yet.
    """
    if started is None:
        return None
    untaken = [next((a for a in reached.advances if a.at > started), None) for reached in upstream]
    if untaken and all(advance is not None and advance.first for advance in untaken):
        return None
    return min(
        (started, *(advance.oldest for advance in untaken if advance is not None and advance.oldest is not None))
    )


def _progress(
    own: datetime | None, waiting_since: datetime | None, upstream: Sequence[_Reached]
) -> tuple[datetime | None, datetime | None, float | None]:
    """Return the progress time, since when input waits, and the hop lag in seconds.

    A stage's progress is capped at that of its upstream stages. If an upstream stage reports its advances, the first
    advance that this stage has not read gives the age of the oldest waiting record. Without it, a stage behind a source
    that was quiet for an hour would appear to lag by an hour. If it reports no advances, input waits since the upstream
    stage was first seen ahead. If an upstream stage reports the newest record that it has passed, a stage that has read
    this record does not lag.
    """
    if not upstream:
        return own, None, 0.0 if own is not None else None
    ceilings = [s.progress_time for s in upstream if s.progress_time is not None]
    if own is None or len(ceilings) < len(upstream):
        return own, None, None
    ceiling = min(ceilings)
    taken = [_taken_from(s, own, waiting_since) for s in upstream]
    own, waiting_since = min(taken, key=itemgetter(0))
    return own, waiting_since, max(0.0, (ceiling - own).total_seconds())


def _taken_from(upstream: _Reached, own: datetime, waiting_since: datetime | None) -> tuple[datetime, datetime | None]:
    """Return a stage's progress as limited by one upstream stage, and since when input waits."""
    ceiling = upstream.progress_time or own
    if own < ceiling:
        if upstream.newest_passed is not None and own >= upstream.newest_passed:
            own = ceiling
        for earlier, advance in zip((None, *upstream.advances), upstream.advances, strict=False):
            if advance.progress_time <= own:
                continue
            if earlier is not None:  # else the first waiting advance may be older than the known ones
                waiting_since = waiting_since or advance.at
                own = max(own, advance.oldest or own)
            break
        if own < ceiling and not upstream.advances:
            waiting_since = waiting_since or _first_ahead(upstream.samples, own)
    return min(own, ceiling), waiting_since


def _first_ahead(samples: Sequence[Sample], own: datetime) -> datetime | None:
    """Return when an upstream stage was first seen ahead of its reader; `None` if it was ahead in every sample."""
    passed = [(sample.at, sample.newest_passed) for sample in samples if sample.newest_passed is not None]
    first = next((number for number, (_, newest) in enumerate(passed) if newest > own), len(passed))
    # ahead in no sample: the progress of a stage further up, which limited it, is no longer known
    return passed[min(first, len(passed) - 1)][0] if first else None


def _samples(
    observation: Observation | None,
    progress: datetime | None,
    hop_lag: float | None,
    last: StageHealth | None,
    now: datetime,
) -> tuple[Sample, ...]:
    kept = tuple(s for s in last.samples if now - s.at <= HISTORY) if last else ()
    if observation is None or (kept and kept[-1].at >= observation.observed_at):
        return kept
    newest = Sample(
        at=observation.observed_at,
        lag=hop_lag,
        lag_records=observation.lag_records,
        position=observation.position,
        progress_time=progress,
        newest_passed=_newest_passed(observation),
    )
    return (*kept, newest)


def _eta(recent: Sequence[Sample]) -> float | None:
    if recent and recent[-1].lag_records:
        return time_left([(s.at, s.lag_records) for s in recent if s.lag_records is not None])
    return time_left([(s.at, s.lag) for s in recent if s.lag is not None])
