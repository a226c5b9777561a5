"""The transforms, on Spark: what counts as a reading, each reading once, and what a shipment was exposed to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from dataops_local import fetch
from dataops_local.layout import Layout
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings
from dataops_pipeline.simulator import records
from dataops_pipeline.simulator.boxes import Settings
from dataops_pipeline.transforms import exposure, readings

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

T0 = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Start Spark as the jobs do; the catalog is not there, and not asked."""
    nowhere = {field.name: "http://127.0.0.1:9" for field in fields(JobSettings)}
    settings = JobSettings(**{**nowhere, "spark_master": "local[1]", "spark_jars": str(fetch.jars("spark"))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(Layout(tmp_path_factory.mktemp("spark"), 1).java_home()))
        session = spark_session(settings, "tests")
        yield session
        session.stop()


def reading(**change: Any) -> dict[str, Any]:
    return {
        "logger_id": "BL-1",
        "sequence": 3,
        "measured_at": "2013-07-01T12:00:00.000Z",
        "temperature_c": 4.5,
        "gateway_id": "JFK-apron",
        "received_at": "2013-07-01T12:00:30.000Z",
        **change,
    }


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in reading().items() if key != name}


WRONG: list[tuple[bytes | None, str]] = [
    (None, "empty"),
    (b"", "not-json"),
    (b"\x80\x81", "not-json"),
    (b"<html></html>", "not-json"),
    (b"[1]", "not-json"),
    (b'"text"', "not-json"),
    (json.dumps(reading()).encode()[:60], "not-json"),
    *((json.dumps(without(name)).encode(), f"missing-field: {name}") for name in reading()),
    (json.dumps(reading(temperature_c=None)).encode(), "missing-field: temperature_c"),
    (json.dumps(reading(temperature_c="4.5")).encode(), "wrong-type: temperature_c"),
    (json.dumps(reading(temperature_c=[4.5])).encode(), "wrong-type: temperature_c"),
    (json.dumps(reading(logger_id=7)).encode(), "wrong-type: logger_id"),
    (json.dumps(reading(sequence=1.5)).encode(), "wrong-type: sequence"),
    (json.dumps(reading(sequence="1")).encode(), "wrong-type: sequence"),
    (json.dumps(reading(measured_at="yesterday")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(received_at=12)).encode(), "wrong-type: received_at"),
    (json.dumps(reading(temperature_c=999.0)).encode(), "out-of-range: temperature_c"),
    (json.dumps(reading(temperature_c=-100.1)).encode(), "out-of-range: temperature_c"),
]


def kafka(spark: SparkSession, values: list[bytes | None]) -> Any:
    rows = [(value, "logger-readings", 0, offset, T0) for offset, value in enumerate(values)]
    schema = "value binary, topic string, partition int, offset bigint, timestamp timestamp"
    return spark.createDataFrame(rows, schema)


def test_a_reading_is_accepted_as_it_was_sent(spark: SparkSession) -> None:
    extra = json.dumps(reading(firmware="2.1", temperature_c=-3)).encode()
    parsed = readings.parse(kafka(spark, [json.dumps(reading()).encode(), extra]))
    first, second = parsed.orderBy("offset").collect()
    assert first["reason"] is None
    assert first["temperature_c"] == 4.5
    assert first["measured_at"] == datetime(2013, 7, 1, 12)  # noqa: DTZ001 - Spark gives the session's time
    assert second["reason"] is None, "a newer logger's further field is no fault"
    assert second["temperature_c"] == -3.0


def test_whatever_is_no_reading_is_rejected_with_its_reason_and_its_bytes(spark: SparkSession) -> None:
    parsed = readings.parse(kafka(spark, [value for value, _ in WRONG])).orderBy("offset").collect()
    assert len(parsed) == len(WRONG)
    for row, (value, reason) in zip(parsed, WRONG, strict=True):
        told = row["reason"]
        assert told is not None, f"{value!r} was accepted"
        assert told.startswith(reason), f"{value!r}: {told}"
        assert (bytes(row["payload"]) if row["payload"] is not None else None) == value


def test_no_garbage_of_the_simulator_passes_and_no_reading_is_refused(spark: SparkSession) -> None:
    import pandas as pd

    sent = records.window(Settings(boxes_per_day=30, garbage=0.2), pd.Timestamp("2013-07-01")).head(3000)
    parsed = readings.parse(kafka(spark, list(records.payloads(sent)))).select("offset", "reason").collect()
    reasons = {row["offset"]: row["reason"] for row in parsed}
    garbage = sent["kind"].to_numpy() == records.GARBAGE
    for offset, is_garbage in enumerate(garbage):
        assert (reasons[offset] is not None) == is_garbage, (offset, reasons[offset])
    assert sum(garbage) > 100


