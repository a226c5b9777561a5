"""One Spark session for all tests of transforms and jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import pytest
from pyspark.sql import SparkSession

from dataops_local import fetch
from dataops_local.java import spark_home
from dataops_local.layout import Layout
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings

TINY = {
    "spark.default.parallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    # To plan again between stages, and to compile each of them, costs more than it gains on some hundred rows.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
}
"""Settings for some hundred rows; none of them changes a result."""
UI = {
    "spark.ui.enabled": "true",
    "spark.ui.port": "0",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.sql.ui.retainedExecutions": "50",
}
"""A web UI, for the test of what it tells; it keeps little."""


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Start Spark as the jobs do; the catalog is not there, and not asked."""
    nowhere = {field.name: "http://127.0.0.1:9" for field in fields(JobSettings) if field.type == "str"}
    settings = JobSettings(**{**nowhere, "spark_master": "local[1]", "spark_jars": str(fetch.home("spark"))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(spark_home(Layout(tmp_path_factory.mktemp("spark"), 1))))
        session = spark_session(settings, "tests", conf=TINY | UI)
        yield session
        session.stop()
