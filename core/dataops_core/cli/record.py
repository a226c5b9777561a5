"""`dataops record`."""

from __future__ import annotations

import signal
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.terminal import Exit, say
from dataops_core.errors import RecordingError

if TYPE_CHECKING:
    from dataops_core.health.model import HealthSnapshot


def record(
    context: TyperContext,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Record into this file. Default: the recording of the context."
        ),
    ] = None,
) -> int:
    """Record a health snapshot at every refresh, until ctrl+c.

    [recorder] in the settings limits age and size. One process records into a file at a time.

    Example: dataops record

    Exit codes: 0 stopped by ctrl+c or a signal, 1 the file cannot be written, 2 wrong use or settings, or another
    process already records into it.
    """
    return _record(context.obj, file)


def _record(invocation: Invocation, file: Path | None) -> int:
    """Record until a signal stops it, and write each new verdict to standard error."""
    from dataops_core.health.text import clock
    from dataops_core.monitor import Monitor
    from dataops_core.recorder.recorder import Recorder
    from dataops_core.recorder.recording import default_path
    from dataops_core.units import count

    chosen = invocation.chosen()
    settings, name = chosen.settings, chosen.name
    monitor = Monitor(settings, name)
    path = file or default_path(settings.recorder, name)
    recorder = Recorder(path, name, monitor.pipelines, settings.refresh, settings.recorder)
    stopped: SimpleQueue[RecordingError | None] = SimpleQueue()
    reported: dict[str, str] = {}
    kept = 0

    def keep(snapshot: HealthSnapshot) -> None:
        nonlocal kept
        try:
            kept += recorder.write(snapshot)
        except RecordingError as error:
            stopped.put(error)
        for pipeline in snapshot.pipelines if kept else ():
            verdict = pipeline.verdict
            news = verdict.check_id or verdict.status.value
            if reported.get(pipeline.name) != news:
                reported[pipeline.name] = news
                at = clock(snapshot.taken_at, snapshot.taken_at)
                say(f"{at} {pipeline.name}: {verdict.status.value}: {verdict.sentence}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopped.put(None))
    say(f"recording into {path}; ctrl+c stops")
    monitor.start(keep)
    try:
        error = stopped.get()
    finally:
        monitor.stop()
        recorder.close()
    if error is not None:
        say(f"dataops: {error}")
        return Exit.FAILED
    say(f"{count(kept)} health snapshots are in {path}")
    return Exit.OK
