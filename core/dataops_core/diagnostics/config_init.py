"""Propose pipelines from a running stack, by the inputs and outputs that the systems record.

Nothing is guessed from names. Each system adds its stages and their links: consumer groups by their commits, streaming
queries by their checkpoints, tables by their commits, and DAGs by the assets that they declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dataops_core.config import Settings
from dataops_core.diagnostics.base import Report, Status, Step
from dataops_core.health.model import StageState
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.draft import Draft, ProposedStage

NO_LINKS = "no linked stages found in Kafka, the checkpoints, the tables and the assets"


class Question(StrEnum):
    """A question that a proposal answers."""

    COMPONENT = "component"
    """Which objects does a component have?"""
    PIPELINES = "pipelines"
    """Which objects are linked?"""
    STATES = "states"
    """Can the proposed stages be observed?"""


@dataclass(frozen=True)
class Proposal:
    """Proposed pipelines, and the objects that are in none.

    Attributes:
        pipelines: Stages by the name of the pipeline, upstream first.
        unlinked: Topics, tables and DAGs without a known reader or writer, each as kind and name.
        report: A step for each component that could not be queried, and one for the pipelines.
    """

    pipelines: Mapping[str, tuple[ProposedStage, ...]]
    unlinked: tuple[str, ...]
    report: Report[Question]

    @property
    def stages(self) -> int:
        """Number of stages of all pipelines."""
        return sum(map(len, self.pipelines.values()))


def propose(clients: Clients, checkpoints: Sequence[str] = ()) -> Proposal:
    """Query all components, and propose pipelines, without changing anything.

    Args:
        clients: The clients of the context.
        checkpoints: Folders of Spark queries' checkpoints, the only source for queries. A checkpoint in an object store
            is opened with the properties of the first catalog.

    Raises:
        NotFound: One of the folders has no checkpoint.
        ClientError: One of them is not a checkpoint of Spark.
    """
    draft = Draft(tuple(checkpoints))
    for system in sorted(clients.registry.systems(), key=lambda system: system.discovery_turn):
        if system.discover is not None:
            system.discover(draft, clients)
    stages = list(draft.stages())
    by_name = {stage.name: stage for stage in stages}
    linked = [group for group in connected(by_name) if len(group) > 1 or any(by_name[name].alone for name in group)]
    pipelines = {}
    for group in sorted(linked, key=len, reverse=True):
        ordered = upstream_first(group, by_name)
        pipelines[ordered[0].name] = tuple(ordered)
    taken = {stage.name for group in pipelines.values() for stage in group}
    unlinked = tuple(f"{_noun(clients, s.kind)} {s.name}" for s in stages if s.name not in taken)
    report = Report([Step(Question.COMPONENT, Status.UNKNOWN, failure) for failure in draft.failures])
    if pipelines:
        report.add(Question.PIPELINES, Status.OK, f"{len(pipelines)} pipelines")
    else:
        report.add(Question.PIPELINES, Status.UNKNOWN, NO_LINKS)
    return Proposal(pipelines, unlinked, report)


def observe(proposal: Proposal, settings: Settings, context: str) -> Step[Question]:
    """Return whether the proposed stages can be observed, from one probe run of all of them."""
    snapshot = Monitor(settings, context).once()
    stages = [stage for pipeline in snapshot.pipelines for stage in pipeline.stages]
    known = sum(stage.state is not StageState.UNKNOWN for stage in stages)
    status = Status.OK if known == proposal.stages else Status.WARNING
    return Step(Question.STATES, status, f"{known} of {proposal.stages} stages have a known state")


def _noun(clients: Clients, kind: str) -> str:
    result = clients.registry.stage_kind(kind)
    return result.noun if result is not None and result.noun else kind


def connected(by_name: Mapping[str, ProposedStage]) -> Iterable[set[str]]:
    """Yield the names of each group of linked stages."""
    neighbours: dict[str, set[str]] = {name: set() for name in by_name}
    for stage in by_name.values():
        for read in stage.reads:
            neighbours[stage.name].add(read)
            neighbours[read].add(stage.name)
    left = set(by_name)
    while left:
        group, pending = set[str](), {left.pop()}
        while pending:
            name = pending.pop()
            group.add(name)
            pending |= neighbours[name] - group
        left -= group
        yield group


def upstream_first(names: set[str], by_name: Mapping[str, ProposedStage]) -> list[ProposedStage]:
    """Return stages sorted by the length of their longest path from a source; links that close a cycle are removed."""
    depth: dict[str, int] = {}

    def measure(name: str, above: tuple[str, ...]) -> int:
        if name not in depth:
            stage = by_name[name]
            stage.reads = [read for read in stage.reads if read not in (*above, name)]
            depth[name] = 1 + max((measure(read, (*above, name)) for read in stage.reads), default=0)
        return depth[name]

    return [by_name[name] for name in sorted(names, key=lambda name: (measure(name, ()), name))]
