"""What an Iceberg table's metadata says, read from a real table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lake import lake

from dataops_core.errors import NotFound
from dataops_core.items import how_many
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.inspect import TableSummary, file_sizes, table, tables


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> CatalogClient:
    return lake(tmp_path_factory.mktemp("lake"))


def test_all_tables_with_their_figures(client: CatalogClient) -> None:
    empty, shipments = tables(client)
    assert (empty.name, empty.records, empty.files, empty.committed_at) == ("gold.empty", 0, 0, None)
    assert (shipments.name, shipments.records, shipments.files, shipments.snapshots) == ("gold.shipments", 1, 1, 4)
    assert shipments.size is not None
    assert shipments.size > 0


def test_snapshots_and_what_points_to_them(client: CatalogClient) -> None:
    detail = table(client, "gold.shipments")
    newest, *_, first = detail.snapshots
    assert newest.current
    assert [snapshot.current for snapshot in detail.snapshots].count(True) == 1
    assert all(snapshot.on_branch for snapshot in detail.snapshots)
    assert first.operation == "append"
    assert first.count("added-records") == 2
    assert first.count("deleted-records") is None
    tagged = next(snapshot for snapshot in detail.snapshots if "released-1" in snapshot.refs)
    assert tagged.refs == ("audit", "released-1")
    assert tagged.count("total-records") == 3
    assert [(ref.name, ref.kind, ref.max_age) for ref in detail.refs] == [
        ("audit", "branch", 3600.0),
        ("main", "branch", None),
        ("released-1", "tag", None),
    ]
    assert detail.refs[2].snapshot_id == tagged.snapshot_id


def test_columns_and_properties(client: CatalogClient) -> None:
    detail = table(client, "gold.shipments")
    assert [(c.name, c.kind, c.required, c.partitioned, c.doc) for c in detail.columns] == [
        ("id", "long", True, None, None),
        ("town", "string", False, "identity", "where it goes"),
    ]
    assert detail.properties == {"owner": "quality"}
    assert (detail.schemas, detail.specs) == (1, 1)


def test_files_by_size(client: CatalogClient) -> None:
    sizes = file_sizes(client, "gold.shipments")
    assert sum(sizes.files) == 1
    assert sizes.files[0] == 1
    assert sizes.records[0] == 1
    assert sizes.position_deletes == sizes.equality_deletes == 0
    assert sizes.read == sizes.manifests > 0
    assert sum(file_sizes(client, "gold.empty").files) == 0


def test_a_table_that_is_not_there_is_named(client: CatalogClient) -> None:
    with pytest.raises(NotFound, match=r"gold\.nothing"):
        table(client, "gold.nothing")


def damaged(client: CatalogClient, change: Callable[[Path], None]) -> TableSummary:
    """Change the metadata file of a table, and return its row in the list of all."""
    location = client.ask(lambda catalog: catalog.load_table("gold.empty").metadata_location)
    change(Path(location.removeprefix("file://")))
    rows = {row.name: row for row in tables(client)}
    assert rows["gold.shipments"].records == 1, "one table that cannot be read hides no other"
    assert how_many(rows.values(), "tables") in (None, "1 of 2 tables cannot be read")
    return rows["gold.empty"]


def variant(path: Path) -> None:
    about = json.loads(path.read_text())
    about["format-version"] = 3
    about["schemas"][0]["fields"].append({"id": 99, "name": "v", "required": False, "type": "variant"})
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    "change",
    [Path.unlink, lambda path: path.write_text(path.read_text()[:200]), lambda path: path.write_text("{}"), variant],
    ids=["missing", "truncated", "empty", "variant"],
)
def test_a_table_that_cannot_be_read_is_a_row_that_says_why(tmp_path: Path, change: Callable[[Path], None]) -> None:
    row = damaged(lake(tmp_path), change)
    assert row.unreadable
    assert "\n" not in row.unreadable
    assert (row.records, row.committed_at, row.read) == (None, None, False)


def test_a_snapshot_whose_timestamp_is_no_time_is_shown_with_its_number(tmp_path: Path) -> None:
    client = lake(tmp_path)
    location = client.ask(lambda catalog: catalog.load_table("gold.shipments").metadata_location)
    path = Path(location.removeprefix("file://"))
    about = json.loads(path.read_text())
    longest = 2**63 - 1
    for snapshot in about["snapshots"]:
        snapshot["timestamp-ms"] = longest
    path.write_text(json.dumps(about))
    rows = {row.name: row for row in tables(client)}
    assert str(rows["gold.shipments"].committed_at) == f"unknown ({longest} ms)"
    assert {str(snapshot.at) for snapshot in table(client, "gold.shipments").snapshots} == {f"unknown ({longest} ms)"}
