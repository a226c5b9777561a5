"""`dataops probe`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from dataops_core.cli.app import Invocation
from dataops_core.cli.terminal import say, write
from dataops_core.config import Settings, context_of, find_config, load_settings
from dataops_core.config.check import no_such
from dataops_core.errors import ConfigError
from dataops_core.health.as_json import snapshot_to_dict
from dataops_core.health.model import (
    ComponentHealth,
    HealthSnapshot,
    PipelineHealth,
    StageHealth,
    Status,
    Verdict,
)
from dataops_core.health.text import (
    STATE_COLOURS,
    STATE_GLYPHS,
    STATUS_COLOURS,
    STATUS_GLYPHS,
    count,
    duration,
    visible,
    words,
)
from dataops_core.monitor import Monitor

UNKNOWN = "-"
"""Shown for a figure that is not known."""


def probe(invocation: Invocation, names: list[str], *, as_json: bool) -> int:
    """Look once and write what was seen; return the status as exit code."""
    settings = load_settings(find_config(invocation.config))
    context, _ = context_of(settings, invocation.context)
    chosen = _choose(settings, context, names)
    snapshot = Monitor(chosen, context).once()
    if not snapshot.pipelines:
        say(f'dataops: the context "{context}" has no pipelines, so the status is unknown')
    if as_json:
        write(json.dumps(snapshot_to_dict(snapshot), ensure_ascii=False, indent=2) + "\n")
    else:
        write(as_text(snapshot))
    return list(Status).index(snapshot.status)


def _choose(settings: Settings, context: str, names: list[str]) -> Settings:
    here = {name: pipeline for name, pipeline in settings.pipelines.items() if pipeline.context == context}
    for name in names:
        if name not in here:
            raise ConfigError(f'{no_such("pipeline", name, here)} (in the context "{context}")')
    return settings.model_copy(update={"pipelines": {name: here[name] for name in names or here}})


def as_text(snapshot: HealthSnapshot) -> str:
    """Return a snapshot for people: the verdicts first, then what they rest on."""
    pipelines = (part for pipeline in snapshot.pipelines for part in _pipeline(pipeline, snapshot.taken_at))
    return printed([*pipelines, _components(snapshot.components)])


def printed(parts: Iterable[RenderableType]) -> str:
    """Return texts, in Rich's markup, and tables as the terminal shows them."""
    # Without a terminal nothing is cut off: whoever reads a pipe or a file wants all of it.
    console = Console(width=None if sys.stdout.isatty() else 1000, highlight=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _pipeline(pipeline: PipelineHealth, now: datetime) -> list[RenderableType]:
    verdict = pipeline.verdict
    colour = STATUS_COLOURS[verdict.status]
    status = f"[{colour} bold]{STATUS_GLYPHS[verdict.status]} {words(verdict.status).upper()}[/]"
    age = UNKNOWN if pipeline.data_age is None else duration(pipeline.data_age)
    promised = "" if pipeline.objective is None else f" (promised: {duration(pipeline.objective)})"
    return [
        f"{status}  [bold]{safe(pipeline.name)}[/]  {safe(verdict.sentence)}",
        f"  data age: {age}{promised}",
        *(f"  {safe(line)}" for line in _because(verdict)),
        "",
        _stages(pipeline.stages, now),
        "",
    ]


def _because(verdict: Verdict) -> list[str]:
    lines = list(verdict.evidence)
    if verdict.blast_radius:
        lines.append(f"affected: {', '.join(verdict.blast_radius)}")
    if verdict.remedy is not None:
        lines.append(f"remedy: {verdict.remedy.text}")
        if verdict.remedy.command is not None:
            lines.append(f"  $ {verdict.remedy.command}")
    return lines


def _stages(stages: tuple[StageHealth, ...], now: datetime) -> Table:
    rows = table("STAGE", "STATE", ">LAG", ">WAITING", ">RATE", ">SEEN", "WHY")
    for stage in stages:
        waiting = stage.observation.lag_records if stage.observation else None
        rows.add_row(
            safe(stage.name),
            f"[{STATE_COLOURS[stage.state]}]{STATE_GLYPHS[stage.state]} {words(stage.state)}[/]",
            UNKNOWN if stage.hop_lag is None else duration(stage.hop_lag),
            UNKNOWN if waiting is None else count(waiting),
            UNKNOWN if stage.rate is None else f"{count(stage.rate)}/s",
            "never" if stage.observed_at is None else _ago(stage.observed_at, now),
            safe(stage.reason + (f" (because of {stage.affected_by})" if stage.affected_by else "")),
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


def table(*headings: str) -> Table:
    """Return a table without lines; a heading that begins with `>` stands to the right."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        right = heading.startswith(">")
        made.add_column(heading.removeprefix(">"), justify="right" if right else "left", no_wrap=heading != "WHY")
    return made


def _ago(at: datetime, now: datetime) -> str:
    return f"{duration(max(0.0, (now - at).total_seconds()))} ago"


def safe(text: str) -> str:
    """Return a text of others that neither Rich nor the terminal takes for more than text."""
    return escape(visible(text))
