"""Which pipelines, stages and components `dataops probe` and `dataops why` ask for."""

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
class Asked:
    """What is to be looked at; all of the context where nothing is named.

    Attributes:
        pipelines: Names of pipelines.
        stages: Names of stages; what they read is looked at too, as their lag is counted from it.
        components: Names of components; without a pipeline or a stage these alone are looked at.
    """

    pipelines: list[str]
    stages: list[str]
    components: list[str]

    @property
    def components_alone(self) -> bool:
        """Whether only components are asked for."""
        return bool(self.components) and not (self.pipelines or self.stages)


def choose(chosen: Chosen, asked: Asked) -> Settings:
    """Return the settings with only that in them which is needed for what is asked for."""
    here, context = chosen.pipelines, chosen.name
    where = f'the context "{context}"'
    _check("pipeline", asked.pipelines, here, where)
    pipelines = {name: here[name] for name in asked.pipelines or here}
    known = {stage.name: None for pipeline in pipelines.values() for stage in pipeline.stages}
    _check("stage", asked.stages, known, f"the pipelines {', '.join(pipelines)}")
    contexts = chosen.settings.contexts
    _check("component", asked.components, Clients(chosen.context, 1.0).probes(), where)
    if asked.stages:
        parts = {name: _part(pipeline, asked.stages) for name, pipeline in pipelines.items()}
        pipelines = {name: part for name, part in parts.items() if part.stages}
    elif asked.components_alone:
        pipelines = {}
    if asked.stages or asked.components_alone:
        contexts = {context: _context_for(chosen.context, pipelines, asked.components)}
    return chosen.settings.model_copy(update={"pipelines": pipelines, "contexts": contexts})


def _check(what: str, names: list[str], known: Collection[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(f"{no_such(what, name, known)} (in {where})")


def _part(pipeline: PipelineSettings, names: list[str]) -> PipelineSettings:
    """Return the pipeline with only these stages and what they read; its objective holds for all its ends together."""
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
    """Return the context with only those components that the stages need or whose probes are named."""
    clients = Clients(context, 1.0)
    stages = [stage for pipeline in pipelines.values() for stage in pipeline.stages]
    needed = {name for stage in stages for _, name in clients.registry.needs(stage, context)}
    return context.only(needed | {clients.owner_of(probe) for probe in probes})
