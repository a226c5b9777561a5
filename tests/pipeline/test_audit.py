"""The audit of an assessment, and which lots are complete, on Spark."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from dataops_pipeline.transforms.audit import audit
from dataops_pipeline.transforms.releases import complete_lots

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

EXPOSURE = (
    "shipment_id string, product_id string, lot string, status string, min_c double, max_c double,"
    " minutes_out_of_range double, minutes_in_range double, minutes_without_evidence double,"
    " mean_kinetic_temperature_c double, verdict string, reason string"
)
NAMES = [column.split()[0] for column in EXPOSURE.split(", ")]
GOOD = {
    "product_id": "P",
    "lot": "L1",
    "status": "delivered",
    "min_c": 4.0,
    "max_c": 6.0,
    "minutes_out_of_range": 0.0,
    "minutes_in_range": 100.0,
    "minutes_without_evidence": 0.0,
    "mean_kinetic_temperature_c": 5.0,
    "verdict": "release",
    "reason": "always in range",
}


def exposed(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    return spark.createDataFrame([tuple({**GOOD, **row}[name] for name in NAMES) for row in rows], EXPOSURE)


def products(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("P", 2.0, 8.0)], "product_id string, min_c double, max_c double")


def planned(spark: SparkSession, *rows: tuple[str, str]) -> DataFrame:
    return spark.createDataFrame(rows, "shipment_id string, lot string")


A, B = {"shipment_id": "A"}, {"shipment_id": "B"}


@pytest.mark.parametrize(
    ("rows", "failed"),
    [
        ([A, B], []),
        ([A, B, {**B, "mean_kinetic_temperature_c": None}], [("one-row-per-shipment", "3 rows for 2 shipments")]),
        ([A, {**B, "verdict": None}], [("verdict", "1 rows without a verdict or a reason")]),
        ([A, {**B, "verdict": "perhaps"}], [("verdict-counts", "1 verdicts that are known for 2 rows")]),
        ([A, {**B, "minutes_in_range": -0.1}], [("minutes", "1 rows with minutes below 0 or none")]),
        ([A, {**B, "minutes_in_range": float("nan")}], [("minutes", "1 rows with minutes below 0 or none")]),
        ([A, {**B, "minutes_without_evidence": None}], [("minutes", "1 rows with minutes below 0 or none")]),
        (
            [A, {**B, "mean_kinetic_temperature_c": 6.1}],
            [("mean-kinetic-temperature", "1 rows whose mean is not between their lowest and highest reading")],
        ),
        (
            [A, {**B, "minutes_out_of_range": 1.0}],
            [("release", "1 releases in spite of readings out of range or gaps")],
        ),
        (
            [A, {**B, "max_c": 8.1, "verdict": "investigate"}],
            [],
        ),
        ([A, {**B, "max_c": 8.1}], [("release", "1 releases in spite of readings out of range or gaps")]),
        ([A, {**B, "product_id": "Q"}], [("release", "1 releases in spite of readings out of range or gaps")]),
        ([A], [("nothing-lost", "1 published shipments are gone, such as B")]),
        ([], [("nothing-lost", "2 published shipments are gone, such as A")]),
        (
            [A, B, {"shipment_id": "X"}],
            [("known-shipments", "1 shipments that nobody has planned, such as X")],
        ),
    ],
)
def test_each_check_that_fails_is_one_line_with_its_numbers(
    spark: SparkSession, rows: list[dict[str, Any]], failed: list[tuple[str, str]]
) -> None:
    found = audit(
        exposed(spark, *rows),
        exposed(spark, A, B),
        planned(spark, ("A", "L1"), ("B", "L1")),
        products(spark),
        progress="2026-01-01T00:00:01.000Z",
        published_progress="2026-01-01T00:00:00.000Z",
    )
    assert [tuple(row) for row in found.collect()] == failed


@pytest.mark.parametrize(
    ("before", "lines"),
    [
        (None, []),
        ("2026-01-01T00:00:00.000Z", []),
        (
            "2026-01-02T00:00:00.000Z",
            ["progress would go back from 2026-01-02T00:00:00.000Z to 2026-01-01T00:00:00.000Z"],
        ),
    ],
)
def test_progress_never_goes_back(spark: SparkSession, before: str | None, lines: list[str]) -> None:
    found = audit(
        exposed(spark, A),
        exposed(spark),
        planned(spark, ("A", "L1")),
        products(spark),
        progress="2026-01-01T00:00:00.000Z",
        published_progress=before,
    )
    assert [row["line"] for row in found.collect()] == lines


def test_a_lot_is_complete_once_all_of_it_is_delivered_or_cancelled_and_assessed(spark: SparkSession) -> None:
    plan = planned(spark, ("A", "L1"), ("B", "L1"), ("C", "L2"), ("D", "L2"), ("E", "L3"), ("F", "L3"))
    found = complete_lots(
        exposed(
            spark,
            A,
            {**B, "status": "cancelled", "verdict": "reject"},
            {"shipment_id": "C", "lot": "L2"},
            {"shipment_id": "D", "lot": "L2", "status": "in_transit"},
            {"shipment_id": "E", "lot": "L3"},  # of F there is no reading
        ),
        plan,
    )
    assert [row.asDict() for row in found.collect()] == [
        {"lot": "L1", "shipments": 2, "release": 1, "investigate": 0, "reject": 1}
    ]
