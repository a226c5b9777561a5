"""A table that an older version of the jobs made, on a real Iceberg catalog in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from dataops_pipeline import tables
from dataops_pipeline.settings import CATALOG

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> SparkSession:
    """Return a session whose catalog is a folder."""
    session = spark.newSession()
    for name, value in {
        "type": "hadoop",
        "warehouse": str(tmp_path),
        "io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
    }.items():
        session.conf.set(f"spark.sql.catalog.{CATALOG}.{name}", value)
    return session


def test_a_new_field_is_added_to_a_table_that_holds_rows_and_old_readers_go_on(lake: SparkSession) -> None:
    older = " ".join(tables.COLUMNS[tables.READINGS].split()).replace(", battery_percent int", "")
    lake.sql(f"CREATE NAMESPACE {CATALOG}.bronze")
    lake.sql(f"CREATE TABLE {tables.READINGS} ({older}) USING iceberg")
    columns = ", ".join(column.split()[0] for column in older.split(", "))
    row = "'BL-1', {}, now(), 4.5, 'g', now(), 't', 0, {}, now(), now()"
    lake.sql(f"INSERT INTO {tables.READINGS} ({columns}) SELECT {row.format(1, 1)}")

    tables.create(lake, tables.READINGS)
    tables.create(lake, tables.READINGS)
    lake.sql(f"INSERT INTO {tables.READINGS} ({columns}, battery_percent) SELECT {row.format(2, 2)}, 87")
    found = lake.sql(f"SELECT sequence, battery_percent FROM {tables.READINGS} ORDER BY sequence").collect()
    assert [tuple(each) for each in found] == [(1, None), (2, 87)]
    assert lake.sql(f"SELECT {columns} FROM {tables.READINGS}").count() == 2
