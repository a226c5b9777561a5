"""`make bench-pipeline`: how much landing and conforming cost beyond reading and writing, and how fresh Trino is.

Starts Kafka, the store and Trino of the local stack in a folder and on ports of its own, and stops them at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trino
from confluent_kafka import Producer
from pyspark.sql import DataFrame, SparkSession
from tests.bench import end_cleanly

from dataops_pipeline import tables
from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.jobs import land_readings, load_reference_data, streaming
from dataops_pipeline.jobs.conform_readings import merge
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings

ROOT = Path(__file__).parents[2]
PORT_BASE = int(os.environ.get("DATAOPS_BENCH_PORT_BASE", "27000"))
NOT_NEEDED = (
    "simulator",
    "land_readings",
    "detect_excursions",
    "exporter",
    "airflow-api",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
)
TRIGGER_SECONDS = JobSettings.trigger_seconds


def local(state: Path, *arguments: str) -> None:
    """Run a command of the local stack."""
    subprocess.run(
        [sys.executable, "-m", "dataops_local", "--state", str(state), "--port-base", str(PORT_BASE), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "deploy/local")},
        check=True,
        stdout=sys.stderr,
    )


@contextmanager
def stack() -> Iterator[Path]:
    """Start what is needed; stop it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        try:
            local(state, "up", *(word for name in NOT_NEEDED for word in ("--without", name)))
            yield state
        finally:
            local(state, "down")


def environment(state: Path) -> None:
    """Take over what the stack tells its jobs."""
    for line in (state / "env").read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        os.environ[name] = value.strip("'\"")


def simulate(*arguments: str) -> None:
    """Run the simulator to its end."""
    subprocess.run([sys.executable, "-m", "dataops_pipeline.simulator", *arguments], check=True, stdout=sys.stderr)


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def backlog(spark: SparkSession, settings: JobSettings) -> DataFrame:
    """Return the stream that `land_readings` reads."""
    return streaming.records(spark, settings, settings.batch_records)


def read_only(spark: SparkSession, settings: JobSettings) -> None:
    """Read the whole backlog into Spark's sink that does nothing."""
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            backlog(spark, settings)
            .writeStream.format("noop")
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()


def land(spark: SparkSession, settings: JobSettings) -> None:
    """Land the whole backlog into fresh tables."""
    catalog = open_catalog(settings)
    topic_id = land_readings.topic_id_of(settings.kafka)

    def write(batch: DataFrame, epoch: int) -> None:
        land_readings.land(batch, epoch, checkpoint, topic_id, catalog)

    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            backlog(spark, settings)
            .writeStream.option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .foreachBatch(write)
            .start()
        )
        query.awaitTermination()


def fresh(spark: SparkSession, *names: str) -> None:
    """Make tables anew."""
    for name in names:
        spark.sql(f"DROP TABLE IF EXISTS {name}")
    tables.create(spark, *names)


def throughput(settings: JobSettings, records: int, rounds: int) -> dict[str, float]:
    """Measure landing against the same read, and conforming against a read and write of the same rows."""
    spark = spark_session(settings, "bench", memory="1536m", conf=land_readings.CONF, streaming=True)
    spark.sql("CREATE NAMESPACE IF NOT EXISTS lake.bench")
    read, landed, copied, conformed = [], [], [], []
    try:
        for _ in range(rounds):
            read.append(seconds(lambda: read_only(spark, settings)))
            fresh(spark, tables.READINGS, tables.REJECTED)
            landed.append(seconds(lambda: land(spark, settings)))
        snapshot = open_catalog(settings).load_table(tables.READINGS.removeprefix("lake.")).current_snapshot()
        assert snapshot is not None
        spark.catalog.refreshTable(tables.READINGS)  # PyIceberg has committed since Spark loaded it
        bronze = spark.read.option("versionAsOf", snapshot.snapshot_id).table(tables.READINGS)
        for number in range(rounds):
            copied.append(seconds(bronze.writeTo(f"lake.bench.copy{number}").create))
            fresh(spark, tables.SILVER, tables.CONFLICTS)
            conformed.append(seconds(lambda: merge(spark, bronze, {})))
        rows = spark.table(tables.SILVER).count()
    finally:
        spark.stop()
    return {
        "read_records_per_s": records / min(read),
        "land_records_per_s": records / min(landed),
        "land_to_read": statistics.median(a / b for a, b in zip(read, landed, strict=True)),
        "copy_rows_per_s": records / min(copied),
        "conform_rows_per_s": records / min(conformed),
        "conform_to_copy": statistics.median(a / b for a, b in zip(copied, conformed, strict=True)),
        "silver_rows": float(rows),
    }


