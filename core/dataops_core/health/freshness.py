"""Find why the newest observation of a stage no longer shows its state."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from dataops_core.health.model import ComponentHealth
from dataops_core.health.observation import ProbeResult
from dataops_core.units import duration

STALE_AFTER = timedelta(seconds=60)
"""Age from which an observation is ignored, in addition to the interval between two observations."""


def why_unknown(
    result: ProbeResult | None, components: Iterable[ComponentHealth], pause: float, refresh: float, now: datetime
) -> str | None:
    """Return why the state of a stage is unknown; `None` if its newest observation shows it.

    Args:
        result: Result of the stage's newest probe run.
        components: The components of the context.
        pause: Seconds between two probe runs of the stage, if that is longer than a refresh.
        refresh: Seconds between two refreshes.
        now: The time of the snapshot.
    """
    if result is None:
        return "not probed yet"
    observation = result.observation
    if not result.success or observation is None:
        return result.error or "the probe gave no reason"
    age = now - observation.observed_at
    fresh = max(STALE_AFTER, timedelta(seconds=2 * refresh))  # a slow result arrives one refresh later
    if age > fresh + timedelta(seconds=pause):
        return f"last observed {duration(age.total_seconds())} ago"
    # Probes of one refresh do not start at the same time.
    before = observation.observed_at + timedelta(seconds=refresh / 2)
    for component in components:
        needed = component.name in (result.component, *result.needs)
        if needed and component.failed_at is not None and before < component.failed_at:
            return f"last observed {duration(age.total_seconds())} ago, before {component.name} became unavailable"
    return None
