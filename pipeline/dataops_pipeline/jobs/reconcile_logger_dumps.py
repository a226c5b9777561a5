"""Batch job: compare new logger dumps with `silver.readings`, and add the readings that the stream has lost.

The executors fetch and parse the files in parallel. A file that cannot be parsed is quarantined with its reason. The
job writes three tables, the list of files last, so that a run after an interrupted one adds nothing twice. Its commits
to `silver.readings` carry no progress time, because they add no new records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobError, JobSettings, NotYet
from dataops_pipeline.transforms.dumps import CLOCK_TOLERANCE, DumpError, parse_dump
from dataops_pipeline.transforms.reconcile import compare, filling, reconciliation

MAX_FILES_VARIABLE = "BOREAL_PARAM_MAX_FILES"
MAX_FILES = 1000
"""Maximum number of files per run, oldest first; it limits memory and time."""
MAX_BYTES = 8 << 20
"""Maximum size of a dump; a logger's memory is some kilobytes."""
FILES_AT_ONCE = 25
"""Maximum number of files whose rows an executor holds at the same time."""
DUMP_FILES = "path string, size bigint, modified_at timestamp"
READ = f"""{DUMP_FILES}, logger_id string, maker string, reason string, unit string, clock_ahead boolean,
    downloaded_at timestamp,
    readings array<struct<sequence: bigint, reported_at: timestamp, measured_at: timestamp, celsius: double>>"""
_TIME = pa.timestamp("us", "UTC")
_READ = pa.schema(
    [
        ("path", pa.string()),
        ("size", pa.int64()),
        ("modified_at", _TIME),
        ("logger_id", pa.string()),
        ("maker", pa.string()),
        ("reason", pa.string()),
        ("unit", pa.string()),
        ("clock_ahead", pa.bool_()),
        ("downloaded_at", _TIME),
        (
            "readings",
            pa.list_(
                pa.struct(
                    [
                        ("sequence", pa.int64()),
                        ("reported_at", _TIME),
                        ("measured_at", _TIME),
                        ("celsius", pa.float64()),
                    ]
                )
            ),
        ),
    ]
)
DumpFile = tuple[str, int, datetime]
"""A file's path, size in bytes, and modification time."""


def reconcile_new(settings: JobSettings) -> str:
    """Reconcile new files, at most $BOREAL_PARAM_MAX_FILES; return a summary."""
    limit = max_files(os.environ.get(MAX_FILES_VARIABLE))
    catalog = open_catalog(settings)
    for name, job in (
        ("silver.readings", "conform_readings"),
        ("bronze.calibrations", "load_reference_data"),
        ("bronze.shipments", "load_reference_data"),
    ):
        if not catalog.table_exists(name):
            raise NotYet(f"{CATALOG}.{name} does not exist: run {job} first")
    known = _known(catalog)
    new = sorted((file for file in dump_files(settings) if file not in known), key=lambda file: (file[2], file[0]))
    if not new:
        return "no new dumps"
    spark = spark_session(settings, "reconcile_logger_dumps")
    try:
        reconciled, quarantined, filled = _reconcile(spark, settings, new[:limit])
    finally:
        spark.stop()
    left = f", {len(new) - limit} left for the next run" if len(new) > limit else ""
    return f"reconciled {reconciled} dumps, filled {filled} readings, quarantined {quarantined} dumps{left}"


def max_files(stated: str | None) -> int:
    """Return the maximum number of files per run; raises JobError."""
    if not stated:
        return MAX_FILES
    if not stated.isdecimal() or int(stated) < 1:
        raise JobError(f"{MAX_FILES_VARIABLE} is {stated!r}: give a whole number of files, 1 or more")
    return int(stated)


def dump_files(settings: JobSettings) -> list[DumpFile]:
    """Return all dumps in the object store."""
    folder = f"{settings.raw.removeprefix('s3://')}/dumps"
    listed = _store(settings).get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    return [(info.path, info.size, info.mtime) for info in listed if info.is_file and info.path.endswith(".csv")]


def _known(catalog: Catalog) -> set[DumpFile]:
    name = tables.DUMPS.removeprefix(f"{CATALOG}.")
    if not catalog.table_exists(name):
        return set()
    rows = catalog.load_table(name).scan(selected_fields=("path", "size", "modified_at")).to_arrow().to_pylist()
    return {(row["path"], row["size"], row["modified_at"]) for row in rows}


def _store(settings: JobSettings) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        endpoint_override=settings.s3_endpoint,
        region=settings.s3_region,
        connect_timeout=5,
        request_timeout=30,
    )


