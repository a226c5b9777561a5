"""Streaming job: from the topic `logger-readings` into `bronze.readings` and `bronze.rejected_readings`, exactly once.

One query writes two tables, which Spark's sinks cannot do exactly once. The job therefore appends a batch to each table
as one commit. The commit records the end offset of each partition, and the job skips records before that offset. This
also covers a crash between the two commits, and a lost checkpoint: the query then reads the topic from the beginning,
and lands only the missing records.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from pyiceberg.catalog import Catalog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from pyspark.sql.streaming.query import StreamingQuery

from dataops_pipeline import tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, iso, newest_with, open_catalog
from dataops_pipeline.jobs.runner import log, run
from dataops_pipeline.jobs.streaming import EPOCH_ID, QUERY_ID, TOPIC, each_batch, keep_running, records
from dataops_pipeline.settings import CATALOG, JobSettings, NotYet
from dataops_pipeline.transforms import readings

CONF = {
    # A batch is cached for a few seconds only, so compression would cost more than the memory that it saves.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}

END_OFFSETS = "dataops.end-offsets"
"""Commit property: the end offset (exclusive) of each partition of the topic up to which the table has it, as JSON."""

Append = Callable[[DataFrame, str, dict[str, str]], None]


def append(frame: DataFrame, table: str, properties: dict[str, str]) -> None:
    """Append rows as one commit with these properties."""
    writer = frame.writeTo(table).option("fanout-enabled", "true")
    for name, value in properties.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    writer.append()


def land(batch: DataFrame, epoch: int, query_id: str, topic_id: str, catalog: Catalog, append: Append = append) -> int:
    """Append the missing records of a batch to both tables; return the number of records in the batch.

    Args:
        batch: Records of Spark's Kafka source.
        epoch: The batch's number.
        query_id: Id of the query, which lasts as long as its checkpoint.
        topic_id: Id of the topic, which differs if a topic of the same name is re-created.
        catalog: Catalog with the tables' commit properties.
        append: Writes one commit.
    """
    parsed = readings.parse(batch).persist()
    try:
        entered = F.unix_millis("kafka_timestamp")
        parts = (
            parsed.groupBy("partition")
            .agg(
                F.count("*").alias("records"),
                F.min(entered).alias("oldest"),
                F.max(entered).alias("newest"),
                (F.max("offset") + 1).alias("end"),
            )
            .collect()
        )
        if not parts:
            return 0
        stamp = {
            QUERY_ID: query_id,
            EPOCH_ID: str(epoch),
            PROGRESS: iso(max(part.newest for part in parts)),
            OLDEST: iso(min(part.oldest for part in parts)),
        }
        now = F.current_timestamp()
        for table, rows in (
            (tables.READINGS, readings.accepted(parsed, now)),
            (tables.REJECTED, readings.rejected(parsed, now)),
        ):
            has = landed(catalog, table, topic_id)
            ends = {**has, **{part.partition: max(part.end, has.get(part.partition, 0)) for part in parts}}
            if ends != has:
                stamped = json.dumps({"topic_id": topic_id, "ends": ends})
                append(readings.beyond(rows, has), table, {**stamp, END_OFFSETS: stamped})
        return sum(part.records for part in parts)
    finally:
        parsed.unpersist()


def landed(catalog: Catalog, table: str, topic_id: str) -> dict[int, int]:
    """Return the end offset (exclusive) of each partition up to which a table has the topic's records.

    It comes from the newest commit with END_OFFSETS, which maintenance keeps (`maintain_tables`). Offsets of an earlier
    topic of the same name do not count.
    """
    result = newest_with(catalog.load_table(table.removeprefix(f"{CATALOG}.")), END_OFFSETS)
    stamped = json.loads(result[1]) if result else {}
    return (
        {int(partition): end for partition, end in stamped["ends"].items()}
        if stamped.get("topic_id") == topic_id
        else {}
    )


def topic_id_of(bootstrap: str) -> str:
    """Return the id of the topic (KIP-516); raises NotYet if it does not exist or no broker responds."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        described = admin.describe_topics(TopicCollection([TOPIC]), request_timeout=10)[TOPIC].result(12)
    except (KafkaException, TimeoutError) as error:
        raise NotYet(f"topic {TOPIC} at {bootstrap} cannot be described: {error}") from error
    return str(described.topic_id)


def start(spark: SparkSession, settings: JobSettings) -> StreamingQuery:
    """Start the query."""
    catalog = open_catalog(settings)
    topic_id = topic_id_of(settings.kafka)

    def write(batch: DataFrame, epoch: int, query_id: str) -> None:
        began = time.monotonic()
        count = land(batch, epoch, query_id, topic_id, catalog)
        log.info("batch %d: %d records in %.1f s", epoch, count, time.monotonic() - began)

    return each_batch(records(spark, settings, settings.batch_records), settings, "land_readings", write)


def stream(settings: JobSettings) -> str:
    """Keep the query running until it is stopped."""
    return keep_running(
        settings,
        "land_readings",
        lambda spark: start(spark, settings),
        writes=(tables.READINGS, tables.REJECTED),
        readers=(tables.SILVER, tables.EXPOSURE),
        conf=CONF,
    )


if __name__ == "__main__":
    run(stream)
