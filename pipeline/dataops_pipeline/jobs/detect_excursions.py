"""Streaming job: detect excursions in `logger-readings`, and write them to `silver.excursions` and topic `excursions`.

The table has each event exactly once: a batch is one commit with the query's id and the batch's number. If the
checkpoint was lost and the topic is read from the beginning, the job skips events that the table has already. The topic
has each event at least once: a repeated batch sends its events again, with the same `event_id`. The state of each
logger is in the query's checkpoint.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import RESTError
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.state import GroupStateTimeout

from dataops_pipeline import reference, tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, iso, open_catalog
from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.jobs.streaming import EPOCH_ID, QUERY_ID, each_batch, keep_running, landed_epoch, records
from dataops_pipeline.settings import CATALOG, JobSettings, NotYet
from dataops_pipeline.transforms import readings
from dataops_pipeline.worker import ARRIVAL, COLUMNS, NAMES, STATE, Detector

NAME = "detect_excursions"
EXCURSIONS = "excursions"
"""Topic of the events."""
MAX_OFFSETS = 50_000
"""Maximum number of records in a batch; it limits memory, and shows progress while the query catches up."""
STAMP_SECONDS = 30.0
"""Minimum interval of commits without events, which only record progress."""
WATCH_SECONDS = 30.0
"""Interval of the checks for new reference data."""
SEND_SECONDS = 10
"""Timeout for sending a batch's events to Kafka."""
CONF = {
    # One partition of state: one task and one Python worker in each batch.
    "spark.sql.shuffle.partitions": "1",
    # A logger's state may stay until the next record comes.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
}
Publish = Callable[[Sequence[dict[str, Any]]], None]


class Outdated(Exception):
    """The reference data has changed, so the query has to restart with the new data."""


def detected(kafka: DataFrame, boxes: str, state_hours: float) -> DataFrame:
    """Return the events in a stream of Kafka records, and a row for each record, in the columns COLUMNS.

    The watermark is on Kafka's time, the broker's clock, so that a logger's fast clock cannot advance it. It is
    `state_hours` behind, so a record is late only if its partition is that far behind another one.

    Args:
        kafka: Stream of Spark's Kafka source.
        boxes: Name of the reference file among the files that Spark distributes to its workers.
        state_hours: How long the state of a silent logger is kept.
    """
    ahead = readings.clock_is_ahead(F.col("measured_at"), F.col("received_at"))
    good = (
        readings.without_canaries(readings.parse(kafka).where("reason IS NULL"))
        .withWatermark("kafka_timestamp", f"{int(state_hours * 3600)} seconds")
        .withColumn("entered", F.unix_millis("kafka_timestamp"))
        .withColumn("at", F.unix_millis(F.when(ahead, F.col("received_at")).otherwise(F.col("measured_at"))))
        .select("logger_id", "kafka_timestamp", F.concat_ws(" ", *ARRIVAL).alias("reading"))
    )
    events = good.groupBy("logger_id").applyInPandasWithState(
        Detector(boxes), COLUMNS, STATE, "append", GroupStateTimeout.EventTimeTimeout
    )
    every = kafka.select(F.unix_millis("timestamp").alias("entered"))
    return events.unionByName(every, allowMissingColumns=True)


class Batches:
    """Writer of the batches' events, and of the progress of batches without events.

    Args:
        catalog: Catalog of the table.
        publish: Sends events to the topic; raises if Kafka does not accept them.
    """

    def __init__(self, catalog: Catalog, publish: Publish) -> None:
        self._catalog = catalog
        self._publish = publish
        self._committed = time.monotonic()
        self._oldest: int | None = None
        self._known: frozenset[str] | None = None

    def write(self, batch: DataFrame, epoch: int, query_id: str) -> tuple[int, int]:
        """Commit and send the events of a batch; return the numbers of records and events."""
        event = F.when(F.col("event").isNotNull(), F.struct(*NAMES))
        none = F.col("event").isNull()
        count, oldest, newest, rows = batch.agg(
            F.count(F.when(none, 1)),
            F.min(F.when(none, F.col("entered"))),
            F.max(F.when(none, F.col("entered"))),
            F.collect_list(event),
        ).collect()[0]
        if not count:
            return 0, 0
        self._oldest = oldest if self._oldest is None else min(oldest, self._oldest)
        events = to_events(rows, int(time.time() * 1000))
        if events or time.monotonic() - self._committed >= STAMP_SECONDS:
            stamp = {
                QUERY_ID: query_id,
                EPOCH_ID: str(epoch),
                PROGRESS: iso(newest),
                OLDEST: iso(self._oldest),
            }
            if self._known is None:
                self._known = known_to_others(self._catalog, query_id)
            commit(self._catalog, [e for e in events if e["event_id"] not in self._known], epoch, stamp)
            self._committed = time.monotonic()
            self._oldest = None
        # After the commit, so that every event of the topic is in the table.
        self._publish(events)
        return count, len(events)


TIMES = ("at", "since", "kafka_timestamp", "detected_at")


