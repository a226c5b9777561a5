"""Streaming: from the topic `logger-readings` into `bronze.readings` and `bronze.rejected_readings`, exactly once.

One query writes two tables, which Spark's own sinks cannot do exactly once. So each batch is appended to each table as
one commit that carries the query's id and the batch's number, and is left out where the table has it already: as
Iceberg's own streaming sink does it. A crash between the two commits is mended when the batch is run again, and
Spark runs it again from the same offsets.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from py4j.protocol import Py4JError
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import RESTError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from pyspark.sql.streaming.query import StreamingQuery

from dataops_pipeline import tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, iso, open_catalog
from dataops_pipeline.jobs.runner import first_line, log, run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobSettings
from dataops_pipeline.transforms import readings

TOPIC = "logger-readings"
TRIGGER = "5 seconds"
MAX_OFFSETS = 75_000
"""Records that one batch takes at the most: bounds memory, and lets progress be seen while it catches up."""
RESTART_SECONDS = (1, 2, 5, 10)
"""Pauses before the query is started again; the last one repeats."""
QUERY_ID, EPOCH_ID = "dataops.query-id", "dataops.epoch-id"

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
        records, oldest, newest = parsed.agg(F.count("*"), F.min(entered), F.max(entered)).collect()[0]
        if not records:
            return 0
        stamp = {QUERY_ID: query_id, EPOCH_ID: str(epoch), PROGRESS: iso(newest), OLDEST: iso(oldest)}
        now = F.current_timestamp()
        for table, rows in (
            (tables.READINGS, readings.accepted(parsed, now)),
            (tables.REJECTED, readings.rejected(parsed, now)),
        ):
            if landed_epoch(catalog, table, query_id) < epoch:
                append(rows, table, stamp)
        return int(records)
    finally:
        parsed.unpersist()


def landed_epoch(catalog: Catalog, table: str, query_id: str) -> int:
    """Return the newest batch of a query that a table has; -1 where it has none.

    Read from the catalog's metadata: upkeep that expires snapshots keeps those of the last days, and this query's
    newest commit is among them as long as it commits at least that often.
    """
    known = catalog.load_table(table.removeprefix(f"{CATALOG}."))
    snapshot = known.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if summary.get(QUERY_ID) == query_id:
            return int(summary[EPOCH_ID])
        snapshot = known.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return -1


def start(spark: SparkSession, settings: JobSettings) -> StreamingQuery:
    """Start the query."""
    source = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka)
        .option("subscribe", TOPIC)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", MAX_OFFSETS)
        .option("failOnDataLoss", "true")
        .load()
    )
    catalog = open_catalog(settings)
    started: Future[StreamingQuery] = Future()  # the first batch may come before start() has returned

    def write(batch: DataFrame, epoch: int) -> None:
        began = time.monotonic()
        records = land(batch, epoch, str(started.result(timeout=60).id), catalog)
        log.info("batch %d: %d records in %.1f s", epoch, records, time.monotonic() - began)

    query = (
        source.writeStream.queryName("land_readings")
        .option("checkpointLocation", f"{settings.checkpoints}/land_readings")
        .trigger(processingTime=TRIGGER)
        .foreachBatch(write)
        .start()
    )
    started.set_result(query)
    return query


def stream(settings: JobSettings) -> str:
    """Keep the query running until told to stop; start it again when the store, the catalog or Kafka was away."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    spark = spark_session(settings, "land_readings")
    query: StreamingQuery | None = None
    failures = 0
    while not stop.is_set():
        try:
            if query is None:
                tables.create(spark, tables.READINGS, tables.REJECTED)
                query = start(spark, settings)
                log.info("query %s runs", query.id)
                tables.create(spark, tables.SILVER, tables.EXPOSURE)  # so that their readers find them, if empty
            if query.isActive:
                progress = query.lastProgress
                failures = 0 if progress and progress["numInputRows"] else failures
                stop.wait(0.5)
                continue
            error: BaseException | None = query.exception()
            query = None
        except (PySparkException, Py4JError, RESTError, OSError) as raised:
            error = raised
        pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
        failures += 1
        why = first_line(error) if error else "it ended"
        log.warning("the query is down: %s: starting it again in %d s", why, pause)
        stop.wait(pause)
    if query is not None and query.isActive:
        query.stop()
    spark.stop()
    return "stopped"


if __name__ == "__main__":
    run(stream)
