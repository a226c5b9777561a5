"""Evaluate the state of one stage from its observation and its thresholds, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dataops_core.config import StageSettings
from dataops_core.health.model import Finding, OwnState, Severity, StageHealth, StageState
from dataops_core.health.observation import Activity, Observation
from dataops_core.health.paths import flowing
from dataops_core.health.rules import Rules
from dataops_core.units import count, duration

PENDING_INPUT = (StageState.BEHIND, StageState.STUCK)
"""States of an upstream stage without progress that show that it has produced no output yet."""
RISING = 0.05
"""Growth of the lag, in seconds per second, above which it counts as rising; below, it is noise."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The input of the evaluation of a state.

    Attributes:
        observation: Observation of the newest probe run; `None` if it failed.
        error: Why the state cannot be determined; `None` if it can.
        starting: Whether the probe has no result yet.
        upstream: Health of the stage's inputs.
        progress_time: Progress, capped at that of the inputs; see `dataops_core.health.evaluate`.
        hop_lag: Hop lag in seconds.
        lag_trend: Growth of the hop lag, in seconds per second.
        waiting_since: As in `StageHealth`.
        previous: The stage in the previous snapshot.
        findings: Findings of the stage's checks.
    """

    stage: StageSettings
    observation: Observation | None
    error: str | None
    starting: bool
    upstream: tuple[StageHealth, ...]
    progress_time: datetime | None
    hop_lag: float | None
    lag_trend: float | None
    waiting_since: datetime | None
    previous: StageHealth | None
    findings: tuple[Finding, ...] = ()


def evaluate_state(reading: Reading, rules: Rules, now: datetime) -> tuple[StageState, str, datetime | None]:
    """Return the state, its reason in one sentence, and its start; `None` if the start is unknown."""
    if reading.starting:
        return StageState.STARTING, "not probed yet", None
    state, reason, since = _evaluate(reading, rules, now)
    before = own_before(reading.previous)
    if before is not None and before.state is state:
        return state, reason, before.since or since
    if since is None and before is not None:
        since = now
    return state, reason, since


def own_before(previous: StageHealth | None) -> OwnState | None:
    """Return the stage's own state in the previous snapshot; `None` if it had not been probed then."""
    if previous is None or previous.own_state is StageState.STARTING:
        return None
    return previous.own or OwnState(previous.state, previous.since)


def _evaluate(reading: Reading, rules: Rules, now: datetime) -> tuple[StageState, str, datetime | None]:
    observation = reading.observation
    if observation is None or reading.error is not None:
        return StageState.UNKNOWN, reading.error or "not observed", None
    failed = _failed(observation, reading.findings)
    if failed is not None:
        return StageState.FAILED, *failed
    if reading.progress_time is None:
        return _without_progress(reading, observation, rules, now)
    if not reading.upstream:
        return _source(reading, observation)
    if reading.hop_lag is None:
        return _not_compared(reading, rules)
    return _compared(reading, observation, reading.hop_lag, rules)


def _not_compared(reading: Reading, rules: Rules) -> tuple[StageState, str, datetime | None]:
    starting = [s.name for s in reading.upstream if s.state is StageState.STARTING]
    if starting:
        return StageState.STARTING, f"its lag is unknown until {', '.join(starting)} is probed", None
    upstream = flowing(reading.upstream)
    unknown = [s for s in upstream if s.progress_time is None]
    all_unknown = len(unknown) == len(upstream)
    if all_unknown and all(s.state is StageState.IDLE for s in unknown):
        return StageState.IDLE, "its input is empty, and no new records arrive", None
    if all_unknown and all(rules.stage(s.kind).run_start_is_progress and s.state in PENDING_INPUT for s in unknown):
        return StageState.CAUGHT_UP, "it has all output of the first upstream run so far", None
    names = ", ".join(s.name for s in unknown)
    return StageState.UNKNOWN, f"its lag is unknown, because the progress of {names} is unknown", None


def _failed(observation: Observation, findings: tuple[Finding, ...]) -> tuple[str, datetime | None] | None:
    critical = next((f for f in findings if f.severity is Severity.CRITICAL), None)
    if critical is not None:
        return critical.sentence, critical.since
    return (observation.failure, observation.advanced_at) if observation.failure is not None else None


