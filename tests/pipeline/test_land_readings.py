"""Landing a batch on Spark, with a catalog from memory: each record once, whatever is run again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests.pipeline.test_transforms import kafka, reading

from dataops_pipeline import tables
from dataops_pipeline.jobs.land_readings import land

pytestmark = [
    pytest.mark.spark,
    pytest.mark.timeout(300),
    # PySpark leaves the sockets of collect() to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@dataclass
class Lake:
    """Two tables: the offsets that they have, and the properties of their commits."""

    offsets: dict[str, list[int]] = field(default_factory=lambda: {tables.READINGS: [], tables.REJECTED: []})
    commits: dict[str, list[dict[str, str]]] = field(default_factory=lambda: {tables.READINGS: [], tables.REJECTED: []})
    fails: str | None = None

    def append(self, frame: DataFrame, table: str, properties: dict[str, str]) -> None:
        if table == self.fails:
            raise OSError("killed")
        self.offsets[table] += sorted(row["offset"] for row in frame.select("offset").collect())
        self.commits[table].append(properties)

    def load_table(self, name: str) -> Any:
        commits = self.commits[f"lake.{name}"]
        snapshots = [
            SimpleNamespace(parent_snapshot_id=n - 1 if n else None, summary=SimpleNamespace(additional_properties=p))
            for n, p in enumerate(commits)
        ]
        return SimpleNamespace(
            current_snapshot=lambda: snapshots[-1] if snapshots else None, snapshot_by_id=lambda n: snapshots[n]
        )


def batch(spark: SparkSession, begin: int, end: int) -> DataFrame:
    """Make the records from one offset to another (exclusive); each third one is garbage."""
    payloads = [json.dumps(reading()).encode() if n % 3 else b"garbage" for n in range(end)]
    return kafka(spark, payloads).where(f"offset >= {begin}")


def test_each_record_is_landed_once_in_the_table_where_it_belongs(spark: SparkSession) -> None:
    lake = Lake()
    assert land(batch(spark, 0, 7), 0, "q", "t", lake, lake.append) == 7
    assert land(batch(spark, 7, 9), 1, "q", "t", lake, lake.append) == 2
    assert lake.offsets == {tables.READINGS: [1, 2, 4, 5, 7, 8], tables.REJECTED: [0, 3, 6]}
    assert json.loads(lake.commits[tables.REJECTED][-1]["dataops.end-offsets"]) == {"topic_id": "t", "ends": {"0": 9}}


def test_a_batch_that_was_ended_between_its_two_commits_is_completed(spark: SparkSession) -> None:
    lake = Lake(fails=tables.REJECTED)
    with pytest.raises(OSError, match="killed"):
        land(batch(spark, 0, 7), 0, "q", "t", lake, lake.append)
    lake.fails = None
    land(batch(spark, 0, 7), 0, "q", "t", lake, lake.append)
    assert lake.offsets == {tables.READINGS: [1, 2, 4, 5], tables.REJECTED: [0, 3, 6]}


def test_after_a_lost_checkpoint_only_what_is_new_is_landed(spark: SparkSession) -> None:
    lake = Lake()
    land(batch(spark, 0, 7), 40, "q", "t", lake, lake.append)
    land(batch(spark, 0, 5), 0, "another", "t", lake, lake.append)
    assert len(lake.commits[tables.READINGS]) == 1, "nothing new: no commit"
    land(batch(spark, 5, 12), 1, "another", "t", lake, lake.append)
    assert lake.offsets == {tables.READINGS: [1, 2, 4, 5, 7, 8, 10, 11], tables.REJECTED: [0, 3, 6, 9]}


def test_a_topic_that_was_made_anew_begins_at_0_again(spark: SparkSession) -> None:
    lake = Lake()
    land(batch(spark, 0, 7), 0, "q", "t", lake, lake.append)
    land(batch(spark, 0, 3), 0, "another", "anew", lake, lake.append)
    assert lake.offsets[tables.READINGS] == [1, 2, 4, 5, 1, 2]


def test_an_empty_batch_is_no_commit(spark: SparkSession) -> None:
    lake = Lake()
    assert land(batch(spark, 3, 3), 0, "q", "t", lake, lake.append) == 0
    assert lake.commits[tables.READINGS] == []
