"""Find the upstream stage or the component that is the reason why a stage gets no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dataops_core.health.model import ComponentHealth, Severity, StageHealth, StageState
from dataops_core.health.needs import needs_of, relies_on
from dataops_core.health.rules import Rules

HOLDING = {
    StageState.FAILED: 0,
    StageState.STUCK: 0,
    StageState.SLOW: 1,
    StageState.UNKNOWN: 2,
    StageState.BEHIND: 3,
}
"""States of a stage that may hold data back, with their priority for the verdict; lower is blamed first."""
LAGGING = (StageState.STUCK, StageState.SLOW, StageState.BEHIND)
GREEN = (StageState.CAUGHT_UP, StageState.IDLE)
BEFORE = timedelta(seconds=60)
"""If a stage was in its state this long before the component was last healthy, the component is not the cause."""


@dataclass(frozen=True, slots=True)
class Components:
    """The components of a context.

    Attributes:
        known: Components with a probe result.
        pending: Names of components without a probe result.
        rules: Evaluation rules of each kind of stage.
        blamed: The component that the previous verdict blamed. It stays blamed if it is one of several causes.
    """

    known: tuple[ComponentHealth, ...]
    rules: Rules
    pending: frozenset[str] = frozenset()
    blamed: str | None = None


def explained(stages: Sequence[StageHealth], components: Components) -> dict[str, ComponentHealth]:
    """Return the unavailable or unhealthy component that is the cause, by name of each failed or lagging stage."""
    by_name = {c.name: c for c in components.known if c.error is not None}
    results = {}
    for stage in stages:
        because = tuple(_explanations(stage, stages, by_name, components.rules))
        if because:
            results[stage.name] = next((c for c in because if c.name == components.blamed), because[0])
    return results


def _explanations(
    stage: StageHealth, stages: Sequence[StageHealth], unhealthy: Mapping[str, ComponentHealth], rules: Rules
) -> Iterator[ComponentHealth]:
    failed = stage.own_state is StageState.FAILED
    shows_now = not failed or rules.stage(stage.kind).failure_is_current
    if not (failed or stage.own_state in LAGGING) or any(f.severity is Severity.CRITICAL for f in stage.findings):
        return
    for name in relies_on(stage, stages):
        component = unhealthy.get(name)
        if component is None or _was_bad_before(stage, component):
            continue
        if component.reachable is False or (name in needs_of(stage) and shows_now and _explains(component)):
            yield component


def _explains(component: ComponentHealth) -> bool:
    """Return whether a component has a critical finding that explains lagging stages."""
    return any(f.explains and f.severity is Severity.CRITICAL for f in component.findings)


def _was_bad_before(stage: StageHealth, component: ComponentHealth) -> bool:
    """Return whether the stage was in this state while the component was still healthy."""
    if component.well_at is None or stage.own is None:
        return False
    noticed = stage.own.noticed_at
    return noticed is None or noticed < component.well_at - BEFORE


def unseen(stages: Sequence[StageHealth], components: Components) -> dict[str, ComponentHealth]:
    """Return the unavailable component by name of each stage that cannot be probed because of it."""
    down = {c.name: c for c in components.known if c.reachable is False}
    results = {}
    for stage in stages:
        because = [down[name] for name in needs_of(stage) if name in down]
        if because and stage.own_state is StageState.UNKNOWN and stage.error is not None:
            results[stage.name] = next((c for c in because if c.name == components.blamed), because[0])
    return results


@dataclass(frozen=True, slots=True)
class _Holder:
    """A stage or component that holds data back; `order` is the position of the stage in the pipeline."""

    name: str
    since: datetime | None
    state: StageState
    order: int

    def weight(self) -> tuple[int, int]:
        return HOLDING[self.state], self.order


def with_affected(
    stages: Sequence[StageHealth],
    components: Components,
    earlier: Mapping[str, StageHealth],
    now: datetime,
) -> tuple[StageHealth, ...]:
    """Return the stages with `affected_by` set, and with the state `affected` if they work themselves.

    Args:
        stages: The stages with their own states, upstream first.
        components: The components of the context.
        earlier: The stages of the previous snapshot, by name.
        now: The time of the snapshot.
    """
    because = explained(stages, components)
    causes = unseen(stages, components) | because
    holders: dict[str, tuple[_Holder, ...]] = {}
    shown = []
    for order, stage in enumerate(stages):
        above = tuple(dict.fromkeys(holder for name in stage.reads for holder in holders[name]))
        own = _holder(stage, causes.get(stage.name), order)
        holders[stage.name] = (*above, own) if own is not None else above
        worst = own if stage.name in because else min(above, key=_Holder.weight, default=None)
        if worst is None:
            shown.append(stage)
        elif stage.name in because or stage.own_state in GREEN:
            shown.append(_affected(stage, worst, earlier.get(stage.name), now))
        else:
            shown.append(replace(stage, affected_by=worst.name))
    return tuple(shown)


def _holder(stage: StageHealth, component: ComponentHealth | None, order: int) -> _Holder | None:
    """Return the stage itself or its component if it holds data back; else `None`."""
    state = stage.own_state
    # Unknown progress holds nothing back. A failed probe may have the same cause as missing data.
    if state not in HOLDING or (state is StageState.UNKNOWN and stage.error is None):
        return None
    if component is not None:
        return _Holder(component.name, component.since, state, order)
    return _Holder(stage.name, stage.since, state, order)


def _affected(stage: StageHealth, holder: _Holder, before: StageHealth | None, now: datetime) -> StageHealth:
    lasts = before is not None and before.state is StageState.AFFECTED
    since = before.since if before is not None and lasts else holder.since or now
    return replace(stage, state=StageState.AFFECTED, since=since, affected_by=holder.name)
