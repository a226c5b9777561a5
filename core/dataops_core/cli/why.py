"""`dataops why`."""

from __future__ import annotations

from typing import Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ListOutput, PipelineArgument
from dataops_core.cli.terminal import write_json


def why(
    context: TyperContext,
    pipeline: PipelineArgument,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="Output format.")] = ListOutput.TABLE,
) -> int:
    """Explain the verdict of a pipeline, with all values of the stage or component that is the cause.

    Shows the cause, since when, the evidence, the affected stages, the remedy and other problems.

    Example: dataops why boreal-bridge

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, or wrong use or settings, 130 interrupted.
    """
    return _why(context.obj, pipeline, as_json=output is ListOutput.JSON)


def _why(invocation: Invocation, name: str, *, as_json: bool) -> int:
    """Write the verdict on one pipeline with its evidence; return the status as exit code."""
    from dataops_core.cli.health_text import why as why_text
    from dataops_core.cli.printing import show
    from dataops_core.cli.selection import Selection, choose
    from dataops_core.health.as_json import plain
    from dataops_core.health.model import SCHEMA_VERSION
    from dataops_core.monitor import Monitor
    from dataops_core.times import show_times_in

    chosen = invocation.chosen()
    if not as_json:
        show_times_in(chosen.settings.console.time_zone)
    snapshot = Monitor(choose(chosen, Selection([name], [], [])), chosen.name).once()
    pipeline = snapshot.pipeline(name)
    verdict = pipeline.verdict
    stage = next((s for s in pipeline.stages if s.name == verdict.stage), None)
    component = next((c for c in snapshot.components if c.name == verdict.component), None)
    if as_json:
        results = {
            "schema_version": SCHEMA_VERSION,
            "taken_at": plain(snapshot.taken_at),
            "context": chosen.name,
            "pipeline": name,
            "data_age": plain(pipeline.data_age),
            "objective": plain(pipeline.objective),
            "verdict": plain(verdict),
            "stage": plain(stage),
            "component": plain(component),
        }
        write_json(results)
    else:
        show(why_text(pipeline, stage, component, snapshot.taken_at))
    return verdict.status.exit_code
