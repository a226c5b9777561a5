"""Schemas, partitioning and properties of all tables that Spark writes."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame, SparkSession

from dataops_pipeline.settings import CATALOG

READINGS = f"{CATALOG}.bronze.readings"
REJECTED = f"{CATALOG}.bronze.rejected_readings"
SILVER = f"{CATALOG}.silver.readings"
CONFLICTS = f"{CATALOG}.silver.conflicting_readings"
EXCURSIONS = f"{CATALOG}.silver.excursions"
DUMPS = f"{CATALOG}.bronze.logger_dumps"
RECONCILIATION = f"{CATALOG}.silver.reconciliation"
CALIBRATIONS = f"{CATALOG}.bronze.calibrations"
RECALIBRATIONS = f"{CATALOG}.bronze.recalibrations"
EXPOSURE = f"{CATALOG}.gold.shipment_exposure"
RELEASES = f"{CATALOG}.gold.lot_releases"

STREAMED = {
    # A batch falls into one hour, so a shuffle by partition would only cost time.
    "write.distribution-mode": "none",
    # Each commit, every few seconds, adds a metadata file; keep the last hundred.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
    # Maintenance commits concurrently with the stream; retry instead of failing.
    "commit.retry.num-retries": "10",
}
MERGED = {"write.merge.mode": "merge-on-read", "commit.retry.num-retries": "10"}

COLUMNS: Mapping[str, str] = {
    READINGS: """
        logger_id string, sequence bigint, measured_at timestamp, temperature_c double, gateway_id string,
        received_at timestamp, topic string, partition int, offset bigint, kafka_timestamp timestamp,
        ingested_at timestamp, battery_percent int""",
    REJECTED: """
        payload binary, reason string, topic string, partition int, offset bigint, kafka_timestamp timestamp,
        ingested_at timestamp""",
    SILVER: """
        logger_id string, sequence bigint, measured_at timestamp, reported_at timestamp, clock_ahead boolean,
        raw_temperature_c double, temperature_c double, calibration_id string, gateway_id string,
        received_at timestamp, source string, partition int, offset bigint, kafka_timestamp timestamp""",
    CONFLICTS: """
        logger_id string, sequence bigint, reported_at timestamp, raw_temperature_c double,
        standing_reported_at timestamp, standing_raw_temperature_c double, gateway_id string, received_at timestamp,
        topic string, partition int, offset bigint, kafka_timestamp timestamp""",
    EXCURSIONS: """
        event_id string, event string, excursion_id string, shipment_id string, logger_id string, product_id string,
        lot string, sequence bigint, at timestamp, since timestamp, temperature_c double, min_c double, max_c double,
        kafka_timestamp timestamp, detected_at timestamp""",
    DUMPS: """
        path string, size bigint, modified_at timestamp, logger_id string, maker string, status string, reason string,
        rows bigint, no_reading_rows bigint, reconciled_at timestamp""",
    RECONCILIATION: """
        shipment_id string, logger_id string, dump_path string, dump_readings bigint, stream_readings bigint,
        missing bigint, extra bigint, different bigint, filled bigint, no_reading bigint,
        longest_gap_minutes double, expected_readings bigint, reconciled_at timestamp""",
    EXPOSURE: """
        shipment_id string, logger_id string, product_id string, lot string, origin string, dest string,
        carrier string, flight int, delay_minutes double, status string, readings bigint,
        first_reading_at timestamp, last_reading_at timestamp, min_c double, max_c double,
        minutes_out_of_range double, minutes_in_range double, minutes_without_evidence double,
        mean_kinetic_temperature_c double, conflicts bigint, uncalibrated bigint, filled_from_dump bigint,
        verdict string, reason string, reasons array<string>""",
    RELEASES: """
        lot string, tag string, snapshot_id bigint, released_at timestamp, shipments bigint, release bigint,
        investigate bigint, reject bigint, silver_snapshot_id bigint""",
    # Same columns as bronze.calibrations, which each load replaces; these rows are appended one by one.
    RECALIBRATIONS: """
        calibration_id string, logger_id string, issued_at timestamp, valid_from timestamp, valid_until timestamp,
        correction_c double""",
}
PROPERTIES: Mapping[str, Mapping[str, str]] = {
    READINGS: STREAMED,
    REJECTED: STREAMED,
    SILVER: MERGED,
    CONFLICTS: MERGED,
    EXCURSIONS: STREAMED,
    DUMPS: MERGED,
    RECONCILIATION: MERGED,
    EXPOSURE: {},
    RELEASES: {},
    RECALIBRATIONS: {},
}
PARTITIONS: Mapping[str, str] = {
    # By the hour of landing: the stream writes one partition at a time, however late the readings are.
    READINGS: "hours(kafka_timestamp)",
    REJECTED: "days(kafka_timestamp)",
    # By the day of measurement, which queries filter by.
    SILVER: "days(measured_at)",
}


def create(spark: SparkSession, *names: str) -> None:
    """Create missing tables with their namespaces, and add columns that an older table lacks."""
    for name in names:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {name.rpartition('.')[0]}")
        properties = {"format-version": "2", **PROPERTIES[name]}
        listed = ", ".join(f"'{key}'='{value}'" for key, value in properties.items())
        partitioned = f"PARTITIONED BY ({PARTITIONS[name]})" if name in PARTITIONS else ""
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS {name} ({COLUMNS[name]}) USING iceberg {partitioned} TBLPROPERTIES ({listed})"
        )
        known = set(spark.table(name).columns)
        for column in " ".join(COLUMNS[name].split()).split(", "):
            if column.split()[0] not in known:
                spark.sql(f"ALTER TABLE {name} ADD COLUMN {column}")


def certificates(spark: SparkSession) -> DataFrame:
    """Return all calibration certificates: those of the registry, and those that `recalibrate_logger` has added."""
    create(spark, RECALIBRATIONS)
    columns = [column.split()[0] for column in " ".join(COLUMNS[RECALIBRATIONS].split()).split(", ")]
    return spark.table(CALIBRATIONS).select(*columns).unionByName(spark.table(RECALIBRATIONS).select(*columns))