def _reconcile(spark: SparkSession, settings: JobSettings, new: list[DumpFile]) -> tuple[int, int, int]:
    """Write the three tables; return the numbers of reconciled dumps, quarantined dumps and filled readings."""
    tables.create(spark, tables.SILVER, tables.RECONCILIATION, tables.DUMPS)
    tasks = max(1, min(spark.sparkContext.defaultParallelism * 4, len(new) // FILES_AT_ONCE))
    listed = spark.createDataFrame(new, DUMP_FILES).repartition(tasks)
    read = newest(listed.mapInArrow(reader(partial(_store, settings)), READ)).persist()
    good = read.where("reason IS NULL")
    loggers, first, last = good.agg(F.count("*"), F.min("logger_id"), F.max("logger_id")).collect()[0]
    filled = 0
    if loggers:
        filled = _fill(spark, good, first, last)
    marks = read.select(
        "path",
        "size",
        "modified_at",
        "logger_id",
        "maker",
        F.when(F.col("reason").isNull(), "reconciled").otherwise("quarantined").alias("status"),
        "reason",
        F.size("readings").cast("bigint").alias("rows"),
        F.size(F.filter("readings", lambda one: one["celsius"].isNull())).cast("bigint").alias("no_reading_rows"),
        F.current_timestamp().alias("reconciled_at"),
    )
    # last, because files in this table are not read again
    _merge(spark, marks, tables.DUMPS, "t.path = n.path AND t.size = n.size AND t.modified_at = n.modified_at")
    return loggers, read.count() - loggers, filled


def _fill(spark: SparkSession, good: DataFrame, first: str, last: str) -> int:
    """Fill `silver.readings` and write `silver.reconciliation`; return the number of filled readings.

    Args:
        spark: The session.
        good: The valid files, one for each logger.
        first: The smallest id of these loggers.
        last: The largest id of these loggers.
    """
    dump = good.select("logger_id", "unit", "clock_ahead", "downloaded_at", F.inline("readings"))
    # Redundant, but it lets Iceberg skip files by their statistics.
    among = f"logger_id BETWEEN '{first}' AND '{last}'"
    silver = spark.table(tables.SILVER).where(among)
    compared = compare(dump, silver).persist()
    compared.count()  # evaluate before the filling
    lacking = filling(dump, silver, tables.certificates(spark)).persist()
    filled = lacking.count()
    if filled:
        _merge(spark, lacking, tables.SILVER, f"t.logger_id = n.logger_id AND t.sequence = n.sequence AND t.{among}")
    after = spark.table(tables.SILVER).where(among)
    rows = reconciliation(compared, good, after, spark.table(f"{CATALOG}.bronze.shipments"))
    _merge(
        spark,
        rows.withColumn("reconciled_at", F.current_timestamp()),
        tables.RECONCILIATION,
        "t.logger_id = n.logger_id",
        update=True,
    )
    return filled


def _merge(spark: SparkSession, rows: DataFrame, table: str, condition: str, *, update: bool = False) -> None:
    rows.createOrReplaceTempView("rows_to_merge")
    matched = "WHEN MATCHED THEN UPDATE SET * " if update else ""
    spark.sql(
        f"MERGE INTO {table} AS t USING rows_to_merge AS n ON {condition} {matched}WHEN NOT MATCHED THEN INSERT *"
    )


def newest(read: DataFrame) -> DataFrame:
    """Return the files, with all but the newest valid file of each logger marked as superseded."""
    newest_first = Window.partitionBy("logger_id").orderBy(
        F.col("reason").isNotNull(), F.col("modified_at").desc(), F.col("path").desc()
    )
    by = F.first("path").over(newest_first)
    older = F.col("logger_id").isNotNull() & F.col("reason").isNull() & (F.row_number().over(newest_first) > 1)
    return (
        read.withColumn("by", by)
        .withColumn("older", older)
        .withColumn(
            "reason", F.when(F.col("older"), F.concat(F.lit("superseded: by "), F.col("by"))).otherwise(F.col("reason"))
        )
        .drop("by", "older")
    )


def reader(
    open_store: Callable[[], fs.FileSystem],
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return the function that executors run: fetch and parse files, each as a whole or not at all."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        store = open_store()
        for batch in batches:
            files = batch.to_pylist()
            for at in range(0, len(files), FILES_AT_ONCE):
                rows = [_read(store, file) for file in files[at : at + FILES_AT_ONCE]]
                yield pa.RecordBatch.from_pylist([row for row in rows if row], schema=_READ)

    return read


def _read(store: fs.FileSystem, file: dict[str, Any]) -> dict[str, Any] | None:
    """Return a file's row; `None` if the file was removed meanwhile."""
    path, size = file["path"], file["size"]
    try:
        if size > MAX_BYTES:
            return {**file, "reason": f"too-large: {size} bytes"}
        with store.open_input_stream(path) as source:
            dump = parse_dump(source.read(), path)
    except FileNotFoundError:
        return None
    except DumpError as error:
        return {**file, "reason": str(error)}
    return {
        **file,
        "logger_id": dump.logger_id,
        "maker": dump.maker,
        "unit": dump.unit,
        "clock_ahead": dump.skew > CLOCK_TOLERANCE,
        "downloaded_at": dump.downloaded_at,
        "readings": [
            {
                "sequence": row.sequence,
                "reported_at": row.reported_at,
                "measured_at": row.measured_at,
                "celsius": row.celsius,
            }
            for row in dump.rows
        ],
    }


if __name__ == "__main__":
    run(reconcile_new)