def to_events(rows: Iterable[Row], detected_at: int) -> list[dict[str, Any]]:
    """Return the events in order, as rows of the table; times in milliseconds."""
    ordered = sorted((row.asDict() for row in rows), key=lambda row: (row["logger_id"], row["number"]))
    return [
        {
            "event_id": f"{row['excursion_id']}/{row['event']}",
            **{name: row[name] for name in NAMES if name not in ("number", "entered")},
            "kafka_timestamp": row["entered"],
            "detected_at": detected_at,
        }
        for row in ordered
    ]


def known_to_others(catalog: Catalog, query_id: str) -> frozenset[str]:
    """Return the ids of the table's events if an earlier query, whose checkpoint was lost, has written to it."""
    table = catalog.load_table(tables.EXCURSIONS.removeprefix(f"{CATALOG}."))
    writers = {
        snapshot.summary.additional_properties.get(QUERY_ID) for snapshot in table.snapshots() if snapshot.summary
    }
    if not writers - {None, query_id}:
        return frozenset()
    log.info("the checkpoint is new: skipping records that %s already has", tables.EXCURSIONS)
    return frozenset(table.scan(selected_fields=("event_id",)).to_arrow().column("event_id").to_pylist())


def commit(catalog: Catalog, events: Sequence[dict[str, Any]], epoch: int, stamp: dict[str, str]) -> None:
    """Append the events of a batch as one commit, unless the table has the batch already."""
    table = catalog.load_table(tables.EXCURSIONS.removeprefix(f"{CATALOG}."))
    if landed_epoch(table, stamp[QUERY_ID]) >= epoch:
        return
    schema = table.schema().as_arrow()
    columns = {
        name: pa.array([event[name] for event in events], pa.timestamp("ms", "UTC") if name in TIMES else None)
        if events
        else []
        for name in schema.names
    }
    table.append(
        pa.table({n: pa.array(c).cast(schema.field(n).type) for n, c in columns.items()}, schema=schema), stamp
    )


def publisher(bootstrap: str) -> Publish:
    """Return the function that sends events to the topic, keyed by logger.

    Args:
        bootstrap: Kafka's bootstrap servers.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "message.timeout.ms": SEND_SECONDS * 1000,
            "log_level": 0,
        }
    )

    def publish(events: Sequence[dict[str, Any]]) -> None:
        refused: list[KafkaError] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        for event in events:
            written = {name: iso(value) if name in TIMES else value for name, value in event.items()}
            producer.produce(EXCURSIONS, key=event["logger_id"], value=json.dumps(written), on_delivery=note)
        if events:
            producer.flush(SEND_SECONDS + 1)
        if refused:
            raise KafkaException(refused[0])

    return publish


class Watch:
    """Periodic check whether the reference data has changed since the query started."""

    def __init__(self, catalog: Catalog, started_with: reference.Snapshots) -> None:
        self._catalog = catalog
        self._started_with = started_with
        self._checked_at = time.monotonic()

    def is_outdated(self) -> bool:
        """Return whether the reference data has changed; checks at most every `WATCH_SECONDS`."""
        if time.monotonic() - self._checked_at < WATCH_SECONDS:
            return False
        self._checked_at = time.monotonic()
        try:
            return reference.current(self._catalog) != self._started_with
        except (RESTError, OSError, NotYet):
            return False  # keep the current data; if the catalog is unavailable, the next commit reports it


def start(spark: SparkSession, settings: JobSettings, folder: Path, again: threading.Event) -> StreamingQuery:
    """Start the query with the current reference data; raises NotYet if there is none.

    Args:
        spark: The session.
        settings: Addresses of the components.
        folder: Folder for the reference file.
        again: Set when the query ends to restart with new reference data.
    """
    catalog = open_catalog(settings)
    snapshots = reference.current(catalog)
    began = time.monotonic()
    path = reference.write(catalog, snapshots, folder)
    # The file has to stay: each executor compares its copy with it.
    spark.sparkContext.addFile(str(path))
    log.info("reference data read in %.1f s", time.monotonic() - began)
    watch = Watch(catalog, snapshots)
    batches = Batches(catalog, publisher(settings.kafka))

    def write(batch: DataFrame, epoch: int, query_id: str) -> None:
        # Before any work on the batch, so that all of it is repeated.
        if watch.is_outdated():
            log.info("the reference data has changed: starting the query again")
            again.set()
            raise Outdated
        began = time.monotonic()
        count, events = batches.write(batch, epoch, query_id)
        log.info("batch %d: %d records, %d events in %.2f s", epoch, count, events, time.monotonic() - began)

    frame = detected(records(spark, settings, MAX_OFFSETS), path.name, settings.state_hours)
    return each_batch(frame, settings, NAME, write)


def stream(settings: JobSettings) -> str:
    """Keep the query running until it is stopped."""
    again = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        return keep_running(
            settings,
            NAME,
            lambda spark: start(spark, settings, Path(folder), again),
            writes=(tables.EXCURSIONS,),
            again=again,
            memory="512m",
            conf=CONF,
        )


if __name__ == "__main__":
    run(stream)
