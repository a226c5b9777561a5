"""A thousand looks at components each of which is down, hangs, lies or is slow: nothing is left behind by any of them.

`make soak` runs it; it takes some minutes, most of them waiting.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.bench.tui import HUNG
from tests.unit.test_clients import Answer

LOOKS = 250
"""Looks of each of the four processes."""
SETTLED = 100
"""Looks after which what is held may not grow any more."""
GROWTH = 1.05
FEW = 2
"""Threads or files that may be more at a time: a run that has not ended yet."""
COMPONENTS = ("kafka", "airflow", "trino", "catalog")
FAULTS = ("down", "hung", "lying", "slow")
DEADLINE = 0.5

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

LOOK = """
import json, sys, time
from pathlib import Path
import psutil
from dataops_core.systems.registry import load_settings
from dataops_core.gc_tuning import tune_for_probes
from dataops_core.monitor import Monitor
tune_for_probes()
monitor, process = Monitor(load_settings(Path(sys.argv[1]))), psutil.Process()
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    snapshot = monitor.once()
    took = time.monotonic() - began
    states = sorted({stage.state.value for pipeline in snapshot.pipelines for stage in pipeline.stages})
    held = process.memory_info().rss, process.num_threads(), process.num_fds()
    print(json.dumps({"took": took, "states": states, "held": held}), flush=True)
"""


@contextmanager
def served(fault: str) -> Iterator[int]:
    """Give a port at which whoever asks meets with this fault."""
    if fault in ("down", "hung"):
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            if fault == "hung":
                listening.listen(4096)  # who connects is taken by the system, and never answered
            yield listening.getsockname()[1]
        return

    server = Answer(200, b"<html>welcome</html>") if fault == "lying" else Answer(200, b"{}", after=0.6 * DEADLINE)
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        server.close()


def looks(folder: Path, first: int) -> list[dict[str, Any]]:
    """Look again and again, in a process of its own; each component has another fault."""
    faults = {name: FAULTS[(first + number) % len(FAULTS)] for number, name in enumerate(COMPONENTS)}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(served(fault)) for name, fault in faults.items()}
        config = folder / f"{first}.toml"
        config.write_text(f"probe_timeout = {DEADLINE}" + HUNG.format(**ports))
        done = subprocess.run(
            [sys.executable, "-c", LOOK, str(config), str(LOOKS)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_thousand_looks_leave_nothing_behind(tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(FAULTS)) as beside:
        seen = list(beside.map(lambda first: looks(tmp_path, first), range(len(FAULTS))))
    for number, found in enumerate(seen):
        assert len(found) == LOOKS
        assert {state for look in found for state in look["states"]} == {"unknown"}, "a green, or a guess"
        assert max(look["took"] for look in found) < 20 * DEADLINE
        for at, kind in enumerate(("bytes", "threads", "open files")):
            held = [look["held"][at] for look in found]
            settled, at_last = max(held[:SETTLED]), max(held[-SETTLED:])
            sys.stdout.write(f"{number}: {kind}: at the most {settled:,} at first, {at_last:,} at last\n")
            assert at_last <= max(GROWTH * settled, settled + FEW), f"{kind} grow"
