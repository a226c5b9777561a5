"""The common part of the streaming jobs: a query that is kept running, and the properties of its commits.

`foreachBatch` is not exactly-once: Spark runs a batch again after a crash, and the job has to skip a commit that the
table has already. Each commit carries the query's id, which lasts as long as its checkpoint, and the batch's number, as
in Iceberg's streaming sink.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from py4j.protocol import Py4JError
from pyiceberg.exceptions import RESTError
from pyiceberg.table import Table
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from dataops_pipeline import tables
from dataops_pipeline.jobs.runner import first_line, log
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings, NotYet

TOPIC = "logger-readings"
RESTART_SECONDS = (1, 2, 5, 10)
"""Pauses before a failed query is restarted; the last one repeats."""
WAIT_SECONDS = 5
"""Pause before the next attempt of a query without input."""
QUERY_ID, EPOCH_ID = "dataops.query-id", "dataops.epoch-id"


def landed_epoch(known: Table, query_id: str) -> int:
    """Return the number of the newest batch of a query in a table; -1 if it has none.

    It comes from the commit properties; maintenance keeps the newest snapshot with them (`maintain_tables`).
    """
    snapshot = known.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if summary.get(QUERY_ID) == query_id:
            return int(summary[EPOCH_ID])
        snapshot = known.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return -1


def records(spark: SparkSession, settings: JobSettings, max_offsets: int) -> DataFrame:
    """Return the stream of records of `logger-readings`, from the beginning.

    Args:
        spark: The session.
        settings: Addresses of the components.
        max_offsets: Maximum number of records in a batch.
    """
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", settings.kafka)
        .option("subscribe", TOPIC)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", max_offsets)
        .option("failOnDataLoss", "true")
        .load()
    )


def each_batch(
    frame: DataFrame, settings: JobSettings, name: str, write: Callable[[DataFrame, int, str], None]
) -> StreamingQuery:
    """Start a query that calls a function with each batch, its number and the query's id.

    Args:
        frame: The streaming data.
        settings: Addresses of the components and the folder of the checkpoints.
        name: Name of the query and of its checkpoint's folder.
        write: Processes a batch; the query's id lasts as long as the checkpoint.
    """
    started: Future[StreamingQuery] = Future()  # the first batch may run before start() has returned
    query = (
        frame.writeStream.queryName(name)
        .option("checkpointLocation", f"{settings.checkpoints}/{name}")
        .trigger(processingTime=f"{settings.trigger_seconds} seconds")
        .foreachBatch(lambda batch, epoch: write(batch, epoch, str(started.result(timeout=60).id)))
        .start()
    )
    started.set_result(query)
    return query


def keep_running(
    settings: JobSettings,
    name: str,
    start: Callable[[SparkSession], StreamingQuery],
    *,
    writes: Sequence[str],
    readers: Sequence[str] = (),
    again: threading.Event | None = None,
    memory: str = "768m",
    conf: Mapping[str, str] | None = None,
) -> str:
    """Keep a query running until it is stopped; restart it after failures, e.g. of the store, the catalog or Kafka.

    Args:
        settings: Addresses of the components.
        name: The job's name.
        start: Starts the query; raises NotYet without input, and is called again later.
        writes: Tables that the query writes; created before it starts.
        readers: Tables of downstream jobs; created empty, so that their readers find them.
        again: Set by a batch that ended the query to restart it.
        memory: The driver's heap.
        conf: Further settings of the session.
    """
    stop = _stop_requested()
    spark = spark_session(settings, name, memory=memory, conf=conf, streaming=True)
    query: StreamingQuery | None = None
    failures = 0
    waited_for = ""
    while not stop.is_set():
        try:
            if query is None:
                tables.create(spark, *writes)
                query = start(spark)
                waited_for = ""
                log.info("query %s runs", query.id)
                tables.create(spark, *readers)
            if query.isActive:
                progress = query.lastProgress
                failures = 0 if progress and progress["numInputRows"] else failures
                stop.wait(0.5)
                continue
            error: BaseException | None = query.exception()
            query = None
        except NotYet as early:
            if str(early) != waited_for:
                waited_for = str(early)
                log.info("waiting: %s", early)
            stop.wait(WAIT_SECONDS)
            continue
        except (PySparkException, Py4JError, RESTError, OSError) as raised:
            error = raised
        if again is not None and again.is_set():
            again.clear()
            continue
        pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
        failures += 1
        why = first_line(error) if error else "it ended"
        log.warning("the query failed: %s: restarting it in %d s", why, pause)
        stop.wait(pause)
    if query is not None and query.isActive:
        query.stop()
    spark.stop()
    return "stopped"


def _stop_requested() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
