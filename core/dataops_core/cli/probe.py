"""`dataops probe`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ListOutput, names_of
from dataops_core.cli.terminal import say, write_json, write_rendered

if TYPE_CHECKING:
    from dataops_core.cli.selection import Selection
    from dataops_core.health.model import ComponentHealth, HealthSnapshot, Status
    from dataops_core.monitor import Monitor


def probe(
    context: TyperContext,
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE", help="Default: all.", autocompletion=names_of("pipeline")),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="NAME",
            help="Probe only this stage and its inputs; repeatable.",
            autocompletion=names_of("stage"),
        ),
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="Show only this component; without a pipeline or stage, probe nothing else; repeatable.",
            autocompletion=names_of("component"),
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh continuously until ctrl+c.")] = False,
    every: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="SECONDS", help="Seconds between two refreshes. Default: `refresh` of the settings."
        ),
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="Output format.")] = ListOutput.TABLE,
) -> int:
    """Probe all stages once, and show where the data is stuck.

    With --stage the verdict covers these stages and their inputs. With --component alone the status is the
    components'. With --watch it is that of the last refresh, and JSON is one line per refresh.

    Example: dataops probe --stage bronze.readings --watch --every 10

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, or wrong use or settings, 130 interrupted.
    """
    from dataops_core.cli.selection import Selection

    selection = Selection(pipelines or [], stages or [], components or [])
    return _probe(context.obj, selection, watch=watch, every=every, as_json=output is ListOutput.JSON)


def _probe(invocation: Invocation, selection: Selection, *, watch: bool, every: float | None, as_json: bool) -> int:
    """Probe and write the result; return the status of the last refresh as exit code.

    Args:
        invocation: The options before the command.
        selection: The objects to probe.
        watch: Refresh until interrupted.
        every: Seconds between two refreshes; by default `refresh` of the settings.
        as_json: Write JSON; with `watch` one line per refresh.
    """
    from dataops_core.cli.selection import choose
    from dataops_core.monitor import Monitor
    from dataops_core.times import show_times_in

    chosen = invocation.chosen()
    if not as_json:
        show_times_in(chosen.settings.console.time_zone)
    every = every or chosen.settings.refresh
    monitor = Monitor(choose(chosen, selection).model_copy(update={"refresh": every}), chosen.name)
    code = _run(monitor, selection, watch=watch, as_json=as_json)
    try:
        while watch:
            time.sleep(every)
            code = _run(monitor, selection, watch=True, as_json=as_json)
    except KeyboardInterrupt:
        return code
    return code


def _run(monitor: Monitor, selection: Selection, *, watch: bool, as_json: bool) -> int:
    from dataops_core.cli.health_text import as_text
    from dataops_core.health.as_json import snapshot_to_dict
    from dataops_core.health.text import clock

    snapshot = monitor.once(due_only=True)
    if selection.components:
        shown = tuple(
            c for c in snapshot.components if c.name in selection.components or not selection.components_alone
        )
        snapshot = replace(snapshot, components=shown)
    elif not snapshot.pipelines:
        say(f'dataops: the context "{snapshot.context}" has no pipelines, so the status is unknown')
    if as_json:
        write_json(snapshot_to_dict(snapshot), indent=None if watch else 2)
    else:
        at = f"{clock(snapshot.taken_at, snapshot.taken_at)}\n" if watch else ""
        write_rendered(f"{at}{as_text(snapshot)}" + ("\n" if watch else ""))
    return _status(snapshot, selection).exit_code


def _status(snapshot: HealthSnapshot, selection: Selection) -> Status:
    return _status_of(snapshot.components) if selection.components_alone else snapshot.status


def _status_of(components: tuple[ComponentHealth, ...]) -> Status:
    """Return the worst status of components, in the same order of severity as for pipelines."""
    from dataops_core.health.model import Severity, Status

    if any(c.reachable is False or (c.reachable and c.error is not None) for c in components):
        return Status.CRITICAL
    if any(c.reachable is None for c in components):
        return Status.UNKNOWN
    severities = {finding.severity for c in components for finding in c.findings} - {Severity.NOTE}
    if Severity.CRITICAL in severities:
        return Status.CRITICAL
    return Status.WARNING if severities else Status.OK