def freshness(settings: JobSettings, state: Path, probes: int, rate: float) -> dict[str, float]:
    """Measure from a record's production to its first appearance in Trino, beside a steady load.

    Args:
        settings: Where the components are.
        state: The stack's folder.
        probes: How many marked records.
        rate: Records per second of the load.
    """
    local(state, "start", "land_readings")
    load = subprocess.Popen(
        [sys.executable, "-m", "dataops_pipeline.simulator", "run", "--no-dumps", "--speed-up", str(rate / 1.4)],
        stdout=sys.stderr,
    )
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0})
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host="127.0.0.1", port=int(settings.trino.rpartition(":")[2]), user="bench"
    )
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}

    def send(name: str) -> None:
        at = "2013-07-01T12:00:00.000Z"
        fields = {"logger_id": name, "sequence": 0, "measured_at": at, "temperature_c": 5.0}
        producer.produce(streaming.TOPIC, json.dumps({**fields, "gateway_id": "bench", "received_at": at}))
        producer.flush()
        sent[name] = time.monotonic()

    def look() -> None:
        cursor = connection.cursor()
        cursor.execute("SELECT logger_id FROM lake.bronze.readings WHERE gateway_id = 'bench'")
        found = [row[0] for row in cursor.fetchall()]
        now = time.monotonic()
        seen.update({name: now for name in found if name in sent and name not in seen})
        time.sleep(0.5)

    try:
        send("CAUGHT-UP")  # the query has a checkpoint of its own, so it reads the whole backlog first
        deadline = time.monotonic() + 900
        while not seen and time.monotonic() < deadline:
            look()
        if not seen:
            sys.exit("land_readings has not caught up within 15 minutes: is something else busy on this machine?")
        sent.clear()
        seen.clear()
        deadline = time.monotonic() + 2 * probes + 60
        while len(seen) < probes and time.monotonic() < deadline:
            if len(sent) < probes:
                send(f"PROBE-{len(sent)}")
            look()
    finally:
        load.terminate()
        load.wait()
        connection.close()
    took = sorted(seen[name] - sent[name] for name in seen)
    return {
        "probes": float(len(took)),
        "visible_p50_in_triggers": statistics.median(took) / TRIGGER_SECONDS,
        "visible_p99_in_triggers": took[int(len(took) * 0.99) - 1] / TRIGGER_SECONDS,
    }


def main() -> None:
    """Run it and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=1_000_000, help="size of the backlog (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=2, help="times that each is measured (default: %(default)s)")
    options.add_argument("--probes", type=int, default=100, help="marked records (default: %(default)s)")
    options.add_argument("--rate", type=float, default=500, help="records/s beside them (default: %(default)s)")
    chosen = options.parse_args()
    with stack() as state:
        environment(state)
        settings = JobSettings.from_env()
        simulate("reference")
        load_reference_data.load(settings)
        simulate("run", "--no-dumps", "--as-fast-as-possible", "--readings", str(chosen.records))
        found = throughput(settings, chosen.records, chosen.rounds)
        found |= freshness(settings, state, chosen.probes, chosen.rate) if chosen.probes else {}
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
