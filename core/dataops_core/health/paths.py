"""Paths of data through a pipeline with any number of sources and ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from dataops_core.health.model import StageHealth, StageState


class Node(Protocol):
    """A stage, or its settings; sequences of nodes are sorted upstream first."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the stages that it reads."""


N = TypeVar("N", bound=Node)


def sources(stages: Sequence[StageHealth]) -> tuple[StageHealth, ...]:
    """Return the stages that read no other one."""
    return tuple(s for s in stages if not s.reads)


def ends(stages: Sequence[N]) -> tuple[N, ...]:
    """Return the stages that no other one reads."""
    read = {name for s in stages for name in s.reads}
    return tuple(s for s in stages if s.name not in read)


def flowing(stages: Sequence[StageHealth]) -> tuple[StageHealth, ...]:
    """Return the stages that are not idle; all stages if all are idle.

    A source that was quiet for a day holds nothing back, so its newest record must not make other data a day old.
    """
    return tuple(s for s in stages if s.own_state is not StageState.IDLE) or tuple(stages)


def slowest_path(stages: Sequence[StageHealth]) -> tuple[StageHealth, ...]:
    """Return the path to the end with the oldest data, source first; empty if a progress time on it is unknown.

    The data age at that end is exactly the age of the source's newest record plus the sum of the hop lags on this path.
    """
    by_name = {s.name: s for s in stages}
    path: list[StageHealth] = []
    candidates = flowing(ends(stages))
    while candidates:
        known = [(s.progress_time, s) for s in candidates if s.progress_time is not None]
        if len(known) < len(candidates):
            return ()
        _, slowest = min(known, key=_progress)
        path.append(slowest)
        candidates = flowing([by_name[name] for name in slowest.reads])
    return tuple(reversed(path))


def _progress(known: tuple[datetime, StageHealth]) -> datetime:
    return known[0]


def downstream(stages: Iterable[Node], name: str) -> tuple[str, ...]:
    """Return the names of all stages that read the named stage, directly or indirectly, upstream first."""
    reached = {name: None}
    for stage in stages:
        if not reached.keys().isdisjoint(stage.reads):
            reached[stage.name] = None
    return tuple(reached)[1:]
