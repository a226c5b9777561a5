"""What a shipment was exposed to, and how sure that is, on Spark."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline.transforms import exposure
from dataops_pipeline.transforms.releases import complete_lots

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

T0 = datetime(2013, 7, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PRODUCTS = "product_id string, min_c double, max_c double, alarm_delay_minutes int, frozen boolean"
SHIPMENTS = (
    "shipment_id string, logger_id string, product_id string, lot string, packed_at timestamp, origin string,"
    " dest string, carrier string, flight int, scheduled_departure timestamp, departed_at timestamp,"
    " delivered_at timestamp, cancelled boolean"
)
SILVER = (
    "logger_id string, sequence bigint, measured_at timestamp, temperature_c double, calibration_id string,"
    " source string, received_at timestamp, gateway_id string"
)
CONFLICTS = "logger_id string, sequence bigint"

Reading = tuple[float, float]
"""Minutes after packing, degrees Celsius."""


def silver(spark: SparkSession, trips: dict[str, list[Reading]], **change: Any) -> DataFrame:
    """Make `silver.readings` of loggers; each reading is received half a minute after it was measured."""
    certificate, source = change.get("certificate", "C-1"), change.get("source", "stream")
    rows = [
        (
            logger,
            n,
            T0 + at * MINUTE,
            celsius,
            certificate,
            source,
            T0 + (at + 0.5) * MINUTE,
            change.get("gateway", "g"),
        )
        for logger, readings in trips.items()
        for n, (at, celsius) in enumerate(readings)
    ]
    return spark.createDataFrame(rows, SILVER)


def shipment(spark: SparkSession, delivered: float, *loggers: str, cancelled: bool = False) -> DataFrame:
    """Make shipments that are packed at T0, depart 10 minutes later and late by as much, and are delivered then."""
    rows = [
        (f"SH-{x}", x, "P", "L", T0, "JFK", "LAX", "AA", 1, T0, T0 + 10 * MINUTE, T0 + delivered * MINUTE, cancelled)
        for x in loggers
    ]
    return spark.createDataFrame(rows, SHIPMENTS)


def product(spark: SparkSession, *, delay: int = 30, frozen: bool = False) -> DataFrame:
    return spark.createDataFrame([("P", 2.0, 8.0, delay, frozen)], PRODUCTS)


def assess(spark: SparkSession, readings: list[Reading], delivered: float, **change: Any) -> Any:
    """Assess one shipment."""
    conflicts = [("BL-1", n) for n in range(change.get("conflicts", 0))]
    (row,) = exposure.assess(
        silver(spark, {"BL-1": readings}, **change),
        spark.createDataFrame(conflicts, CONFLICTS),
        shipment(spark, delivered, "BL-1", cancelled=change.get("cancelled", False)),
        product(spark, frozen=change.get("frozen", False)),
    ).collect()
    return row


def each(minutes: float, *temperatures: float) -> list[Reading]:
    return [(n * minutes, celsius) for n, celsius in enumerate(temperatures)]


@pytest.mark.parametrize(
    ("temperatures", "minutes", "verdict", "reason"),
    [
        ([5.0] * 10, 0.0, "release", "always in range"),
        ([2.0, 8.0, 2.0], 0.0, "release", "always in range"),  # the limits are allowed
        ([5.0, 9.0, 5.0, 5.0], 10.0, "investigate", "10 min out of range, 30 allowed"),
        ([5.0, 9.0, 9.0, 9.0, 5.0], 30.0, "investigate", "30 min out of range, 30 allowed"),
        ([5.0, 9.0, 9.0, 9.0, 9.0, 5.0], 40.0, "reject", "40 min out of range, more than the 30 allowed"),
        ([1.0, 5.0, 5.0], 5.0, "investigate", "5 min out of range, 30 allowed"),  # the first stands for half a step
    ],
)
def test_time_out_of_range_leads_the_verdict(
    spark: SparkSession, temperatures: list[float], minutes: float, verdict: str, reason: str
) -> None:
    row = assess(spark, each(10, *temperatures), delivered=(len(temperatures) - 1) * 10)
    assert row["minutes_out_of_range"] == minutes
    assert row["minutes_in_range"] == (len(temperatures) - 1) * 10 - minutes
    assert row["minutes_without_evidence"] == 0
    assert (row["verdict"], row["reason"], row["reasons"]) == (verdict, reason, [reason])
    assert row["readings"] == len(temperatures)
    assert row["delay_minutes"] == 10


@pytest.mark.parametrize(
    ("readings", "delivered", "known", "unknown"),
    [
        ([(0, 5.0), (30, 5.0)], 30, 30, 0),  # the longest gap that is evidence
        ([(0, 5.0), (31, 5.0)], 31, 30, 1),
        ([(0, 5.0), (100, 5.0), (110, 5.0)], 110, 40, 70),
        ([(60, 5.0), (70, 5.0)], 70, 25, 45),  # before the first one: half of what is allowed is evidence
        ([(15, 5.0), (25, 5.0)], 25, 25, 0),
        ([(0, 5.0), (10, 5.0)], 10 + 15, 10, 0),  # not delivered yet: the trip goes as far as its readings
        ([(50, 5.0)], 50, 15, 35),  # a single reading
    ],
)
def test_what_no_reading_tells_of_is_not_in_range(
    spark: SparkSession, readings: list[Reading], delivered: float, known: float, unknown: float
) -> None:
    row = assess(spark, readings, delivered)
    assert (row["minutes_in_range"], row["minutes_without_evidence"]) == (known, unknown)
    assert row["minutes_out_of_range"] == 0
    if unknown:
        assert row["verdict"] == "investigate"
        assert row["reason"] == f"{unknown} min without evidence: readings more than 30 min apart"
    else:
        assert row["verdict"] == "release"


def test_after_the_last_reading_evidence_is_missing_once_nobody_waits_for_it_any_more(spark: SparkSession) -> None:
    trip = silver(spark, {"BL-1": each(10, 5.0, 5.0)})
    for now, expected in ((60 + 359, ("in_transit", 0.0)), (60 + 360, ("delivered", 60 - 10 - 15.0))):
        other = silver(spark, {"BL-3": [(now - 0.5, 5.0)]})
        rows = exposure.assess(
            trip.unionByName(other),
            spark.createDataFrame([], CONFLICTS),
            shipment(spark, 60, "BL-1"),
            product(spark),
        ).collect()
        assert [(row["status"], row["minutes_without_evidence"]) for row in rows] == [expected]


def test_doubts_make_a_release_an_investigation_and_all_reasons_are_told_the_worst_first(spark: SparkSession) -> None:
    good = each(10, 5.0, 5.0, 5.0)
    row = assess(spark, good, 20, conflicts=2)
    assert (row["verdict"], row["conflicts"]) == ("investigate", 2)
    assert row["reasons"] == ["2 deliveries that contradict a reading"]
    row = assess(spark, good, 20, certificate=None)
    assert (row["verdict"], row["uncalibrated"]) == ("investigate", 3)
    assert row["reasons"] == ["3 readings without a valid certificate"]
    row = assess(spark, good, 20, source="dump")
    assert (row["verdict"], row["filled_from_dump"]) == ("release", 3)
    row = assess(spark, [(0, 9.0), (60.5, 9.0), (80.5, 5.0)], 80.5, conflicts=1, certificate=None)
    assert row["verdict"] == "reject"
    assert row["reasons"] == [
        "40 min out of range, more than the 30 allowed",
        "30.5 min without evidence: readings more than 30 min apart",
        "1 deliveries that contradict a reading",
        "3 readings without a valid certificate",
    ]
    assert row["reason"] == row["reasons"][0]


def test_readings_of_another_trip_do_not_count(spark: SparkSession) -> None:
    row = assess(spark, [(-10, 20.0), (0, 5.0), (10, 5.0), (20, 5.0), (30, 22.0)], 20)
    assert (row["readings"], row["max_c"], row["verdict"]) == (3, 5.0, "release")


def test_a_shipment_is_delivered_once_its_logger_says_so(spark: SparkSession) -> None:
    assert assess(spark, each(9, 5.0), 90)["status"] == "waiting"
    assert assess(spark, each(10, 5.0, 5.0, 5.0), 90)["status"] == "in_transit"
    assert assess(spark, each(10, *[5.0] * 9), 90)["status"] == "delivered"
    assert assess(spark, each(9, *[5.0] * 11), 90, cancelled=True)["status"] == "cancelled"


def test_a_cancelled_shipment_is_no_more_judged_before_it_is_back_than_another(spark: SparkSession) -> None:
    row = assess(spark, each(10, 5.0), 90, cancelled=True)
    assert row["status"] == "waiting"
    done = complete_lots(
        spark.createDataFrame(
            [(row["shipment_id"], "L", row["status"], row["verdict"])],
            "shipment_id string, lot string, status string, verdict string",
        ),
        shipment(spark, 90, "BL-1", cancelled=True),
    )
    assert not done.collect()


def test_a_reading_out_of_range_that_stands_for_no_time_is_in_doubt(spark: SparkSession) -> None:
    """A gateway that hands over a buffer of a logger whose clock is ahead gives several readings one time."""
    row = assess(spark, [(0, 5.0), (10, 5.0), (20, 5.0), (20, 12.0), (20, 5.0), (30, 5.0)], 30)
    assert (row["max_c"], row["minutes_out_of_range"]) == (12.0, 0.0)
    assert (row["verdict"], row["reasons"]) == ("investigate", ["a reading out of range that stands for no time"])


def test_one_gateway_whose_clock_is_ahead_ends_no_trip(spark: SparkSession) -> None:
    trips = silver(spark, {"BL-1": each(10, 5.0), "BL-2": each(10, 5.0)})
    ahead = silver(spark, {"BL-3": [(60 * 24, 5.0)]}, gateway="fast")
    found = exposure.assess(
        trips.union(ahead), spark.createDataFrame([], CONFLICTS), shipment(spark, 90, "BL-1", "BL-2"), product(spark)
    )
    assert {row["status"] for row in found.collect()} == {"waiting"}
    late = silver(spark, {"BL-4": [(60 * 24, 5.0)]}, gateway="another")
    found = exposure.assess(
        trips.union(ahead).union(late),
        spark.createDataFrame([], CONFLICTS),
        shipment(spark, 90, "BL-1", "BL-2"),
        product(spark),
    )
    assert {row["status"] for row in found.collect()} == {"delivered"}


def mkt(spark: SparkSession, stays: list[tuple[float, float]]) -> float:
    """Return what the transform's aggregate makes of temperatures and hours."""
    mean = exposure.mean_kinetic_temperature(F.col("celsius"), F.col("hours"))
    (row,) = (
        spark.createDataFrame([(float(c), float(h)) for c, h in stays], "celsius double, hours double")
        .agg(mean.alias("mkt"))
        .collect()
    )
    return float(row["mkt"])


