"""`make bench-probes`: a full look at a large Kafka, and at a table of many files, against what others take for it.

Kafka alone is started, in a folder and on ports of its own, and stopped at the end. kminion, where it is on the path or
named by KMINION, scrapes the same broker in the same run. All figures that matter are ratios within this run.

`--only demo` (`make bench-probe`) times `dataops probe` on the local stack, which runs already, and tells how much of
the machine was idle meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import LongType, NestedField, StringType
from tests.bench import end_cleanly
from tests.bench.broker import broker, fill

from dataops_core.gc_tuning import tune_for_probes
from dataops_core.systems.iceberg import files as iceberg_files
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.cluster import scan
from dataops_core.systems.kafka.model import ClusterSnapshot
from dataops_core.systems.kafka.settings import KafkaSettings

T = TypeVar("T")
PORT_BASE = int(os.environ.get("DATAOPS_BENCH_PORT_BASE", "27000"))
KMINION_PORT = 180
"""Offset of the port on which kminion is scraped."""


def timed(what: Callable[[], T], times: int) -> tuple[float, T]:
    """Return the median of the seconds that something takes, and its last result."""
    took = []
    while True:
        began = time.perf_counter()
        result = what()
        took.append(time.perf_counter() - began)
        if len(took) >= times:
            return statistics.median(took), result


# Kafka


def bench_kafka(topics: int, partitions: int, groups: int, times: int) -> dict[str, Any]:
    """Compare a survey of the whole cluster with a scrape of kminion."""
    with broker(PORT_BASE) as kafka, tempfile.TemporaryDirectory() as folder:
        fill(kafka, topics=topics, partitions=partitions, groups=groups)
        client = KafkaClient(KafkaSettings(bootstrap_servers=kafka.bootstrap), timeout=30)

        def look() -> ClusterSnapshot:
            return scan(client, lambda _: True, lambda _: True)

        look()
        ours, seen = timed(look, times)
        found: dict[str, Any] = {
            "partitions": sum(len(topic.partitions) for topic in seen.topics.values()),
            "groups": len(seen.groups),
            "survey_seconds": round(ours, 3),
        }
        command = os.environ.get("KMINION") or shutil.which("kminion")
        if command is None:
            return {**found, "kminion": "not found: name it with KMINION"}
        with kminion(command, kafka.bootstrap, Path(folder)) as scrape:
            theirs, text = timed(scrape, times)
        lags = {
            (name, lag.topic, lag.partition): lag.lag
            for name, group in seen.groups.items()
            for lag in group.lags or ()
            if (lag.topic, lag.partition) in (group.committed or {})
        }
        return {
            **found,
            "kminion_seconds": round(theirs, 3),
            "survey_to_kminion": round(ours / theirs, 2),
            "equal_lags": lags == kminion_lags(text),
        }


@contextmanager
def kminion(command: str, servers: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Run kminion on the brokers; yield what scrapes it."""
    port = PORT_BASE + KMINION_PORT
    settings = {
        "kafka": {"brokers": [servers]},
        "minion": {
            "consumerGroups": {"scrapeMode": "adminApi", "granularity": "partition"},
            "topics": {"granularity": "partition"},
            "logDirs": {"enabled": False},
        },
        "exporter": {"host": "127.0.0.1", "port": port},
        "logger": {"level": "error"},
    }
    path = folder / "kminion.yaml"
    path.write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{port}/metrics"
    process = subprocess.Popen(
        [command], env={**os.environ, "CONFIG_FILEPATH": str(path)}, stdout=subprocess.DEVNULL, stderr=sys.stderr
    )

    def scrape() -> str:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return str(answer.read(), "utf-8")

    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                scrape()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.5)
        yield scrape
    finally:
        process.terminate()
        process.wait(20)


