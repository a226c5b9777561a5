"""Recording of a real incident: `land_readings` stops for two minutes, and catches up."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dataops_core.errors import RecordingError
from dataops_core.health.model import Status
from dataops_core.recorder.recorder import cut
from dataops_core.recorder.recording import Recording
from dataops_core.units import duration
from dataops_local.errors import LocalError
from dataops_local.layout import DEFAULT_STATE, ROOT, Layout
from dataops_local.stack import Stack

VICTIM = "land_readings"
STANDS_STILL = 120
"""Duration of the outage in seconds."""
WELL_BEFORE, WELL_AFTER = 60, 30
"""Seconds with status ok, before and after the incident."""
START_WITHIN, RECOVER_WITHIN = 900, 600
"""Timeouts in seconds."""

Notify = Callable[[str], object]


def record(stack: Stack, target: Path, say: Notify) -> None:
    """Start the stack, record the incident into a new file, and stop the stack.

    Raises:
        LocalError: It did not come, or did not end, within the time.
    """
    layout = stack.layout
    raw = layout.dir("recordings") / "incident.sqlite"
    raw.unlink(missing_ok=True)
    program = Path(sys.executable).parent / "dataops"
    try:
        stack.up(tied=True)
        recorder = subprocess.Popen([program, "--config", layout.config, "record", "--file", raw])
        try:
            say("waiting until all is well")
            _until_well(raw, WELL_BEFORE, START_WITHIN)
            began = datetime.now(UTC)
            say(f"{VICTIM} stands still from now on")
            stack.supervisor.stop(VICTIM)
            time.sleep(STANDS_STILL)
            stack.supervisor.start(VICTIM)
            say("waiting until it has caught up")
            _until_well(raw, WELL_AFTER, RECOVER_WITHIN)
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait(30)
    finally:
        stack.down()
    target.unlink(missing_ok=True)
    number = cut(
        Recording(raw), target, began - timedelta(seconds=WELL_BEFORE), rewrite=lambda text: _portable(text, layout)
    )
    target.chmod(0o644)
    say(f"{number} health snapshots are in {target}: {target.stat().st_size:,} bytes")


def _until_well(path: Path, lasting: float, within: float) -> None:
    """Wait until nothing has been critical or unknown for so many seconds, and all is well."""
    deadline = time.monotonic() + within
    since = time.monotonic()
    while True:
        time.sleep(1)
        try:
            moments = Recording(path).moments()
        except RecordingError:  # it has not begun
            moments = ()
        status = moments[-1].status if moments else Status.UNKNOWN
        if status in (Status.CRITICAL, Status.UNKNOWN):
            since = time.monotonic()
        if status is Status.OK and time.monotonic() - since >= lasting:
            return
        if time.monotonic() > deadline:
            raise LocalError(
                f"the pipeline was not ok for {duration(lasting)} within {duration(within)}: {status.value}"
            )


def _portable(text: str, layout: Layout) -> str:
    """Return a text without where this stack happens to be, so that its commands are those of the demo."""
    elsewhere = f" STATE={shlex.quote(str(layout.state))} PORT_BASE={layout.port_base}"
    return text.replace(elsewhere, "").replace(str(layout.state), str(DEFAULT_STATE)).replace(f"{ROOT}/", "")
