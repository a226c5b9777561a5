"""A local stack of real components for the whole run, on its own ports and in its own folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console
from tests.ports import free_base

from dataops_local import stack as local_stack
from dataops_local.layout import OFFSETS, Layout
from dataops_local.supervisor import Supervisor
from dataops_pipeline.jobs.streaming import TOPIC

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
PORT_BASE = int(os.environ.get("DATAOPS_TEST_PORT_BASE") or free_base([*OFFSETS.values(), 181, 182, 183]))
QUICK = {
    # smaller batches, more of them, so that less has to be sent to see several
    "BOREAL_TRIGGER_SECONDS": "2",
    "BOREAL_BATCH_RECORDS": "25000",
    # Spark jobs in the background seldom: the tests trigger what they need, and a stage is stuck after 15 minutes
    "BOREAL_CONFORM_MINUTES": "12",
    "BOREAL_RECONCILE_MINUTES": "30",
    # without the optimizing compiler, which costs more than it saves in the minutes that a stream runs here
    "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
}
"""Environment variables of the stack."""
TWO_TRIGGERS = 5.0
"""Seconds in which `land_readings` starts two batches: what it would land twice is there then."""
ORDER = (
    "test_write_conflicts",
    "test_depth",
    "test_canary",
    "test_exactly_once",
    "test_detect_excursions",
    "test_alerts",
    "test_kills",
    "test_outages",
    "test_zero_left",
)
"""Files of the tests on the shared stack; those that break a component come last."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of the shared stack into their order; the others stay where they are."""
    places = [at for at, item in enumerate(items) if item.path.stem in ORDER]
    in_order = sorted((items[at] for at in places), key=lambda item: ORDER.index(item.path.stem))
    for at, item in zip(places, in_order, strict=True):
        items[at] = item


@dataclass(frozen=True)
class Stack:
    """The stack's commands, as a user types them, and what its console would read."""

    state: Path

    def local(self, *arguments: str, timeout: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `python -m dataops_local …`."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "dataops_local",
                "--state",
                str(self.state),
                "--port-base",
                str(PORT_BASE),
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "deploy/local")},
            timeout=timeout,
            check=check,
            text=True,
            stdout=subprocess.PIPE,
        )

    def start(self, *names: str) -> None:
        """Start programs, as `dataops_local start` does, without a Python of its own for it."""
        for name in names:
            Supervisor(self.layout).start(name)

    def stop(self, *names: str) -> None:
        """Stop programs at once and wait until all have ended, as `dataops_local stop` does one by one."""
        stopping = [threading.Thread(target=Supervisor(self.layout).stop, args=(name,)) for name in names]
        for each in stopping:
            each.start()
        for each in stopping:
            each.join()

    @property
    def layout(self) -> Layout:
        """Where its folders and ports are."""
        return Layout(self.state, PORT_BASE)

    @property
    def dataops_path(self) -> str:
        """Where the program `dataops` of this environment is."""
        return str(Path(sys.executable).parent / "dataops")

    def dataops(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `dataops …` against the stack."""
        return subprocess.run(
            [self.dataops_path, "--config", str(self.config), *arguments],
            timeout=timeout,
            check=False,
            text=True,
            capture_output=True,
        )

    @property
    def config(self) -> Path:
        """The settings file that the stack wrote."""
        return self.state / "dataops.toml"

    @property
    def env(self) -> dict[str, str]:
        """What the stack tells its jobs."""
        pairs = (line.split("=", 1) for line in (self.state / "env").read_text().splitlines() if "=" in line)
        return {**os.environ, **{key.removeprefix("export "): value.strip("'\"") for key, value in pairs}}

    def probe(self) -> dict[str, Any]:
        """Return what `dataops probe -o json` says of the one pipeline, with the exit code beside it."""
        done = self.dataops("probe", "-o", "json")
        assert done.stdout, done.stderr
        return {"exit": done.returncode, **seen_in(done.stdout)}

    def probe_until(self, what: str, good: Callable[[dict[str, Any]], bool], within: float) -> dict[str, Any]:
        """Let `dataops probe --watch` run until what it says is good, and return what a probe of its own says then.

        Fails with what was said last after `within` seconds. One program for all looks costs less than one each.
        """
        watching = [self.dataops_path, "--config", str(self.config), "probe", "--watch", "--every", "1", "-o", "json"]
        last: dict[str, Any] = {}
        with subprocess.Popen(watching, text=True, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            out_of_time = threading.Timer(within, process.terminate)
            out_of_time.start()
            try:
                for line in process.stdout:
                    last = seen_in(line)
                    if good(last) and good(last := self.probe()):
                        return last
            finally:
                out_of_time.cancel()
                process.terminate()
        pytest.fail(f"not within {within:.0f} s: {what}; last seen: {last}")

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement through `dataops sql` and return its rows."""
        done = self.dataops("sql", "-o", "json", statement)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def seen_in(snapshot: str) -> dict[str, Any]:
    """Return the verdict of the one pipeline in a snapshot's JSON, and its stages and components by name."""
    parsed = json.loads(snapshot)
    (pipeline,) = parsed["pipelines"]
    return {
        "verdict": pipeline["verdict"],
        "stages": {stage["name"]: stage for stage in pipeline["stages"]},
        "components": {component["name"]: component for component in parsed["components"]},
    }


def until(what: str, look: Callable[[], T], good: Callable[[T], bool], within: float) -> T:
    """Look again and again until it is good; fails with the last look."""
    deadline = time.monotonic() + within
    while True:
        began = time.monotonic()
        if good(last := look()):
            return last
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:.0f} s: {what}; last seen: {last}")
        # A look that starts a program takes a core: half of the time is left to what is waited for.
        time.sleep(min(1.0, max(0.1, time.monotonic() - began)))


