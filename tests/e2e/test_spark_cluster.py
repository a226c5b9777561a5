"""The jobs on a Spark cluster, started by spark-submit: a standalone master and worker of their own, same tables.

The workers get the code and the reference data from the driver only: nothing is shared with it but the network.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
import pytest
from tests.e2e.conftest import PORT_BASE, ROOT, Stack, high_watermarks, until
from tests.e2e.test_detect_excursions import Box
from tests.e2e.test_sql import job

from dataops_pipeline.session import JVM_OPTIONS

pytestmark = [pytest.mark.stack, pytest.mark.maintenance, pytest.mark.timeout(900)]

SPARK_HOME = Path(pyspark.__file__).parent
MASTER, MASTER_UI, WORKER_UI = PORT_BASE + 181, PORT_BASE + 182, PORT_BASE + 183
LANDED = (
    "SELECT (SELECT count(*) FROM lake.bronze.readings) + (SELECT count(*) FROM lake.bronze.rejected_readings) AS n"
)
BOX = "BL-1221-0003"
"""A logger that the reference data know and of which no other test sends readings."""


@dataclass(frozen=True)
class Cluster:
    """One master and one worker, and the stack that their jobs work on."""

    stack: Stack
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """What a job is told: all of the local stack but where to run, and with which jars."""
        known = {**self.stack.env, "BOREAL_SPARK_MASTER": "", "BOREAL_SPARK_JARS": "", "SPARK_HOME": str(SPARK_HOME)}
        return {**known, "PYSPARK_PYTHON": sys.executable, "SPARK_DAEMON_CLASSPATH": self.jars, "PYTHONPATH": ""}

    @property
    def jars(self) -> str:
        """The class path of the stack's jars; Hadoop's newer client stands before the one that PySpark brings."""
        folder = Path(self.stack.env["BOREAL_SPARK_JARS"])
        return ":".join([*map(str, sorted(folder.glob("hadoop-client-*.jar"))), f"{folder}/*"])

    def submit(self, name: str) -> list[str]:
        """Return the command that runs a job on the cluster."""
        conf = {
            "spark.driver.extraClassPath": self.jars,
            "spark.driver.extraJavaOptions": JVM_OPTIONS,
            "spark.driver.memory": "768m",
            "spark.executor.extraClassPath": self.jars,
            "spark.executor.extraJavaOptions": JVM_OPTIONS,
            "spark.executor.memory": "768m",
            "spark.cores.max": "2",
            "spark.sql.shuffle.partitions": "2",
            "spark.ui.enabled": "false",
        }
        told = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
        files = ["--py-files", str(self.folder / "dataops_pipeline.zip")]
        master = ["--master", f"spark://127.0.0.1:{MASTER}"]
        return [str(SPARK_HOME / "bin/spark-submit"), *master, *files, *told, str(ROOT / "pipeline/submit.py"), name]

    def state(self) -> dict[str, Any]:
        """Return what the master says of its workers and applications."""
        with urllib.request.urlopen(f"http://127.0.0.1:{MASTER_UI}/json/", timeout=5) as answer:
            return json.load(answer)

    def cores(self, name: str) -> int:
        """Return how many cores of the workers an application has; 0 where it does not run."""
        return sum(int(app["cores"]) for app in self.state()["activeapps"] if app["name"] == name)

    @contextmanager
    def started(self, name: str, *command: str) -> Iterator[None]:
        """Run a program of the cluster meanwhile."""
        with (self.folder / f"{name}.log").open("wb") as log:
            program = subprocess.Popen(
                command, env=self.env, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield
        finally:
            os.killpg(program.pid, signal.SIGTERM)
            try:
                program.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait(10)


@pytest.fixture(scope="module")
def cluster(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    shutil.make_archive(str(folder / "dataops_pipeline"), "zip", ROOT / "pipeline", "dataops_pipeline")
    cluster = Cluster(stack, folder)
    spark = str(SPARK_HOME / "bin/spark-class")
    here = ["--host", "127.0.0.1"]
    master = [*here, "--port", str(MASTER), "--webui-port", str(MASTER_UI)]
    worker = [*here, "--webui-port", str(WORKER_UI), "--cores", "4", "--memory", "2g", "--work-dir", str(folder)]
    with (
        cluster.started("master", spark, "org.apache.spark.deploy.master.Master", *master),
        cluster.started(
            "worker", spark, "org.apache.spark.deploy.worker.Worker", *worker, f"spark://127.0.0.1:{MASTER}"
        ),
    ):
        until("a worker", lambda: workers(cluster), lambda found: found == ["ALIVE"], within=60)
        yield cluster


def workers(cluster: Cluster) -> list[str]:
    try:
        return [worker["state"] for worker in cluster.state()["workers"]]
    except OSError:
        return []


def test_a_query_goes_on_where_another_machine_left_off(stack: Stack, cluster: Cluster) -> None:
    send(stack, 1000)
    query = until("a query", lambda: fact(stack), lambda found: found is not None, within=240)
    stack.stop("land_readings")
    try:
        with cluster.started("land_readings", *cluster.submit("land_readings")):
            send(stack, 5000)
            high = sum(high_watermarks(stack).values())
            until("all is landed", lambda: stack.sql(LANDED)[0]["n"], lambda n: n >= high, within=240)
            assert cluster.cores("land_readings") == 2, "it ran on the worker"
            assert stack.sql(LANDED) == [{"n": high}]
            assert fact(stack) == query, "the same query, from its checkpoint"
    finally:
        stack.start("land_readings")


def fact(stack: Stack) -> str | None:
    """Return the id of the query that landed last."""
    seen = stack.probe()["stages"]["bronze.readings"]["observation"]
    return next((f["text"] for f in seen["facts"] if f["name"] == "query_id"), None) if seen else None


def send(stack: Stack, number: int) -> None:
    arguments = ["--no-dumps", "--as-fast-as-possible", "--readings", str(number), "--start", "2013-05-01"]
    subprocess.run(
        [sys.executable, "-m", "dataops_pipeline.simulator", "run", *arguments], env=stack.env, check=True, timeout=120
    )


def test_batch_jobs_and_the_detector_run_there_too(stack: Stack, cluster: Cluster) -> None:
    job(stack, "load_reference_data")  # reads files and starts no Spark
    done = subprocess.run(
        cluster.submit("conform_readings"),
        env=cluster.env,
        cwd=cluster.folder,
        timeout=300,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [app["name"] for app in cluster.state()["completedapps"]][-1:] == ["conform_readings"]
    assert stack.sql("SELECT count(*) > 0 AS some FROM lake.silver.readings") == [{"some": True}]

    known = stack.sql(
        "SELECT logger_id, max_c, tolerance_c, (min_c + max_c) / 2 AS good_c, excursion_minutes"
        f" FROM lake.bronze.shipments JOIN lake.bronze.products USING (product_id) WHERE logger_id = '{BOX}'"
    )
    box = Box(stack, known[0])
    events = f"SELECT event FROM lake.silver.excursions WHERE logger_id = '{BOX}'"
    with cluster.started("detect_excursions", *cluster.submit("detect_excursions")):
        box.send(*range(box.lasts + 1), out=True)
        until(
            "the excursion is opened",
            lambda: stack.dataops("sql", "-o", "json", events).stdout,
            lambda said: bool(said) and json.loads(said) == [{"event": "opened"}],
            within=240,
        )
        assert cluster.cores("detect_excursions") > 0
