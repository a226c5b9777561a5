"""From Kafka records to readings."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

SENSOR_MIN_C, SENSOR_MAX_C = -100.0, 100.0
"""What the loggers' sensor can measure."""
CLOCK_TOLERANCE = "INTERVAL 2 MINUTES"
"""How far ahead of the gateway's clock a logger's may be before it counts as wrong."""

_FIELDS = {
    "logger_id": "string",
    "sequence": "bigint",
    "measured_at": "string",
    "temperature_c": "double",
    "gateway_id": "string",
    "received_at": "string",
}
_QUOTED = ("logger_id", "measured_at", "gateway_id", "received_at")


def parse(records: DataFrame) -> DataFrame:
    """Return Kafka's records with the reading in columns and the reason why one is no reading.

    Args:
        records: As Spark's Kafka source gives them: value (binary), topic, partition, offset, timestamp.

    Returns:
        payload, reason (null for a good one), the six fields of a reading, topic, partition, offset, kafka_timestamp.
    """
    text = F.col("value").cast("string")
    # A JSON parser that is told the types turns "4.2" into 4.2; the raw tokens show what was really sent.
    token = F.from_json(text, "map<string,string>", {"allowUnquotedFieldNames": "false"})
    typed = F.from_json(text, ", ".join(f"{name} {kind}" for name, kind in _FIELDS.items()))
    return (
        records.withColumn("token", token)
        .withColumn("typed", typed)
        .withColumn("measured_at", F.try_to_timestamp(F.col("typed.measured_at")))
        .withColumn("received_at", F.try_to_timestamp(F.col("typed.received_at")))
        .select(
            F.col("value").alias("payload"),
            _reason(text).alias("reason"),
            F.col("typed.logger_id").alias("logger_id"),
            F.col("typed.sequence").alias("sequence"),
            "measured_at",
            F.col("typed.temperature_c").alias("temperature_c"),
            F.col("typed.gateway_id").alias("gateway_id"),
            "received_at",
            "topic",
            "partition",
            "offset",
            F.col("timestamp").alias("kafka_timestamp"),
        )
    )


def _reason(text: Column) -> Column:
    reason = F.when(F.col("value").isNull(), "empty: the record has no value")
    reason = reason.when(
        ~F.is_valid_utf8(F.col("value")) | F.get_json_object(text, "$").isNull() | ~F.trim(text).startswith("{"),
        "not-json: the value is not a JSON object",
    )
    for name in _FIELDS:
        reason = reason.when(F.col("token").getItem(name).isNull(), f"missing-field: {name}")
    for name in _FIELDS:
        quoted = text.rlike(f'"{name}"\\s*:\\s*"')
        wrong = ~quoted if name in _QUOTED else quoted | F.col(f"typed.{name}").isNull()
        reason = reason.when(wrong, f"wrong-type: {name}")
    for name in ("measured_at", "received_at"):
        reason = reason.when(F.col(name).isNull(), f"wrong-type: {name}")
    in_range = F.col("typed.temperature_c").between(SENSOR_MIN_C, SENSOR_MAX_C)
    return reason.when(~in_range, "out-of-range: temperature_c")


def accepted(parsed: DataFrame, ingested_at: Column) -> DataFrame:
    """Return the rows of `bronze.readings`."""
    return parsed.where(F.col("reason").isNull()).select(
        "logger_id",
        "sequence",
        "measured_at",
        "temperature_c",
        "gateway_id",
        "received_at",
        "topic",
        "partition",
        "offset",
        "kafka_timestamp",
        ingested_at.alias("ingested_at"),
    )


def rejected(parsed: DataFrame, ingested_at: Column) -> DataFrame:
    """Return the rows of `bronze.rejected_readings`."""
    return parsed.where(F.col("reason").isNotNull()).select(
        "payload",
        "reason",
        "topic",
        "partition",
        "offset",
        "kafka_timestamp",
        ingested_at.alias("ingested_at"),
    )


def conform(bronze: DataFrame) -> DataFrame:
    """Return the rows of `silver.readings`: the first delivery of each reading, a clock that is ahead corrected.

    Readings of one logger are in one partition, so the lowest offset is the first delivery.
    """
    delivery = Window.partitionBy("logger_id", "sequence").orderBy("offset")
    ahead = F.col("measured_at") > F.col("received_at") + F.expr(CLOCK_TOLERANCE)
    return (
        bronze.withColumn("delivery", F.row_number().over(delivery))
        .where("delivery = 1")
        .select(
            "logger_id",
            "sequence",
            F.when(ahead, F.col("received_at")).otherwise(F.col("measured_at")).alias("measured_at"),
            F.col("measured_at").alias("reported_at"),
            ahead.alias("clock_ahead"),
            "temperature_c",
            "gateway_id",
            "received_at",
            "partition",
            "offset",
            "kafka_timestamp",
        )
    )
