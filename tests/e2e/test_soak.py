"""A day of the exporter in a quarter of an hour: it looks each second, while components stop and hang at random.

A day at the usual pace is 17,280 looks; what one look leaves behind shows after some hundred. `make soak` runs it.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import psutil
import pytest
from tests.e2e.conftest import Stack, until
from tests.e2e.test_outages import AIRFLOW, FLOWS, LAND, flows
from tests.ports import free_port

SOAK = 60 * float(os.environ.get("DATAOPS_SOAK_MINUTES", "15"))
"""Seconds that it takes."""
SEED = int(os.environ.get("DATAOPS_SOAK_SEED", "20130707"))
KNOWN_WITHIN = 45.0
"""Seconds after which an outage has to be known: what a probe may take, or the time that a query may stand still."""
RECOVERED_WITHIN = 5.0
"""Seconds after somebody else has had an answer, within which the exporter has to have one."""
SETTLED = 0.25
"""Share of the time after which what is held may not grow any more."""
GROWTH = 1.10
"""How many times as much memory, threads and open files it may hold at the end, of what it held once it had settled.

Memory at the most. Threads and files as they are half of the time: what waits for a component that hangs is not left.
"""

IMAGE = Path(__file__).parents[2] / "exporter" / "Containerfile"
MALLOC = re.compile(r"^ +(MALLOC_\w+)=(\w+)", re.MULTILINE)
"""Settings of the image for glibc, with which the exporter runs here, too."""

pytestmark = [pytest.mark.stack, pytest.mark.soak, pytest.mark.timeout(SOAK + 1500)]

PROGRAMS = {"kafka": ["kafka"], "lake": ["store"], "trino": ["trino"], "airflow": AIRFLOW, LAND: [LAND]}
"""What dies, by the component or stage that has to be told for it."""
Series = dict[tuple[str, str], float]
"""Values by name and labels."""
SERIES = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)


class Exporter:
    """An exporter of its own, which looks each second; and what it holds."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = psutil.Process(process.pid)
        self._url = f"http://127.0.0.1:{port}/metrics"
        self.held: list[tuple[float, int, int, int]] = []

    def scrape(self) -> Series:
        """Return the series by name and labels, and note what the exporter holds."""
        with urllib.request.urlopen(self._url, timeout=5) as answer:
            page = answer.read().decode()
        usage = (self._process.memory_info().rss, self._process.num_threads(), self._process.num_fds())
        self.held.append((time.monotonic(), *usage))
        return {(name, labels): float(value) for name, labels, value in SERIES.findall(page)}


@pytest.fixture
def exporter(stack: Stack, tmp_path: Path) -> Iterator[Exporter]:
    stack.start("simulator")
    stack.probe_until("data reaches gold", flows, within=600)
    port = free_port()
    command = [sys.executable, "-m", "dataops_exporter", "--config", str(stack.config), "--port", str(port)]
    env = {**os.environ, "DATAOPS_REFRESH": "1", **dict(MALLOC.findall(IMAGE.read_text()))}
    with (tmp_path / "exporter.log").open("w") as log, subprocess.Popen(command, env=env, stderr=log) as process:
        try:
            until("it answers", lambda: answers(port), bool, 60)
            yield Exporter(process, port)
        finally:
            process.terminate()
            process.wait(30)
            stack.stop("simulator")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def shows(seen: Series, name: str, *labels: str) -> bool:
    """Tell whether a series with these labels is 1."""
    return any(
        value == 1 and series == name and all(label in its for label in labels) for (series, its), value in seen.items()
    )


def up(seen: Series, name: str) -> bool:
    """Tell whether the exporter says that a component answers, or that the query takes in what comes."""
    if name == LAND:
        good = (f'state="{state}"' for state in (*FLOWS, "slow"))
        return any(shows(seen, "dataops_stage_state", f'stage="{LAND}"', state) for state in good)
    return shows(seen, "dataops_component_up", f'component="{name}"')


def green(seen: Series) -> bool:
    """Tell whether the exporter says that all is well."""
    return shows(seen, "dataops_pipeline_status", 'status="ok"')


@contextmanager
def outage(stack: Stack, name: str, hangs: bool) -> Iterator[None]:
    if not hangs:
        stack.stop(*PROGRAMS[name])
        try:
            yield
        finally:
            stack.start(*PROGRAMS[name])
        return
    pids = [int((stack.state / "pids" / program).read_text()) for program in PROGRAMS[name]]
    family = [each for pid in pids for each in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    for process in family:
        with suppress(psutil.NoSuchProcess):  # a child may end meanwhile
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):  # the parent goes on first, and reaps a child that had ended
                process.send_signal(signal.SIGCONT)


def test_it_holds_no_more_after_many_outages_and_never_calls_one_green(stack: Stack, exporter: Exporter) -> None:
    chance = random.Random(SEED)
    until("the exporter sees all", exporter.scrape, lambda seen: all(up(seen, name) for name in PROGRAMS), 120)
    began, recoveries = time.monotonic(), []
    while time.monotonic() - began < SOAK:
        name, hangs = chance.choice(sorted(PROGRAMS)), chance.random() < 0.4
        what = f"{name} {'hangs' if hangs else 'is stopped'}"
        with outage(stack, name, hangs):
            until(f"it is known: {what}", exporter.scrape, lambda seen, at=name: not up(seen, at), KNOWN_WITHIN)
            until_then = time.monotonic() + chance.uniform(5, 15)
            while time.monotonic() < until_then:
                seen = exporter.scrape()
                assert not green(seen), f"green while {what}"
                time.sleep(1)
        if name != LAND:
            probe = ("probe", "--component", name, "-o", "json")
            until(f"{name} answers others", lambda at=probe: stack.dataops(*at).returncode, lambda code: code == 0, 180)
            answered = time.monotonic()
            until(f"{name} is seen again", exporter.scrape, lambda seen, at=name: up(seen, at), RECOVERED_WITHIN)
            recoveries.append((what, time.monotonic() - answered))
        until("all flows again", exporter.scrape, lambda seen: all(up(seen, each) for each in PROGRAMS), 240)
        calm = time.monotonic() + chance.uniform(2, 10)
        while time.monotonic() < calm:
            exporter.scrape()
            time.sleep(1)
    for kind, number, of in (("bytes", 1, max), ("threads", 2, median), ("open files", 3, median)):
        settled = max(held[number] for held in exporter.held if held[0] - began < SETTLED * SOAK)
        at_last = of(held[number] for held in exporter.held if held[0] - began > (1 - SETTLED) * SOAK)
        sys.stdout.write(
            f"{kind}: at the most {settled:,} in the first quarter, {at_last:,} ({of.__name__}) in the last\n"
        )
        assert at_last <= GROWTH * settled, f"{kind} grow"
    slowest = max((took for _, took in recoveries), default=0.0)
    sys.stdout.write(
        f"{len(recoveries)} recoveries of components, seen within {slowest:.1f} s; {len(exporter.held)} scrapes\n"
    )
