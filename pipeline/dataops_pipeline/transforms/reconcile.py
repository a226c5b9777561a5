"""Comparison of the readings from the stream with the memory of each logger."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline.transforms.readings import calibrate

TOLERANCE_C = {"C": 0.06, "F": 0.11}
"""Maximum difference between a dump and the stream in degrees Celsius, by the dump's unit; dumps are rounded."""
TOLERANCE_SECONDS = 60
"""Maximum difference between the corrected times of a reading."""


def compare(dump: DataFrame, silver: DataFrame) -> DataFrame:
    """Return one row for each logger with a dump.

    Columns: logger_id, dump_readings (with a temperature), no_reading (without one), stream_readings, missing (in the
    stream), extra (in the stream only), different (in temperature or in time) and longest_gap_minutes: the longest time
    between two readings of the stream, with the memory's first and last reading counted as received. Readings that were
    filled from dumps do not count as the stream's.

    Args:
        dump: The loggers' memories: logger_id, unit (C or F), sequence, measured_at and celsius.
        silver: `silver.readings`, of at least these loggers.
    """
    ends = Window.partitionBy("logger_id").orderBy("sequence")
    both = _both(dump, silver)
    first, last = (F.row_number().over(ends.orderBy(order)) == 1 for order in ("sequence", F.desc("sequence")))
    in_memory = (
        both.where("in_dump AND celsius IS NOT NULL")
        .withColumn("anchor", F.when(F.col("in_stream") | first | last, F.col("measured_at")))
        .withColumn("before", F.last("anchor", ignorenulls=True).over(ends.rowsBetween(Window.unboundedPreceding, -1)))
    )
    gaps = in_memory.groupBy("logger_id").agg(
        (F.max(F.unix_micros("anchor") - F.unix_micros("before")) / 60e6).alias("gap")
    )
    measured, stream = F.col("in_dump") & F.col("celsius").isNotNull(), F.col("in_stream")
    return (
        both.groupBy("logger_id")
        .agg(
            _count(measured).alias("dump_readings"),
            _count(F.col("in_dump") & F.col("celsius").isNull()).alias("no_reading"),
            _count(stream).alias("stream_readings"),
            _count(measured & ~stream).alias("missing"),
            _count(stream & ~measured).alias("extra"),
            _count(measured & stream & _differs()).alias("different"),
        )
        .join(gaps, "logger_id", how="left")
        .select(
            "logger_id",
            "dump_readings",
            "no_reading",
            "stream_readings",
            "missing",
            "extra",
            "different",
            F.round(F.coalesce("gap", F.lit(0.0)), 1).alias("longest_gap_minutes"),
        )
    )


def filling(dump: DataFrame, silver: DataFrame, certificates: DataFrame) -> DataFrame:
    """Return the missing rows of `silver.readings`.

    Args:
        dump: The loggers' memories: logger_id, sequence, reported_at, measured_at, clock_ahead, celsius and
            downloaded_at (used as the gateway's time).
        silver: `silver.readings`, of at least these loggers.
        certificates: `bronze.calibrations`.
    """
    lacking = (
        dump.where("celsius IS NOT NULL")
        .join(silver.select("logger_id", "sequence"), ["logger_id", "sequence"], how="left_anti")
        .withColumn("raw_temperature_c", F.col("celsius"))
    )
    return calibrate(lacking, certificates).select(
        "logger_id",
        "sequence",
        "measured_at",
        "reported_at",
        "clock_ahead",
        "raw_temperature_c",
        "temperature_c",
        "calibration_id",
        F.lit(None).cast("string").alias("gateway_id"),
        F.col("downloaded_at").alias("received_at"),
        F.lit("dump").alias("source"),
        F.lit(None).cast("int").alias("partition"),
        F.lit(None).cast("bigint").alias("offset"),
        F.lit(None).cast("timestamp").alias("kafka_timestamp"),
    )


def reconciliation(compared: DataFrame, files: DataFrame, filled: DataFrame, shipments: DataFrame) -> DataFrame:
    """Return the rows of `silver.reconciliation`, without the time of the reconciliation.

    Args:
        compared: The result of `compare`.
        files: The dump of each logger: logger_id and path.
        filled: `silver.readings` after the filling.
        shipments: `bronze.shipments`.
    """
    from_dumps = filled.where("source = 'dump'").groupBy("logger_id").agg(F.count("*").alias("filled"))
    minutes = (F.unix_timestamp("delivered_at") - F.unix_timestamp("packed_at")) / 60
    expected = F.floor(minutes / 5).cast("bigint") + 1  # a reading every 5 minutes, the first one at packing
    known = shipments.select("logger_id", "shipment_id", expected.alias("expected_readings"))
    return (
        compared.join(files.select("logger_id", F.col("path").alias("dump_path")), "logger_id", how="inner")
        .join(from_dumps, "logger_id", how="left")
        .join(known, "logger_id", how="left")
        .select(
            "shipment_id",
            "logger_id",
            "dump_path",
            "dump_readings",
            "stream_readings",
            "missing",
            "extra",
            "different",
            F.coalesce("filled", F.lit(0)).alias("filled"),
            "no_reading",
            "longest_gap_minutes",
            "expected_readings",
        )
    )


def _both(dump: DataFrame, silver: DataFrame) -> DataFrame:
    """Return all readings of the dump and the stream, joined by logger and sequence number."""
    memory = dump.select("logger_id", "sequence", "unit", "measured_at", "celsius", F.lit(True).alias("in_dump"))
    # rows from before the first dump have no source
    stream = silver.where("coalesce(source, 'stream') <> 'dump'").select(
        "logger_id",
        "sequence",
        F.col("measured_at").alias("stream_at"),
        F.col("raw_temperature_c").alias("stream_c"),
        F.lit(True).alias("in_stream"),
    )
    loggers = F.broadcast(memory.select("logger_id").distinct())
    return (
        memory.join(stream.join(loggers, "logger_id", how="left_semi"), ["logger_id", "sequence"], how="full")
        .withColumn("in_dump", F.coalesce("in_dump", F.lit(False)))
        .withColumn("in_stream", F.coalesce("in_stream", F.lit(False)))
    )


def _differs() -> Column:
    tolerance = F.when(F.col("unit") == "F", TOLERANCE_C["F"]).otherwise(TOLERANCE_C["C"])
    seconds = F.abs(F.unix_micros("measured_at") - F.unix_micros("stream_at")) / 1e6
    return (F.abs(F.col("celsius") - F.col("stream_c")) > tolerance) | (seconds > TOLERANCE_SECONDS)


def _count(which: Column) -> Column:
    return F.sum(F.when(which, 1).otherwise(0))
