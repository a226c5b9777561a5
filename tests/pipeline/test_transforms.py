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
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

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


SECOND = timedelta(seconds=1)
CERTIFICATES = (
    "calibration_id string, logger_id string, issued_at timestamp, valid_from timestamp, valid_until timestamp,"
    " correction_c double"
)


def bronze(spark: SparkSession, rows: list[tuple[str, int, int, float, int, int]]) -> Any:
    """Make rows of logger, sequence, measured (seconds after T0), temperature, received (likewise), and offset."""
    data = [
        (logger, sequence, T0 + measured * SECOND, celsius, "g", T0 + received * SECOND, "t", 0, offset, T0)
        for logger, sequence, measured, celsius, received, offset in rows
    ]
    schema = (
        "logger_id string, sequence bigint, measured_at timestamp, temperature_c double, gateway_id string,"
        " received_at timestamp, topic string, partition int, offset bigint, kafka_timestamp timestamp"
    )
    return spark.createDataFrame(data, schema)


def certificates(spark: SparkSession, *rows: tuple[str, str, int, int, int | None, float]) -> Any:
    """Make certificates of id, logger, issued, valid from and until (days after T0), and correction."""
    day = timedelta(days=1)
    data = [
        (name, logger, T0 + issued * day, T0 + begin * day, None if end is None else T0 + end * day, correction)
        for name, logger, issued, begin, end, correction in rows
    ]
    return spark.createDataFrame(data, CERTIFICATES)


def test_each_reading_is_conformed_once_and_a_clock_that_is_ahead_corrected(spark: SparkSession) -> None:
    deliveries = [
        ("a", 1, 0, 4.0, 30, 5),
        ("a", 1, 0, 4.0, 900, 9),  # sent again
        ("a", 2, 150, 4.0, 30, 6),  # within the tolerance of two minutes
        ("a", 3, 151, 4.0, 30, 7),  # ahead
        ("b", 1, -7200, 4.0, 30, 8),  # late
    ]
    found = readings.conform(bronze(spark, deliveries), certificates(spark, ("C", "a", -30, -30, None, 0.25))).collect()
    rows = {(row["logger_id"], row["sequence"]): row for row in found}
    assert len(found) == 4
    assert rows["a", 1]["offset"] == 5, "the first delivery counts"
    assert not rows["a", 2]["clock_ahead"]
    assert rows["a", 3]["clock_ahead"]
    assert rows["a", 3]["measured_at"] == rows["a", 3]["received_at"]
    assert rows["a", 3]["reported_at"] > rows["a", 3]["received_at"]
    assert not rows["b", 1]["clock_ahead"]
    assert rows["b", 1]["measured_at"] == rows["b", 1]["reported_at"]
    assert (rows["a", 1]["raw_temperature_c"], rows["a", 1]["temperature_c"]) == (4.0, 4.25)
    assert (rows["b", 1]["temperature_c"], rows["b", 1]["calibration_id"]) == (4.0, None), "no certificate: as reported"


@pytest.mark.parametrize(
    ("day", "calibration_id"),
    [(-31, None), (-30, "old"), (-11, "old"), (-10, "new"), (5, "new"), (6, "latest"), (19, "latest"), (20, "new")],
)
def test_the_certificate_counts_that_was_valid_and_of_several_the_one_issued_last(
    spark: SparkSession, day: int, calibration_id: str | None
) -> None:
    known = certificates(
        spark,
        ("old", "a", -30, -30, -10, 0.1),
        ("new", "a", -10, -10, None, 0.2),
        ("latest", "a", 21, 6, 20, 0.3),  # restates what was measured before it was issued
        ("other", "b", -30, -30, None, 9.0),
    )
    at = day * 24 * 3600
    (row,) = readings.conform(bronze(spark, [("a", 1, at, 4.0, at + 30, 5)]), known).collect()
    assert row["calibration_id"] == calibration_id


