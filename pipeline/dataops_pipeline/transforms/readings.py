"""Transformation of Kafka records to readings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

SENSOR_MIN_C, SENSOR_MAX_C = -100.0, 100.0
"""Measuring range of the loggers' sensor."""
ROUNDED_C, ROUNDED_MICROS = 0.06, 1_000_000
"""Maximum difference of a reading between dump and stream, as dumps are rounded to 0.1 degrees and whole seconds."""
CANARY = "CANARY-"
"""Prefix of the logger id in canary records."""
GATEWAY_TOLERANCE = "INTERVAL 1 DAY"
"""Maximum lead of a gateway's clock over the broker's clock, because the pipeline's time depends on the gateways."""
CLOCK_TOLERANCE = "INTERVAL 2 MINUTES"
"""Maximum lead of a logger's clock over the gateway's before it counts as wrong."""

_FIELDS = {
    "logger_id": "string",
    "sequence": "bigint",
    "measured_at": "string",
    "temperature_c": "double",
    "gateway_id": "string",
    "received_at": "string",
}
_OPTIONAL = {"battery_percent": "int"}
"""Fields that only newer loggers send; they do not affect the validity of a reading."""
_QUOTED = ("logger_id", "measured_at", "gateway_id", "received_at")
_TIMES = ("measured_at", "received_at")
_INTEGER = r"-?(0|[1-9][0-9]*)"
_NUMBERS = {"sequence": _INTEGER, "temperature_c": _INTEGER + r"(\.[0-9]+)?([eE][+-]?[0-9]+)?"}
"""Numeric fields, with the pattern of a JSON number."""
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
"""Pattern of an ISO 8601 instant with date, time and zone. Spark alone also accepts "12:00" and six-digit years."""
_PLAIN = {
    **dict.fromkeys(_QUOTED, r'"[ !#-\[\]-~]*"'),
    **dict.fromkeys(_TIMES, f'"{_INSTANT}"'),
    "sequence": r"-?(0|[1-9][0-9]{0,17})",
    "temperature_c": r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?",
}
_CANONICAL = (
    r"\A\{" + ", ?".join(f'"{name}": ?{_PLAIN[name]}' for name in _FIELDS) + r'(, ?"battery_percent": ?[0-9]{1,3})?\}\z'
)
"""Pattern of nearly all readings: each field once, in order, of its type, in ASCII."""
_PIECES = {
    "logger_id": 3,
    "sequence": 6,
    "measured_at": 9,
    "temperature_c": 12,
    "gateway_id": 15,
    "received_at": 19,
    "battery_percent": 22,
}
"""Positions of the fields of a canonical record after splitting it at its quotes."""


def parse(records: DataFrame, quoted_numbers: bool = False) -> DataFrame:
    """Return Kafka's records with the fields of the reading, and the reason if a record is not a valid reading.

    Args:
        records: Records of Spark's Kafka source: value (binary), topic, partition, offset, timestamp.
        quoted_numbers: Whether a number that was sent as text, such as "4.5", is valid.

    Returns:
        payload, reason (null for a valid one), the fields of a reading, topic, partition, offset, kafka_timestamp.
    """
    text = F.col("value").cast("string")
    canonical = F.col("canonical")
    typed = F.from_json(text, ", ".join(f"{name} {kind}" for name, kind in {**_FIELDS, **_OPTIONAL}.items()))
    return (
        # The JSON parser costs three times as much as the rest; Spark calls it only for records that are not canonical.
        records.withColumn("canonical", F.coalesce(text.rlike(_CANONICAL), F.lit(False)))
        .withColumn("pieces", F.when(canonical, F.split(text, '"')))
        .withColumn("typed", F.when(~canonical, typed))
        .withColumns({name: _field(name, text, quoted_numbers) for name in _PIECES})
        .withColumns({name: _instant(name) for name in _TIMES})
        .select(
            F.col("value").alias("payload"),
            _reason(text, quoted_numbers).alias("reason"),
            *_FIELDS,
            "topic",
            "partition",
            "offset",
            F.col("timestamp").alias("kafka_timestamp"),
            *_OPTIONAL,
        )
    )


def _field(name: str, text: Column, quoted_numbers: bool) -> Column:
    """Return the value of a field in its type; null if it has another type."""
    kind = {**_FIELDS, **_OPTIONAL}[name]
    piece = F.try_element_at("pieces", F.lit(_PIECES[name] + 1))
    if kind != "string":
        piece = F.translate(piece, ":, }", "").try_cast(kind)
    value = F.col(f"typed.{name}")
    if quoted_numbers and name in _NUMBERS:
        sent = _tokens(text).getItem(name)
        unquoted = F.when(sent.rlike(f"\\A{_NUMBERS[name]}\\z"), sent.try_cast(kind))
        value = F.when(_is_quoted(name, text), unquoted).otherwise(value)
    return F.when(F.col("canonical"), piece).otherwise(value)