def test_the_mean_kinetic_temperature_is_the_published_one(spark: SparkSession) -> None:
    # The worked example of USP <1079.2>.
    assert mkt(spark, [(23, 200), (28, 20), (30, 8), (21, 300)]) == pytest.approx(22.36, abs=0.005)
    # A sample with one temperature has that one (USP <1160>: the formula of equal temperatures).
    assert mkt(spark, [(5, 1), (5, 7)]) == pytest.approx(5.0, abs=1e-9)
    # By hand, with 83.144 kJ/mol: equal times at 5 and 25 degrees.
    ratio = 83.144 / 8.3144e-3
    mean = (math.exp(-ratio / 278.15) + math.exp(-ratio / 298.15)) / 2
    assert mkt(spark, [(5, 3), (25, 3)]) == pytest.approx(ratio / -math.log(mean) - 273.15, abs=1e-9)


def test_the_mean_kinetic_temperature_is_that_of_the_trip_and_none_of_frozen_products(spark: SparkSession) -> None:
    row = assess(spark, each(10, 5.0, 25.0), 10)
    assert row["mean_kinetic_temperature_c"] == pytest.approx(mkt(spark, [(5, 1), (25, 1)]), abs=0.001)
    assert 15 < row["mean_kinetic_temperature_c"] < 25, "above the plain mean: heat does more harm than cold helps"
    assert assess(spark, each(10, 5.0), 0)["mean_kinetic_temperature_c"] == pytest.approx(5.0, abs=0.001)
    assert assess(spark, each(10, 5.0), 0, frozen=True)["mean_kinetic_temperature_c"] is None