def test_a_delivery_that_contradicts_the_one_that_stands_is_kept_beside_it(spark: SparkSession) -> None:
    known = certificates(spark, ("C", "a", -30, -30, None, 0.25))
    silver = readings.conform(bronze(spark, [("a", 1, 0, 4.0, 30, 1), ("a", 2, 300, 4.0, 330, 2)]), known)
    deliveries = [
        ("a", 1, 0, 4.0, 30, 1),  # the one that stands, read once more
        ("a", 1, 0, 4.0, 90, 11),  # the same again
        ("a", 1, 0, 5.5, 95, 12),  # another temperature
        ("a", 2, 360, 4.0, 365, 13),  # another time
        ("b", 1, 0, 7.0, 30, 14),  # the first of its kind
        ("b", 1, 0, 7.5, 60, 15),  # contradicts it
    ]
    found = readings.conflicting(bronze(spark, deliveries), silver).orderBy("offset").collect()
    assert [row["offset"] for row in found] == [12, 13, 15]
    assert [row["standing_raw_temperature_c"] for row in found] == [4.0, 4.0, 7.0]
    assert found[1]["standing_reported_at"] != found[1]["reported_at"]
    again = readings.conflicting(bronze(spark, deliveries), silver.where("sequence = 0")).orderBy("offset").collect()
    assert [row["offset"] for row in again] == [12, 15], "without silver the first delivery stands"


def test_a_field_that_only_newer_loggers_send_is_kept_and_never_a_fault(spark: SparkSession) -> None:
    sent = [reading(), reading(battery_percent=87), reading(battery_percent="full")]
    parsed = readings.parse(kafka(spark, [json.dumps(one).encode() for one in sent])).orderBy("offset").collect()
    assert [row["reason"] for row in parsed] == [None, None, None]
    assert [row["battery_percent"] for row in parsed] == [None, 87, None]


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


QUOTED: list[tuple[dict[str, Any], float | None, int | None]] = [
    (reading(temperature_c="4.5"), 4.5, 3),
    (reading(temperature_c="-3"), -3.0, 3),
    (reading(temperature_c="4.5e0"), 4.5, 3),
    (reading(temperature_c=4.5, sequence="17"), 4.5, 17),
    *(
        (reading(temperature_c=text), None, None)
        for text in ("", " 4.5", "4.5\n", "4,5", "4.5 C", "+4.5", "04.5", ".5", "4.", "NaN", "Infinity", "0x4", "true")
    ),
    *((reading(sequence=text), None, None) for text in ("1.5", "1e3", "", "one", "99999999999999999999")),
    (reading(temperature_c="999.0"), None, None),
    (reading(temperature_c=[4.5]), None, None),
    (reading(logger_id=7), None, None),
]


def test_a_number_that_was_sent_as_a_text_counts_if_asked_for_and_is_written_as_a_number(spark: SparkSession) -> None:
    sent = kafka(spark, [json.dumps(value).encode() for value, *_ in QUOTED])
    assert readings.parse(sent).where("reason IS NULL").count() == 0
    parsed = readings.parse(sent, quoted_numbers=True).orderBy("offset").collect()
    for row, (value, temperature, sequence) in zip(parsed, QUOTED, strict=True):
        if temperature is None:
            assert row["reason"] is not None, value
        else:
            assert (row["reason"], row["temperature_c"], row["sequence"]) == (None, temperature, sequence), value


def test_what_passes_without_the_option_passes_with_it_unchanged(spark: SparkSession) -> None:
    values = [json.dumps(reading(temperature_c=celsius)).encode() for celsius in (4.5, -3, 0, 1e1, 99.99)]
    sent = kafka(spark, values + [value for value, _ in WRONG])
    plain = readings.parse(sent).where("reason IS NULL")
    assert plain.count() == len(values)
    lenient = readings.parse(sent, quoted_numbers=True).where("reason IS NULL")
    assert plain.exceptAll(lenient).count() == 0
    assert lenient.count() == len(values) + 2, "the two with a quoted number more"


def test_rejected_records_are_parsed_again_with_the_coordinates_that_they_came_with(spark: SparkSession) -> None:
    values = [json.dumps(reading(temperature_c="4.5", sequence=n)).encode() for n in range(3)] + [b"<html>"]
    rejected = readings.rejected(readings.parse(kafka(spark, values)), F.lit(T0))
    assert rejected.count() == 4
    assert readings.now_good(rejected, quoted_numbers=False).count() == 0
    assert readings.now_good(rejected, quoted_numbers=True, reason="not-json").count() == 0
    good = readings.now_good(rejected, quoted_numbers=True, reason="wrong-type")
    assert [(row["offset"], row["sequence"]) for row in good.orderBy("offset").collect()] == [(0, 0), (1, 1), (2, 2)]
    landed = readings.accepted(good, F.lit(T0)).where("offset = 1")
    new = readings.accepted(readings.not_among(good, landed), F.lit(T0))
    assert new.columns == landed.columns
    assert [tuple(row[:4]) + tuple(row[6:10]) for row in new.orderBy("offset").collect()] == [
        ("BL-1", n, T0.replace(tzinfo=None), 4.5, "logger-readings", 0, n, T0.replace(tzinfo=None)) for n in (0, 2)
    ]
