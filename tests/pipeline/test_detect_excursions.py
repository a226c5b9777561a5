"""The streaming job on Spark, with files instead of Kafka: state, time-outs, reference data, commits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from dataops_pipeline import reference
from dataops_pipeline.jobs import detect_excursions as job
from dataops_pipeline.settings import JobError, JobSettings
from dataops_pipeline.transforms import readings
from dataops_pipeline.transforms.excursions import Limits

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*is_datetime64tz_dtype:DeprecationWarning"),
]

T0 = datetime(2013, 7, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


NUMBERS = ("BOREAL_STATE_HOURS", "BOREAL_TRIGGER_SECONDS", "BOREAL_BATCH_RECORDS")
"""Variables that are numbers; empty where not set."""


def settings_for(**change: Any) -> dict[str, str]:
    return {f"BOREAL_{field.name.upper()}": "x" for field in fields(JobSettings)} | dict.fromkeys(NUMBERS, "") | change


def test_how_long_state_is_kept_is_a_setting() -> None:
    assert JobSettings.from_env(settings_for()).state_hours == 72
    assert JobSettings.from_env(settings_for(BOREAL_STATE_HOURS="0.5")).state_hours == 0.5
    for wrong in ("0", "-1", "a while", "nan", "1e9"):
        with pytest.raises(JobError, match="BOREAL_STATE_HOURS"):
            JobSettings.from_env(settings_for(BOREAL_STATE_HOURS=wrong))


def test_how_large_and_how_frequent_batches_are_is_a_setting() -> None:
    usual = JobSettings.from_env(settings_for())
    assert (usual.trigger_seconds, usual.batch_records) == (5, 75_000)
    small = JobSettings.from_env(settings_for(BOREAL_TRIGGER_SECONDS="0.5", BOREAL_BATCH_RECORDS="100"))
    assert (small.trigger_seconds, small.batch_records) == (0.5, 100)
    for name in ("BOREAL_TRIGGER_SECONDS", "BOREAL_BATCH_RECORDS"):
        with pytest.raises(JobError, match=f"{name} is '0': a number of"):
            JobSettings.from_env(settings_for(**{name: "0"}))


def boxes_file(folder: Path) -> Path:
    shipments = pa.table(
        {
            "logger_id": ["BL-2", "BL-1", "BL-1", "BL-9"],
            "shipment_id": ["SH-2", "SH-1-old", "SH-1", "SH-9"],
            "product_id": ["P", "P", "P", "unknown"],
            "lot": ["L", "L", "L", "L"],
            "packed_at": [T0, T0 - 9000 * MINUTE, T0, T0],
        }
    )
    products = pa.table(
        {"product_id": ["P"], "min_c": [2.0], "max_c": [8.0], "tolerance_c": [0.5], "excursion_minutes": [15]}
    )
    path = folder / "boxes.arrow"
    reference.save(shipments, products, path)
    return path


def test_a_box_is_found_by_its_logger(tmp_path: Path) -> None:
    boxes = reference.boxes(str(boxes_file(tmp_path)))
    assert boxes.find("BL-2") == ("SH-2", "P", "L", Limits(2.0, 8.0, 0.5, 15.0))
    found = boxes.find("BL-1")
    assert found is not None
    assert found.shipment_id == "SH-1", "the one that the logger was packed into last"
    assert [boxes.find(name) for name in ("", "BL-0", "BL-11", "BL-9", "CL")] == [None] * 5


@pytest.fixture
def as_the_job(spark: SparkSession) -> Iterator[None]:
    """Set the session as the job does."""
    before = {name: spark.conf.get(name) for name in job.CONF}
    for name, value in job.CONF.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


class Arrivals:
    """Batches of records, and what the job makes of them; records enter one second after each other."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark, self._folder = spark, folder
        self._sent = 0
        spark.sparkContext.addFile(str(boxes_file(folder)))

    def run(self, *readings: tuple[str, int, float], after: timedelta = timedelta()) -> list[str]:
        """Let one batch of readings arrive, `after` what came before; return the events."""
        lines = []
        for logger, sequence, celsius in readings:
            at = (T0 + 5 * sequence * MINUTE).isoformat()
            value = {
                "logger_id": logger,
                "sequence": sequence,
                "measured_at": at,
                "temperature_c": celsius,
                "gateway_id": "g",
                "received_at": at,
            }
            self._sent += 1
            entered = T0 + after + timedelta(seconds=self._sent)
            lines.append({"value": json.dumps(value), "offset": self._sent, "timestamp": entered.isoformat()})
        (self._folder / "in").mkdir(exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self._folder / "in" / f"{self._sent}.json").write_text(text)
        kafka = (
            self._spark.readStream.schema("value string, offset bigint, timestamp timestamp")
            .json(str(self._folder / "in"))
            .selectExpr("CAST(value AS binary) AS value", "'t' AS topic", "0 AS partition", "offset", "timestamp")
        )
        found: list[Any] = []
        query = (
            job.detected(kafka, "boxes.arrow", state_hours=1)
            .writeStream.option("checkpointLocation", str(self._folder / "checkpoint"))
            .trigger(availableNow=True)
            .foreachBatch(lambda batch, _: found.extend(batch.collect()))
            .start()
        )
        query.awaitTermination()
        events = [row for row in found if row["event"] is not None]
        assert len(found) - len(events) == len(readings), "a row for each record"
        return [event["event_id"] for event in job.to_events(events, 0)]


