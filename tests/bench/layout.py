"""`make bench-layout`: what compression, sorting and partitions cost a writer and save a reader.

The same readings are written in several layouts into a catalog in a temporary folder; nothing else is started.
Times are ratios to the first layout of the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from tests.bench import end_cleanly

from dataops_local import fetch
from dataops_local.java import spark_home
from dataops_local.layout import Layout
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings
from dataops_pipeline.simulator import records
from dataops_pipeline.simulator.boxes import Settings

NOWHERE = "http://127.0.0.1:9"
"""Where no component listens: none is needed."""
DAYS = 10


@dataclass(frozen=True)
class Variant:
    """One way to lay out the table.

    Attributes:
        name: Of the table.
        partitions: Its partitions; none where empty.
        sort: Its sort order; none where empty.
        codec: How its data files are compressed.
    """

    name: str
    partitions: str = ""
    sort: str = ""
    codec: str = "zstd"


VARIANTS = (
    Variant("plain"),
    Variant("gzip", codec="gzip"),
    Variant("snappy", codec="snappy"),
    Variant("by_day", "days(measured_at)"),
    Variant("by_day_sorted", "days(measured_at)", "logger_id, sequence"),
    Variant("sorted", sort="logger_id, sequence"),
    Variant("by_hour", "hours(measured_at)"),
    Variant("by_logger", "bucket(16, logger_id)"),
)
QUERIES = {
    "one_logger": "logger_id = '{logger}'",
    "one_day": "measured_at >= TIMESTAMP '2013-07-05 00:00:00' AND measured_at < TIMESTAMP '2013-07-06 00:00:00'",
}


def session(folder: Path, conf: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark as the jobs do, with a catalog `bench` in a folder, and with further settings."""
    os.environ["JAVA_HOME"] = str(spark_home(Layout(folder, 1)))
    named: dict[str, Any] = {field.name: NOWHERE for field in fields(JobSettings) if field.type == "str"}
    settings = JobSettings(**{**named, "spark_master": "local[2]", "spark_jars": str(fetch.home("spark"))})
    catalog = {
        "spark.sql.catalog.bench": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.bench.type": "hadoop",
        "spark.sql.catalog.bench.warehouse": str(folder / "warehouse"),
    }
    return spark_session(settings, "bench-layout", memory="1536m", conf={**catalog, **(conf or {})})


def readings(spark: SparkSession, folder: Path, days: int) -> DataFrame:
    """Return the readings of some days, in the order of their arrival."""
    settings = Settings(garbage=0, duplicates=0, conflicts=0, lost=0)
    for day in pd.date_range("2013-07-01", periods=days):
        rows = records.window(settings, day)[
            ["logger_id", "sequence", "measured_at", "temperature_c", "gateway_id", "received_at"]
        ]
        rows.assign(
            **{name: rows[name].astype("datetime64[us]") for name in ("measured_at", "received_at")}
        ).to_parquet(folder / f"{day:%Y-%m-%d}.parquet")
    return spark.read.parquet(*map(str, sorted(folder.glob("*.parquet"))))


def seconds(work: Callable[[], object], rounds: int = 1) -> float:
    """Return how long something takes, the best of some rounds."""
    took = []
    for _ in range(rounds):
        began = time.monotonic()
        work()
        took.append(time.monotonic() - began)
    return min(took)


def write(spark: SparkSession, rows: DataFrame, variant: Variant, days: int) -> float:
    """Write the table anew, a day a commit; return the seconds."""
    table = f"bench.db.{variant.name}"
    columns = ", ".join(f"{name} {kind.replace('_ntz', '')}" for name, kind in rows.dtypes)
    spark.sql(
        f"CREATE TABLE {table} ({columns}) USING iceberg"
        + (f" PARTITIONED BY ({variant.partitions})" if variant.partitions else "")
        + f" TBLPROPERTIES ('write.parquet.compression-codec'='{variant.codec}')"
    )
    if variant.sort:
        spark.sql(f"ALTER TABLE {table} WRITE ORDERED BY {variant.sort}")

    def append() -> None:
        for day in pd.date_range("2013-07-01", periods=days):
            of_day = rows.where(F.to_date("received_at") == F.lit(f"{day:%Y-%m-%d}").cast("date"))
            of_day.writeTo(table).append()

    return seconds(append)


def mean(spark: SparkSession, table: str, where: str) -> None:
    """Run a query, planning included."""
    spark.table(table).where(where).agg(F.avg("temperature_c")).collect()


def scanned(spark: SparkSession, table: str, where: str) -> int:
    """Return how many bytes of data files a query has to open, after pruning by partition and statistics."""
    files = {
        Path(row[0]).name for row in spark.table(table).where(where).select(F.input_file_name()).distinct().collect()
    }
    sizes = spark.sql(f"SELECT file_path, file_size_in_bytes FROM {table}.files").collect()
    return sum(size for path, size in sizes if Path(path).name in files)


def main() -> None:
    """Run it and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=DAYS, help="days of readings (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="times that each query runs (default: %(default)s)")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spark = session(folder)
        try:
            rows = readings(spark, folder, chosen.days).persist()
            count = rows.count()
            logger = rows.groupBy("logger_id").count().orderBy(F.desc("count"), "logger_id").first()
            assert logger is not None
            write(spark, rows.limit(10), Variant("warm_up"), chosen.days)
            found = {}
            for variant in VARIANTS:
                took = write(spark, rows, variant, chosen.days)
                table = f"bench.db.{variant.name}"
                files, size = spark.sql(f"SELECT count(*), sum(file_size_in_bytes) FROM {table}.files").first() or (
                    0,
                    0,
                )
                found[variant.name] = {"write": took, "files": files, "bytes_per_row": size / count}
                for query, where in QUERIES.items():
                    asked = where.format(logger=logger[0])
                    found[variant.name][query] = seconds(partial(mean, spark, table, asked), chosen.rounds)
                    found[variant.name][f"{query}_scanned"] = scanned(spark, table, asked) / size
        finally:
            spark.stop()
    first = found[VARIANTS[0].name]
    ratios = {
        name: {key: value / first[key] if key in {"write", *QUERIES} else value for key, value in figures.items()}
        for name, figures in found.items()
    }
    print(
        json.dumps({"rows": count, **{n: {k: round(v, 3) for k, v in f.items()} for n, f in ratios.items()}}, indent=2)
    )


if __name__ == "__main__":
    main()
