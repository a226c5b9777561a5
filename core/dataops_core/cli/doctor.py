"""`dataops doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ListOutput, names_of
from dataops_core.cli.terminal import Exit, say, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from dataops_core.diagnostics.doctor import Diagnosis


def doctor(
    context: TyperContext,
    components: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMPONENT", help="Default: all.", autocompletion=names_of("component")),
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="Output format.")] = ListOutput.TABLE,
) -> int:
    """Test each connection layer by layer, and show the layer that fails with its fix.

    Layers: secrets and files of the settings, DNS, TCP, TLS, protocol, authentication, permission, the addresses that
    Kafka's brokers advertise, and the object of each stage. It changes nothing.
    Exit codes: 0 no failure, 1 something fails, 2 wrong use or settings, 130 interrupted.
    Example: dataops --context prod doctor kafka
    """
    return _diagnose(context.obj, components or [], as_json=output is ListOutput.JSON)


def _diagnose(invocation: Invocation, components: list[str], *, as_json: bool) -> int:
    """Test each connection, and write the result of each layer."""
    from dataops_core.cli.printing import show
    from dataops_core.diagnostics.base import Status
    from dataops_core.diagnostics.doctor import as_dict, diagnose

    chosen = invocation.chosen()
    result = diagnose(chosen.context, chosen.pipelines, chosen.settings.probe_timeout, components)
    if as_json:
        write_json(as_dict(result))
    else:
        show([_components(result), "", *_problems(result), _summary(result)])
    if not result:
        say(f'dataops: the context "{chosen.name}" has no components')
    return Exit.FAILED if any(each.status is Status.FAILED for each in result) else Exit.OK


def _components(results: Sequence[Diagnosis]) -> Table:
    from dataops_core.cli.printing import safe, table
    from dataops_core.cli.steps import marked
    from dataops_core.diagnostics.base import Status
    from dataops_core.diagnostics.connection import Layer

    layers = (Layer.NAME, Layer.TCP, Layer.TLS, Layer.PROTOCOL, Layer.AUTHENTICATION, Layer.PERMISSION)
    rows = table("COMPONENT", *(layer.value.upper() for layer in layers), "ABOUT")
    for each in results:
        if each.kind == "component":
            by_layer = {step.name: step for step in reversed(each.steps)}
            answered = by_layer.get(Layer.PROTOCOL)
            about = answered.detail if answered and answered.status is Status.OK and answered.detail else each.target
            rows.add_row(
                safe(each.name),
                *(marked(by_layer[layer].status) if layer in by_layer else "" for layer in layers),
                safe(about),
            )
    return rows


def _problems(results: Sequence[Diagnosis]) -> Iterator[str]:
    from dataops_core.cli.printing import safe
    from dataops_core.cli.steps import marked
    from dataops_core.diagnostics.base import Status

    for each in results:
        for step in each.steps:
            if step.status in (Status.FAILED, Status.WARNING):
                yield f"{marked(step.status)} [bold]{safe(each.name)}[/] {step.name.value}: {safe(step.detail)}"
                if step.remedy:
                    yield f"    fix: {safe(step.remedy)}"
    unknown: dict[str, list[str]] = {}
    for each in results:
        for step in each.steps:
            if step.status is Status.UNKNOWN:
                unknown.setdefault(step.detail, []).append(each.name)
    for detail, names in unknown.items():
        yield f"{marked(Status.UNKNOWN)} {safe(detail)}: {safe(', '.join(names))}"


def _summary(results: Sequence[Diagnosis]) -> str:
    from dataops_core.diagnostics.base import Status

    words = []
    for kind, plural in (("component", "components up"), ("stage", "stages found")):
        of_kind = [each for each in results if each.kind == kind]
        if of_kind:
            healthy = sum(each.status in (Status.OK, Status.WARNING) for each in of_kind)
            words.append(f"{healthy} of {len(of_kind)} {plural}")
    return ", ".join(words)