@pytest.mark.usefixtures("as_the_job")
def test_events_of_several_batches(spark: SparkSession, tmp_path: Path) -> None:
    arrivals = Arrivals(spark, tmp_path)
    assert arrivals.run(("BL-1", 0, 5.0), ("BL-1", 1, 9.0), ("BL-1", 2, 9.0), ("BL-2", 1, 9.0), ("BL-9", 1, 9.0)) == []
    assert arrivals.run(("BL-1", 3, 9.0), ("BL-1", 4, 9.0), ("BL-2", 5, 9.0)) == ["BL-1/1/opened", "BL-2/1/opened"]
    assert arrivals.run(("BL-1", 4, 9.0), ("BL-1", 5, 9.0)) == [], "once only"
    assert arrivals.run(("BL-1", 7, 5.0), ("BL-1", 6, 9.0)) == ["BL-1/1/closed"]
    # Beyond the hour that is kept: BL-2's state goes, BL-1's is renewed before.
    assert arrivals.run(("BL-1", 8, 5.0), after=50 * MINUTE) == []
    assert arrivals.run(("BL-9", 2, 5.0), after=80 * MINUTE) == []
    assert arrivals.run(("BL-9", 3, 5.0), after=85 * MINUTE) == []
    assert arrivals.run(("BL-2", 1, 9.0), ("BL-2", 5, 9.0), after=85 * MINUTE) == ["BL-2/1/opened"], "was forgotten"
    assert arrivals.run(("BL-1", 1, 9.0), ("BL-1", 4, 9.0), after=85 * MINUTE) == [], "is still known"


@pytest.mark.usefixtures("as_the_job")
def test_a_canary_is_no_excursion(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "CANARY", "BL-1")  # a logger that the reference data know
    found = Arrivals(spark, tmp_path).run(*((name, n, 9.0) for n in range(6) for name in ("BL-1", "BL-2")))
    assert found == ["BL-2/0/opened"]


class Catalog:
    """A catalog with one table, which keeps what is committed."""

    def __init__(self) -> None:
        self.commits: list[tuple[pa.Table, dict[str, str]]] = []

    def load_table(self, name: str) -> Any:
        assert name == "silver.excursions"
        return Table(self)


