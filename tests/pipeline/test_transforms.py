"""The transforms, on Spark: what counts as a reading, and each reading once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.jobs import reconcile_logger_dumps
from dataops_pipeline.simulator import dump_writer, dumps, records
from dataops_pipeline.simulator.boxes import Settings
from dataops_pipeline.transforms import readings, reconcile

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

T0 = datetime(2013, 7, 1, 12, tzinfo=UTC)


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
    (json.dumps(reading(sequence=10**19)).encode(), "wrong-type: sequence"),
    (json.dumps(reading(sequence=1)).replace(": 1,", ": 01,").encode(), "not-json"),
    (json.dumps(reading(measured_at="yesterday")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(measured_at="12:00")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(measured_at="2013-07-01T12:00:00")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(measured_at="2013-02-30T12:00:00Z")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(measured_at="12013-07-01T12:00:00Z")).encode(), "wrong-type: measured_at"),
    (json.dumps(reading(received_at=12)).encode(), "wrong-type: received_at"),
    (json.dumps(reading(received_at="2013-07-02T12:00:01Z")).encode(), "out-of-range: received_at"),
    (json.dumps(reading(received_at="2099-01-01T00:00:00Z", firmware="2")).encode(), "out-of-range: received_at"),
    (json.dumps(reading(temperature_c=999.0)).encode(), "out-of-range: temperature_c"),
    (json.dumps(reading(temperature_c=-100.1)).encode(), "out-of-range: temperature_c"),
]


def kafka(spark: SparkSession, values: list[bytes | None]) -> Any:
    rows = [(value, "logger-readings", 0, offset, T0) for offset, value in enumerate(values)]
    schema = "value binary, topic string, partition int, offset bigint, timestamp timestamp"
    return spark.createDataFrame(rows, schema)


def test_a_reading_is_accepted_as_it_was_sent(spark: SparkSession) -> None:
    extra = json.dumps(reading(firmware="2.1", temperature_c=-3)).encode()
    zoned = json.dumps(reading(measured_at="2013-07-01T08:00:00-04:00")).encode()
    parsed = readings.parse(kafka(spark, [json.dumps(reading()).encode(), extra, zoned]))
    first, second, third = parsed.orderBy("offset").collect()
    assert third["reason"] is None
    assert third["measured_at"] == first["measured_at"]
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
    garbage = sent["kind"].to_numpy() == records.MALFORMED
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


def test_a_canary_is_landed_and_goes_no_further(spark: SparkSession) -> None:
    values = [json.dumps(reading(logger_id=name)).encode() for name in ("CANARY-1", "BL-1", "BL-CANARY-1")]
    landed = readings.accepted(readings.parse(kafka(spark, values)), F.current_timestamp())
    assert landed.count() == 3
    kept = [row["logger_id"] for row in readings.without_canaries(landed).collect()]
    assert sorted(kept) == ["BL-1", "BL-CANARY-1"]


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


def test_a_certificate_that_comes_later_restates_what_it_is_valid_for_and_nothing_twice(spark: SparkSession) -> None:
    day = 24 * 3600
    deliveries = [("a", n, n * day, 4.0, n * day + 30, n) for n in range(4)] + [("b", 0, 0, 4.0, 30, 9)]
    old = certificates(spark, ("old", "a", -30, -30, None, 0.1))
    silver = readings.conform(bronze(spark, deliveries), old)
    later = old.unionByName(certificates(spark, ("later", "a", 9, 1, 3, 0.5)))
    changed = readings.restated(silver, later)
    found = [tuple(row) for row in changed.orderBy("sequence").collect()]
    assert found == [("a", 1, 4.5, "later"), ("a", 2, 4.5, "later")]
    assert readings.restated(readings.conform(bronze(spark, deliveries), later), later).count() == 0
    earlier = old.unionByName(certificates(spark, ("earlier", "a", -31, 1, 3, 0.5)))
    assert readings.restated(silver, earlier).count() == 0, "one that was issued later stands"


DUMP = (
    "logger_id string, unit string, clock_ahead boolean, downloaded_at timestamp, sequence bigint,"
    " reported_at timestamp, measured_at timestamp, celsius double"
)


def dump(spark: SparkSession, *rows: tuple[str, str, int, int, float | None]) -> Any:
    """Make rows of a dump: logger, unit, sequence, measured (seconds after T0) and temperature."""
    data = [
        (logger, unit, False, T0 + 90_000 * SECOND, sequence, T0 + at * SECOND, T0 + at * SECOND, celsius)
        for logger, unit, sequence, at, celsius in rows
    ]
    return spark.createDataFrame(data, DUMP)


def silver(spark: SparkSession, *rows: tuple[str, int, int, float, str | None]) -> Any:
    """Make rows of `silver.readings`: logger, sequence, measured (seconds after T0), temperature and source."""
    data = [
        (logger, sequence, T0 + at * SECOND, T0 + at * SECOND, celsius, source)
        for logger, sequence, at, celsius, source in rows
    ]
    schema = (
        "logger_id string, sequence bigint, measured_at timestamp, reported_at timestamp, raw_temperature_c double,"
        " source string"
    )
    return spark.createDataFrame(data, schema)


def test_the_stream_is_compared_with_the_memory_reading_by_reading(spark: SparkSession) -> None:
    memory = dump(
        spark,
        *(("a", "C", n, 300 * n, 4.0) for n in range(10)),
        ("a", "C", 10, 3000, None),  # without a temperature
        ("a", "C", 11, 3300, None),
        ("f", "F", 0, 0, 4.0),
        ("f", "F", 1, 300, 4.0),
        ("never", "C", 5, 0, 4.0),
        ("never", "C", 6, 300, 4.0),
        ("whole", "C", 0, 0, 4.0),
    )
    stream = silver(
        spark,
        ("a", 0, 0, 4.06, "stream"),  # rounded
        ("a", 1, 300, 4.07, "stream"),  # different
        ("a", 2, 661, 4.0, None),  # 61 s apart
        ("a", 3, 960, 4.0, "stream"),  # 60 s
        ("a", 4, 1200, 4.0, "dump"),  # filled before: the stream has not got it
        ("a", 7, 2100, 4.0, "stream"),
        ("a", 8, 2400, 4.0, "stream"),
        ("a", 11, 3300, 4.0, "stream"),  # extra: the memory has no temperature
        ("a", 12, 3600, 4.0, "stream"),  # extra
        ("f", 0, 0, 4.1, "stream"),  # rounded to tenths of a degree Fahrenheit
        ("f", 1, 300, 4.12, "stream"),  # different
        ("whole", 0, 0, 4.0, "stream"),
        ("other", 0, 0, 4.0, "stream"),  # has no dump yet
    )
    found = {row["logger_id"]: tuple(row)[1:] for row in reconcile.compare(memory, stream).collect()}
    assert found == {
        # in the dump, without temperature, in the stream, missing, extra, different, longest gap
        "a": (10, 2, 8, 4, 2, 2, 20.0),
        "f": (2, 0, 2, 0, 0, 1, 5.0),
        "never": (2, 0, 0, 2, 0, 0, 5.0),
        "whole": (1, 0, 1, 0, 0, 0, 0.0),
    }


def test_what_is_missing_is_filled_calibrated_and_only_once(spark: SparkSession) -> None:
    memory = dump(
        spark, ("a", "C", 0, 0, 4.0), ("a", "C", 1, 300, 5.0), ("a", "C", 2, 600, None), ("b", "C", 0, 0, 6.0)
    )
    known = certificates(spark, ("C", "a", -30, -30, None, 0.25))
    stands = silver(spark, ("a", 0, 0, 4.0, "stream"))
    filling = reconcile.filling(memory, stands, known)
    assert filling.columns == [
        column.split()[0] for column in " ".join(tables.COLUMNS[tables.SILVER].split()).split(", ")
    ]
    rows = {(row["logger_id"], row["sequence"]): row for row in filling.collect()}
    assert set(rows) == {("a", 1), ("b", 0)}
    one = rows["a", 1]
    assert (one["raw_temperature_c"], one["temperature_c"], one["calibration_id"]) == (5.0, 5.25, "C")
    assert (one["source"], one["gateway_id"], one["offset"], one["kafka_timestamp"]) == ("dump", None, None, None)
    assert one["received_at"] > one["measured_at"]
    assert (rows["b", 0]["temperature_c"], rows["b", 0]["calibration_id"]) == (6.0, None)
    assert reconcile.filling(memory, stands.unionByName(filling.select(*stands.columns)), known).count() == 0


def test_a_reconciliation_tells_the_shipment_and_what_was_expected(spark: SparkSession) -> None:
    memory = dump(spark, ("BL-1", "C", 0, 0, 4.0), ("BL-1", "C", 1, 300, 4.0), ("x", "C", 0, 0, 4.0))
    after = silver(spark, ("BL-1", 0, 0, 4.0, "stream"), ("BL-1", 1, 300, 4.0, "dump"), ("x", 0, 0, 4.0, "stream"))
    shipment = [("SH-1", "BL-1", T0, T0 + timedelta(minutes=14))]
    rows = reconcile.reconciliation(
        reconcile.compare(memory, after),
        spark.createDataFrame([("BL-1", "p1"), ("x", "p2")], "logger_id string, path string"),
        after,
        spark.createDataFrame(
            shipment, "shipment_id string, logger_id string, packed_at timestamp, delivered_at timestamp"
        ),
    )
    assert sorted(map(tuple, rows.collect()), key=str) == [
        ("SH-1", "BL-1", "p1", 2, 1, 1, 0, 0, 1, 0, 5.0, 3),
        (None, "x", "p2", 1, 1, 0, 0, 0, 0, 0, 0.0, None),
    ]


def test_a_late_delivery_of_a_reading_that_was_filled_is_no_conflict_where_rounding_explains_it(
    spark: SparkSession,
) -> None:
    stands = silver(spark, ("a", 1, 0, 4.0, "dump"), ("a", 2, 300, 4.0, "dump"), ("a", 3, 600, 4.0, "dump"))
    late = [
        ("a", 1, 0, 4.05, 900, 1),  # rounded
        ("a", 2, 300, 4.2, 900, 2),  # another temperature
        ("a", 3, 602, 4.0, 900, 3),  # another time
    ]
    found = readings.conflicting(bronze(spark, late), stands).orderBy("offset").collect()
    assert [row["offset"] for row in found] == [2, 3]


def test_executors_fetch_files_and_read_each_whole_or_not_at_all(spark: SparkSession, tmp_path: Path) -> None:
    import pandas as pd

    settings = Settings(boxes_per_day=40, broken_dumps=0.3)
    day = pd.Timestamp("2013-07-01")
    files = {f"{tmp_path}/{file.path}": file for file in dumps.dumps(settings, day)}
    dump_writer.write_days(settings, day, 1, fs.LocalFileSystem(), str(tmp_path))
    listed = [(path, len(file.content), T0) for path, file in files.items()]
    listed.append((f"{tmp_path}/gone.csv", 1, T0))  # removed after it was listed
    listed.append((f"{tmp_path}/huge.csv", 9 << 20, T0))
    found = spark.createDataFrame(listed, reconcile_logger_dumps.DUMP_FILES).mapInArrow(
        reconcile_logger_dumps.reader(fs.LocalFileSystem), reconcile_logger_dumps.READ
    )
    rows = {row["path"]: row for row in found.collect()}
    assert rows.pop(f"{tmp_path}/huge.csv")["reason"] == "too-large: 9437184 bytes"
    assert set(rows) == set(files)
    for path, file in files.items():
        kind = rows[path]["reason"].partition(":")[0] if rows[path]["reason"] else None
        assert kind == file.broken
        assert (rows[path]["readings"] is None) == (file.broken is not None), "never a half-read file"
        assert rows[path]["logger_id"] == (None if file.broken else file.logger_id)
    assert 5 < sum(file.broken is not None for file in files.values()) < 20


def test_of_several_dumps_of_a_logger_the_newest_readable_one_counts(spark: SparkSession) -> None:
    files = [
        ("1/a.csv", "a", T0, None),
        ("2/a.csv", "a", T0 + SECOND, None),
        ("3/a.csv", None, T0 + 2 * SECOND, "truncated: x"),
        ("1/b.csv", "b", T0, None),
        ("4/c.csv", None, T0, "empty: x"),
    ]
    read = spark.createDataFrame(files, "path string, logger_id string, modified_at timestamp, reason string")
    found = {row["path"]: row["reason"] for row in reconcile_logger_dumps.newest(read).collect()}
    assert found == {
        "1/a.csv": "superseded: by 2/a.csv",
        "2/a.csv": None,
        "3/a.csv": "truncated: x",
        "1/b.csv": None,
        "4/c.csv": "empty: x",
    }


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


def test_a_record_of_a_topic_made_anew_is_another_one_at_the_same_offset(spark: SparkSession) -> None:
    place = "topic string, partition int, offset bigint, kafka_timestamp timestamp"
    landed = spark.createDataFrame([("t", 0, 1, T0 + SECOND), ("t", 0, 2, T0)], place)
    records = spark.createDataFrame([("t", 0, 1, T0), ("t", 0, 2, T0)], place)
    assert [row["offset"] for row in readings.not_among(records, landed).collect()] == [1]
