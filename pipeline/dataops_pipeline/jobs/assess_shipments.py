"""Batch job: compute `gold.shipment_exposure` from readings, shipments and products; write, audit, publish.

The job first writes the result to a branch of the table, `audit_<silver snapshot>`. If the result passes its checks,
the job fast-forwards `main` to it. Otherwise the branch stays for inspection, and `main` does not change. The job then
releases each lot that is complete: it tags the published snapshot `lot_<lot>`, and adds a row to `gold.lot_releases`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses

from dataops_pipeline import tables
from dataops_pipeline.catalog import (
    OLDEST,
    PROGRESS,
    SOURCE_SNAPSHOT,
    TEN_YEARS_MS,
    newest_with,
    oldest_since,
    open_catalog,
)
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import CATALOG, JobError, JobSettings, NotYet
from dataops_pipeline.transforms.audit import audit
from dataops_pipeline.transforms.exposure import assess
from dataops_pipeline.transforms.releases import complete_lots

SHIPMENTS, PRODUCTS = f"{CATALOG}.bronze.shipments", f"{CATALOG}.bronze.products"
GOLD, LOT_RELEASES = (name.removeprefix(f"{CATALOG}.") for name in (tables.EXPOSURE, tables.RELEASES))
INSPECTION = "30 DAYS"
"""Retention of the branch of a failed audit."""


def assess_all(settings: JobSettings) -> str:
    """Assess all shipments with readings, publish the result if it passes the audit, and release complete lots."""
    catalog = open_catalog(settings)
    missing = [
        name for name in ("silver.readings", "bronze.shipments", "bronze.products") if not catalog.table_exists(name)
    ]
    if missing:
        raise NotYet(f"not created yet: {', '.join(missing)}: run load_reference_data and conform_readings first")
    silver = catalog.load_table("silver.readings")
    # Read the newest snapshot: a restatement of readings creates a snapshot without progress.
    source, stamped = silver.current_snapshot(), newest_with(silver, PROGRESS)
    if source is None or stamped is None:
        raise NotYet("nothing has been conformed yet: run conform_readings first")
    stamp = {PROGRESS: stamped[1], SOURCE_SNAPSHOT: str(source.snapshot_id)}
    before = None
    if catalog.table_exists(GOLD):
        gold = catalog.load_table(GOLD)
        before, done = newest_with(gold, PROGRESS), newest_with(gold, SOURCE_SNAPSHOT)
        oldest = oldest_since(silver, int(done[1])) if done else None
        if oldest is not None:
            stamp[OLDEST] = oldest
    spark = spark_session(settings, "assess_shipments")
    try:
        tables.create(spark, tables.CONFLICTS, tables.EXPOSURE, tables.RELEASES)
        branch = f"audit_{source.snapshot_id}"
        exposure = assess(
            spark.read.option("versionAsOf", source.snapshot_id).table(tables.SILVER),
            spark.table(tables.CONFLICTS),
            spark.table(SHIPMENTS),
            spark.table(PRODUCTS),
        )
        _write(spark, exposure, branch, stamp)
        candidate = spark.read.option("branch", branch).table(tables.EXPOSURE)
        failed = audit(
            candidate,
            spark.table(tables.EXPOSURE),
            spark.table(SHIPMENTS),
            spark.table(PRODUCTS),
            progress=stamp[PROGRESS],
            published_progress=before[1] if before else None,
        ).collect()
        if failed:
            reasons = "; ".join(f"{row['check']}: {row['line']}" for row in failed)
            raise JobError(f"not published; kept on the branch {branch} of {tables.EXPOSURE}: {reasons}")
        counts = {row["verdict"]: row["count"] for row in candidate.groupBy("verdict").count().collect()}
        published = _publish(spark, catalog, branch)
        released = release_lots(spark, catalog, published)
    finally:
        spark.stop()
    verdicts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    lots = f", released {', '.join(released)}" if released else ""
    return f"assessed {sum(counts.values())} shipments as of silver snapshot {source.snapshot_id} ({verdicts}){lots}"


def _write(spark: SparkSession, exposure: DataFrame, branch: str, stamp: dict[str, str]) -> None:
    """Replace all rows on a branch of the published snapshot; drop the branch of an earlier attempt."""
    spark.sql(f"ALTER TABLE {tables.EXPOSURE} CREATE OR REPLACE BRANCH {branch} RETAIN {INSPECTION}")
    writer = exposure.writeTo(f"{tables.EXPOSURE}.branch_{branch}").option("overwrite-mode", "static")
    for name, value in stamp.items():
        writer = writer.option(f"snapshot-property.{name}", value)
    writer.overwrite(F.lit(True))


def _publish(spark: SparkSession, catalog: Catalog, branch: str) -> int:
    """Make a branch's snapshot the current one, drop the branch, and return the snapshot's id.

    The fast-forward fails, and publishes nothing, if another writer has committed to `main` since the branch was
    created.
    """
    written = catalog.load_table(GOLD).snapshot_by_name(branch)
    if written is None:
        raise JobError(f"the branch {branch} of {tables.EXPOSURE} is missing: run assess_shipments again")
    spark.sql(f"CALL {CATALOG}.system.fast_forward('{GOLD}', 'main', '{branch}')")
    spark.sql(f"ALTER TABLE {tables.EXPOSURE} DROP BRANCH IF EXISTS {branch}")
    return written.snapshot_id


def release_lots(spark: SparkSession, catalog: Catalog, published: int) -> list[str]:
    """Tag the published snapshot for each complete lot without a tag, and add the missing rows of `gold.lot_releases`.

    A lot keeps its first tag. After a crash between tags and rows, the next run finds the tag without a row, and adds
    the row as of the tagged snapshot.

    Returns:
        The lots whose row was added.
    """
    gold, releases = catalog.load_table(GOLD), catalog.load_table(LOT_RELEASES)
    complete = _complete(spark, published)
    fresh = [tag for tag in complete if tag not in gold.metadata.refs]
    if fresh:
        with gold.manage_snapshots() as refs:
            for tag in fresh:
                refs.create_tag(published, tag, max_ref_age_ms=TEN_YEARS_MS)
        gold = catalog.load_table(GOLD)
    written = set(releases.scan(selected_fields=("tag",)).to_arrow().column("tag").to_pylist())
    waiting = {
        tag: ref.snapshot_id for tag, ref in gold.metadata.refs.items() if tag.startswith("lot_") and tag not in written
    }
    rows = []
    for snapshot_id in set(waiting.values()):
        known = complete if snapshot_id == published else _complete(spark, snapshot_id)
        rows += [
            {**known[tag], "tag": tag, **_release_of(gold, snapshot_id)}
            for tag, tagged in waiting.items()
            if tagged == snapshot_id and tag in known
        ]
    if rows:
        rows.sort(key=lambda row: str(row["lot"]))
        releases.append(pa.Table.from_pylist(rows, schema=releases.schema().as_arrow()))
    return [row["lot"] for row in rows]


def _complete(spark: SparkSession, snapshot_id: int) -> dict[str, dict[str, Any]]:
    """Return the complete lots as of a snapshot, by tag."""
    exposure = spark.read.option("versionAsOf", snapshot_id).table(tables.EXPOSURE)
    result = complete_lots(exposure, spark.table(SHIPMENTS)).collect()
    return {f"lot_{row['lot'].lower()}": row.asDict() for row in sorted(result)}


def _release_of(gold: Table, snapshot_id: int) -> dict[str, Any]:
    """Return the columns of `gold.lot_releases` that describe a snapshot."""
    snapshot = gold.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot.summary is None:
        raise JobError(f"{tables.EXPOSURE} has no snapshot {snapshot_id}, which a tag of it names")
    source = snapshot.summary.additional_properties.get(SOURCE_SNAPSHOT)
    return {
        "snapshot_id": snapshot_id,
        "released_at": datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        "silver_snapshot_id": int(source) if source else None,
    }


if __name__ == "__main__":
    run(assess_all)
