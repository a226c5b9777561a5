"""Batch: `silver.readings` with shipments and products into `gold.shipment_exposure`, replaced whole."""

from __future__ import annotations

from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.catalog import OLDEST, PROGRESS, SOURCE_SNAPSHOT, newest_with, open_catalog
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobError, JobSettings
from dataops_pipeline.transforms.exposure import assess


def assess_all(settings: JobSettings) -> str:
    """Assess every shipment that has readings."""
    catalog = open_catalog(settings)
    missing = [
        name for name in ("silver.readings", "bronze.shipments", "bronze.products") if not catalog.table_exists(name)
    ]
    if missing:
        raise JobError(f"not there yet: {', '.join(missing)}: run load_reference_data and conform_readings first")
    source = newest_with(catalog.load_table("silver.readings"), PROGRESS)
    if source is None:
        return "nothing has been conformed yet"
    snapshot, progress = source
    done = None
    if catalog.table_exists("gold.shipment_exposure"):
        done = newest_with(catalog.load_table("gold.shipment_exposure"), SOURCE_SNAPSHOT)
    spark = spark_session(settings, "assess_shipments")
    try:
        tables.create(spark, tables.EXPOSURE)
        silver = spark.read.option("versionAsOf", snapshot.snapshot_id).table(tables.SILVER)
        exposure = assess(silver, spark.table(f"{CATALOG}.bronze.shipments"), spark.table(f"{CATALOG}.bronze.products"))
        writer = exposure.writeTo(tables.EXPOSURE).option("overwrite-mode", "static")
        stamp = {PROGRESS: progress, SOURCE_SNAPSHOT: str(snapshot.snapshot_id)}
        oldest = snapshot.summary.additional_properties.get(OLDEST) if snapshot.summary and done else None
        if oldest is not None:
            stamp[OLDEST] = oldest
        for name, value in stamp.items():
            writer = writer.option(f"snapshot-property.{name}", value)
        writer.overwrite(F.lit(True))
        assessed = spark.table(tables.EXPOSURE).count()
    finally:
        spark.stop()
    return f"assessed {assessed} shipments as of silver snapshot {snapshot.snapshot_id}"


if __name__ == "__main__":
    run(assess_all)
