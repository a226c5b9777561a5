"""From readings to what a shipment was exposed to."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

ACTIVATION_ENERGY = 83.144
"""kJ/mol; the default of the mean kinetic temperature in USP <1079.2>."""
GAS_CONSTANT = 8.3144e-3
"""kJ/(mol K)."""
KELVIN = 273.15


def mean_kinetic_temperature(temperature_c: Column, weight: Column) -> Column:
    """Return the mean kinetic temperature in degrees Celsius, as an aggregate (Haynes 1971, USP <1079.2>).

    Args:
        temperature_c: Degrees Celsius.
        weight: For how long each temperature stands, in any unit.
    """
    ratio = ACTIVATION_ENERGY / GAS_CONSTANT
    share = F.sum(weight * F.exp(-ratio / (temperature_c + KELVIN))) / F.sum(weight)
    return F.lit(ratio) / -F.log(share) - KELVIN


def assess(readings: DataFrame, shipments: DataFrame, products: DataFrame) -> DataFrame:
    """Return the rows of `gold.shipment_exposure`: one for each shipment that has readings.

    Each reading stands for half of the time to each of its neighbours (the trapezoid rule), so that unequal spacing
    does not distort a mean. Time out of range leads the verdict; the mean kinetic temperature is not defined for frozen
    products.

    Args:
        readings: `silver.readings`.
        shipments: `bronze.shipments`.
        products: `bronze.products`.
    """
    trip = Window.partitionBy("logger_id").orderBy("measured_at", "sequence")
    seconds = F.unix_micros("measured_at") / 1e6
    weighed = readings.withColumn("before", seconds - F.lag(seconds).over(trip)).withColumn(
        "after", F.lead(seconds).over(trip) - seconds
    )
    minutes = (F.coalesce("before", F.lit(0.0)) + F.coalesce("after", F.lit(0.0))) / 2 / 60
    known = shipments.select(
        "shipment_id",
        "logger_id",
        "product_id",
        "lot",
        "origin",
        "dest",
        "carrier",
        "flight",
        "scheduled_departure",
        "departed_at",
        "delivered_at",
        "cancelled",
    ).join(F.broadcast(products.select("product_id", "min_c", "max_c", "alarm_delay_minutes", "frozen")), "product_id")
    joined = weighed.withColumn("minutes", minutes).join(F.broadcast(known), "logger_id", how="inner")
    outside = ~F.col("temperature_c").between(F.col("min_c"), F.col("max_c"))
    # A logger that has sent one reading stands for no time at all: count it, but weigh it equally.
    weight = F.when(F.col("minutes") > 0, F.col("minutes")).otherwise(F.lit(1e-9))
    summed = joined.groupBy("shipment_id").agg(
        *(F.first(name).alias(name) for name in known.columns if name != "shipment_id"),
        F.count("*").alias("readings"),
        F.min("measured_at").alias("first_reading_at"),
        F.max("measured_at").alias("last_reading_at"),
        F.min("temperature_c").alias("min_seen"),
        F.max("temperature_c").alias("max_seen"),
        F.sum(F.when(outside, F.col("minutes")).otherwise(0.0)).alias("minutes_out_of_range"),
        mean_kinetic_temperature(F.col("temperature_c"), weight).alias("mkt"),
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
        F.round("minutes_out_of_range", 1).alias("minutes_out_of_range"),
        F.when(~F.col("frozen"), F.round("mkt", 3)).alias("mean_kinetic_temperature_c"),
        _verdict().alias("verdict"),
        _why().alias("reason"),
    )


def _status() -> Column:
    last = F.col("last_reading_at")
    done = last >= F.col("delivered_at") - F.expr("INTERVAL 10 MINUTES")
    return (
        F.when(F.col("cancelled"), "cancelled")
        .when(done, "delivered")
        .when(last >= F.col("departed_at"), "in_transit")
        .otherwise("waiting")
    )


def _verdict() -> Column:
    return (
        F.when(F.col("minutes_out_of_range") <= 0, "release")
        .when(F.col("minutes_out_of_range") <= F.col("alarm_delay_minutes"), "investigate")
        .otherwise("reject")
    )


def _why() -> Column:
    minutes = F.format_string("%.0f", F.col("minutes_out_of_range"))
    allowed = F.col("alarm_delay_minutes").cast("string")
    return (
        F.when(F.col("minutes_out_of_range") <= 0, "always in range")
        .when(
            F.col("minutes_out_of_range") <= F.col("alarm_delay_minutes"),
            F.concat(minutes, F.lit(" min out of range, "), allowed, F.lit(" allowed")),
        )
        .otherwise(F.concat(minutes, F.lit(" min out of range, more than the "), allowed, F.lit(" allowed")))
    )
