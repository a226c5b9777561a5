"""The health of Iceberg tables, on real tables in a catalog that is one SQLite file."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType
from pyiceberg.utils.singleton import Singleton
from tests.settings import Settings

from dataops_core.health.model import PipelineHealth, StageState, Status
from dataops_core.monitor import Monitor
from dataops_core.systems.iceberg import files as iceberg_files
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.file_io import KeptFileIO
from dataops_core.systems.iceberg.files import FileWatch, table_files

pytestmark = pytest.mark.skipif(find_spec("sqlalchemy") is None, reason="needs the extra sql-catalog: make install")
AT = datetime(2026, 1, 5, 3, tzinfo=UTC)
SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "at", TimestamptzType()),
    NestedField(3, "shop", StringType()),
)
SHOPS = PartitionSpec(PartitionField(source_id=3, field_id=1000, transform=IdentityTransform(), name="shop"))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    properties = {"uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/lake"}
    catalog = load_catalog("lake", type="sql", **properties)
    catalog.create_namespace("b")
    return catalog


@pytest.fixture
def append(catalog: Catalog) -> Callable[..., Table]:
    """Return a function that appends so many commits of three rows in two shops; each is two data files."""
    table = catalog.create_table("b.orders", SCHEMA, partition_spec=SHOPS)

    def commits(number: int, **summary: str) -> Table:
        for n in range(number):
            rows = {"id": [1, 2, 3], "at": [AT + timedelta(minutes=n)] * 3, "shop": ["a", "b", "b"]}
            table.append(pa.table(rows, schema=SCHEMA.as_arrow()), snapshot_properties=summary)
        return table

    return commits


def settings(tmp_path: Path, **stage: Any) -> Settings:
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/lake"}
    table = {"name": "orders", "kind": "iceberg_table", "catalog": "lake", "table": "b.orders", "progress_column": "at"}
    return Settings.model_validate(
        {
            "contexts": {"test": {"catalogs": {"lake": {"properties": properties}}}},
            "pipelines": {"p": {"context": "test", "stages": [{**table, **stage}]}},
        }
    )


def seen(tmp_path: Path, **stage: Any) -> PipelineHealth:
    (pipeline,) = Monitor(settings(tmp_path, **stage)).once().pipelines
    return pipeline


def data_file(table: Table, number: int = 0) -> Path:
    return Path(table.inspect.files()["file_path"][number].as_py().removeprefix("file://"))


def test_the_figures_are_those_of_pyiceberg_s_own_scan_of_the_files(append: Callable[..., Table]) -> None:
    table = append(4)
    table.delete("id = 1")
    snapshot = table.current_snapshot()
    assert snapshot is not None
    found = table_files(table, snapshot, small=10**9, bound_of=2)
    files = table.inspect.data_files().to_pydict()
    assert found.data_files == len(files["file_path"]) == 4
    assert found.held == sum(files["file_size_in_bytes"])
    assert found.records == sum(files["record_count"]) == 8
    assert found.small == 4
    assert table_files(table, snapshot, small=1).small == 0
    assert found.upper_bound is not None
    assert AT + timedelta(minutes=3) == datetime.fromtimestamp(iceberg_files.signed(found.upper_bound) / 1e6, UTC)


def test_after_a_commit_only_what_is_new_is_read(append: Callable[..., Table], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    live = iceberg_files._live

    def counted(path: str, io: Any, fields: Any) -> Any:
        read.append(path)
        return live(path, io, fields)

    monkeypatch.setattr(iceberg_files, "_live", counted)
    for _ in range(2):
        table = append(3)
        before = len(read)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        assert table_files(table, snapshot, small=1).manifests == (3 if before == 0 else 6)
        assert len(read) - before == 3
        table_files(table, snapshot, small=1)
        assert len(read) - before == 3


def test_manifests_leave_no_readers_behind(append: Callable[..., Table]) -> None:
    kept = []
    for _ in range(4):
        table = append(1)
        snapshot = table.current_snapshot()
        assert snapshot is not None
        table_files(table, snapshot, small=1)
        for manifest in snapshot.manifests(table.io):
            manifest.fetch_manifest_entry(table.io)
        kept.append(len(Singleton._instances))
    assert kept[1:] == [kept[1]] * 3, "readers, which PyIceberg keeps for ever"


def test_what_is_remembered_of_a_table_holds_none_of_its_connections(
    append: Callable[..., Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[PyArrowFileIO]] = []
    init = PyArrowFileIO.__init__

    def noted(self: PyArrowFileIO, properties: Any = MappingProxyType({})) -> None:
        init(self, properties)
        made.append(weakref.ref(self))

    append(3)
    monkeypatch.setattr(PyArrowFileIO, "__init__", noted)
    monitor = Monitor(settings(tmp_path))
    monitor.once()
    first = len(made)
    assert first
    append(3)
    monitor.once()
    gc.collect()
    assert not [ref for ref in made[:first] if ref() is not None], "each look has means of its own"


def test_each_look_has_the_same_connections_and_leaves_nothing_for_the_garbage_collector(
    append: Callable[..., Table], tmp_path: Path
) -> None:
    append(1)
    (context,) = settings(tmp_path).contexts.values()
    (client,) = (CatalogClient(name, catalog) for name, catalog in context.catalogs.items())
    first, second = (client.ask(lambda catalog: catalog.load_table("b.orders").io) for _ in range(2))
    assert isinstance(first, KeptFileIO)
    assert isinstance(second, KeptFileIO)
    assert first.fs_by_scheme("file", "") is second.fs_by_scheme("file", "")
    gone = weakref.ref(first)
    gc.disable()
    try:
        del first
        assert gone() is None, "a circle of references"
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("properties", "same"),
    [
        ({"write.format.default": "orc"}, True),
        ({"s3.secret-access-key": "changed"}, False),
        ({"s3.request-timeout": "3"}, False),
    ],
    ids=["table's own", "credentials", "deadline"],
)
def test_a_file_system_goes_by_what_makes_it(properties: dict[str, str], same: bool) -> None:
    store = {
        "s3.region": "x",
        "s3.endpoint": "http://127.0.0.1:1",
        "s3.access-key-id": "a",
        "s3.secret-access-key": "b",
    }
    one, other = (KeptFileIO(given).fs_by_scheme("s3", "lake") for given in (store, {**store, **properties}))
    assert (one is other) is same


def test_a_table_that_is_well(append: Callable[..., Table], tmp_path: Path) -> None:
    table = append(3)
    pipeline = seen(tmp_path)
    assert pipeline.verdict.status is Status.OK
    health = pipeline.stage("orders").observation
    assert health is not None
    assert health.progress_time == AT + timedelta(minutes=2)
    assert (health.measurement("snapshots"), health.measurement("manifests"), health.measurement("refs")) == (3, 3, 1)
    assert health.measurement("metadata_bytes") == Path(table.metadata_location.removeprefix("file://")).stat().st_size
    assert health.measurement("records_added_recent") == 9
    current = table.current_snapshot()
    assert current is not None
    assert health.attribute("snapshot_id") == str(current.snapshot_id)


def test_a_missing_data_file_is_found_in_the_end_and_kept_until_it_is_back(
    append: Callable[..., Table], tmp_path: Path
) -> None:
    table = append(3)
    gone = data_file(table, 5)
    kept = gone.read_bytes()
    gone.unlink()
    monitor = Monitor(settings(tmp_path, files_checked=2))
    verdicts = [monitor.once().pipelines[0].verdict for _ in range(5)]
    assert verdicts[-1].check_id == "orders/missing-files"
    assert verdicts[-1].status is Status.CRITICAL
    assert f"1 file of its current snapshot missing in the store: file://{gone}" in verdicts[-1].sentence
    first = next(n for n, verdict in enumerate(verdicts) if verdict.status is Status.CRITICAL)
    assert first <= 2, "six files, two at a time"
    assert all(verdict.check_id == "orders/missing-files" for verdict in verdicts[first:])
    gone.write_bytes(kept)
    assert monitor.once().pipelines[0].verdict.status is Status.OK


def test_every_file_is_looked_for_in_turn_and_no_more_than_asked_for_at_a_time(append: Callable[..., Table]) -> None:
    table = append(3)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    asked: list[str] = []

    class Counting:
        def __init__(self, location: str) -> None:
            self.location = location

        def exists(self) -> bool:
            asked.append(self.location)
            return True

    class Store:
        metadata, name, properties = table.metadata, table.name, table.properties

        class io:  # noqa: N801 - as in a table
            @staticmethod
            def new_input(location: str) -> Any:
                return Counting(location) if location.endswith(".parquet") else table.io.new_input(location)

    watch = FileWatch()
    for _ in range(3):
        assert watch.check(Store, snapshot, 2) == ()  # type: ignore[arg-type]
    assert sorted(asked) == sorted(table.inspect.files()["file_path"].to_pylist())
    watch.check(Store, snapshot, 100)  # type: ignore[arg-type]
    assert len(asked) == 12, "one round at most"


def test_a_manifest_that_is_missing_is_told_as_what_it_is(append: Callable[..., Table], tmp_path: Path) -> None:
    table = append(1, **{"dataops.progress-time": AT.isoformat()})
    snapshot = table.current_snapshot()
    assert snapshot is not None
    for manifest in snapshot.manifests(table.io):
        Path(manifest.manifest_path.removeprefix("file://")).unlink()
    pipeline = seen(tmp_path)
    assert pipeline.verdict.check_id == "orders/missing-files"
    assert pipeline.stage("orders").state is StageState.FAILED


@pytest.mark.parametrize(
    ("stage", "check", "says"),
    [
        ({"small_files_max": 5}, "small-files", "6 of 6 data files are smaller than 16 MiB"),
        (
            {"small_files_max": 5, "compaction_after": 1e-6},
            "compaction-not-running",
            "and the table has not been compacted for",
        ),
        ({"snapshots_max": 2}, "expiry-not-running", "it retains 3 snapshots"),
        ({"snapshot_age_max": 1e-6}, "expiry-not-running", "the oldest unreferenced one is"),
        ({"metadata_bytes_max": 100}, "metadata-large", "its metadata file has"),
    ],
)
def test_maintenance_that_is_due(
    stage: dict[str, Any], check: str, says: str, append: Callable[..., Table], tmp_path: Path
) -> None:
    append(3)
    pipeline = seen(tmp_path, **stage)
    assert (pipeline.verdict.status, pipeline.verdict.check_id) == (Status.WARNING, f"orders/{check}")
    assert says in pipeline.verdict.sentence
    assert [f.check for f in pipeline.stage("orders").findings] == [check]
    assert pipeline.verdict.remedy is not None
    assert "dataops sql 'ALTER TABLE lake.b.orders EXECUTE" in (pipeline.verdict.remedy.command or "")


@pytest.mark.programs
def test_records_that_could_not_be_read(append: Callable[..., Table], catalog: Catalog, tmp_path: Path) -> None:
    append(20)
    rejected = catalog.create_table("b.rejected", Schema(NestedField(1, "line", StringType())))
    rejected.append(pa.table({"line": ["x"] * 40}, schema=rejected.schema().as_arrow()))
    verdict = seen(tmp_path, rejects="b.rejected").verdict
    assert (verdict.status, verdict.check_id) == (Status.WARNING, "orders/poison-records")
    assert "40 of 100 records of the last hour could not be read (40%): see b.rejected" in verdict.sentence
    assert seen(tmp_path, rejects="b.rejected", rejects_max=0.5).verdict.status is Status.OK


def test_a_new_streaming_query_means_a_lost_checkpoint(append: Callable[..., Table], tmp_path: Path) -> None:
    append(2, **{"spark.sql.streaming.queryId": "one", "spark.sql.streaming.epochId": "7"})
    assert seen(tmp_path).verdict.status is Status.OK
    append(1, **{"spark.sql.streaming.queryId": "two", "spark.sql.streaming.epochId": "0"})
    pipeline = seen(tmp_path)
    assert pipeline.verdict.check_id == "orders/checkpoint-lost"
    health = pipeline.stage("orders").observation
    assert health is not None
    assert (health.measurement("epoch"), health.attribute("query_id")) == (0, "two")


def test_a_store_that_lost_the_warehouse_is_named_beside_the_table(
    append: Callable[..., Table], tmp_path: Path
) -> None:
    append(1)
    monitor = Monitor(settings(tmp_path))
    assert {c.name: c.reachable for c in monitor.once().components} == {"lake": True, "lake store": True}
    (tmp_path / "lake").rename(tmp_path / "away")
    snapshot = monitor.once()
    assert {c.name: c.reachable for c in snapshot.components} == {"lake": True, "lake store": False}
    verdict = snapshot.pipelines[0].verdict
    assert verdict.status is Status.UNKNOWN
    assert verdict.check_id == "lake store/not-found"


def test_what_is_remembered_of_manifests_is_bounded(append: Callable[..., Table]) -> None:
    for cache in (iceberg_files._summary, iceberg_files._paths, iceberg_files._manifest_list):
        assert cache.cache_parameters()["maxsize"] is not None


def test_the_lists_of_a_table_share_their_manifests(
    append: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyiceberg.manifest._manifest_cache._cache", None)  # as for more manifests than it holds
    append(1)
    table = append(3)
    newest, older = (iceberg_files._data_manifests(table, snapshot) for snapshot in reversed(table.snapshots()[-2:]))
    shared = {manifest.manifest_path: manifest for manifest in newest}
    assert len(older) >= 2
    assert all(shared[manifest.manifest_path] is manifest for manifest in older)


def test_the_first_commit_of_all_is_known_as_such_until_it_has_expired(
    append: Callable[..., Table], tmp_path: Path
) -> None:
    def firsts() -> list[bool]:
        observation = seen(tmp_path).stages[0].observation
        assert observation is not None
        return [advance.first for advance in observation.advances]

    append(1)
    table = append(3, **{"dataops.progress-time": AT.isoformat()})
    assert firsts() == [True, False, False], "what maintenance commits before is no advance"
    table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in table.snapshots()[:2]]).commit()
    assert firsts() == [False, False]
