"""The quality officer's SQL: which files become views, and that they are made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from dataops_pipeline.trino_sql import Row, StatementFailed
from dataops_pipeline.views import create_all, queries


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.sql").write_text("-- What's\n-- there? All of it.\nSELECT 1 AS x\n")
    (tmp_path / "b.sql").write_text("-- Is it late?\nSELECT * FROM lake.gold.nowhere\n")
    (tmp_path / "c.sql").write_text("-- saved query: put your lot in\n-- What then? Much.\nSELECT 2\n")
    return tmp_path


class Trino:
    def __init__(self, fails: str = "TABLE_NOT_FOUND: line 2:15: Table does not exist") -> None:
        self.comments: dict[str, str] = {}
        self.created: list[str] = []
        self.fails = fails

    def __call__(self, statement: str) -> list[Row]:
        if statement.startswith("SELECT table_name"):
            return list(self.comments.items())
        if "nowhere" in statement:
            raise StatementFailed(self.fails)
        if statement.startswith("CREATE OR REPLACE VIEW"):
            self.created.append(statement)
        return []


def test_each_file_says_which_question_it_answers(folder: Path) -> None:
    assert [query.title for query in queries(folder)] == ["What's there?", "Is it late?", "What then?"]
    for query in queries():
        assert query.title.endswith("?")
        assert ";" not in query.text, f"{query.name}: one statement, so that it can be a view"
    assert [query.name for query in queries() if not query.is_view] == ["lot_as_released"]


def test_a_view_is_made_once_and_again_when_its_text_changes(folder: Path) -> None:
    trino = Trino()
    created = create_all(trino, folder)
    assert created.created == ("a",)
    assert list(created.waiting) == ["b"]
    assert trino.created[0].startswith("CREATE OR REPLACE VIEW lake.gold.a COMMENT 'What''s there? [")
    trino.comments = {query.name: query.comment for query in queries(folder)}
    assert create_all(trino, folder).created == ()
    (folder / "a.sql").write_text("-- What's there?\nSELECT 2 AS x\n")
    assert create_all(trino, folder).created == ("a",)


def test_a_wrong_view_is_an_error_and_not_one_that_waits(folder: Path) -> None:
    with pytest.raises(StatementFailed, match="COLUMN_NOT_FOUND"):
        create_all(Trino("COLUMN_NOT_FOUND: line 1"), folder)


@pytest.mark.spark
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_gaps_are_where_something_is_lacking_and_not_what_follows_the_delivery(spark: SparkSession) -> None:
    """The view is plain SQL, which Spark reads as Trino does."""
    columns = (
        "shipment_id string, dump_readings bigint, stream_readings bigint, missing bigint, extra bigint,"
        " different bigint, filled bigint, no_reading bigint, longest_gap_minutes double, expected_readings bigint,"
        " reconciled_at timestamp, dump_path string"
    )
    rows = [
        ("healthy", 200, 193, 7, 0, 0, 7, 3, 5.0, 200, None, "a"),  # unplugged after the delivery
        ("died", 142, 142, 0, 0, 0, 0, 0, 5.0, 202, None, "b"),
        ("lost", 200, 193, 7, 0, 0, 0, 0, 5.0, 200, None, "c"),
        ("under-way", 20, 20, 0, 0, 0, 0, 0, 5.0, None, None, "d"),
    ]
    spark.createDataFrame(rows, columns).createOrReplaceTempView("reconciliation")
    spark.createDataFrame(
        [(row[0], "L", "P") for row in rows], "shipment_id string, lot string, product_id string"
    ).createOrReplaceTempView("shipments")
    (view,) = (query for query in queries() if query.name == "reconciliation_gaps")
    found = spark.sql(view.text.replace("lake.silver.", "").replace("lake.bronze.", ""))
    assert {row["shipment_id"] for row in found.collect()} == {"died", "lost"}
