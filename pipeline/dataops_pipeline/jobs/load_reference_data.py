"""Batch job: load the reference files into `bronze`: flights, weather, airports, products, shipments, calibrations.

The tables are small and replaced as a whole, so the job uses PyIceberg without Spark.
"""

from __future__ import annotations

import time

import pyarrow as pa
import pyarrow.csv as pc
from pyarrow import fs

from dataops_pipeline.catalog import PROGRESS, iso, open_catalog
from dataops_pipeline.jobs.runner import run
from dataops_pipeline.settings import JobError, JobSettings

_TIME = pa.timestamp("us", "UTC")
SCHEMAS = {
    "flights": pa.schema(
        [
            ("carrier", pa.string()),
            ("flight", pa.int32()),
            ("origin", pa.string()),
            ("dest", pa.string()),
            ("scheduled_departure", _TIME),
            ("departed_at", _TIME),
            ("arrived_at", _TIME),
            ("distance", pa.int32()),
        ]
    ),
    "weather": pa.schema([("origin", pa.string()), ("hour", _TIME), ("temperature_c", pa.float64())]),
    "airports": pa.schema(
        [
            ("faa", pa.string()),
            ("name", pa.string()),
            ("lat", pa.float64()),
            ("lon", pa.float64()),
            ("alt", pa.int32()),
            ("tzone", pa.string()),
        ]
    ),
    "products": pa.schema(
        [
            ("product_id", pa.string()),
            ("name", pa.string()),
            ("min_c", pa.float64()),
            ("max_c", pa.float64()),
            ("tolerance_c", pa.float64()),
            ("excursion_minutes", pa.int32()),
            ("alarm_delay_minutes", pa.int32()),
            ("frozen", pa.bool_()),
        ]
    ),
    "shipments": pa.schema(
        [
            ("shipment_id", pa.string()),
            ("logger_id", pa.string()),
            ("product_id", pa.string()),
            ("lot", pa.string()),
            ("packed_at", _TIME),
            ("origin", pa.string()),
            ("dest", pa.string()),
            ("carrier", pa.string()),
            ("flight", pa.int32()),
            ("scheduled_departure", _TIME),
            ("departed_at", _TIME),
            ("arrived_at", _TIME),
            ("delivered_at", _TIME),
            ("cancelled", pa.bool_()),
        ]
    ),
    "calibrations": pa.schema(
        [
            ("calibration_id", pa.string()),
            ("logger_id", pa.string()),
            ("issued_at", _TIME),
            ("valid_from", _TIME),
            ("valid_until", _TIME),
            ("correction_c", pa.float64()),
        ]
    ),
}


def load(settings: JobSettings) -> str:
    """Replace each table by its file; return a summary."""
    store = fs.S3FileSystem(
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        endpoint_override=settings.s3_endpoint,
        region=settings.s3_region,
        connect_timeout=5,
        request_timeout=60,
    )
    catalog = open_catalog(settings)
    catalog.create_namespace_if_not_exists("bronze")
    loaded = []
    for name, schema in SCHEMAS.items():
        rows = read(store, f"{settings.raw.removeprefix('s3://')}/reference/{name}.csv", schema)
        table = catalog.create_table_if_not_exists(f"bronze.{name}", schema)
        with table.update_schema() as update:
            update.union_by_name(schema)  # adds columns that an older table lacks
        table.overwrite(rows, snapshot_properties={PROGRESS: iso(int(time.time() * 1000))})
        loaded.append(f"{name} {rows.num_rows}")
    return "loaded " + ", ".join(loaded)


def read(store: fs.FileSystem, path: str, schema: pa.Schema) -> pa.Table:
    """Return the rows of a CSV file with a header, in the columns and types of the schema; raises JobError."""
    try:
        with store.open_input_stream(path) as source:
            result = pc.read_csv(
                source,
                convert_options=pc.ConvertOptions(
                    column_types=schema, include_columns=schema.names, strings_can_be_null=True
                ),
            )
    except FileNotFoundError as error:
        raise JobError(f"{path} is missing: write it with `python -m dataops_pipeline.simulator reference`") from error
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise JobError(f"{path} cannot be read: {error}") from error
    return result.cast(schema)


if __name__ == "__main__":
    run(load)
