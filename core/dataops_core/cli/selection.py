"""Select the pipelines, stages and components that `dataops probe` and `dataops why` evaluate."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dataops_core.cli.invocation import Chosen
from dataops_core.config import ContextSettings, PipelineSettings, Settings
from dataops_core.config.check import no_such
from dataops_core.errors import ConfigError
from dataops_core.health.paths import ends
from dataops_core.systems.clients import Clients


@dataclass(frozen=True)
class Selection:
    """Names of the objects to probe; everything in the context if all are empty.

    Attributes:
        stages: Stages to probe with their inputs, from which their lag is computed.
        components: Components to show; without a pipeline or a stage, only these are probed.
    """

    pipelines: list[str]
    stages: list[str]
    components: list[str]

    @property
    def components_alone(self) -> bool:
        """Whether only components are selected."""
        return bool(self.components) and not (self.pipelines or self.stages)


def choose(chosen: Chosen, selection: Selection) -> Settings:
    """Return the settings, reduced to the selection and the objects that it needs."""
    here, context = chosen.pipelines, chosen.name
    where = f'the context "{context}"'
    _check("pipeline", selection.pipelines, here, where)
    pipelines = {name: here[name] for name in selection.pipelines or here}
    known = {stage.name: None for pipeline in pipelines.values() for stage in pipeline.stages}
    _check("stage", selection.stages, known, f"the pipelines {', '.join(pipelines)}")
    contexts = chosen.settings.contexts
    _check("component", selection.components, Clients(chosen.context, 1.0).probes(), where)
    if selection.stages:
        parts = {name: _part(pipeline, selection.stages) for name, pipeline in pipelines.items()}
        pipelines = {name: part for name, part in parts.items() if part.stages}
    elif selection.components_alone:
        pipelines = {}
    if selection.stages or selection.components_alone:
        contexts = {context: _context_for(chosen.context, pipelines, selection.components)}
    return chosen.settings.model_copy(update={"pipelines": pipelines, "contexts": contexts})


def _check(noun: str, names: list[str], known: Collection[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{no_such(noun, name, known)} (in {where})")


def _part(pipeline: PipelineSettings, names: list[str]) -> PipelineSettings:
    """Return the pipeline with only these stages and their inputs; without its objective if an end is missing."""
    wanted = set(names)
    for stage in reversed(pipeline.stages):
        if stage.name in wanted:
            wanted.update(stage.reads)
    stages = tuple(stage for stage in pipeline.stages if stage.name in wanted)
    whole = wanted.issuperset(stage.name for stage in ends(pipeline.stages))
    return pipeline.model_copy(update={"stages": stages, "objective": pipeline.objective if whole else None})


def _context_for(
    context: ContextSettings, pipelines: dict[str, PipelineSettings], probes: list[str]
) -> ContextSettings:
    """Return the context with only the components that the stages need or whose probes are named."""
    clients = Clients(context, 1.0)
    stages = [stage for pipeline in pipelines.values() for stage in pipeline.stages]
    needed = {name for stage in stages for _, name in clients.registry.needs(stage, context)}
    return context.only(needed | {clients.owner_of(probe) for probe in probes})
