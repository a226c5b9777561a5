"""`dataops doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.printing import safe, show, table
from dataops_core.cli.terminal import Exit, say, write_json
from dataops_core.config import context_of, find_config
from dataops_core.diagnostics.doctor import Diagnosis, Layer, Result, as_dict, diagnose
from dataops_core.systems.registry import load_settings

GLYPHS = {Result.OK: "●", Result.WARNING: "▲", Result.UNKNOWN: "?", Result.FAILED: "✖", Result.NOT_USED: "-"}
COLOURS = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.UNKNOWN: "magenta",
    Result.FAILED: "red",
    Result.NOT_USED: "dim",
}
LAYERS = (Layer.NAME, Layer.TCP, Layer.TLS, Layer.PROTOCOL, Layer.AUTHENTICATION, Layer.PERMISSION)
"""Those that each component has."""


def doctor(invocation: Invocation, components: list[str], *, as_json: bool) -> int:
    """Try each connection, and write up to which layer it works."""
    settings = load_settings(find_config(invocation.config))
    name, context = context_of(settings, invocation.context)
    pipelines = {key: pipeline for key, pipeline in settings.pipelines.items() if pipeline.context == name}
    found = diagnose(context, pipelines, settings.probe_timeout, components)
    if as_json:
        write_json(as_dict(found))
    else:
        show([_components(found), "", *_problems(found), _summary(found)])
    if not found:
        say(f'dataops: the context "{name}" has no components')
    return Exit.FAILED if any(each.result is Result.FAILED for each in found) else Exit.OK


def _components(found: Sequence[Diagnosis]) -> Table:
    rows = table("COMPONENT", *(layer.value.upper() for layer in LAYERS), "ABOUT")
    for each in found:
        if each.kind == "component":
            by_layer = {step.layer: step for step in reversed(each.steps)}
            answered = by_layer.get(Layer.PROTOCOL)
            about = answered.detail if answered and answered.result is Result.OK and answered.detail else each.target
            rows.add_row(
                safe(each.name),
                *(_cell(by_layer[layer].result) if layer in by_layer else "" for layer in LAYERS),
                safe(about),
            )
    return rows


def _cell(result: Result) -> str:
    return f"[{COLOURS[result]}]{GLYPHS[result]}[/]"


def _problems(found: Sequence[Diagnosis]) -> Iterator[str]:
    for each in found:
        for step in each.steps:
            if step.result in (Result.FAILED, Result.WARNING):
                yield f"{_cell(step.result)} [bold]{safe(each.name)}[/] {step.layer.value}: {safe(step.detail)}"
                if step.mend:
                    yield f"    mend: {safe(step.mend)}"
    unknown: dict[str, list[str]] = {}
    for each in found:
        for step in each.steps:
            if step.result is Result.UNKNOWN:
                unknown.setdefault(step.detail, []).append(each.name)
    for detail, names in unknown.items():
        yield f"{_cell(Result.UNKNOWN)} {safe(detail)}: {safe(', '.join(names))}"


def _summary(found: Sequence[Diagnosis]) -> str:
    words = []
    for kind, plural in (("component", "components answer"), ("stage", "stages are there")):
        of_kind = [each for each in found if each.kind == kind]
        if of_kind:
            well = sum(each.result in (Result.OK, Result.WARNING) for each in of_kind)
            words.append(f"{well} of {len(of_kind)} {plural}")
    return ", ".join(words)