def _source(reading: Reading, observation: Observation) -> tuple[StageState, str, datetime | None]:
    newest = observation.progress_time
    quiet = (observation.observed_at - newest).total_seconds() if newest else 0.0
    if quiet > reading.stage.lag_ok:
        return StageState.IDLE, f"no new record for {duration(quiet)}", observation.progress_time
    return StageState.CAUGHT_UP, f"newest record {duration(quiet)} ago", None


def _without_progress(
    reading: Reading, observation: Observation, rules: Rules, now: datetime
) -> tuple[StageState, str, datetime | None]:
    unknown = _why_unknown(reading.stage, observation, rules)
    if unknown is not None:
        return StageState.UNKNOWN, unknown, None
    if any(s.state is StageState.STARTING for s in reading.upstream):
        return _not_compared(reading, rules)
    if not any(_has_passed(s) for s in reading.upstream):
        return StageState.IDLE, "it is empty now" if observation.position else "no records have arrived yet", None
    before = own_before(reading.previous)
    waited_before = before is not None and before.state in (StageState.BEHIND, StageState.STUCK)
    waiting_since = before.since if before is not None and waited_before else reading.waiting_since
    if (
        waiting_since is not None
        and observation.activity is not Activity.RUNNING
        and observation.observed_at - waiting_since > timedelta(seconds=reading.stage.stall_after)
    ):
        return StageState.STUCK, "it has input, but has never produced output" + _activity(observation), waiting_since
    return StageState.BEHIND, "it has input, but has not produced output yet" + _activity(observation), now


def _why_unknown(stage: StageSettings, observation: Observation, rules: Rules) -> str | None:
    """Return why the progress of a stage with possible output is unknown; `None` if it is known."""
    why = rules.stage(stage.kind).why_unknown(stage, observation)
    if why is not None:
        return why
    if observation.lag_records and observation.pending_since is None and observation.position:
        return "it has unread records, but the age of the oldest is unknown"
    return None


def _has_passed(upstream: StageHealth) -> bool:
    """Return whether the stage has any known output; while its first record waits, it has progress but no output."""
    observation = upstream.observation
    at_the_beginning = observation is not None and bool(observation.lag_records) and observation.newest_passed is None
    return upstream.progress_time is not None and not at_the_beginning


def _compared(
    reading: Reading, observation: Observation, hop_lag: float, rules: Rules
) -> tuple[StageState, str, datetime | None]:
    stage = reading.stage
    pause = rules.stage(stage.kind).min_interval(stage)
    lag_ok = stage.lag_ok + pause
    records_wait = bool(observation.lag_records)
    if not records_wait and hop_lag <= lag_ok:
        return _caught_up(reading, hop_lag)
    behind = f"{duration(hop_lag)} behind" + (
        f", lag {count(observation.lag_records)} records" if observation.lag_records else ""
    )
    stalled_since = _latest(observation.advanced_at, reading.waiting_since)
    # Not until now: what the stage has done since it was observed is unknown.
    stalled = (observation.observed_at - stalled_since).total_seconds() if stalled_since is not None else 0.0
    if stalled > stage.stall_after:
        because = f"no progress for {duration(stalled)}: {behind}{_activity(observation)}"
        return StageState.STUCK, because, stalled_since
    if hop_lag <= lag_ok:
        return _caught_up(reading, hop_lag)
    if reading.lag_trend is not None and reading.lag_trend > RISING:
        rising = f"lag rising by {reading.lag_trend:.1f}s every second"
        return StageState.SLOW, f"{behind}, {rising}{_activity(observation)}", None
    return StageState.BEHIND, behind + _activity(observation), None


def _caught_up(reading: Reading, hop_lag: float) -> tuple[StageState, str, datetime | None]:
    if all(s.state is StageState.IDLE for s in reading.upstream):
        processed = "all records are processed" if hop_lag < 1 else f"{duration(hop_lag)} behind its input"
        return StageState.IDLE, f"{processed}, and no new records arrive", None
    return StageState.CAUGHT_UP, f"{duration(hop_lag)} behind its input", None


def _latest(*times: datetime | None) -> datetime | None:
    return max((t for t in times if t is not None), default=None)


def _activity(observation: Observation) -> str:
    words = {
        Activity.PAUSED: "; it is paused",
        Activity.QUEUED: "; a run is queued",
        Activity.RUNNING: "; a run is active",
    }
    return words.get(observation.activity, "")
