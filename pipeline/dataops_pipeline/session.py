"""The Spark session of all jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import SparkSession

from dataops_pipeline.settings import CATALOG, JobSettings

LONG_JVM_OPTIONS = (
    "-XX:+UseSerialGC"
    # Iceberg's vectorized Parquet reader casts Netty buffers that Java 24 and later replace unless this is allowed.
    " --sun-misc-unsafe-memory-access=allow"
)
"""Of a job that goes on: what the optimizing compiler costs comes back."""
JVM_OPTIONS = f"{LONG_JVM_OPTIONS} -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=128m"
"""Of a short job on few cores: the optimizing compiler would cost more than it gains."""

REDACTED = "(?i)secret|password|token|credential|access[.-]?key"
"""Settings whose values Spark shows nowhere."""


def spark_session(
    settings: JobSettings,
    app: str,
    *,
    memory: str = "768m",
    conf: Mapping[str, str] | None = None,
    goes_on: bool = False,
) -> SparkSession:
    """Return a session with the catalog `lake`.

    Args:
        settings: Where the components are. Without a `spark_master` this process was started by spark-submit, which
            has said where to run, with which jars and how much memory.
        app: The application's name.
        memory: The driver's heap, where this process starts the driver.
        conf: Further settings; one that is named here counts instead of the usual one.
        goes_on: Whether this process runs for long.
    """
    options = _catalog(settings)
    if settings.spark_master:
        options |= _local(settings, memory, LONG_JVM_OPTIONS if goes_on else JVM_OPTIONS)
        # Spark's workers would be of whatever `python3` is.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    for key, value in {**options, **(conf or {})}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _catalog(settings: JobSettings) -> dict[str, str]:
    """Return what makes the tables the same wherever a job runs."""
    catalog = f"spark.sql.catalog.{CATALOG}"
    return {
        "spark.sql.session.timeZone": "UTC",
        # Spark's own expression would show the catalog's credential in its UI and event log.
        "spark.redaction.regex": REDACTED,
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "rest",
        f"{catalog}.uri": settings.catalog_uri,
        f"{catalog}.warehouse": settings.warehouse,
        f"{catalog}.credential": settings.catalog_credential,
        f"{catalog}.oauth2-server-uri": f"{settings.catalog_uri}/v1/oauth/tokens",
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{catalog}.s3.path-style-access": "true",
        f"{catalog}.client.region": settings.s3_region,
        f"{catalog}.view-endpoints-supported": "true",
        **{f"{catalog}.{key}": value for key, value in settings.s3_properties().items()},
    }


def _local(settings: JobSettings, memory: str, java_options: str) -> dict[str, str]:
    """Return what a driver on this machine needs, few cores and the Java of the local stack in mind."""
    jars = Path(settings.spark_jars)
    # Hadoop's client of PySpark 4.1 does not run on Java 24 and later; the newer one has to stand before it.
    first = sorted(jars.glob("hadoop-client-*.jar"))
    return {
        "spark.master": settings.spark_master,
        "spark.driver.extraClassPath": ":".join([*map(str, first), f"{jars}/*"]),
        "spark.driver.extraJavaOptions": java_options,
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
    }