def _instant(name: str) -> Column:
    valid = F.col("canonical") | F.col(name).rlike(f"\\A{_INSTANT}\\z")  # the canonical pattern includes the check
    return F.when(valid, F.try_to_timestamp(F.col(name)))


def _tokens(text: Column) -> Column:
    """Return the fields as text, as they were sent: a parser with types would convert "4.2" to 4.2."""
    return F.from_json(text, "map<string,string>", {"allowUnquotedFieldNames": "false"})


def _is_quoted(name: str, text: Column) -> Column:
    return text.rlike(f'"{name}"\\s*:\\s*"')


def _reason(text: Column, quoted_numbers: bool) -> Column:
    """Return why a record is not a valid reading; null for a valid one."""
    times = [F.when(F.col(name).isNull(), f"wrong-type: {name}") for name in _TIMES]
    in_range = F.col("temperature_c").between(SENSOR_MIN_C, SENSOR_MAX_C)
    return F.coalesce(
        F.when(~F.col("canonical"), _malformed(text, quoted_numbers)),
        *times,
        F.when(~in_range, "out-of-range: temperature_c"),
        F.when(F.col("received_at") > F.col("timestamp") + F.expr(GATEWAY_TOLERANCE), "out-of-range: received_at"),
    )


def _malformed(text: Column, quoted_numbers: bool) -> Column:
    """Return why a record is not a JSON object with a reading's fields and types; null if it is one."""
    reason = F.when(F.col("value").isNull(), "empty: the record has no value")
    reason = reason.when(
        ~F.is_valid_utf8(F.col("value")) | F.get_json_object(text, "$").isNull() | ~F.trim(text).startswith("{"),
        "not-json: the value is not a JSON object",
    )
    for name in _FIELDS:
        reason = reason.when(_tokens(text).getItem(name).isNull(), f"missing-field: {name}")
    for name in _FIELDS:
        quoted = _is_quoted(name, text)
        wrong = ~quoted if name in _QUOTED else F.col(name).isNull()
        if name in _NUMBERS and not quoted_numbers:
            wrong = wrong | quoted
        reason = reason.when(wrong, f"wrong-type: {name}")
    return reason


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
        *_OPTIONAL,
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


def beyond(rows: DataFrame, ends: Mapping[int, int]) -> DataFrame:
    """Return the rows that are not landed yet: their offset is at or after the end of their partition.

    Args:
        rows: With partition and offset.
        ends: End offsets (exclusive) by partition; other partitions are empty.
    """
    behind = [(F.col("partition") == partition) & (F.col("offset") < end) for partition, end in ends.items()]
    return rows.where(~reduce(or_, behind, F.lit(False)))


def now_good(rejected: DataFrame, quoted_numbers: bool, reason: str = "") -> DataFrame:
    """Return the records of `bronze.rejected_readings` that are valid now, in the columns of `parse`.

    Args:
        rejected: `bronze.rejected_readings`.
        quoted_numbers: Whether a number that was sent as text is valid.
        reason: Only records whose reason starts with this text.
    """
    records = rejected.where(F.col("reason").startswith(reason)).select(
        F.col("payload").alias("value"), "topic", "partition", "offset", F.col("kafka_timestamp").alias("timestamp")
    )
    return parse(records, quoted_numbers=quoted_numbers).where(F.col("reason").isNull())


def not_among(records: DataFrame, landed: DataFrame) -> DataFrame:
    """Return the records that are not landed yet, by offset and time, as a re-created topic restarts at offset 0."""
    return records.join(landed, ["topic", "partition", "offset", "kafka_timestamp"], how="left_anti")


def without_canaries(rows: DataFrame) -> DataFrame:
    """Return the readings without canaries."""
    return rows.where(~F.col("logger_id").startswith(CANARY))


def clock_is_ahead(measured_at: Column, received_at: Column) -> Column:
    """Return whether a logger's clock was ahead of the gateway's."""
    return measured_at > received_at + F.expr(CLOCK_TOLERANCE)


def conform(bronze: DataFrame, certificates: DataFrame) -> DataFrame:
    """Return the rows of `silver.readings`.

    A row is the first delivery of a reading, with the temperature corrected, and with the gateway's time if the
    logger's clock is ahead. All readings of a logger are in one partition, so the lowest offset is the first delivery.

    Args:
        bronze: `bronze.readings`.
        certificates: `bronze.calibrations`.
    """
    delivery = Window.partitionBy("logger_id", "sequence").orderBy("offset")
    ahead = clock_is_ahead(F.col("measured_at"), F.col("received_at"))
    first = (
        bronze.withColumn("delivery", F.row_number().over(delivery))
        .where("delivery = 1")
        .withColumn("clock_ahead", ahead)
        .withColumn("reported_at", F.col("measured_at"))
        .withColumn("measured_at", F.when(ahead, F.col("received_at")).otherwise(F.col("measured_at")))
        .withColumn("raw_temperature_c", F.col("temperature_c"))
    )
    return calibrate(first, certificates).select(
        "logger_id",
        "sequence",
        "measured_at",
        "reported_at",
        "clock_ahead",
        "raw_temperature_c",
        "temperature_c",
        "calibration_id",
        "gateway_id",
        "received_at",
        F.lit("stream").alias("source"),
        "partition",
        "offset",
        "kafka_timestamp",
    )


