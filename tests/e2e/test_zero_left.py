"""The last test: what was started is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.e2e.conftest import Stack, until
from tests.e2e.test_outages import AIRFLOW, LAND

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def test_the_stack_leaves_nothing_running(stack: Stack) -> None:
    """A killed supervisor takes its programs with it; what waits for ever in its own shutdown, `down` ends.

    Airflow's scheduler does so at times: it waits for a worker that waits for it.
    """
    pids = {path.name: int(path.read_text()) for path in (stack.state / "pids").iterdir()}
    supervisor = int((stack.state / "supervisor.pid").read_text())
    assert {"kafka", "trino", "store", LAND, *AIRFLOW} <= set(pids)
    os.kill(supervisor, signal.SIGKILL)
    others = {name: pid for name, pid in pids.items() if name not in AIRFLOW}
    until("all programs are gone", lambda: [n for n, pid in others.items() if alive(pid)], lambda left: not left, 60)
    assert stack.local("down").stdout.strip() == "nothing was running"
    assert not [name for name, pid in pids.items() if alive(pid)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