def random_trip(rng: random.Random) -> tuple[list[Reading], float]:
    """Return readings in unequal steps, some of them long gaps, and when the shipment is delivered."""
    at, readings = rng.choice([0.0, rng.uniform(0, 90)]), []
    for _ in range(rng.randint(1, 40)):
        readings.append((round(at, 3), round(rng.uniform(-5, 40), 2)))
        at += rng.choice([5.0, rng.uniform(0.01, 30), rng.uniform(30, 200)])
    return readings, round(readings[-1][0] + rng.uniform(0, 10), 3)


def split(readings: list[Reading]) -> list[Reading]:
    """Return the same course with readings between those of equal temperature that are near each other."""
    more = [
        ((at + following) / 2, celsius)
        for (at, celsius), (following, other) in pairwise(readings)
        if celsius == other and following - at <= exposure.MAX_GAP_MINUTES
    ]
    return sorted([*readings, *more])


def test_the_laws_of_weights_and_means_hold_for_any_trip(spark: SparkSession) -> None:
    rng = random.Random(20130701)
    trips = {f"R-{n}": random_trip(rng) for n in range(150)}
    for n in range(50):  # trips in equal steps
        celsius = [round(rng.uniform(-5, 40), 2) for _ in range(rng.randint(2, 40))]
        trips[f"E-{n}"] = (each(5, *celsius), (len(celsius) - 1) * 5)
    for n in range(50):  # trips with constant parts, and the same with more readings in them
        steps = [(rng.choice([5.0, 12.5, 29.0, 75.0]), rng.choice([4.0, 9.0])) for _ in range(rng.randint(2, 20))]
        at, readings = 0.0, []
        for step, celsius_ in steps:
            readings.append((at, celsius_))
            at += step
        trips[f"C-{n}"] = (readings, readings[-1][0])
        trips[f"S-{n}"] = (split(readings), readings[-1][0])
    rows = [
        (f"SH-{x}", x, "P", "L", T0, "JFK", "LAX", "AA", 1, T0, T0, T0 + delivered * MINUTE, False)
        for x, (_, delivered) in trips.items()
    ]
    found = {
        row["logger_id"]: row
        for row in exposure.assess(
            silver(spark, {logger: readings for logger, (readings, _) in trips.items()}),
            spark.createDataFrame([], CONFLICTS),
            spark.createDataFrame(rows, SHIPMENTS),
            product(spark),
        ).collect()
    }
    assert found.keys() == trips.keys()
    for logger, (readings, delivered) in trips.items():
        row = found[logger]
        told = row["minutes_in_range"] + row["minutes_out_of_range"] + row["minutes_without_evidence"]
        assert told == pytest.approx(delivered, abs=0.2), logger
        assert row["minutes_in_range"] >= 0
        assert row["minutes_out_of_range"] >= 0
        assert row["minutes_without_evidence"] >= 0
        mean_kinetic = row["mean_kinetic_temperature_c"]
        assert row["min_c"] - 0.001 <= mean_kinetic <= row["max_c"] + 0.001, logger
        weights = by_hand(readings, delivered)
        if sum(weights) > 0:
            mean = sum(w * c for w, (_, c) in zip(weights, readings, strict=True)) / sum(weights)
            assert mean_kinetic >= mean - 0.001, logger
        outside = sum(w for w, (_, c) in zip(weights, readings, strict=True) if not 2 <= c <= 8)
        assert row["minutes_out_of_range"] == pytest.approx(outside, abs=0.051), logger
        if logger.startswith("E-"):
            plain = sum((not 2 <= c <= 8) * 5.0 for _, c in readings)
            plain -= sum((not 2 <= c <= 8) * 2.5 for _, c in (readings[0], readings[-1]))
            assert row["minutes_out_of_range"] == pytest.approx(plain, abs=0.051), logger
    for n in range(50):
        apart, split_up = found[f"C-{n}"], found[f"S-{n}"]
        for name in ("minutes_out_of_range", "minutes_in_range", "minutes_without_evidence", "verdict", "reasons"):
            assert apart[name] == split_up[name], (n, name)
        assert apart["mean_kinetic_temperature_c"] == pytest.approx(split_up["mean_kinetic_temperature_c"], abs=0.001)


def by_hand(readings: list[Reading], delivered: float) -> list[float]:
    """Return the minutes for which each reading stands."""
    half = exposure.MAX_GAP_MINUTES / 2
    times = [at for at, _ in readings]
    before = [times[0], *((b - a) / 2 for a, b in pairwise(times))]
    after = [*((b - a) / 2 for a, b in pairwise(times)), delivered - times[-1]]
    return [min(b, half) + min(a, half) for b, a in zip(before, after, strict=True)]