def calibrate(readings: DataFrame, certificates: DataFrame) -> DataFrame:
    """Return readings with temperature_c and calibration_id by the certificate that was valid at the measurement.

    If several were valid, the one that was issued last applies. If none was, the temperature is not corrected, and
    `calibration_id` is null.

    Args:
        readings: With logger_id, sequence, measured_at and raw_temperature_c; other columns are kept.
        certificates: `bronze.calibrations`.
    """
    valid = certificates.select(
        F.col("logger_id").alias("certified"),
        "issued_at",
        "valid_from",
        "valid_until",
        "calibration_id",
        "correction_c",
    )
    applies = (
        (F.col("certified") == F.col("logger_id"))
        & (F.col("measured_at") >= F.col("valid_from"))
        & (F.col("valid_until").isNull() | (F.col("measured_at") < F.col("valid_until")))
    )
    newest = Window.partitionBy("logger_id", "sequence").orderBy(
        F.col("issued_at").desc(), F.col("calibration_id").desc()
    )
    corrected = F.round(F.col("raw_temperature_c") + F.coalesce("correction_c", F.lit(0.0)), 2)
    return (
        readings.drop("calibration_id")
        .join(valid, applies, how="left")
        .withColumn("choice", F.row_number().over(newest))
        .where("choice = 1")
        .withColumn("temperature_c", corrected)
        .drop("choice", "certified", "issued_at", "valid_from", "valid_until", "correction_c")
    )


def restated(silver: DataFrame, certificates: DataFrame) -> DataFrame:
    """Return the readings whose values change with the certificates.

    Args:
        silver: `silver.readings`, or the rows of some loggers.
        certificates: All certificates.

    Returns:
        logger_id, sequence, and the new temperature_c and calibration_id.
    """
    standing = silver.withColumn("standing_c", F.col("temperature_c")).withColumn(
        "standing_id", F.col("calibration_id")
    )
    return (
        calibrate(standing, certificates)
        .where(
            ~F.col("temperature_c").eqNullSafe(F.col("standing_c"))
            | ~F.col("calibration_id").eqNullSafe(F.col("standing_id"))
        )
        .select("logger_id", "sequence", "temperature_c", "calibration_id")
    )


def conflicting(bronze: DataFrame, silver: DataFrame) -> DataFrame:
    """Return the rows of `silver.conflicting_readings`: deliveries that contradict the first one.

    The first delivery of a reading is kept. A later one with another temperature or time is evidence of a fault, and is
    kept separately. Readings that were filled from a dump are rounded, so that only larger differences are
    contradictions.

    Args:
        bronze: `bronze.readings`, or its new rows.
        silver: `silver.readings`, with or without the new rows.
    """
    delivery = Window.partitionBy("logger_id", "sequence").orderBy("offset")
    standing = silver.select(
        F.col("logger_id").alias("standing_logger"),
        F.col("sequence").alias("standing_sequence"),
        F.col("reported_at").alias("standing_at"),
        F.col("raw_temperature_c").alias("standing_c"),
        (F.coalesce("source", F.lit("stream")) == "dump").alias("filled"),
    )
    same = (F.col("logger_id") == F.col("standing_logger")) & (F.col("sequence") == F.col("standing_sequence"))
    contradicts = (F.col("temperature_c") != F.col("standing_c")) | (F.col("measured_at") != F.col("standing_at"))
    apart = F.abs(F.unix_micros("measured_at") - F.unix_micros("standing_at"))
    beyond_rounding = (F.abs(F.col("temperature_c") - F.col("standing_c")) > ROUNDED_C) | (apart > ROUNDED_MICROS)
    return (
        bronze.withColumn("first_at", F.first("measured_at").over(delivery))
        .withColumn("first_c", F.first("temperature_c").over(delivery))
        .join(standing, same, how="left")
        .withColumn("standing_at", F.coalesce("standing_at", "first_at"))
        .withColumn("standing_c", F.coalesce("standing_c", "first_c"))
        .where(F.when(F.col("filled"), beyond_rounding).otherwise(contradicts))
        .select(
            "logger_id",
            "sequence",
            F.col("measured_at").alias("reported_at"),
            F.col("temperature_c").alias("raw_temperature_c"),
            F.col("standing_at").alias("standing_reported_at"),
            F.col("standing_c").alias("standing_raw_temperature_c"),
            "gateway_id",
            "received_at",
            "topic",
            "partition",
            "offset",
            "kafka_timestamp",
        )
    )
