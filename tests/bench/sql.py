"""`make bench-sql`: what the layout of a table, the form of a query and the engine change, on the same readings.

Trino says how many bytes it read and how many splits it made, which no other load on the machine changes; times are
ratios within the run. Starts the store and Trino of the local stack in a folder and on ports of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import trino
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from tests.bench import end_cleanly
from tests.bench.layout import readings, seconds
from tests.bench.pipeline import environment, stack

from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings

COLUMNS = ["logger_id", "sequence", "measured_at", "temperature_c", "gateway_id", "received_at"]
DAY = "TIMESTAMP '2013-07-05 00:00:00' AND measured_at < TIMESTAMP '2013-07-06 00:00:00'"
AVERAGE = "SELECT avg(temperature_c) FROM lake.bench.{table}"
TABLES = {"plain": False, "by_day": True, "small_files": True}
"""The tables, and whether they are partitioned; `small_files` has the rows of `by_day` in many more files."""
SMALL = 100_000
"""Bytes that a file of `small_files` has about."""

WINDOW = """
SELECT count(*), avg(temperature_c) FROM (
  SELECT temperature_c, row_number() OVER (PARTITION BY logger_id, sequence ORDER BY received_at) AS delivery
  FROM lake.bench.{table}) WHERE delivery = 1"""
GROUPED = """
SELECT count(*), avg(first_c) FROM (
  SELECT min_by(temperature_c, received_at) AS first_c FROM lake.bench.{table} GROUP BY logger_id, sequence)"""
READING = "logger_id || cast(sequence AS varchar)"

QUERIES = {
    "day, no partitions": ("plain", f"{AVERAGE} WHERE measured_at >= {DAY}"),
    "day, partitions": ("by_day", f"{AVERAGE} WHERE measured_at >= {DAY}"),
    "day, as date()": ("by_day", f"{AVERAGE} WHERE date(measured_at) = DATE '2013-07-05'"),
    "day, as text": ("by_day", f"{AVERAGE} WHERE date_format(measured_at, '%Y-%m-%d') = '2013-07-05'"),
    "all, one column": ("by_day", AVERAGE),
    "all, small files": ("small_files", AVERAGE),
    "all, every column": (
        "by_day",
        f"SELECT {', '.join(f'max({name})' for name in COLUMNS)} FROM lake.bench.{{table}}",
    ),
    "first delivery, by window": ("by_day", WINDOW),
    "first delivery, by min_by": ("by_day", GROUPED),
    "distinct, exact": ("by_day", f"SELECT count(DISTINCT {READING}) FROM lake.bench.{{table}}"),
    "distinct, approximate": ("by_day", f"SELECT approx_distinct({READING}) FROM lake.bench.{{table}}"),
}
"""What is asked: the table, and the query."""
ENGINES = ("day, partitions", "all, one column", "first delivery, by window")
"""Queries that Spark is asked too."""


@dataclass(frozen=True)
class Run:
    """How Trino ran a query: what it read from the store, in how many splits, and the median seconds."""

    read: int
    splits: int
    seconds: float
    pushed_down: bool


def write(spark: SparkSession, rows: DataFrame, days: int) -> dict[str, int]:
    """Write the tables, one commit a day; return how many data files each has."""
    spark.sql("CREATE NAMESPACE IF NOT EXISTS lake.bench")
    columns = ", ".join(f"{name} {kind.replace('_ntz', '')}" for name, kind in rows.dtypes)
    for name, partitioned in TABLES.items():
        spark.sql(
            f"CREATE TABLE lake.bench.{name} ({columns}) USING iceberg"
            + (" PARTITIONED BY (days(measured_at))" if partitioned else "")
            + (f" TBLPROPERTIES ('write.target-file-size-bytes'='{SMALL}')" if name == "small_files" else "")
        )
        for day in pd.date_range("2013-07-01", periods=days):
            of_day = rows.where(F.to_date("received_at") == F.lit(f"{day:%Y-%m-%d}").cast("date"))
            of_day.writeTo(f"lake.bench.{name}").option("fanout-enabled", "true").append()
    return {name: spark.table(f"lake.bench.{name}.files").count() for name in TABLES}


def ask(connection: trino.dbapi.Connection, query: str, rounds: int) -> Run:
    """Run a query in Trino, first once to warm up."""
    stats: dict[str, Any] = {}

    def run() -> None:
        cursor = connection.cursor()
        cursor.execute(query)
        cursor.fetchall()
        stats.update(cursor.stats)

    run()
    took = [seconds(run) for _ in range(rounds)]
    plan = connection.cursor()
    plan.execute(f"EXPLAIN {query}")
    text = plan.fetchall()[0][0]
    return Run(stats["physicalInputBytes"], stats["totalSplits"], statistics.median(took), "constraint on [" in text)


def in_spark(spark: SparkSession, query: str, rounds: int) -> float:
    """Return the median seconds that Spark takes for a query, once it is warm."""
    spark.sql(query).collect()
    return statistics.median(seconds(lambda: spark.sql(query).collect()) for _ in range(rounds))


def text(name: str) -> str:
    """Return the text of a query."""
    table, query = QUERIES[name]
    return query.format(table=table)


def main() -> None:
    """Run it and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=30, help="days of readings (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="times that each query runs (default: %(default)s)")
    chosen = options.parse_args()
    with stack() as state, tempfile.TemporaryDirectory() as folder:
        environment(state)
        settings = JobSettings.from_env()
        spark = spark_session(settings, "bench-sql", memory="1536m")
        try:
            rows = readings(spark, Path(folder), chosen.days).persist()
            files = write(spark, rows, chosen.days)
            count = rows.count()
            rows.unpersist()
            port = int(settings.trino.rpartition(":")[2])
            connection = trino.dbapi.connect(host="127.0.0.1", port=port, user="bench")  # type: ignore[no-untyped-call]
            runs = {name: ask(connection, text(name), chosen.rounds) for name in QUERIES}
            connection.close()
            engines = {name: in_spark(spark, text(name), chosen.rounds) / runs[name].seconds for name in ENGINES}
        finally:
            spark.stop()
    base = runs["all, one column"]
    print(
        json.dumps(
            {
                "rows": count,
                "files": files,
                "queries": {
                    name: {
                        "bytes_read": run.read,
                        "splits": run.splits,
                        "time_to_all_one_column": round(run.seconds / base.seconds, 2),
                        "filter_reaches_the_table": run.pushed_down,
                    }
                    for name, run in runs.items()
                },
                "spark_to_trino": {name: round(ratio, 2) for name, ratio in engines.items()},
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