def bronze(spark: SparkSession, rows: list[tuple[str, int, timedelta, timedelta, int]]) -> Any:
    """Make rows of logger, sequence, measured and received after T0, and offset."""
    data = [(logger, seq, T0 + m, 4.0, "g", T0 + r, 0, offset, T0) for logger, seq, m, r, offset in rows]
    schema = (
        "logger_id string, sequence bigint, measured_at timestamp, temperature_c double, gateway_id string,"
        " received_at timestamp, partition int, offset bigint, kafka_timestamp timestamp"
    )
    return spark.createDataFrame(data, schema)


def test_each_reading_is_conformed_once_and_a_clock_that_is_ahead_corrected(spark: SparkSession) -> None:
    second = timedelta(seconds=1)
    found = readings.conform(
        bronze(
            spark,
            [
                ("a", 1, 0 * second, 30 * second, 5),
                ("a", 1, 0 * second, 900 * second, 9),  # sent again
                ("a", 2, 150 * second, 30 * second, 6),  # within the tolerance of two minutes
                ("a", 3, 151 * second, 30 * second, 7),  # ahead
                ("b", 1, -7200 * second, 30 * second, 8),  # late
            ],
        )
    ).collect()
    rows = {(row["logger_id"], row["sequence"]): row for row in found}
    assert len(found) == 4
    assert rows["a", 1]["offset"] == 5, "the first delivery counts"
    assert not rows["a", 2]["clock_ahead"]
    assert rows["a", 3]["clock_ahead"]
    assert rows["a", 3]["measured_at"] == rows["a", 3]["received_at"]
    assert rows["a", 3]["reported_at"] > rows["a", 3]["received_at"]
    assert not rows["b", 1]["clock_ahead"]
    assert rows["b", 1]["measured_at"] == rows["b", 1]["reported_at"]


PRODUCTS = "product_id string, min_c double, max_c double, alarm_delay_minutes int, frozen boolean"
SHIPMENTS = (
    "shipment_id string, logger_id string, product_id string, lot string, origin string, dest string, carrier string,"
    " flight int, scheduled_departure timestamp, departed_at timestamp, delivered_at timestamp, cancelled boolean"
)
SILVER = "logger_id string, sequence bigint, measured_at timestamp, temperature_c double"


def assess(spark: SparkSession, temperatures: list[float], *, frozen: bool = False, delay: int = 30) -> Any:
    """Assess one shipment with a reading every 10 minutes."""
    step = timedelta(minutes=10)
    silver = [("BL-1", n, T0 + n * step, celsius) for n, celsius in enumerate(temperatures)]
    shipment = ("SH-1", "BL-1", "P", "L", "JFK", "LAX", "AA", 1, T0, T0 + step, T0 + 9 * step, False)
    (row,) = exposure.assess(
        spark.createDataFrame(silver, SILVER),
        spark.createDataFrame([shipment], SHIPMENTS),
        spark.createDataFrame([("P", 2.0, 8.0, delay, frozen)], PRODUCTS),
    ).collect()
    return row


@pytest.mark.parametrize(
    ("temperatures", "minutes", "verdict"),
    [
        ([5.0] * 10, 0.0, "release"),
        ([2.0, 8.0, 2.0], 0.0, "release"),  # the limits are allowed
        ([5.0, 9.0, 5.0, 5.0], 10.0, "investigate"),
        ([5.0, 9.0, 9.0, 9.0, 5.0], 30.0, "investigate"),
        ([5.0, 9.0, 9.0, 9.0, 9.0, 5.0], 40.0, "reject"),
        ([1.0, 5.0, 5.0], 5.0, "investigate"),  # the first reading stands for half a step
    ],
)
def test_time_out_of_range_leads_the_verdict(
    spark: SparkSession, temperatures: list[float], minutes: float, verdict: str
) -> None:
    row = assess(spark, temperatures)
    assert row["minutes_out_of_range"] == minutes
    assert row["verdict"] == verdict
    assert row["readings"] == len(temperatures)
    assert row["delay_minutes"] == 10


def test_the_mean_kinetic_temperature_is_that_of_usp_1079(spark: SparkSession) -> None:
    assert assess(spark, [5.0] * 5)["mean_kinetic_temperature_c"] == pytest.approx(5.0, abs=0.001)
    # two halves at 5 and 25 degrees; the formula by hand, with 83.144 kJ/mol
    ratio = 83.144 / 8.3144e-3
    mean = (math.exp(-ratio / 278.15) + math.exp(-ratio / 298.15)) / 2
    expected = ratio / -math.log(mean) - 273.15
    row = assess(spark, [5.0, 25.0])
    assert row["mean_kinetic_temperature_c"] == pytest.approx(expected, abs=0.001)
    assert 15 < row["mean_kinetic_temperature_c"] < 25, "above the plain mean: heat does more harm than cold helps"
    assert assess(spark, [5.0], frozen=True)["mean_kinetic_temperature_c"] is None


def test_a_shipment_is_delivered_once_its_logger_says_so(spark: SparkSession) -> None:
    assert assess(spark, [5.0])["status"] == "waiting"
    assert assess(spark, [5.0] * 4)["status"] == "in_transit"
    assert assess(spark, [5.0] * 10)["status"] == "delivered"
