"""`make bench-spark-tasks`: what a task in Spark's Python workers costs, with the pipeline's daemon and PySpark's own.

Each task hands on 25 rows, so the figures are what a small batch of a stream pays. Each daemon has a process and a
Spark session of its own; the two take turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from tests.bench import end_cleanly

if TYPE_CHECKING:
    import pandas as pd

DAEMONS = ("dataops_pipeline.python_daemon", "pyspark.daemon")
TASKS = 20
"""Tasks of a round."""


def same(frames: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    """Hand on all rows."""
    yield from frames


def measure(daemon: str, rounds: int) -> dict[str, float]:
    """Return the seconds of a task, and the CPU time of the Python workers for it."""
    from tests.bench.layout import session

    with tempfile.TemporaryDirectory() as folder:
        spark = session(Path(folder), {"spark.python.daemon.module": daemon, "spark.master": "local[1]"})
        try:
            rows = spark.range(0, 25 * TASKS, numPartitions=TASKS).mapInPandas(same, "id long")
            rows.count()
            took, cpu = [], []
            for _ in range(rounds):
                began, cpu_before = time.perf_counter(), workers_cpu(daemon)
                rows.count()
                took.append((time.perf_counter() - began) / TASKS)
                cpu.append((workers_cpu(daemon) - cpu_before) / TASKS)
        finally:
            spark.stop()
    return {"seconds": statistics.median(took), "cpu_seconds": statistics.median(cpu)}


def workers_cpu(daemon: str) -> float:
    """Return the CPU time of the Python workers so far."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if daemon in process.cmdline():
                spent += sum(process.cpu_times()[:2])
    return spent


def run(daemon: str, rounds: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.spark_tasks", "--daemon", daemon, "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure both, and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--turns", type=int, default=3, help="turns of each daemon (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help=f"rounds of {TASKS} tasks (default: %(default)s)")
    options.add_argument("--daemon", choices=DAEMONS, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.daemon is not None:
        print(json.dumps(measure(chosen.daemon, chosen.rounds)))
        return
    turns = [[run(daemon, chosen.rounds) for daemon in DAEMONS] for _ in range(chosen.turns)]
    ratios = {
        f"pyspark_to_ours_{key}": statistics.median(theirs[key] / ours[key] for ours, theirs in turns)
        for key in turns[0][0]
    }
    print(json.dumps({"turns": turns, **ratios}, indent=2))


if __name__ == "__main__":
    main()
