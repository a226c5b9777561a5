"""What Spark's web UI tells of a query that drops rows as late."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody uses
from pyspark.sql.streaming.query import StreamingQuery

from dataops_core.config import WebSettings
from dataops_core.systems.spark.ui import EVERY, LateRows, SparkUi

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # py4j's own
]


class Windows:
    """A query that counts what comes into a folder by windows of ten seconds, with a watermark of ten seconds."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._came = folder / "came"
        self._came.mkdir()
        came = spark.readStream.schema("at timestamp, k string").json(str(self._came))
        self._counts = came.withWatermark("at", "10 seconds").groupBy(F.window("at", "10 seconds"), "k").count()
        self._folder = folder

    def into_files(self) -> StreamingQuery:
        options = {"path": str(self._folder / "counts"), "checkpointLocation": str(self._folder / "checkpoint")}
        return self._counts.writeStream.format("parquet").options(**options).outputMode("append").start()

    def into_batches(self) -> StreamingQuery:
        def write(batch: DataFrame, _: int) -> None:
            batch.write.format("noop").mode("overwrite").save()

        checkpoint = str(self._folder / "checkpoint")
        return self._counts.writeStream.option("checkpointLocation", checkpoint).foreachBatch(write).start()

    def come(self, query: StreamingQuery, at: str, *keys: str) -> None:
        text = "\n".join(json.dumps({"at": at, "k": key}) for key in keys)
        number = len(list(self._came.iterdir()))
        (self._came / f".{number}").write_text(text)
        (self._came / f".{number}").rename(self._came / f"{number}.json")
        query.processAllAvailable()


def ui_of(spark: SparkSession) -> SparkUi:
    assert spark.sparkContext.uiWebUrl is not None
    return SparkUi(WebSettings(url=spark.sparkContext.uiWebUrl), timeout=60.0)  # slow on a busy machine


def test_late_rows_are_counted_and_those_of_other_queries_are_not(spark: SparkSession, tmp_path: Path) -> None:
    windows = Windows(spark, tmp_path)
    query = windows.into_files()
    ui, now = ui_of(spark), datetime.now(UTC)
    try:
        windows.come(query, "2026-01-05T03:00:00Z", "a")
        windows.come(query, "2026-01-05T04:00:00Z", "a")
        assert ui.late_rows(query.id, now) == LateRows(0, None)
        windows.come(query, "2026-01-05T03:00:00Z", "a", "b", "c")
        assert ui.late_rows(query.id, now) == LateRows(0, None), "not asked again so soon"
        late = ui.late_rows(query.id, now + EVERY)
        assert late.rows == 3
        assert late.at is not None
        assert abs(late.at - datetime.now(UTC)) < timedelta(minutes=2)
        assert ui_of(spark).late_rows("another", now).rows is None
        assert ui.late_rows(query.id, now + timedelta(minutes=15)).rows is None, "nothing ended within ten minutes"
    finally:
        query.stop()


def test_a_query_with_foreach_batch_is_not_said_to_drop_nothing(spark: SparkSession, tmp_path: Path) -> None:
    windows = Windows(spark, tmp_path)
    query = windows.into_batches()
    try:
        windows.come(query, "2026-01-05T04:00:00Z", "a")
        windows.come(query, "2026-01-05T03:00:00Z", "a")
        assert ui_of(spark).late_rows(query.id, datetime.now(UTC)).rows is None
    finally:
        query.stop()
