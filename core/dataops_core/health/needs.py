"""The components that a stage depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dataops_core.health.model import StageHealth


def needs_of(stage: StageHealth) -> tuple[str, ...]:
    """Return the names of the components without which a stage cannot be observed."""
    return tuple(dict.fromkeys((stage.component, *stage.needs)))


def relies_on(stage: StageHealth, stages: Iterable[StageHealth]) -> tuple[str, ...]:
    """Return the names of the components whose outage stops a stage: its own first, then its neighbours'.

    If an input has the same component, the inputs of that input count, too: a view of a view needs the table below.
    """
    by_name = {s.name: s for s in stages}
    readers = [s for s in by_name.values() if stage.name in s.reads]
    involved = (stage, *readers, *_read_through(stage, by_name))
    return tuple(dict.fromkeys(name for s in involved for name in needs_of(s) if name))


def _read_through(stage: StageHealth, by_name: Mapping[str, StageHealth]) -> Iterable[StageHealth]:
    for name in stage.reads:
        upstream = by_name[name]
        yield upstream
        if upstream.component == stage.component:
            yield from _read_through(upstream, by_name)
