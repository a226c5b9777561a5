"""Batch job: merge new rows of `bronze.readings` into `silver.readings`.

The job keeps one row per reading, with clock and temperature corrected, and drops canaries. A delivery that contradicts
the first one goes into `silver.conflicting_readings`. The commit of `silver.readings` records the bronze snapshot that
was read, so that the next run reads only later rows. The job is idempotent, also after an interrupted run.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, SOURCE_SNAPSHOT, iso, newest_with, open_catalog
from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobError, JobSettings, NotYet
from dataops_pipeline.transforms.readings import conflicting, conform, without_canaries

SNAPSHOT_PROPERTY = "spark.sql.iceberg.snapshot-property."
"""Prefix of session settings for commit properties, for statements without write options (MERGE)."""


def conform_new(settings: JobSettings) -> str:
    """Merge new readings; return a summary."""
    catalog = open_catalog(settings)
    if not catalog.table_exists("bronze.readings"):
        raise JobError(f"{tables.READINGS} does not exist: start land_readings first")
    if not catalog.table_exists("bronze.calibrations"):
        raise NotYet(f"{tables.CALIBRATIONS} does not exist: run load_reference_data first")
    bronze = catalog.load_table("bronze.readings")
    stamped = newest_with(bronze, PROGRESS)
    if stamped is None:
        return "nothing has been landed yet"
    until, progress = stamped[0].snapshot_id, stamped[1]
    done = None
    if catalog.table_exists("silver.readings"):
        done = newest_with(catalog.load_table("silver.readings"), SOURCE_SNAPSHOT)
    after = int(done[1]) if done else None
    if after == until:
        return "nothing new"
    if after is not None and bronze.snapshot_by_id(after) is None:
        log.warning("reading all of bronze again: its snapshot %d, up to which silver goes, has expired", after)
        after = None
    stamp = {PROGRESS: progress, SOURCE_SNAPSHOT: str(until)}
    spark = spark_session(settings, "conform_readings")
    try:
        count, stamp = merge(spark, _read(spark, after, until), stamp)
    finally:
        spark.stop()
    _stamp_if_unchanged(settings, until, stamp)
    return f"merged {count} readings up to bronze snapshot {until}"


def merge(spark: SparkSession, deliveries: DataFrame, stamp: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Merge deliveries into `silver.readings`, and contradicting ones into `silver.conflicting_readings`.

    Args:
        spark: The session.
        deliveries: Rows of `bronze.readings`.
        stamp: Properties of the commit of `silver.readings`.

    Returns:
        The number of delivered readings, and the stamp with the entry time of the oldest one.
    """
    tables.create(spark, tables.SILVER, tables.CONFLICTS)
    deliveries = without_canaries(deliveries).persist()
    # before the commit that marks these deliveries as processed
    conflicting(deliveries, spark.table(tables.SILVER)).createOrReplaceTempView("conflicts")
    spark.sql(
        f"MERGE INTO {tables.CONFLICTS} AS c USING conflicts AS n"
        " ON c.topic = n.topic AND c.partition = n.partition AND c.offset = n.offset"
        " AND c.kafka_timestamp = n.kafka_timestamp WHEN NOT MATCHED THEN INSERT *"
    )
    new = conform(deliveries, tables.certificates(spark)).persist()
    count, oldest = new.agg(F.count("*"), F.min(F.unix_millis("kafka_timestamp"))).collect()[0]
    if oldest is not None:
        stamp = {**stamp, OLDEST: iso(oldest)}
    for name, value in stamp.items():
        spark.conf.set(SNAPSHOT_PROPERTY + name, value)
    new.createOrReplaceTempView("new")
    spark.sql(
        f"MERGE INTO {tables.SILVER} AS s USING new AS n"
        " ON s.logger_id = n.logger_id AND s.sequence = n.sequence WHEN NOT MATCHED THEN INSERT *"
    )
    for frame in (new, deliveries):
        frame.unpersist()
    return int(count), stamp


def _read(spark: SparkSession, after: int | None, until: int) -> DataFrame:
    """Return the rows that were appended after one snapshot, up to another one; all rows if `after` is `None`."""
    if after is None:
        return spark.read.option("versionAsOf", until).table(tables.READINGS)
    reader = spark.read.format("iceberg").option("start-snapshot-id", after).option("end-snapshot-id", until)
    return reader.load(tables.READINGS)


def _stamp_if_unchanged(settings: JobSettings, until: int, stamp: dict[str, str]) -> None:
    """Commit the stamp without rows if the merge had no rows, and therefore made no commit."""
    silver = open_catalog(settings).load_table(tables.SILVER.removeprefix(f"{CATALOG}."))
    done = newest_with(silver, SOURCE_SNAPSHOT)
    if done is None or int(done[1]) != until:
        silver.append(silver.schema().as_arrow().empty_table(), snapshot_properties=stamp)


if __name__ == "__main__":
    run(conform_new)