def kminion_lags(text: str) -> dict[tuple[str, str, int], int]:
    """Return what kminion says of the lag by group, topic and partition."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition("{")
        if name == "kminion_kafka_consumer_group_topic_partition_lag":
            labels, _, value = rest.rpartition("} ")
            pairs = dict(pair.split("=", 1) for pair in labels.split(","))
            group, topic, partition = (pairs[key].strip('"') for key in ("group_id", "topic_name", "partition_id"))
            found[group, topic, int(partition)] = int(float(value))
    return found


# Iceberg


def bench_table(files: int, times: int) -> dict[str, Any]:
    """Compare the health of a table with PyIceberg's own list of its files, cold and after one more commit."""
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(Path(folder), files)

        def forget() -> None:
            for cache in (iceberg_files._summary, iceberg_files._manifest_list, iceberg_files._paths):
                cache.cache_clear()

        def ours() -> iceberg_files.TableFiles:
            snapshot = table.current_snapshot()
            assert snapshot is not None
            return iceberg_files.table_files(table, snapshot, small=2**24)

        def cold() -> iceberg_files.TableFiles:
            forget()
            return ours()

        theirs, scanned = timed(table.inspect.data_files, max(1, times // 3))
        ours_cold, found = timed(cold, times)
        equal = (found.data_files, found.held, found.records) == (
            scanned.num_rows,
            sum(scanned["file_size_in_bytes"].to_pylist()),
            sum(scanned["record_count"].to_pylist()),
        )
        warm = []
        for _ in range(times):
            table.append(pa.table({"id": [1], "name": ["x"]}, schema=table.schema().as_arrow()))
            took, found = timed(ours, 1)
            warm.append(took)
        ours_warm = statistics.median(warm)
        return {
            "data_files": scanned.num_rows,
            "manifests": found.manifests,
            "inspect_seconds": round(theirs, 3),
            "cold_seconds": round(ours_cold, 3),
            "inspect_to_cold": round(theirs / ours_cold, 1),
            "after_a_commit_seconds": round(ours_warm, 4),
            "inspect_to_after_a_commit": round(theirs / ours_warm),
            "equal_figures": equal and found.data_files == scanned.num_rows + times,
        }


def table_of(folder: Path, files: int) -> Table:
    """Return a table whose metadata knows so many data files, 1,000 in each manifest; the files need not be there."""
    catalog = load_catalog("bench", type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/lake")
    catalog.create_namespace("b")
    table = catalog.create_table("b.t", Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType())))
    for start in range(0, files, 1000):
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            for n in range(start, min(files, start + 1000)):
                append.append_data_file(data_file(table, n))
    return table


def data_file(table: Table, number: int) -> DataFile:
    """Return a data file with the statistics that a writer leaves."""
    columns = {1: 400 + number, 2: 700 + number}
    found = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=f"{table.location()}/data/part-{number:08d}-5d2e7f0a.parquet",
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=1000 + number % 7,
        file_size_in_bytes=1_000_000 + number,
        column_sizes=columns,
        value_counts=dict.fromkeys(columns, 1000),
        null_value_counts=dict.fromkeys(columns, 0),
        nan_value_counts={},
        lower_bounds={1: number.to_bytes(8, "little"), 2: b"aaaa"},
        upper_bounds={1: (number + 1000).to_bytes(8, "little"), 2: b"zzzz"},
        split_offsets=[4],
    )
    found.spec_id = table.spec().spec_id
    return found


# The whole command


def bench_demo(config: Path, times: int) -> dict[str, Any]:
    """Time `dataops probe`, a process of its own each time, with some seconds between."""
    command = [str(Path(sys.executable).with_name("dataops")), "--config", str(config), "probe"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    looks = []
    for _ in range(times):
        time.sleep(3)
        before, cpu_before, began = psutil.cpu_times(), os.times(), time.perf_counter()
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        seconds, cpu, after = time.perf_counter() - began, os.times(), psutil.cpu_times()
        ours = cpu.children_user + cpu.children_system - cpu_before.children_user - cpu_before.children_system
        idle = (after.idle - before.idle) / (seconds * (os.cpu_count() or 1))
        looks.append((round(seconds, 2), round(ours, 2), round(idle, 2), done.returncode))
    return {
        "median_seconds": statistics.median(seconds for seconds, *_ in looks),
        "median_cpu_seconds": statistics.median(ours for _, ours, *_ in looks),
        "looks": [dict(zip(("seconds", "cpu_seconds", "idle", "exit"), look, strict=True)) for look in looks],
    }


def main() -> None:
    """Run the benchmarks and print what they found as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--topics", type=int, default=1000)
    options.add_argument("--partitions", type=int, default=10, help="of each topic")
    options.add_argument("--groups", type=int, default=200)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--times", type=int, default=9)
    options.add_argument("--only", choices=("kafka", "iceberg", "demo"))
    options.add_argument("--config", type=Path, default=Path(".local/demo/dataops.toml"), help="of the stack that runs")
    chosen = options.parse_args()
    tune_for_probes()  # as our programs do
    found: dict[str, Any] = {}
    if chosen.only == "demo":
        found["demo"] = bench_demo(chosen.config, chosen.times)
    if chosen.only in (None, "kafka"):
        found["kafka"] = bench_kafka(chosen.topics, chosen.partitions, chosen.groups, chosen.times)
    if chosen.only in (None, "iceberg"):
        found["iceberg"] = bench_table(chosen.files, chosen.times)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
