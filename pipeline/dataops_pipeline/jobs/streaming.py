"""What the streaming jobs share: a query that is kept running, and what their commits say of themselves.

`foreachBatch` has no exactly-once of its own: a batch is run again after a crash, and a commit of it has to be left out
where the table has it already. Each commit carries the query's id, which lives as long as its checkpoint, and the
batch's number, as those of Iceberg's own streaming sink do.
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
"""Pauses before the query is started again; the last one repeats."""
WAIT_SECONDS = 5
"""Pause before a query that comes too early is tried again."""
QUERY_ID, EPOCH_ID = "dataops.query-id", "dataops.epoch-id"


def landed_epoch(known: Table, query_id: str) -> int:
    """Return the newest batch of a query that a table has; -1 where it has none.

    Read from the catalog's metadata; maintenance keeps the newest snapshot that says so (`maintain_tables`).
    """
    snapshot = known.current_snapshot()
    while snapshot is not None:
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if summary.get(QUERY_ID) == query_id:
            return int(summary[EPOCH_ID])
        snapshot = known.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None
    return -1


def records(spark: SparkSession, settings: JobSettings, max_offsets: int) -> DataFrame:
    """Return the stream of records of `logger-readings`, from the first one on.

    Args:
        spark: The session.
        settings: Where the components are.
        max_offsets: Records that one batch takes at the most.
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
    """Start a query that hands each batch, its number and the query's id to a function.

    Args:
        frame: What is streamed.
        settings: Where the checkpoints are.
        name: The query's name, and that of its checkpoint's folder.
        write: Does all that is to be done with a batch; the id lives as long as the checkpoint.
    """
    started: Future[StreamingQuery] = Future()  # the first batch may come before start() has returned
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
    """Keep a query running until it is stopped; start it again when the store, the catalog or Kafka was away.

    Args:
        settings: Where the components are.
        name: The job's name.
        start: Starts the query; raises NotYet where it comes too early, and is called again later.
        writes: Tables that the query writes; made before it starts.
        readers: Tables that others write from what it wrote; made so that their readers find them, if empty.
        again: Set by a batch that ended the query only so that it starts anew.
        memory: The driver's heap.
        conf: Further settings of the session.
    """
    stop = _stop_requested()
    spark = spark_session(settings, name, memory=memory, conf=conf, goes_on=True)
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
    """Return an event that the signals which end a program set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