def high_watermarks(stack: Stack) -> dict[int, int]:
    """Return the offset after the newest record, by partition."""
    consumer = Consumer({"bootstrap.servers": stack.env["BOREAL_KAFKA"], "group.id": "tests"})
    try:
        partitions = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        return {n: consumer.get_watermark_offsets(TopicPartition(TOPIC, n), timeout=10)[1] for n in partitions}
    finally:
        consumer.close()


def sent_since(before: dict[int, int]) -> str:
    """Return the SQL condition of the records that came after these high watermarks."""
    return " OR ".join(f'("partition" = {n} AND "offset" >= {offset})' for n, offset in before.items())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start the stack, and stop it afterwards; the tests that need the simulator or the detector start them.

    It ends with this process, however that ends.
    """
    stack = Stack(tmp_path_factory.mktemp("stack"))
    said = io.StringIO()
    process: subprocess.Popen[bytes] | None = None
    programs = local_stack.Stack(stack.layout, Console(file=said, width=200))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setenv(name, value)
        # What is landed before Airflow is there goes through to the last stage with the first run of each DAG.
        first = threading.Thread(target=send_first, args=(stack,), daemon=True)
        first.start()
        try:
            process = programs.up(without=("simulator", "detect_excursions"), tied=True)
            first.join(120)
            yield stack
        finally:
            programs.down()
            if process is not None:
                process.wait(60)
            sys.stdout.write(said.getvalue())


def send_first(stack: Stack) -> None:
    """Send some readings as soon as the topic is there."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{stack.layout.port('kafka')}", "log_level": 0})
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if TOPIC in admin.list_topics(timeout=2).topics:
                break
        except KafkaException:  # the broker has not started yet
            pass
        time.sleep(0.5)
    send(stack, 2000, day="2013-01-15")


def send(stack: Stack, number: int, day: str, *more: str, timeout: float = 300) -> None:
    """Send readings as fast as Kafka takes them."""
    arguments = ["--no-dumps", "--as-fast-as-possible", "--readings", str(number), "--start", day, *more]
    command = [sys.executable, "-m", "dataops_pipeline.simulator", "run", *arguments]
    subprocess.run(command, env=stack.env, check=True, timeout=timeout)
