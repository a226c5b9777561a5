"""A health snapshot, and the verdict on one pipeline, as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table

from dataops_core.cli.printing import rendered, safe, table
from dataops_core.health.model import ComponentHealth, HealthSnapshot, PipelineHealth, Remedy, StageHealth, Verdict
from dataops_core.health.observation import Observation
from dataops_core.health.stage_values import further_values, stage_values
from dataops_core.health.text import (
    STATE_COLOURS,
    STATE_GLYPHS,
    STATUS_COLOURS,
    STATUS_GLYPHS,
    ago,
    clock,
    reason,
    words,
)
from dataops_core.units import UNKNOWN, count, duration


def why(
    pipeline: PipelineHealth, stage: StageHealth | None, component: ComponentHealth | None, now: datetime
) -> Iterator[RenderableType]:
    """Yield the verdict on a pipeline, and all values of the stage or component that is the cause."""
    verdict = pipeline.verdict
    yield from _verdict(pipeline)
    if verdict.since is not None:
        yield f"  since: {clock(verdict.since, now)} ({ago(verdict.since, now)})"
    if stage is not None:
        yield ""
        yield f"[bold]{safe(stage.name)}[/]  {_state(stage)}  {safe(stage.reason)}"
        yield _pairs(*stage_values(stage, now), *_attributes(stage.observation))
    if component is not None:
        yield ""
        yield _components((component,))
        yield _pairs(*(further_values(component.observation, now) if component.observation else ()))
    findings = (*(stage.findings if stage else ()), *(component.findings if component else ()))
    for finding in findings:
        yield ""
        yield f"{finding.severity.value}  {safe(finding.check_id)}: {safe(finding.sentence)}"
        yield from (f"  {safe(line)}" for line in (*finding.evidence, *_remedy_lines(finding.remedy)))


def _attributes(observation: Observation | None) -> Iterator[tuple[str, str]]:
    for attribute in observation.facts if observation else ():
        yield attribute.name.replace("_", " "), attribute.text


def _pairs(*pairs: tuple[str, str]) -> Table:
    rows = Table.grid(padding=(0, 2))
    for name, value in pairs:
        rows.add_row(f"  {safe(name)}", safe(value))
    return rows


def as_text(snapshot: HealthSnapshot) -> str:
    """Return a snapshot as text: each pipeline's verdict with its stages, then the components."""
    parts = [part for pipeline in snapshot.pipelines for part in _pipeline(pipeline, snapshot.taken_at)]
    return rendered([*parts, _components(snapshot.components)])


def _pipeline(pipeline: PipelineHealth, now: datetime) -> list[RenderableType]:
    return [*_verdict(pipeline), "", _stages(pipeline.stages, now), ""]


def _verdict(pipeline: PipelineHealth) -> list[str]:
    verdict = pipeline.verdict
    colour = STATUS_COLOURS[verdict.status]
    status = f"[{colour} bold]{STATUS_GLYPHS[verdict.status]} {words(verdict.status).upper()}[/]"
    age = UNKNOWN if pipeline.data_age is None else duration(pipeline.data_age)
    objective = "" if pipeline.objective is None else f" (objective: {duration(pipeline.objective)})"
    return [
        f"{status}  [bold]{safe(pipeline.name)}[/]  {safe(verdict.sentence)}",
        f"  data age: {age}{objective}",
        *(f"  {safe(line)}" for line in _because(verdict)),
    ]


def _because(verdict: Verdict) -> list[str]:
    lines = list(verdict.evidence)
    if verdict.blast_radius:
        lines.append(f"affected: {', '.join(verdict.blast_radius)}")
    return [*lines, *_remedy_lines(verdict.remedy)]


def _remedy_lines(remedy: Remedy | None) -> list[str]:
    if remedy is None:
        return []
    return [f"remedy: {remedy.text}", *([f"  $ {remedy.command}"] if remedy.command is not None else [])]


def _stages(stages: tuple[StageHealth, ...], now: datetime) -> Table:
    rows = table("STAGE", "STATE", ">LAG", ">DATA AGE", ">LAG (RECORDS)", ">RATE", ">CHECKED", "WHY")
    for stage in stages:
        records = stage.observation.lag_records if stage.observation else None
        rows.add_row(
            safe(stage.name),
            _state(stage),
            UNKNOWN if stage.hop_lag is None else duration(stage.hop_lag),
            UNKNOWN if stage.data_age is None else duration(stage.data_age),
            UNKNOWN if records is None else count(records),
            UNKNOWN if stage.rate is None else f"{count(stage.rate)}/s",
            ago(stage.observed_at, now),
            safe(reason(stage)),
        )
    return rows


def _components(components: tuple[ComponentHealth, ...]) -> Table:
    rows = table("COMPONENT", "STATE", ">DURATION", "ABOUT")
    for component in components:
        if component.reachable is None:
            state = "[magenta]? unknown[/]"
        elif component.reachable:
            state = "[green]● up[/]" if component.error is None else "[red]✖ unhealthy[/]"
        else:
            state = "[red]✖ unavailable[/]"
        took = duration(component.duration, precise=True)
        about = component.error or component.detail or component.target
        rows.add_row(safe(component.name), state, took, safe(about))
    return rows


def _state(stage: StageHealth) -> str:
    return f"[{STATE_COLOURS[stage.state]}]{STATE_GLYPHS[stage.state]} {words(stage.state)}[/]"
