"""Spark's history server on a folder of event logs, and drivers that write them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.systems.foreign import until

from dataops_local import fetch, guard
from dataops_local.ivy import pyspark_jars
from dataops_local.java import spark_home
from dataops_local.layout import Layout
from dataops_local.run import SMALL_JVM

APP = Path(__file__).with_name("spark_app.py")


class SparkHistory:
    """A history server, and drivers in local mode.

    Args:
        folder: Empty folder for all files.
    """

    def __init__(self, folder: Path) -> None:
        fetch.fetch(print)
        self._folder, self._events = folder, folder / "events"
        self._events.mkdir()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._layout = Layout(folder, self._port)
        jars = fetch.home("spark")
        # PySpark's Hadoop client does not run on this Java; the newer one has to precede it in the class path.
        self._jars = ":".join([*map(str, sorted(jars.glob("hadoop-client-*.jar"))), f"{jars}/*"])
        self._server: subprocess.Popen[bytes] | None = None
        self._drivers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the history server, and return when it responds."""
        settings = {"fs.logDirectory": self._events.as_uri(), "fs.update.interval": "1s", "ui.port": str(self._port)}
        options = [f"-Dspark.history.{name}={value}" for name, value in settings.items()]
        classes = f"{self._jars}:{pyspark_jars()[0].parent}/*"
        java = [self._layout.java, "-Xmx400m", *SMALL_JVM, *options, "-cp", classes]
        self._server = self._launch("history", [*java, "org.apache.spark.deploy.history.HistoryServer"])
        until(lambda: self.ask("/version"))

    def restart(self) -> None:
        """Kill the history server, and start it again; its list is in memory."""
        if self._server is not None:
            self.signal(self._server, signal.SIGKILL)
        self.start()

    def driver(self, *applications: str) -> subprocess.Popen[bytes]:
        """Start a driver that runs applications, each as `NAME=OUTCOME`; see `spark_app`."""
        settings = {
            "spark.master": "local[1]",
            "spark.driver.extraClassPath": self._jars,
            "spark.driver.extraJavaOptions": shlex.join(SMALL_JVM),
            "spark.driver.memory": "512m",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": self._events.as_uri(),
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.warehouse.dir": str(self._folder / "warehouse"),
            "spark.ui.enabled": "false",
        }
        submit = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        env = {
            "JAVA_HOME": str(spark_home(self._layout)),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": shlex.join([*submit, "pyspark-shell"]),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        driver = self._launch(f"driver-{len(self._drivers)}", [sys.executable, str(APP), *applications], env)
        self._drivers.append(driver)
        return driver

    def run(self, *applications: str) -> None:
        """Run applications one after the other to their end."""
        process = self.driver(*applications)
        assert process.wait(300) == 0, (self._folder / f"driver-{len(self._drivers) - 1}.log").read_text()[-2_000:]

    def signal(self, driver: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to a driver, its JVM and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, number)
        driver.wait(60)

    def stop(self) -> None:
        for process in (*self._drivers, self._server):
            if process is not None:
                self.signal(process, signal.SIGKILL)

    def applications(self, name: str) -> list[dict[str, Any]]:
        """Return what the history server lists of a name, the newest end first."""
        return [each for each in self.ask("/applications") if each["name"] == name]

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """Return the jobs of the application of a name that is listed first; none if there is no such application."""
        listed = self.applications(name)
        jobs: list[dict[str, Any]] = self.ask(f"/applications/{listed[0]['id']}/jobs") if listed else []
        return jobs

    def ask(self, path: str) -> Any:
        """Return a response of the history server."""
        with urllib.request.urlopen(f"{self.url}/api/v1{path}", timeout=60) as answer:
            return json.load(answer)

    def _launch(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        command = guard.command(self._folder, name, argv, env)
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
