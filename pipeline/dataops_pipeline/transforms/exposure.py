"""Computation of a shipment's exposure from its readings."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

ACTIVATION_ENERGY = 83.144
"""kJ/mol; the default of the mean kinetic temperature in USP <1079.2>."""
GAS_CONSTANT = 8.3144e-3
"""kJ/(mol K)."""
KELVIN = 273.15

MAX_GAP_MINUTES = 30.0
"""Maximum time between two readings for which they are evidence of the temperature in between.

It covers six readings at one every 5 minutes: single readings do get lost, but six in a row indicate a fault. The
temperature in a longer gap is unknown, not "in range".
"""
SETTLED = "INTERVAL 6 HOURS"
"""How long after a delivery its readings may still arrive; gateways delay readings by up to 3 hours."""
NEARLY = "INTERVAL 10 MINUTES"
"""Maximum time from the last reading to the delivery: two intervals of the logger."""


def mean_kinetic_temperature(temperature_c: Column, weight: Column) -> Column:
    """Return the mean kinetic temperature in degrees Celsius, as an aggregate (Haynes 1971, USP <1079.2>).

    Args:
        temperature_c: Degrees Celsius.
        weight: Duration of each temperature, in any unit.
    """
    ratio = ACTIVATION_ENERGY / GAS_CONSTANT
    share = F.sum(weight * F.exp(-ratio / (temperature_c + KELVIN))) / F.sum(weight)
    return F.lit(ratio) / -F.log(share) - KELVIN


def assess(readings: DataFrame, conflicts: DataFrame, shipments: DataFrame, products: DataFrame) -> DataFrame:
    """Return the rows of `gold.shipment_exposure`, one for each shipment with readings of its trip.

    The verdict depends on the time out of range. Uncertainty (gaps, contradictions, readings without a certificate)
    turns a release into an investigation. The mean kinetic temperature is undefined for frozen products.

    Args:
        readings: `silver.readings`.
        conflicts: `silver.conflicting_readings`.
        shipments: `bronze.shipments`.
        products: `bronze.products`.
    """
    known = shipments.select(
        "shipment_id",
        "logger_id",
        "product_id",
        "lot",
        "origin",
        "dest",
        "carrier",
        "flight",
        "packed_at",
        "scheduled_departure",
        "departed_at",
        "delivered_at",
        "cancelled",
    ).join(F.broadcast(products.select("product_id", "min_c", "max_c", "alarm_delay_minutes", "frozen")), "product_id")
    contradicted = conflicts.groupBy("logger_id").agg(F.count("*").alias("conflicts"))
    trip = (F.col("measured_at") >= F.col("packed_at")) & (
        F.col("delivered_at").isNull() | (F.col("measured_at") <= F.col("delivered_at"))
    )
    joined = readings.join(F.broadcast(known), "logger_id", how="inner").where(trip)
    now = _now(readings)
    outside = ~F.col("temperature_c").between(F.col("min_c"), F.col("max_c"))
    # A single reading may represent no time at all: count it, and use its temperature as the mean.
    weight = F.when(F.col("minutes") > 0, F.col("minutes")).otherwise(F.lit(1e-9))
    summed = (
        weigh(joined.crossJoin(F.broadcast(now)))
        .groupBy("shipment_id")
        .agg(
            *(F.first(name).alias(name) for name in known.columns if name != "shipment_id"),
            F.first("over").alias("over"),
            F.count("*").alias("readings"),
            F.min("measured_at").alias("first_reading_at"),
            F.max("measured_at").alias("last_reading_at"),
            F.min("temperature_c").alias("min_seen"),
            F.max("temperature_c").alias("max_seen"),
            _total(F.when(outside, F.col("minutes")).otherwise(0.0)).alias("minutes_out_of_range"),
            _total(F.when(outside, 0.0).otherwise(F.col("minutes"))).alias("minutes_in_range"),
            _total(F.col("unknown_minutes")).alias("minutes_without_evidence"),
            F.count_if(F.col("calibration_id").isNull()).alias("uncalibrated"),
            F.count_if(F.col("source") == "dump").alias("filled_from_dump"),
            mean_kinetic_temperature(F.col("temperature_c"), weight).alias("mkt"),
        )
        .join(contradicted, "logger_id", how="left")
        .withColumn("conflicts", F.coalesce("conflicts", F.lit(0)))
        .withColumn("reasons", _reasons())
    )
    return summed.select(
        "shipment_id",
        "logger_id",
        "product_id",
        "lot",
        "origin",
        "dest",
        "carrier",
        F.col("flight").cast("int").alias("flight"),
        ((F.unix_timestamp("departed_at") - F.unix_timestamp("scheduled_departure")) / 60).alias("delay_minutes"),
        _status().alias("status"),
        "readings",
        "first_reading_at",
        "last_reading_at",
        F.col("min_seen").alias("min_c"),
        F.col("max_seen").alias("max_c"),
        "minutes_out_of_range",
        "minutes_in_range",
        "minutes_without_evidence",
        F.when(~F.col("frozen"), F.round("mkt", 3)).alias("mean_kinetic_temperature_c"),
        "conflicts",
        "uncalibrated",
        "filled_from_dump",
        _verdict().alias("verdict"),
        F.col("reasons").getItem(0).alias("reason"),
        "reasons",
    )


def _now(readings: DataFrame) -> DataFrame:
    """Return one row with the pipeline's time: the newest time of the gateways' clocks, except the fastest one.

    A single fast clock must not end trips that continue. Dumps do not count, because they are uploaded at any time.
    """
    clocks = readings.where(F.col("source") == "stream").groupBy("gateway_id").agg(F.max("received_at").alias("at"))
    fastest = F.sort_array(F.collect_list("at"), asc=False)
    return clocks.agg(fastest.alias("clocks")).select(
        F.coalesce(F.try_element_at("clocks", F.lit(2)), F.try_element_at("clocks", F.lit(1))).alias("now")
    )


def weigh(readings: DataFrame) -> DataFrame:
    """Return the readings of trips with the minutes that each represents, and the adjacent minutes without evidence.

    Each reading represents half of the time to each neighbour (the trapezoid rule, for unequal spacing as in Tong and
    Lock 2015), but at most half of `MAX_GAP_MINUTES` on each side. The first reading also covers the time since the
    packing, and the last one the time until the delivery once the trip is over. The sum of `minutes` and
    `unknown_minutes` of all readings therefore equals the duration of the trip.

    Args:
        readings: With shipment_id, sequence, measured_at, packed_at, delivered_at and now (of the pipeline); other
            columns are kept.

    Returns:
        Also over (whether the trip is over), minutes and unknown_minutes.
    """
    all_of_it = Window.partitionBy("shipment_id")
    trip = all_of_it.orderBy("measured_at", "sequence")
    last = F.max("measured_at").over(all_of_it)
    over = (last >= F.col("delivered_at") - F.expr(NEARLY)) | (F.col("now") >= F.col("delivered_at") + F.expr(SETTLED))
    at = _minutes("measured_at")
    previous, following = F.lag(at).over(trip), F.lead(at).over(trip)
    half = F.lit(MAX_GAP_MINUTES / 2)
    end = F.when(F.col("over"), _minutes("delivered_at")).otherwise(at)
    return (
        readings.withColumn("over", F.coalesce(over, F.lit(False)))
        # neighbours share the time between them; the first and last reading cover the ends of the trip alone
        .withColumn("before", F.coalesce((at - previous) / 2, at))
        .withColumn("after", F.coalesce((following - at) / 2, end - at))
        .withColumn("minutes", F.least("before", half) + F.least("after", half))
        .withColumn("unknown_minutes", F.col("before") + F.col("after") - F.col("minutes"))
        .drop("before", "after")
    )


def _minutes(name: str) -> Column:
    """Return the minutes since the packing, from integer microseconds, to avoid rounding errors."""
    return (F.unix_micros(name) - F.unix_micros("packed_at")) / 60e6


def _total(minutes: Column) -> Column:
    """Return the sum rounded to a tenth of a minute; round twice, so that floating-point errors have no effect."""
    return F.round(F.round(F.sum(minutes), 6), 1)


def _status() -> Column:
    return (
        F.when(F.col("cancelled") & F.col("over"), "cancelled")
        .when(F.col("over"), "delivered")
        .when(F.col("last_reading_at") >= F.col("departed_at"), "in_transit")
        .otherwise("waiting")
    )


def _verdict() -> Column:
    return (
        F.when(F.col("minutes_out_of_range") > F.col("alarm_delay_minutes"), "reject")
        .when(_in_doubt(), "investigate")
        .otherwise("release")
    )


def _in_doubt() -> Column:
    return (
        (F.col("minutes_out_of_range") > 0)
        | _outside_limits()
        | (F.col("minutes_without_evidence") > 0)
        | (F.col("conflicts") > 0)
        | (F.col("uncalibrated") > 0)
    )


def _outside_limits() -> Column:
    """Return whether a reading was out of range, even one that represents no time: the middle of three at once."""
    return (F.col("min_seen") < F.col("min_c")) | (F.col("max_seen") > F.col("max_c"))


def _reasons() -> Column:
    """Return all reasons, the worst first, each as text with numbers."""
    out, allowed = F.col("minutes_out_of_range"), F.col("alarm_delay_minutes")
    cases = (
        (out > allowed, (_number(out), " min out of range, more than the ", _number(allowed), " allowed")),
        ((out > 0) & (out <= allowed), (_number(out), " min out of range, ", _number(allowed), " allowed")),
        ((out == 0) & _outside_limits(), ("a reading out of range that stands for no time",)),
        (
            F.col("minutes_without_evidence") > 0,
            (
                _number(F.col("minutes_without_evidence")),
                f" min without evidence: readings more than {MAX_GAP_MINUTES:.0f} min apart",
            ),
        ),
        (F.col("conflicts") > 0, (_number(F.col("conflicts")), " deliveries that contradict a reading")),
        (F.col("uncalibrated") > 0, (_number(F.col("uncalibrated")), " readings without a valid certificate")),
        (~_in_doubt(), ("always in range",)),
    )
    parts = [
        F.when(applies, F.concat(*(F.lit(part) if isinstance(part, str) else part for part in text)))
        for applies, text in cases
    ]
    return F.array_compact(F.array(*parts))


def _number(value: Column) -> Column:
    """Return a number as text, without a decimal that is 0."""
    return F.regexp_replace(F.format_string("%.1f", value.cast("double")), r"\.0$", "")
