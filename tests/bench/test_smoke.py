"""Each benchmark, as small as it goes: it runs to its end, writes its figures, and leaves nothing running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.ports import free_base

from dataops_local.layout import OFFSETS, ROOT

pytestmark = [pytest.mark.programs, pytest.mark.timeout(600)]

SMALL: dict[str, tuple[str, ...]] = {
    "exporter": ("--topics", "3", "--partitions", "2", "--groups", "2"),
    "exporter_load": ("--seconds", "2"),
    "layout": ("--days", "1", "--rounds", "1"),
    "pipeline": ("--records", "2000", "--rounds", "1", "--probes", "3", "--rate", "20"),
    "probes": ("--topics", "3", "--partitions", "2", "--groups", "2", "--files", "20", "--times", "1"),
    "spark_or_python": ("--largest", "10000"),
    "spark_tasks": ("--turns", "1", "--rounds", "1"),
    "sql": ("--days", "1", "--rounds", "1"),
    "tui": ("--samples", "2", "--topics", "15", "--rows", "200000", "--starts", "1"),
}
"""Options of each benchmark that starts all that it needs; `tasks` and `probes --only demo` need a stack that runs."""
NOT_ALONE = {"tasks"}
LIGHT = {"probes", "tui"}
"""Benchmarks that `make test` runs; `make test-maintenance` runs the others, which take minutes of CPU time."""


@contextmanager
def benchmark(name: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a benchmark on ports of its own; nothing that it started may be left afterwards."""
    base = free_base([*OFFSETS.values(), 1])
    env = {**os.environ, "DATAOPS_BENCH_PORT_BASE": str(base), "PYTHONPATH": f"{ROOT / 'deploy/local'}:{ROOT}"}
    command = [sys.executable, "-m", f"tests.bench.{name}", *options]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            _, family = psutil.wait_procs([p for p in psutil.process_iter() if _is_of(p, process.pid)], timeout=5)
            for each in family:
                each.kill()
    assert not family, "left running"


def _is_of(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.pid != session and process.status() != "zombie"
    except (OSError, psutil.Error):
        return False


@pytest.mark.parametrize(
    "name",
    [*sorted(LIGHT), *(pytest.param(name, marks=pytest.mark.maintenance) for name in sorted(SMALL.keys() - LIGHT))],
)
def test_it_runs_to_its_end_and_writes_its_figures(name: str) -> None:
    with benchmark(name, *SMALL[name]) as process:
        out, said = process.communicate(timeout=550)
    assert process.returncode == 0, said[-3000:]
    assert json.loads(out)


def test_one_that_is_ended_stops_what_it_started() -> None:
    with benchmark("exporter", *SMALL["exporter"]) as process:
        deadline = time.monotonic() + 120
        while not any("kafka.Kafka" in " ".join(each.cmdline()) for each in _children(process.pid)):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGTERM


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def test_each_benchmark_of_the_makefile_is_tried() -> None:
    named = set(re.findall(r"\$\(BENCH\)\.(\w+)", Path(ROOT / "Makefile").read_text()))
    assert named == {*SMALL, *NOT_ALONE}
