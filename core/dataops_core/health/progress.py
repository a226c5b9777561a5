"""Compare the progress of a stage with that of its upstream stages, at the time when the stage was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dataops_core.health.model import Sample, StageHealth
from dataops_core.health.observation import Advance, Observation


@dataclass(frozen=True, slots=True)
class Reached:
    """Progress of an upstream stage when its reader was observed; fields as in `Observation` and `StageHealth`."""

    progress_time: datetime | None
    newest_passed: datetime | None
    advances: tuple[Advance, ...]
    samples: tuple[Sample, ...]


def reached_at(upstream: StageHealth, at: datetime) -> Reached:
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
            return Reached(then.progress_time, then.newest_passed, advances, upstream.samples)
    if observation is None:
        return Reached(upstream.progress_time, None, advances, upstream.samples)
    return Reached(upstream.progress_time, newest_passed_by(observation), advances, upstream.samples)


def newest_passed_by(observation: Observation) -> datetime | None:
    """Return the progress time with which a reader is up to date; the progress of the stage may be later.

    A stage that has read all of a quiet input has the progress time of that input, without new output.
    """
    return observation.newest_passed or observation.progress_time


def stands_still(before: Observation, now: Observation) -> bool:
    """Return whether the progress is the same; a progress time computed from an age varies by fractions of a second."""
    if before.progress_time is None or now.progress_time is None:
        return before.progress_time is now.progress_time
    return abs(now.progress_time - before.progress_time) < timedelta(seconds=1)


def taken_by(started: datetime | None, upstream: Sequence[Reached]) -> datetime | None:
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


def newest_taken(started: datetime | None, upstream: Sequence[Reached]) -> datetime | None:
    """Return the newest progress time that a run by its start has read; `None` if its inputs report no advances."""
    advances = [advance for reached in upstream for advance in reached.advances]
    return max((each.progress_time for each in advances if started and each.at <= started), default=None)


def progress_of(
    own: datetime | None,
    waiting_since: datetime | None,
    upstream: Sequence[Reached],
    read_to: datetime | None = None,
) -> tuple[datetime | None, datetime | None, float | None]:
    """Return the progress time, since when input waits, and the hop lag in seconds.

    A stage's progress is capped at that of its upstream stages. If an upstream stage reports its advances, the first
    advance that this stage has not read gives the age of the oldest waiting record. Without it, a stage behind a source
    that was quiet for an hour would appear to lag by an hour. If it reports no advances, input waits since the upstream
    stage was first seen ahead. If an upstream stage reports the newest record that it has passed, a stage that has read
    this record does not lag. Input up to `read_to` does not wait: see `StageHealth`.
    """
    if not upstream:
        return own, None, 0.0 if own is not None else None
    ceilings = [s.progress_time for s in upstream if s.progress_time is not None]
    if own is None or len(ceilings) < len(upstream):
        return own, None, None
    ceiling = min(ceilings)
    taken = [_taken_from(s, own, waiting_since, read_to or own) for s in upstream]
    own = min(progress for progress, _ in taken)
    waits = [since for progress, since in taken if progress == own and since is not None]
    hop_lag = max(0.0, (ceiling - own).total_seconds())
    return own, max(waits, default=None) if hop_lag else waiting_since, hop_lag


def _taken_from(
    upstream: Reached, own: datetime, waiting_since: datetime | None, read_to: datetime
) -> tuple[datetime, datetime | None]:
    """Return a stage's progress as limited by one upstream stage, and since when input waits."""
    ceiling = upstream.progress_time or own
    if own < ceiling:
        read_to, passed = max(own, read_to), upstream.newest_passed
        untaken, waiting = (_first_after(upstream.advances, taken) for taken in (own, read_to))
        if untaken is not None and untaken.oldest is not None:
            own = max(own, untaken.oldest)
        if passed is not None and read_to >= passed:  # the rest of its input has not passed the upstream stage yet
            own = max(own, ceiling - max(passed - own, timedelta(0)))
        elif waiting is not None:
            waiting_since = waiting_since or waiting.at
        elif not upstream.advances and read_to < ceiling:
            waiting_since = waiting_since or _first_ahead(upstream.samples, read_to)
    return min(own, ceiling), waiting_since


def _first_after(advances: Sequence[Advance], taken: datetime) -> Advance | None:
    """Return the first advance after a progress time; `None` if an older one than the known ones may be the first."""
    first = next((number for number, advance in enumerate(advances) if advance.progress_time > taken), 0)
    return advances[first] if first else None


def _first_ahead(samples: Sequence[Sample], own: datetime) -> datetime | None:
    """Return when an upstream stage was first seen ahead of its reader; `None` if it was ahead in every sample."""
    passed = [(sample.at, sample.newest_passed) for sample in samples if sample.newest_passed is not None]
    first = next((number for number, (_, newest) in enumerate(passed) if newest > own), len(passed))
    # ahead now, but in no sample: it has just become ahead
    return passed[min(first, len(passed) - 1)][0] if first else None
