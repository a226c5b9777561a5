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
"""JVM options of a streaming job, with the optimizing compiler."""
JVM_OPTIONS = f"{LONG_JVM_OPTIONS} -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=128m"
"""JVM options of a batch job on few cores, without the optimizing compiler, which would cost more than it saves."""

REDACTED = "(?i)secret|password|token|credential|access[.-]?key"
"""Pattern of settings whose values Spark redacts."""


def spark_session(
    settings: JobSettings,
    app: str,
    *,
    memory: str = "768m",
    conf: Mapping[str, str] | None = None,
    streaming: bool = False,
) -> SparkSession:
    """Return a session with the catalog `lake`.

    Args:
        settings: Addresses of the components. An empty `spark_master` means that spark-submit started this process, and
            has set master, jars and memory.
        app: The application's name.
        memory: The driver's heap, if this process starts the driver.
        conf: Further settings, which override the defaults.
        streaming: Whether this process runs a stream.
    """
    options = _catalog(settings)
    if settings.spark_master:
        options |= _local(settings, memory, LONG_JVM_OPTIONS if streaming else JVM_OPTIONS)
        # Spark's workers use this Python, not the `python3` of the PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app)
    for key, value in {**options, **(conf or {})}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def _catalog(settings: JobSettings) -> dict[str, str]:
    """Return the settings of the catalog, which are the same for every master."""
    catalog = f"spark.sql.catalog.{CATALOG}"
    return {
        "spark.sql.session.timeZone": "UTC",
        # With Spark's default pattern, its UI and event log would show the catalog's credential.
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
    """Return the settings of a driver on this machine, for few cores and the Java of the local stack."""
    jars = Path(settings.spark_jars)
    # PySpark 4.1's Hadoop client does not run on Java 24 and later; the newer one has to precede it in the class path.
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
        "spark.python.daemon.module": "dataops_pipeline.python_daemon",
    }
