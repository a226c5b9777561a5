"""A local stack of real components for the whole run, on its own ports and in its own folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from confluent_kafka import Consumer, TopicPartition

from dataops_pipeline.jobs.streaming import TOPIC

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
PORT_BASE = int(os.environ.get("DATAOPS_TEST_PORT_BASE", "29000"))


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

    def dataops(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `dataops …` against the stack."""
        return subprocess.run(
            [str(Path(sys.executable).parent / "dataops"), "--config", str(self.config), *arguments],
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
        snapshot = json.loads(done.stdout)
        (pipeline,) = snapshot["pipelines"]
        return {
            "exit": done.returncode,
            "verdict": pipeline["verdict"],
            "stages": {stage["name"]: stage for stage in pipeline["stages"]},
            "components": {component["name"]: component for component in snapshot["components"]},
        }

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement through `dataops sql` and return its rows."""
        done = self.dataops("sql", "-o", "json", statement)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def until(what: str, look: Callable[[], T], good: Callable[[T], bool], within: float) -> T:
    """Look again and again until it is good; fails with the last look."""
    deadline = time.monotonic() + within
    while not good(last := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:.0f} s: {what}; last seen: {last}")
        time.sleep(1)
    return last


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
    """Start the stack, and stop it afterwards; the tests that need the simulator or the detector start them."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.local("up", "--without", "simulator", "--without", "detect_excursions")
        yield stack
    finally:
        stack.local("down", check=False)
