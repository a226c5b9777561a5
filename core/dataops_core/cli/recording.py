"""`dataops record` and `dataops report`."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue

import typer

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.terminal import Exit, say, write, write_json
from dataops_core.config import context_of, find_config
from dataops_core.errors import RecordingError
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.text import clock, count
from dataops_core.recorder.recorder import Recorder, cut
from dataops_core.recorder.recording import Recording, default_path
from dataops_core.recorder.timeline import as_dict, as_markdown, parse_time, read_timeline
from dataops_core.systems.registry import load_settings


def record(invocation: Invocation, file: Path | None) -> int:
    """Record until told to stop; each new verdict is a line of narration."""
    from dataops_core.monitor import Monitor

    settings = load_settings(find_config(invocation.config))
    name, _ = context_of(settings, invocation.context)
    monitor = Monitor(settings, name)
    path = file or default_path(settings.recorder, name)
    recorder = Recorder(path, name, monitor.pipelines, settings.refresh, settings.recorder)
    stopped: SimpleQueue[RecordingError | None] = SimpleQueue()
    said: dict[str, str] = {}
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
            if said.get(pipeline.name) != news:
                said[pipeline.name] = news
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


def report(
    invocation: Invocation, file: Path | None, since: str, until: str | None, *, save: Path | None, as_json: bool
) -> int:
    """Write what happened, and copy that part where asked to."""
    now = datetime.now(UTC)
    if file is not None:
        recording = Recording(file)
        moments = recording.moments()
        now = moments[-1].at if moments else now
    else:
        settings = load_settings(find_config(invocation.config))
        recording = Recording(default_path(settings.recorder, context_of(settings, invocation.context)[0]))
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
    try:
        return parse_time(text, now)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f'{option}: "{text}" is no time; write 2h, 30m, 3d, 03:12, or 2026-01-05T03:12'
        ) from None
