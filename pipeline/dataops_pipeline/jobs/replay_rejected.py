"""Batch job: after a fix, move records that are valid now from `bronze.rejected_readings` to `bronze.readings`, once.

The records keep their topic, partition, offset and time. The job makes two commits: it appends to one table, then
deletes from the other. If a run is interrupted in between, the next run recognises by these four values the records
that were appended already. Neither commit records progress, because no new data has entered the pipeline.

Environment variables: `BOREAL_PARAM_QUOTED_NUMBERS` (`true`: accept a number that was sent as text),
`BOREAL_PARAM_REASON` (only records whose reason starts with this text), `BOREAL_PARAM_LIMIT` (maximum number of
records; 0 for all).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobError, JobSettings, NotYet, flag
from dataops_pipeline.transforms import readings


@dataclass(frozen=True)
class Options:
    """Options of the job.

    Attributes:
        quoted_numbers: Whether a number that was sent as text is valid.
        reason: Only records whose reason starts with this text; empty for all.
        limit: Maximum number of records; 0 for all.
    """

    quoted_numbers: bool = False
    reason: str = ""
    limit: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Read the options from environment variables; raises JobError for an invalid one."""
        limit = env.get("BOREAL_PARAM_LIMIT") or "0"
        if not limit.isdecimal():
            raise JobError(f"BOREAL_PARAM_LIMIT: {limit!r} is not a number of records")
        return cls(flag(env, "BOREAL_PARAM_QUOTED_NUMBERS"), env.get("BOREAL_PARAM_REASON", ""), int(limit))


def replay(settings: JobSettings) -> str:
    """Move the records that are valid now; return a summary."""
    options = Options.from_env()
    catalog = open_catalog(settings)
    if not (catalog.table_exists("bronze.readings") and catalog.table_exists("bronze.rejected_readings")):
        raise NotYet(f"{tables.REJECTED} does not exist: start land_readings first")
    spark = spark_session(settings, "replay_rejected")
    try:
        return move(spark, options)
    finally:
        spark.stop()


def move(spark: SparkSession, options: Options, between: Callable[[], object] = lambda: None) -> str:
    """Move the records that are valid now from one table to the other; return a summary.

    Args:
        spark: A session with the catalog.
        options: The job's options.
        between: Called between the two commits.
    """
    good = readings.now_good(spark.table(tables.REJECTED), options.quoted_numbers, options.reason)
    if options.limit:
        good = good.orderBy("kafka_timestamp", "partition", "offset").limit(options.limit)
    good = good.persist()
    count, oldest, newest = good.agg(F.count("*"), F.min("kafka_timestamp"), F.max("kafka_timestamp")).collect()[0]
    if not count:
        return "none of the rejected records is valid now"
    # The table is partitioned by this time, so that only some partitions are read.
    landed = spark.table(tables.READINGS).where(F.col("kafka_timestamp").between(oldest, newest))
    new = readings.accepted(readings.not_among(good, landed), F.current_timestamp()).persist()
    added = new.count()
    if added:
        new.writeTo(tables.READINGS).option("fanout-enabled", "true").append()
    between()
    _delete(spark, good)
    return f"replayed {count} records: {added} are new in {tables.READINGS}, {count - added} existed already"


def _delete(spark: SparkSession, good: DataFrame) -> None:
    """Delete these records from `bronze.rejected_readings`."""
    # Concurrent appends contain other records and are no conflict, so the default isolation is too strict.
    spark.sql(
        f"ALTER TABLE {tables.REJECTED} SET TBLPROPERTIES"
        " ('write.merge.mode'='merge-on-read', 'write.merge.isolation-level'='snapshot')"
    )
    good.select("topic", "partition", "offset", "kafka_timestamp").createOrReplaceTempView("replayed")
    spark.sql(
        f"MERGE INTO {tables.REJECTED} AS r USING replayed AS n"
        " ON r.topic = n.topic AND r.partition = n.partition AND r.offset = n.offset"
        " AND r.kafka_timestamp = n.kafka_timestamp WHEN MATCHED THEN DELETE"
    )


if __name__ == "__main__":
    run(replay)
