"""The checks that an assessment must pass before it is published."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

VERDICTS = ("release", "investigate", "reject")
MINUTES = ("minutes_out_of_range", "minutes_in_range", "minutes_without_evidence")


def audit(
    candidate: DataFrame,
    published: DataFrame,
    shipments: DataFrame,
    products: DataFrame,
    *,
    progress: str,
    published_progress: str | None,
) -> DataFrame:
    """Return one row for each failed check: check, line (the result in one line).

    Args:
        candidate: The rows of `gold.shipment_exposure` to publish.
        published: The published rows.
        shipments: `bronze.shipments`.
        products: `bronze.products`.
        progress: Progress time of the candidate, ISO 8601 in UTC.
        published_progress: Progress time of the published rows; `None` if there are none.
    """
    ranges = products.select("product_id", F.col("min_c").alias("lowest"), F.col("max_c").alias("highest"))
    one = candidate.join(F.broadcast(ranges), "product_id", how="left").agg(
        F.count("*").alias("rows"),
        F.count_distinct("shipment_id").alias("distinct"),
        F.count_if(F.col("verdict").isNull() | F.col("reason").isNull()).alias("unjudged"),
        F.count_if(F.col("verdict").isin(*VERDICTS)).alias("judged"),
        F.count_if(reduce(Column.__or__, (_not_a_duration(name) for name in MINUTES))).alias("negative"),
        F.count_if(~F.col("mean_kinetic_temperature_c").between(F.col("min_c") - 0.01, F.col("max_c") + 0.01)).alias(
            "beyond"
        ),
        F.count_if(
            (F.col("verdict") == "release")
            & (
                (F.col("minutes_out_of_range") > 0)
                | (F.col("minutes_without_evidence") > 0)
                | ~F.coalesce(F.col("min_c") >= F.col("lowest"), F.lit(False))
                | ~F.coalesce(F.col("max_c") <= F.col("highest"), F.lit(False))
            )
        ).alias("rash"),
    )
    lost = _missing(published, candidate, "lost")
    unknown = _missing(candidate, shipments, "unknown")
    rows = F.col("rows").cast("string")
    checks: list[tuple[str, Column, tuple[Column | str, ...]]] = [
        (
            "one-row-per-shipment",
            F.col("rows") != F.col("distinct"),
            (rows, " rows for ", F.col("distinct").cast("string"), " shipments"),
        ),
        ("verdict", F.col("unjudged") > 0, (F.col("unjudged").cast("string"), " rows without a verdict or a reason")),
        (
            "verdict-counts",
            F.col("judged") + F.col("unjudged") != F.col("rows"),
            (F.col("judged").cast("string"), " verdicts that are known for ", rows, " rows"),
        ),
        ("minutes", F.col("negative") > 0, (F.col("negative").cast("string"), " rows with minutes below 0 or none")),
        (
            "mean-kinetic-temperature",
            F.col("beyond") > 0,
            (F.col("beyond").cast("string"), " rows whose mean is not between their lowest and highest reading"),
        ),
        (
            "release",
            F.col("rash") > 0,
            (F.col("rash").cast("string"), " releases in spite of readings out of range or gaps"),
        ),
        (
            "nothing-lost",
            F.col("lost") > 0,
            (F.col("lost").cast("string"), " published shipments are gone, such as ", F.col("lost_one")),
        ),
        (
            "known-shipments",
            F.col("unknown") > 0,
            (F.col("unknown").cast("string"), " shipments that nobody has planned, such as ", F.col("unknown_one")),
        ),
        (
            "progress",
            F.lit(progress) < F.lit(published_progress),
            ("progress would go back from ", F.lit(published_progress), " to ", F.lit(progress)),
        ),
    ]
    failed = [
        F.when(
            wrong,
            F.struct(
                F.lit(name).alias("check"),
                F.concat(*(F.lit(part) if isinstance(part, str) else part for part in line)).alias("line"),
            ),
        )
        for name, wrong, line in checks
    ]
    return (
        one.crossJoin(lost)
        .crossJoin(unknown)
        .select(F.explode(F.array_compact(F.array(*failed))).alias("failed"))
        .select("failed.check", "failed.line")
    )


def _not_a_duration(name: str) -> Column:
    return F.col(name).isNull() | F.isnan(name) | (F.col(name) < 0)


def _missing(left: DataFrame, right: DataFrame, name: str) -> DataFrame:
    """Return one row with the number of left shipments that are missing on the right, and the first of them."""
    absent = left.select("shipment_id").join(right.select("shipment_id"), "shipment_id", how="left_anti")
    return absent.agg(F.count("*").alias(name), F.min("shipment_id").alias(f"{name}_one"))
