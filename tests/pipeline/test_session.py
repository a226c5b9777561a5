"""The settings of the Spark session."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyspark
import pytest
from pyspark.sql import SparkSession

from dataops_pipeline.python_daemon import drop_archives
from dataops_pipeline.session import REDACTED, _catalog
from dataops_pipeline.settings import JobSettings


def test_spark_shows_no_secret_of_the_catalog_or_the_store() -> None:
    settings = JobSettings(**{field.name: f"the-{field.name}" for field in fields(JobSettings)})  # type: ignore[arg-type]
    options = _catalog(settings)
    secrets = ("the-catalog_credential", "the-s3_secret_key", "the-s3_access_key")
    found = {key: value for key, value in options.items() if any(secret in value for secret in secrets)}
    assert set(found.values()) == set(secrets)
    assert options["spark.redaction.regex"] == REDACTED
    for key in found:
        assert re.search(REDACTED, key), key


def import_path(_: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    import sys  # in the worker

    yield pd.DataFrame({"entry": sys.path})


@pytest.mark.spark
@pytest.mark.timeout(300)
# PySpark leaves the sockets of collect() to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_python_workers_read_no_archive_for_each_task(spark: SparkSession) -> None:
    entries = [row["entry"] for row in spark.range(1).mapInPandas(import_path, "entry string").collect()]
    assert entries
    assert not [entry for entry in entries if Path(entry).is_file()]


def test_only_the_archives_of_pyspark_leave_the_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.zip"
    own.touch()
    (archive,) = Path(pyspark.__file__).parent.glob("python/lib/py4j-*.zip")
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path, str(own)])
    drop_archives()
    assert str(own) in sys.path
    assert str(archive) not in sys.path