class Table:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def snapshots(self) -> list[Any]:
        return [
            SimpleNamespace(summary=SimpleNamespace(additional_properties=properties), parent_snapshot_id=None)
            for _, properties in self._catalog.commits
        ]

    def current_snapshot(self) -> Any:
        return self.snapshots()[-1] if self._catalog.commits else None

    def scan(self, selected_fields: tuple[str, ...]) -> Any:
        rows = pa.concat_tables([rows for rows, _ in self._catalog.commits])
        return SimpleNamespace(to_arrow=lambda: rows.select(selected_fields))

    def schema(self) -> Any:
        kinds = {"sequence": pa.int64(), "temperature_c": pa.float64(), "min_c": pa.float64(), "max_c": pa.float64()}
        names = ["event_id", *(name for name in job.NAMES if name not in ("number", "entered"))]
        columns = [
            (name, pa.timestamp("us", "UTC") if name in job.TIMES else kinds.get(name, pa.string()))
            for name in [*names, "kafka_timestamp", "detected_at"]
        ]
        return SimpleNamespace(as_arrow=lambda: pa.schema(columns))

    def append(self, rows: pa.Table, properties: dict[str, str]) -> None:
        self._catalog.commits.append((rows, properties))


def found(spark: SparkSession, *entered: int, events: int = 0) -> Any:
    """Make what a batch yields: a row for each record, and events at the last one."""
    rows: list[tuple[Any, ...]] = [(*[None] * 13, time) for time in entered]
    rows += [
        (n, "opened", f"BL-1/{n}", "SH", "BL-1", "P", "L", n, 7, 5, 9.0, 2.0, 8.0, entered[-1]) for n in range(events)
    ]
    return spark.createDataFrame(rows, job.COLUMNS)


def test_a_batch_is_committed_once_and_sent_each_time_that_it_is_run(spark: SparkSession) -> None:
    catalog, sent = Catalog(), []
    batches = job.Batches(catalog, lambda events: sent.append([event["event_id"] for event in events]))  # type: ignore[arg-type]
    for _ in range(2):
        assert batches.write(found(spark, 1_000, 3_000, 2_000, events=2), 4, "q") == (3, 2)
    ((rows, properties),) = catalog.commits
    assert rows.column("event_id").to_pylist() == ["BL-1/0/opened", "BL-1/1/opened"]
    assert rows.column("kafka_timestamp").to_pylist() == [datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)] * 2
    assert properties == {
        "dataops.query-id": "q",
        "dataops.epoch-id": "4",
        "dataops.progress-time": "1970-01-01T00:00:03.000Z",
        "dataops.oldest-time": "1970-01-01T00:00:01.000Z",
    }
    assert sent == [["BL-1/0/opened", "BL-1/1/opened"]] * 2


def test_after_a_lost_checkpoint_the_table_gets_nothing_twice(spark: SparkSession) -> None:
    catalog, sent = Catalog(), []
    job.Batches(catalog, lambda events: None).write(found(spark, 1_000, events=2), 9, "old")  # type: ignore[arg-type]
    batches = job.Batches(catalog, lambda events: sent.append(len(events)))  # type: ignore[arg-type]
    assert batches.write(found(spark, 1_000, 2_000, events=3), 0, "new") == (2, 3)
    assert catalog.commits[-1][0].column("event_id").to_pylist() == ["BL-1/2/opened"]
    assert sent == [3], "the topic has it at least once"


def test_a_batch_without_events_is_committed_at_times_to_show_progress(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, now = Catalog(), [100.0]
    monkeypatch.setattr(job, "time", SimpleNamespace(monotonic=lambda: now[0], time=lambda: now[0]))
    batches = job.Batches(catalog, lambda events: None)  # type: ignore[arg-type]
    batches.write(found(spark, 5_000), 1, "q")
    now[0] += job.STAMP_SECONDS - 1
    batches.write(found(spark, 6_000), 2, "q")
    assert catalog.commits == []
    now[0] += 1
    batches.write(found(spark, 7_000), 3, "q")
    ((rows, properties),) = catalog.commits
    assert rows.num_rows == 0
    assert properties["dataops.oldest-time"] == "1970-01-01T00:00:05.000Z", "of all that the commit stands for"
    assert properties["dataops.progress-time"] == "1970-01-01T00:00:07.000Z"
    batches.write(found(spark, 8_000), 4, "q")
    assert len(catalog.commits) == 1
