"""Transformation of assessed shipments to complete lots."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses


def complete_lots(exposure: DataFrame, shipments: DataFrame) -> DataFrame:
    """Return the lots whose shipments are all delivered or cancelled, and assessed.

    A shipment without readings is not assessed, and blocks its lot, because its condition is unknown.

    Args:
        exposure: `gold.shipment_exposure`.
        shipments: `bronze.shipments`.

    Returns:
        lot, shipments, release, investigate, reject (number of shipments with each verdict).
    """
    planned = shipments.groupBy("lot").agg(F.count_distinct("shipment_id").alias("planned"))
    done = exposure.where(F.col("status").isin("delivered", "cancelled"))
    return (
        done.groupBy("lot")
        .agg(
            F.count("*").alias("shipments"),
            *(F.count_if(F.col("verdict") == name).alias(name) for name in ("release", "investigate", "reject")),
        )
        .join(planned, "lot", how="inner")
        .where("shipments = planned")
        .select("lot", "shipments", "release", "investigate", "reject")
    )
