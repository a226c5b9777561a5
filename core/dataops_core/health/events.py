"""Changes of state from one health snapshot to the next, and their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.model import HealthSnapshot, PipelineHealth, StageState, Status
from dataops_core.health.text import availability, words

BAD = frozenset((StageState.SLOW, StageState.STUCK, StageState.FAILED, StageState.UNKNOWN))
"""States in which something is wrong with a stage."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change of state.

    Attributes:
        at: Time of the snapshot with the new state.
        pipeline: The pipeline; `None` for a component, which all pipelines share.
        what: Name of the stage or component, or `verdict`.
        before: The previous state; `None` if there was none.
        after: The new state.
        why: The reason, in one line.
        bad: Whether the new state is a problem.
    """

    at: datetime
    pipeline: str | None
    what: str
    before: str | None
    after: str
    why: str
    bad: bool


def changes(before: HealthSnapshot | None, after: HealthSnapshot) -> tuple[Event, ...]:
    """Return the changes between two snapshots, stages first; without a first snapshot, return the problems."""
    return (*_pipelines(before, after), *_components(before, after))


def _pipelines(before: HealthSnapshot | None, after: HealthSnapshot) -> Iterator[Event]:
    known = {pipeline.name: pipeline for pipeline in before.pipelines} if before else {}
    for pipeline in after.pipelines:
        old = known.get(pipeline.name)
        if old is not None and old.verdict.status is Status.STARTING:
            old = None
        if pipeline.verdict.status is Status.STARTING:
            continue
        yield from _stages(old, pipeline, after.taken_at)
        verdict = pipeline.verdict
        if (old is None and verdict.check_id is not None) or (
            old is not None and old.verdict.check_id != verdict.check_id
        ):
            yield Event(
                at=after.taken_at,
                pipeline=pipeline.name,
                what="verdict",
                before=words(old.verdict.status) if old else None,
                after=words(verdict.status),
                why=verdict.sentence,
                bad=verdict.check_id is not None,
            )


def _stages(before: PipelineHealth | None, after: PipelineHealth, at: datetime) -> Iterator[Event]:
    known = {stage.name: stage for stage in before.stages} if before else {}
    for stage in after.stages:
        old = known.get(stage.name)
        bad = stage.state in BAD
        if (old is None and bad) or (old is not None and old.state is not stage.state):
            yield Event(
                at=at,
                pipeline=after.name,
                what=stage.name,
                before=words(old.state) if old else None,
                after=words(stage.state),
                why=stage.error or stage.reason,
                bad=bad,
            )


def _components(before: HealthSnapshot | None, after: HealthSnapshot) -> Iterator[Event]:
    known = {component.name: component for component in before.components} if before else {}
    for component in after.components:
        old = availability(known[component.name]) if component.name in known else None
        new = availability(component)
        bad = new in ("unavailable", "unhealthy")
        if new != old and (bad or old is not None):
            yield Event(
                at=after.taken_at,
                pipeline=None,
                what=component.name,
                before=old,
                after=new,
                why=component.error or component.detail or "",
                bad=bad,
            )
