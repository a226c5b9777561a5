"""`make bench-spark`: the same job in plain Python, in Arrow on one core's memory and in Spark, and where they cross.

The job is the heart of `conform_readings`: of each reading the first delivery, then what each logger measured. Each run
is a process of its own, started anew as Airflow starts a task, so that Spark's start counts. Nothing else is started.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tests.bench import end_cleanly

SIZES = (10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
LOGGER_READINGS = 864
"""What one logger sends in three days."""
REPEATED = 0.05
"""Share of the readings that are delivered twice."""
Result = list[tuple[str, int, float]]


def write(path: Path, size: int) -> None:
    """Write so many deliveries, in the order of their arrival, the same ones each time."""
    chance = np.random.default_rng(2013)
    distinct = int(size / (1 + REPEATED))
    reading = np.concatenate([np.arange(distinct), chance.integers(0, distinct, size - distinct)])
    chance.shuffle(reading)
    loggers = pa.array([f"BL-{n:06d}" for n in range(distinct // LOGGER_READINGS + 1)])
    columns = {
        "logger_id": loggers.take(pa.array(reading // LOGGER_READINGS)),
        "sequence": pa.array(reading % LOGGER_READINGS),
        "offset": pa.array(np.arange(size)),
        "temperature_c": pa.array(np.round(chance.normal(5, 1.5, size), 2)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=1_000_000)


def plain(path: Path) -> Result:
    """Do it in Python's own dictionaries, a part of the file at a time."""
    first: dict[tuple[str, int], tuple[int, float]] = {}
    for batch in pq.ParquetFile(path).iter_batches():
        columns = (batch.column(name).to_pylist() for name in ("logger_id", "sequence", "offset", "temperature_c"))
        for logger, sequence, offset, celsius in zip(*columns, strict=True):
            known = first.get((logger, sequence))
            if known is None or offset < known[0]:
                first[logger, sequence] = (offset, celsius)
    loggers: dict[str, list[float]] = {}
    for (logger, _), (_, celsius) in first.items():
        loggers.setdefault(logger, []).append(celsius)
    return sorted((logger, len(seen), max(seen)) for logger, seen in loggers.items())


def arrow(path: Path) -> Result:
    """Do it in Arrow, all in memory."""
    table = pq.read_table(path)
    firsts = table.group_by(["logger_id", "sequence"]).aggregate([("offset", "min")])["offset_min"]
    kept = table.filter(pc.is_in(table["offset"], value_set=firsts.combine_chunks()))
    loggers = kept.group_by("logger_id").aggregate([("sequence", "count"), ("temperature_c", "max")])
    rows = zip(
        *(loggers[name].to_pylist() for name in ("logger_id", "sequence_count", "temperature_c_max")), strict=True
    )
    return sorted(rows)


def spark(path: Path) -> Result:
    """Do it in Spark, as the jobs start it."""
    from pyspark.sql import Window  # the others start without
    from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
    from tests.bench.layout import session

    session_of = session(path.parent)
    delivery = Window.partitionBy("logger_id", "sequence").orderBy("offset")
    rows = (
        session_of.read.parquet(str(path))
        .withColumn("delivery", F.row_number().over(delivery))
        .where("delivery = 1")
        .groupBy("logger_id")
        .agg(F.count("*"), F.max("temperature_c"))
        .collect()
    )
    session_of.stop()
    return sorted((row[0], row[1], row[2]) for row in rows)


WAYS: dict[str, Callable[[Path], Result]] = {"python": plain, "arrow": arrow, "spark": spark}


def run(way: str, path: Path, timeout: float) -> dict[str, Any]:
    """Run one way in a process of its own; return its seconds, its memory and a digest of its result."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.spark_or_python", "--way", way, "--file", str(path)]
    try:
        done = subprocess.run(command, check=True, timeout=timeout, stdout=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        return {"gave_up_after": timeout}
    return {"seconds": time.monotonic() - began, **json.loads(done.stdout)}


def one(way: str, path: Path) -> None:
    """Be that process."""
    result = WAYS[way](path)
    java = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + java / 1024**2
    digest = f"{len(result)} loggers, {sum(n for _, n, _ in result)} readings, {sum(c for *_, c in result):.2f}"
    print(json.dumps({"memory_mb": peak, "result": digest}))


def plot(found: dict[int, dict[str, dict[str, Any]]], target: Path) -> None:
    """Draw seconds and memory by size, both logarithmic."""
    import matplotlib as mpl  # the runs start without

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "same each time"
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for panel, key, title in zip(panels, ("seconds", "memory_mb"), ("Seconds", "Memory, MB"), strict=True):
        for way, mark in zip(WAYS, "os^", strict=True):
            sizes = [size for size, ways in found.items() if key in ways[way]]
            panel.loglog(sizes, [found[size][way][key] for size in sizes], marker=mark, label=way)
        panel.set_title(title)
        panel.set_xlabel("deliveries")
        panel.grid(visible=True, which="major", alpha=0.3)
    panels[0].legend()
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Run all and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--largest", type=int, default=SIZES[-1], help="deliveries at the most (default: %(default)s)")
    options.add_argument("--timeout", type=float, default=900, help="seconds for one run (default: %(default)s)")
    options.add_argument("--plot", type=Path, help="picture to draw, as SVG")
    options.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.way is not None:
        one(chosen.way, chosen.file)
        return
    found: dict[int, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (size for size in SIZES if size <= chosen.largest):
            path = Path(folder) / f"{size}.parquet"
            write(path, size)
            found[size] = {way: run(way, path, chosen.timeout) for way in WAYS}
            results = {figures["result"] for figures in found[size].values() if "result" in figures}
            if len(results) != 1:
                sys.exit(f"{size} deliveries: the ways disagree: {results}")
            path.unlink()
    if chosen.plot is not None:
        plot(found, chosen.plot)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
