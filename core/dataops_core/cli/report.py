"""`dataops report`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import ReportOutput
from dataops_core.cli.terminal import Exit, say, write, write_json


def report(
    context: TyperContext,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Start: 2h, 30m or 3d ago, 03:12, or 2026-01-05T03:12, in UTC.")
    ] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="End. Default: the end of the recording.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="A recording. Default: the recording of the context."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also copy this part of the recording into a file, for dataops-tui --replay."
        ),
    ] = None,
    output: Annotated[ReportOutput, typer.Option("--output", "-o", help="Output format.")] = ReportOutput.MARKDOWN,
) -> int:
    """Report each incident with its changes, verdicts, evidence and data age.

    With --file, relative times count from the end of the recording, and no settings are needed.

    Example: dataops report --since 2h -o json

    Exit codes: 0 done, 2 wrong use or settings, or there is no recording of that time.
    """
    return _report(context.obj, file, since, until, save=save, as_json=output is ReportOutput.JSON)


def _report(
    invocation: Invocation, file: Path | None, since: str, until: str | None, *, save: Path | None, as_json: bool
) -> int:
    """Write the report, and copy its part of the recording into `save` if given."""
    from dataops_core.recorder.recorder import cut
    from dataops_core.recorder.recording import Recording, default_path
    from dataops_core.recorder.timeline import as_dict, as_markdown, read_timeline
    from dataops_core.units import count

    now = datetime.now(UTC)
    if file is not None:
        recording = Recording(file)
        moments = recording.moments()
        now = moments[-1].at if moments else now
    else:
        chosen = invocation.chosen()
        recording = Recording(default_path(chosen.settings.recorder, chosen.name))
    start = _time(since, now, "--since")
    end = _time(until, now, "--until") if until is not None else None
    timeline = read_timeline(recording, start, end)
    if as_json:
        write_json(as_dict(timeline))
    else:
        write(as_markdown(timeline))
    if save is not None:
        say(f"{count(cut(recording, save, start, end))} health snapshots are in {save}")
    return Exit.OK


def _time(text: str, now: datetime, option: str) -> datetime:
    from dataops_core.recorder.timeline import parse_time

    try:
        return parse_time(text, now)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f'{option}: "{text}" is not a time; write 2h, 30m, 3d, 03:12, or 2026-01-05T03:12'
        ) from None
