"""Streaming: from the topic `logger-readings` into `bronze.readings` and `bronze.rejected_readings`, exactly once.

One query writes two tables, which Spark's own sinks cannot do exactly once. So each batch is appended to each table as
one commit that carries the query's id and the batch's number, and is left out where the table has it already. A crash
between the two commits is mended when the batch is run again, and Spark runs it again from the same offsets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from pyspark.sql.streaming.query import StreamingQuery

from dataops_pipeline import tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, iso, open_catalog
from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.jobs.streaming import EPOCH_ID, QUERY_ID, each_batch, keep_running, landed_epoch, records
from dataops_pipeline.settings import JobSettings
from dataops_pipeline.transforms import readings

MAX_OFFSETS = 75_000
"""Records that one batch takes at the most: bounds memory, and lets progress be seen while it catches up."""

Append = Callable[[DataFrame, str, dict[str, str]], None]


def append(frame: DataFrame, table: str, properties: dict[str, str]) -> None:
    """Append rows as one commit with these snapshot properties."""
    writer = frame.writeTo(table).option("fanout-enabled", "true")
    for name, value in properties.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    writer.append()


def land(batch: DataFrame, epoch: int, query_id: str, catalog: Catalog, append: Append = append) -> int:
    """Write one batch to both tables, each unless it has it already; return how many records it had.

    Args:
        batch: Records of Spark's Kafka source.
        epoch: The batch's number.
        query_id: Id of the query, which lives as long as its checkpoint.
        catalog: Tells which batches the tables have.
        append: Writes one commit.
    """
    parsed = readings.parse(batch).persist()
    try:
        entered = F.unix_millis("kafka_timestamp")
        count, oldest, newest = parsed.agg(F.count("*"), F.min(entered), F.max(entered)).collect()[0]
        if not count:
            return 0
        stamp = {QUERY_ID: query_id, EPOCH_ID: str(epoch), PROGRESS: iso(newest), OLDEST: iso(oldest)}
        now = F.current_timestamp()
        for table, rows in (
            (tables.READINGS, readings.accepted(parsed, now)),
            (tables.REJECTED, readings.rejected(parsed, now)),
        ):
            if landed_epoch(catalog, table, query_id) < epoch:
                append(rows, table, stamp)
        return int(count)
    finally:
        parsed.unpersist()


def start(spark: SparkSession, settings: JobSettings) -> StreamingQuery:
    """Start the query."""
    catalog = open_catalog(settings)

    def write(batch: DataFrame, epoch: int, query_id: str) -> None:
        began = time.monotonic()
        count = land(batch, epoch, query_id, catalog)
        log.info("batch %d: %d records in %.1f s", epoch, count, time.monotonic() - began)

    return each_batch(records(spark, settings, MAX_OFFSETS), settings, "land_readings", write)


def stream(settings: JobSettings) -> str:
    """Keep the query running until told to stop."""
    return keep_running(
        settings,
        "land_readings",
        lambda spark: start(spark, settings),
        writes=(tables.READINGS, tables.REJECTED),
        readers=(tables.SILVER, tables.EXPOSURE),
    )


if __name__ == "__main__":
    run(stream)
