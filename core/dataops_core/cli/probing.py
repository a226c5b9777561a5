"""`dataops probe` and `dataops why`."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.printing import rendered, safe, show, table
from dataops_core.cli.terminal import say, write_json, write_rendered
from dataops_core.config import ContextSettings, PipelineSettings, Settings, context_of, find_config
from dataops_core.config.check import no_such
from dataops_core.errors import ConfigError
from dataops_core.health.as_json import plain, snapshot_to_dict
from dataops_core.health.figures import further, stage_figures
from dataops_core.health.model import (
    SCHEMA_VERSION,
    ComponentHealth,
    HealthSnapshot,
    Observation,
    PipelineHealth,
    Remedy,
    Severity,
    StageHealth,
    Status,
    Verdict,
)
from dataops_core.health.paths import ends
from dataops_core.health.text import (
    STATE_COLOURS,
    STATE_GLYPHS,
    STATUS_COLOURS,
    STATUS_GLYPHS,
    UNKNOWN,
    ago,
    clock,
    count,
    duration,
    reason,
    words,
)
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import load_settings


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


def probe(invocation: Invocation, asked: Asked, *, watch: bool, every: float | None, as_json: bool) -> int:
    """Look and write what was seen; return the status of the last look as exit code.

    Args:
        invocation: What was typed before the command.
        asked: What to look at.
        watch: Look again until interrupted.
        every: Seconds between two looks; as in the settings where not given.
        as_json: Write JSON, when watching one line for each look.
    """
    settings = load_settings(find_config(invocation.config))
    context, _ = context_of(settings, invocation.context)
    chosen = _choose(settings, context, asked)
    every = every or settings.refresh
    monitor = Monitor(chosen.model_copy(update={"refresh": every}), context)
    code = _look(monitor, asked, watch=watch, as_json=as_json)
    try:
        while watch:
            time.sleep(every)
            code = _look(monitor, asked, watch=True, as_json=as_json)
    except KeyboardInterrupt:
        return code
    return code


def _look(monitor: Monitor, asked: Asked, *, watch: bool, as_json: bool) -> int:
    snapshot = monitor.once(due_only=True)
    if asked.components:
        seen = tuple(c for c in snapshot.components if c.name in asked.components or not asked.components_alone)
        snapshot = replace(snapshot, components=seen)
    elif not snapshot.pipelines:
        say(f'dataops: the context "{snapshot.context}" has no pipelines, so the status is unknown')
    if as_json:
        write_json(snapshot_to_dict(snapshot), indent=None if watch else 2)
    else:
        at = f"{clock(snapshot.taken_at, snapshot.taken_at)}\n" if watch else ""
        write_rendered(f"{at}{as_text(snapshot)}" + ("\n" if watch else ""))
    return _status(snapshot, asked).exit_code


def _status(snapshot: HealthSnapshot, asked: Asked) -> Status:
    return _status_of(snapshot.components) if asked.components_alone else snapshot.status


def _status_of(components: tuple[ComponentHealth, ...]) -> Status:
    """Return the worst status of components, in the order of that of pipelines."""
    if any(c.reachable is False or (c.reachable and c.error is not None) for c in components):
        return Status.CRITICAL
    if any(c.reachable is None for c in components):
        return Status.UNKNOWN
    severities = {finding.severity for c in components for finding in c.findings} - {Severity.NOTE}
    if Severity.CRITICAL in severities:
        return Status.CRITICAL
    return Status.WARNING if severities else Status.OK


def _choose(settings: Settings, context: str, asked: Asked) -> Settings:
    """Return the settings with only that in them which is needed for what is asked for."""
    here = {name: pipeline for name, pipeline in settings.pipelines.items() if pipeline.context == context}
    where = f'the context "{context}"'
    _check("pipeline", asked.pipelines, here, where)
    chosen = {name: here[name] for name in asked.pipelines or here}
    known = {stage.name: None for pipeline in chosen.values() for stage in pipeline.stages}
    _check("stage", asked.stages, known, f"the pipelines {', '.join(chosen)}")
    contexts = settings.contexts
    _check("component", asked.components, Clients(contexts[context], 1.0).probes(), where)
    if asked.stages:
        parts = {name: _part(pipeline, asked.stages) for name, pipeline in chosen.items()}
        chosen = {name: part for name, part in parts.items() if part.stages}
    elif asked.components_alone:
        chosen = {}
    if asked.stages or asked.components_alone:
        contexts = {context: _context_for(contexts[context], chosen, asked.components)}
    return settings.model_copy(update={"pipelines": chosen, "contexts": contexts})


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


def why(invocation: Invocation, name: str, *, as_json: bool) -> int:
    """Write the verdict on one pipeline with all that it rests on; return the status as exit code."""
    settings = load_settings(find_config(invocation.config))
    context, _ = context_of(settings, invocation.context)
    snapshot = Monitor(_choose(settings, context, Asked([name], [], [])), context).once()
    pipeline = snapshot.pipeline(name)
    verdict = pipeline.verdict
    stage = next((s for s in pipeline.stages if s.name == verdict.stage), None)
    component = next((c for c in snapshot.components if c.name == verdict.component), None)
    if as_json:
        found = {
            "schema_version": SCHEMA_VERSION,
            "taken_at": plain(snapshot.taken_at),
            "context": context,
            "pipeline": name,
            "data_age": plain(pipeline.data_age),
            "objective": plain(pipeline.objective),
            "verdict": plain(verdict),
            "stage": plain(stage),
            "component": plain(component),
        }
        write_json(found)
    else:
        show(_why(pipeline, stage, component, snapshot.taken_at))
    return verdict.status.exit_code


def _why(
    pipeline: PipelineHealth, stage: StageHealth | None, component: ComponentHealth | None, now: datetime
) -> Iterator[RenderableType]:
    verdict = pipeline.verdict
    yield from _verdict(pipeline)
    if verdict.since is not None:
        yield f"  since: {clock(verdict.since, now)} ({ago(verdict.since, now)})"
    if stage is not None:
        yield ""
        yield f"[bold]{safe(stage.name)}[/]  {_state(stage)}  {safe(stage.reason)}"
        yield _pairs(*stage_figures(stage, now), *_facts(stage.observation))
    if component is not None:
        yield ""
        yield _components((component,))
        yield _pairs(*(further(component.observation, now) if component.observation else ()))
    findings = (*(stage.findings if stage else ()), *(component.findings if component else ()))
    for finding in findings:
        yield ""
        yield f"{finding.severity.value}  {safe(finding.check_id)}: {safe(finding.sentence)}"
        yield from (f"  {safe(line)}" for line in (*finding.evidence, *_mend(finding.remedy)))


def _facts(seen: Observation | None) -> Iterator[tuple[str, str]]:
    for fact in seen.facts if seen else ():
        yield fact.name.replace("_", " "), fact.text


def _pairs(*pairs: tuple[str, str]) -> Table:
    rows = Table.grid(padding=(0, 2))
    for name, value in pairs:
        rows.add_row(f"  {safe(name)}", safe(value))
    return rows


def as_text(snapshot: HealthSnapshot) -> str:
    """Return a snapshot for people: the verdicts first, then what they rest on."""
    parts = [part for pipeline in snapshot.pipelines for part in _pipeline(pipeline, snapshot.taken_at)]
    return rendered([*parts, _components(snapshot.components)])


def _pipeline(pipeline: PipelineHealth, now: datetime) -> list[RenderableType]:
    return [*_verdict(pipeline), "", _stages(pipeline.stages, now), ""]


def _verdict(pipeline: PipelineHealth) -> list[str]:
    verdict = pipeline.verdict
    colour = STATUS_COLOURS[verdict.status]
    status = f"[{colour} bold]{STATUS_GLYPHS[verdict.status]} {words(verdict.status).upper()}[/]"
    age = UNKNOWN if pipeline.data_age is None else duration(pipeline.data_age)
    promised = "" if pipeline.objective is None else f" (promised: {duration(pipeline.objective)})"
    return [
        f"{status}  [bold]{safe(pipeline.name)}[/]  {safe(verdict.sentence)}",
        f"  data age: {age}{promised}",
        *(f"  {safe(line)}" for line in _because(verdict)),
    ]


def _because(verdict: Verdict) -> list[str]:
    lines = list(verdict.evidence)
    if verdict.blast_radius:
        lines.append(f"affected: {', '.join(verdict.blast_radius)}")
    return [*lines, *_mend(verdict.remedy)]


def _mend(remedy: Remedy | None) -> list[str]:
    if remedy is None:
        return []
    return [f"remedy: {remedy.text}", *([f"  $ {remedy.command}"] if remedy.command is not None else [])]


def _stages(stages: tuple[StageHealth, ...], now: datetime) -> Table:
    rows = table("STAGE", "STATE", ">LAG", ">DATA AGE", ">WAITING", ">RATE", ">SEEN", "WHY")
    for stage in stages:
        waiting = stage.observation.lag_records if stage.observation else None
        rows.add_row(
            safe(stage.name),
            _state(stage),
            UNKNOWN if stage.hop_lag is None else duration(stage.hop_lag),
            UNKNOWN if stage.data_age is None else duration(stage.data_age),
            UNKNOWN if waiting is None else count(waiting),
            UNKNOWN if stage.rate is None else f"{count(stage.rate)}/s",
            ago(stage.observed_at, now),
            safe(reason(stage)),
        )
    return rows


def _components(components: tuple[ComponentHealth, ...]) -> Table:
    rows = table("COMPONENT", "STATE", ">TOOK", "ABOUT")
    for component in components:
        if component.reachable is None:
            state = "[magenta]? unknown[/]"
        elif component.reachable:
            state = "[green]● answers[/]" if component.error is None else "[red]✖ unhealthy[/]"
        else:
            state = "[red]✖ does not answer[/]"
        took = UNKNOWN if component.duration is None else f"{component.duration * 1000:.0f} ms"
        about = component.error or component.detail or component.target
        rows.add_row(safe(component.name), state, took, safe(about))
    return rows


def _state(stage: StageHealth) -> str:
    return f"[{STATE_COLOURS[stage.state]}]{STATE_GLYPHS[stage.state]} {words(stage.state)}[/]"
