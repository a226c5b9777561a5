"""A Spark program that uses what the jobs use, without other components; `class_cache` runs it.

Its argument is a folder, below which it writes an Iceberg table.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings

TABLE = "training.a.readings"


def main() -> None:
    """Write, merge and read a table, and run a stream; return when Java has ended."""
    folder = Path(sys.argv[1]).absolute()
    catalog = {"": "org.apache.iceberg.spark.SparkCatalog", ".type": "hadoop", ".warehouse": folder.as_uri()}
    conf = {f"spark.sql.catalog.training{key}": value for key, value in catalog.items()}
    spark = spark_session(JobSettings.from_env(), "training", conf=conf)
    rows = spark.createDataFrame([(1, "a", 1.5), (2, "b", None)], "id long, logger string, value double")
    rows.createOrReplaceTempView("rows")
    spark.sql(f"CREATE TABLE {TABLE} USING iceberg AS SELECT *, current_timestamp() AS at FROM rows")
    spark.sql(
        f"MERGE INTO {TABLE} AS t USING rows AS n ON t.id = n.id"
        " WHEN MATCHED THEN UPDATE SET value = n.value"
        " WHEN NOT MATCHED THEN INSERT (id, logger, value, at) VALUES (n.id, n.logger, n.value, current_timestamp())"
    )
    spark.sql(f"SELECT logger, count(*), max(value), min(at) FROM {TABLE} GROUP BY logger ORDER BY 2").collect()
    stream = spark.readStream.format("rate").load().writeStream.format("noop").trigger(once=True)
    stream.option("checkpointLocation", str(folder / "checkpoint")).start().awaitTermination(30)
    java = spark.sparkContext._gateway.proc  # type: ignore[union-attr] # noqa: SLF001 - the only way to wait for it
    spark.stop()
    java.stdin.close()
    java.wait()


if __name__ == "__main__":
    main()
