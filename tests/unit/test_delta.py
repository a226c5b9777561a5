"""Delta Lake tables that deltalake writes, with every operation that is no progress, and logs that are damaged."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

from dataops_core.bounded import Malformed
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    DataopsError,
    NotFound,
    TimedOut,
    Unreachable,
)
from dataops_core.health.checks.base import CheckInput
from dataops_core.health.model import StageState
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.monitor import Monitor
from dataops_core.systems.delta import SYSTEM
from dataops_core.systems.delta import client as delta_client
from dataops_core.systems.delta.checks import CHECKS
from dataops_core.systems.delta.client import DeltaClient, storage_options
from dataops_core.systems.delta.details import DeltaTableDetails
from dataops_core.systems.delta.discover import discover
from dataops_core.systems.delta.log import read_checkpoint, read_commit
from dataops_core.systems.delta.probe import observe_location
from dataops_core.systems.delta.settings import DeltaSettings
from dataops_core.systems.draft import Draft
from dataops_core.systems.registry import find_problems, load_settings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

KIND = SYSTEM.stage_kinds[0]
EVENT = datetime(2026, 1, 5, 8, tzinfo=UTC)
CONFIG = """
[contexts.here.delta]
location = "{location}"
[pipelines.sales]
context = "here"
[[pipelines.sales.stages]]
name = "orders"
kind = "delta_table"
table = "orders"
{more}
"""


class Clients:
    """The clients of a context with one location."""

    def __init__(self, client: DeltaClient) -> None:
        self._client = client

    def need(self, kind: str, name: str | None = None) -> Any:
        return self._client

    def all(self, kind: str) -> dict[str, Any]:
        return {"delta": self._client}

    def keep(self, key: object, make: Callable[[], Any]) -> Any:
        return make()


def rows(*ids: int, hours: float = 0, naive: bool = False) -> Any:
    import pyarrow as pa

    zone = None if naive else "UTC"
    at = pa.array([EVENT + timedelta(hours=hours)] * len(ids), pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    return pa.table({"id": pa.array(ids, pa.int64()), "at": at, "note": ["x"] * len(ids)})


def write(path: Path, *ids: int, hours: float = 0, stamp: datetime | None = None, **more: Any) -> None:
    from deltalake import CommitProperties, write_deltalake

    properties = CommitProperties(custom_metadata={"dataops.progress-time": stamp.isoformat()} if stamp else None)
    write_deltalake(str(path), rows(*ids, hours=hours), commit_properties=properties, **{"mode": "append", **more})


def opened(path: Path) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(str(path))


def commit_file(path: Path, version: int) -> Path:
    return path / "_delta_log" / f"{version:020}.json"


def edit(path: Path, version: int, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    file = commit_file(path, version)
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps(action) for action in change(actions)))


def committed_at(path: Path, version: int) -> datetime:
    lines = commit_file(path, version).read_text().splitlines()
    info = next(json.loads(line)["commitInfo"] for line in lines if "commitInfo" in line)
    return datetime.fromtimestamp(info["timestamp"] / 1000, UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def orders(lake: Path) -> Path:
    path = lake / "orders"
    write(path, 1, 11)
    write(path, 2, 12, hours=2)
    write(path, 3, 13, hours=1)
    return path


@pytest.fixture
def client(lake: Path) -> DeltaClient:
    return DeltaClient("delta", DeltaSettings(location=str(lake)), 10.0)


def observe(client: DeltaClient, table: str = "orders", **more: Any) -> Observation:
    stage = KIND.settings.model_validate({"name": "orders", "kind": "delta_table", "table": table, **more})
    return KIND.observe(stage, Clients(client))


def found(seen: Observation, **more: Any) -> dict[str, Any]:
    stage = KIND.settings.model_validate({"name": "orders", "kind": "delta_table", "table": "orders", **more})
    given = CheckInput("orders", seen.details, seen, None, (), (), seen.observed_at)
    return {check.name: problem for check in CHECKS if (problem := check.find(stage, given)) is not None}


def test_the_newest_commit_with_data_is_the_progress(orders: Path, client: DeltaClient) -> None:
    seen = observe(client)
    assert (seen.progress_time, seen.progress_source) == (committed_at(orders, 2), ProgressSource.DERIVED)
    assert (seen.advanced_at, seen.position) == (committed_at(orders, 2), 6)
    assert [advance.first for advance in seen.advances] == [True, False, False]
    details = seen.details
    assert isinstance(details, DeltaTableDetails)
    assert (details.version, details.data_version, details.operation) == (2, 2, "WRITE")
    assert (details.data_files, details.small_files, details.file_rows) == (3, 3, 6)
    assert details.data_file_bytes == sum(file.stat().st_size for file in orders.glob("*.parquet"))
    assert (details.checkpoint_version, details.versions_uncheckpointed) == (None, 3)
    assert details.engine is not None
    assert details.engine.startswith("delta-rs")
    assert (details.newest_value, details.optimized, seen.notes) == (None, None, ())


def test_a_column_gives_the_progress_by_its_statistics(orders: Path, client: DeltaClient) -> None:
    for file in orders.glob("*.parquet"):
        file.write_bytes(b"no data is read")
    seen = observe(client, progress_column="at")
    assert (seen.progress_time, seen.advances) == (EVENT + timedelta(hours=2), ())
    assert seen.measurement("newest_value") == (EVENT + timedelta(hours=2)).timestamp()


def test_a_column_without_a_zone_is_in_utc(lake: Path, client: DeltaClient) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(lake / "orders"), rows(1, hours=3, naive=True))
    seen = observe(client, progress_column="at")
    assert seen.progress_time == EVENT + timedelta(hours=3)
    assert seen.attribute("reader_features") == "timestampNtz"


def test_a_partition_column_gives_the_progress_as_well(lake: Path, client: DeltaClient) -> None:
    write(lake / "orders", 1, hours=5, partition_by=["at"])
    assert observe(client, progress_column="at").progress_time == EVENT + timedelta(hours=5)


def test_stamps_of_commits_come_first(orders: Path, client: DeltaClient) -> None:
    write(orders, 4, stamp=EVENT)
    write(orders, 5, hours=9)
    seen = observe(client, progress_column="at")
    assert (seen.progress_time, seen.progress_source) == (EVENT, ProgressSource.STAMPED)
    assert [advance.progress_time for advance in seen.advances] == [EVENT]
    assert observe(client, progress_key="other").progress_source is ProgressSource.DERIVED


def vacuum(path: Path) -> None:
    (path / "left-over.parquet").write_bytes(b"x")
    opened(path).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)


DELETE, UPDATE, COMPACT, CLUSTER, VACUUM, RESTORE, SET, EMPTY = (
    lambda path: opened(path).delete("id = 1"),
    lambda path: opened(path).update(predicate="id = 2", updates={"note": "'y'"}),
    lambda path: opened(path).optimize.compact(),
    lambda path: opened(path).optimize.z_order(["id"]),
    vacuum,
    lambda path: opened(path).restore(0),
    lambda path: opened(path).alter.set_table_properties({"delta.logRetentionDuration": "interval 1 days"}),
    write,
)


@pytest.mark.parametrize(
    ("change", "operation"),
    [
        (DELETE, "DELETE"),
        (UPDATE, "UPDATE"),
        (COMPACT, "OPTIMIZE"),
        (CLUSTER, "OPTIMIZE"),
        (VACUUM, "VACUUM END"),
        (RESTORE, "RESTORE"),
        (SET, "SET TBLPROPERTIES"),
        (EMPTY, "WRITE"),
    ],
)
def test_versions_without_new_data_are_no_progress(
    orders: Path, client: DeltaClient, change: Callable[[Path], object], operation: str
) -> None:
    before = committed_at(orders, 2)
    time.sleep(0.005)
    change(orders)
    seen = observe(client)
    newest = seen.measurement("version")
    assert newest is not None
    assert newest > 2
    assert (seen.attribute("operation"), seen.measurement("data_version")) == (operation, 2)
    assert (seen.progress_time, seen.advanced_at) == (before, before)
    assert seen.measurement("committed_at") == committed_at(orders, int(newest)).timestamp()
    assert (seen.measurement("optimized") is not None) == (operation == "OPTIMIZE")


def merge(path: Path) -> None:
    merged = opened(path).merge(rows(2, 99), predicate="s.id = t.id", source_alias="s", target_alias="t")
    merged.when_matched_update_all().when_not_matched_insert_all().execute()


@pytest.mark.parametrize(
    ("change", "operation"),
    [(merge, "MERGE"), (lambda path: write(path, 7, mode="overwrite"), "WRITE")],
)
def test_versions_with_new_data_are(
    orders: Path, client: DeltaClient, change: Callable[[Path], object], operation: str
) -> None:
    change(orders)
    seen = observe(client)
    assert (seen.attribute("data_operation"), seen.measurement("data_version")) == (operation, 3)
    assert seen.progress_time == committed_at(orders, 3)


def test_the_newest_data_is_remembered_beyond_the_versions_that_are_read(
    orders: Path, client: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_client, "VERSIONS", 2)
    before = observe(client).progress_time
    for number in range(4):
        opened(orders).alter.set_table_properties({"delta.checkpointInterval": str(number + 10)})
    seen = observe(client)
    assert (seen.progress_time, seen.measurement("data_version")) == (before, 2)
    fresh = DeltaClient("delta", DeltaSettings(location=str(orders.parent)), 10.0)
    seen = observe(fresh)
    assert (seen.progress_time, seen.measurement("data_version")) == (None, None)
    stage = KIND.settings(name="orders", kind="delta_table", table="orders")
    assert KIND.why_unknown(stage, seen) == "the commits that are in its log added no data"


def test_commits_are_read_once(orders: Path, client: DeltaClient) -> None:
    observe(client)
    for version in range(3):
        text = commit_file(orders, version).read_text()
        commit_file(orders, version).write_text(text.replace('"WRITE"', '"DELETE"'))
    assert observe(client).measurement("data_version") == 2
    assert observe(DeltaClient("delta", DeltaSettings(location=str(orders.parent)), 10.0)).progress_time is None


def test_a_table_that_replaces_another_one_is_read_again(orders: Path, client: DeltaClient) -> None:
    import shutil

    observe(client)
    shutil.rmtree(orders)
    write(orders, 1)
    seen = observe(client)
    assert (seen.measurement("version"), seen.measurement("data_version")) == (0, 0)
    assert seen.progress_time == committed_at(orders, 0)


def test_a_table_without_rows_has_no_progress(lake: Path, client: DeltaClient) -> None:
    from deltalake import DeltaTable

    DeltaTable.create(str(lake / "orders"), rows().schema)
    seen = observe(client, progress_column="at")
    assert (seen.progress_time, seen.position, seen.measurement("data_files")) == (None, 0, 0)
    assert (seen.measurement("small_files"), seen.measurement("data_file_bytes")) == (0, 0)
    assert seen.attribute("operation") == "CREATE TABLE"


def without_statistics(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for action in actions:
        action.get("add", {}).pop("stats", None)
    return actions


def test_what_the_statistics_lack_is_unknown(orders: Path, client: DeltaClient) -> None:
    edit(orders, 2, without_statistics)
    seen = observe(client, progress_column="at")
    assert (seen.position, seen.measurement("file_rows")) == (None, None)
    assert seen.progress_time == EVENT + timedelta(hours=2)
    for version in (0, 1):
        edit(orders, version, without_statistics)
    seen = observe(client, progress_column="at")
    assert seen.progress_time is None
    stage = KIND.settings(name="orders", kind="delta_table", table="orders", progress_column="at")
    assert KIND.why_unknown(stage, seen) == "no commit has a progress stamp, and the files have no statistics of at"
    steps = list(KIND.diagnose(stage, Clients(client))) if KIND.diagnose is not None else []
    assert [(step.ok, step.detail) for step in steps] == [
        (True, "version 2, data files: 3"),
        (None, "statistics of at: none"),
        (None, "data files without the number of their rows: throughput is unknown"),
    ]


@pytest.mark.parametrize(
    ("column", "kind", "error"),
    [
        ("missing", NotFound, "it has no column missing: correct progress_column"),
        ("id", BadAnswer, "its column id is not a timestamp: correct progress_column"),
    ],
)
def test_a_wrong_column_is_one_line(
    orders: Path, client: DeltaClient, column: str, kind: type[DataopsError], error: str
) -> None:
    with pytest.raises(kind) as caught:
        observe(client, progress_column=column)
    assert str(caught.value) == f"delta {orders.parent}: table orders: {error}"


##### Logs that are damaged


def truncated(path: Path) -> None:
    commit_file(path, 0).unlink()


def gap(path: Path) -> None:
    commit_file(path, 1).unlink()


def cut(path: Path) -> None:
    commit_file(path, 2).write_text(commit_file(path, 2).read_text()[:100])


def binary(path: Path) -> None:
    commit_file(path, 2).write_bytes(bytes(range(256)) * 10)


def deep(path: Path) -> None:
    commit_file(path, 2).write_text('{"add":' * 5000 + "1" + "}" * 5000)


def protocol(**needs: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        edit(path, 0, lambda actions: [{"protocol": needs} if "protocol" in each else each for each in actions])

    return change


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (truncated, "its log is truncated: the first commits are missing, and there is no checkpoint"),
        (gap, "its log has a gap: commits between the versions 0 and 2 are missing"),
        (cut, "its log cannot be read: Json error: Truncated record whilst reading object"),
        (binary, "its log cannot be read: Json error: Encountered unexpected"),
        (deep, "its log cannot be read: Json error: whilst decoding field 'add'"),
        (protocol(minReaderVersion=9, minWriterVersion=9), "cannot read it: Unsupported minimum reader version 9"),
        (
            protocol(minReaderVersion=3, minWriterVersion=7, readerFeatures=["newer"], writerFeatures=["newer"]),
            "cannot read it: Feature 'newer' is not supported: install a newer deltalake",
        ),
    ],
)
def test_a_damaged_log_is_one_clear_line(
    orders: Path, client: DeltaClient, damage: Callable[[Path], None], error: str
) -> None:
    damage(orders)
    with pytest.raises(BadAnswer) as caught:
        observe(client)
    assert error in str(caught.value)
    assert str(caught.value).startswith(f"delta {orders.parent}: table orders: ")
    assert str(caught.value).isprintable()


def test_a_table_that_is_missing_is_not_found(lake: Path, orders: Path, client: DeltaClient) -> None:
    (lake / "plain").mkdir()
    (lake / "plain" / "a.parquet").write_bytes(b"x")
    (lake / "empty" / "_delta_log").mkdir(parents=True)
    for table in ("nowhere", "plain", "empty"):
        with pytest.raises(NotFound, match=f"table {table}: there is no Delta table: no _delta_log") as caught:
            observe(client, table)
        assert str(caught.value).isprintable()
    with pytest.raises(NotFound, match="there is nothing at this location"):
        observe_location(DeltaClient("delta", DeltaSettings(location=str(lake / "gone")), 5.0))


def test_numbers_that_cannot_be_are_unknown(orders: Path, client: DeltaClient) -> None:
    def change(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if "add" in action:
                action["add"] |= {"size": -5, "stats": '{"numRecords": -7, "maxValues": {"at": "soon"}}'}
        return actions

    edit(orders, 2, change)
    seen = observe(client, progress_column="at")
    assert (seen.position, seen.measurement("data_file_bytes"), seen.measurement("small_files")) == (None, None, None)
    assert seen.progress_time == EVENT + timedelta(hours=2)


@pytest.mark.parametrize(
    "info",
    [
        None,
        {},
        {"timestamp": "soon", "operation": 7, "operationMetrics": "x", "userMetadata": "{no"},
        {"timestamp": -5, "operation": None, "userMetadata": "[]"},
        {"timestamp": 10**17, "operation": {"a": 1}},
    ],
)
def test_a_commit_that_says_nothing_has_the_time_of_its_file(
    orders: Path, client: DeltaClient, info: dict[str, Any] | None
) -> None:
    own = [{"commitInfo": info}] if info is not None else []
    edit(orders, 2, lambda actions: own + [each for each in actions if "commitInfo" not in each])
    seen = observe(client)
    written_at = datetime.fromtimestamp(commit_file(orders, 2).stat().st_mtime, UTC)
    assert seen.progress_time is not None
    assert abs((seen.progress_time - written_at).total_seconds()) < 0.01
    assert (seen.attribute("operation"), seen.measurement("data_version")) == (None, 2)


def test_a_commit_that_only_we_cannot_read_is_a_note(orders: Path, client: DeltaClient) -> None:
    with commit_file(orders, 2).open("a") as file:
        file.write('\n{"commitInfo": 1, "txn": ' + "[" * 300 + "]" * 300 + "}")
    seen = observe(client)
    assert seen.notes == ("version 2 of its log cannot be read: it is nested deeper than 200 levels",)
    assert (seen.measurement("version"), seen.measurement("data_version")) == (2, 1)


def test_commits_of_other_engines() -> None:
    def commit(*actions: dict[str, Any], most: int = 10_000, cut_at: int | None = None) -> Any:
        data = "\n".join(json.dumps(action) for action in actions).encode()
        return read_commit(data[:cut_at], 5, None, most, "key")

    streaming = {"commitInfo": {"timestamp": 1_767_600_000_000, "operation": "STREAMING UPDATE", "engineInfo": "Spark"}}
    add, moved = {"add": {"path": "a", "dataChange": True}}, {"add": {"path": "a", "dataChange": False}}
    assert (commit(streaming, add).adds_data, commit(streaming, add).at) == (True, EVENT)
    assert (commit(streaming).adds_data, commit(streaming, moved).adds_data) == (False, False)
    assert (commit(add).adds_data, commit({"add": {}}).adds_data, commit(add).at) == (True, True, None)
    assert commit({"commitInfo": {"inCommitTimestamp": 1_767_600_000_000, "timestamp": 5}}).at == EVENT
    spark = {"commitInfo": {"userMetadata": json.dumps({"key": "2026-01-05T08:00:00Z"})}}
    assert (commit(spark).stamp, commit({"commitInfo": {"userMetadata": "by hand"}}).stamp) == (EVENT, None)
    large = commit(streaming, add, add, most=130, cut_at=131)
    assert (large.whole, large.operation, large.adds_data) == (False, "STREAMING UPDATE", True)
    unnamed = commit({"commitInfo": {}}, add, most=20, cut_at=21)
    assert (unnamed.adds_data, unnamed.operation) == (None, None)
    for text in (b"[]", b"\xff", b"{", b'{"a": 1}\n7'):
        with pytest.raises(Malformed):
            read_commit(text, 0, None, 100, "key")
    assert read_checkpoint(b'{"version": 7}') == 7
    for text in (b'{"version": -1}', b"[]", b"{no"):
        with pytest.raises(Malformed):
            read_checkpoint(text)


##### Checks


def test_versions_after_the_checkpoint_are_counted(orders: Path, client: DeltaClient) -> None:
    assert set(found(observe(client), versions_uncheckpointed_max=2)) == {"checkpoint-overdue"}
    problem = found(observe(client), versions_uncheckpointed_max=2)["checkpoint-overdue"]
    assert problem.sentence == "its log has 3 versions and no checkpoint: each reader opens all of them"
    opened(orders).create_checkpoint()
    write(orders, 4)
    write(orders, 5)
    seen = observe(client)
    assert (seen.measurement("checkpoint_version"), seen.measurement("versions_uncheckpointed")) == (2, 2)
    problem = found(seen, versions_uncheckpointed_max=1)["checkpoint-overdue"]
    assert problem.sentence.startswith("its log has 2 versions after its newest checkpoint (version 2)")
    opened(orders).alter.set_table_properties({"delta.checkpointInterval": "2"})
    assert found(observe(client), versions_uncheckpointed_max=1) == {}
    pointer = orders / "_delta_log" / "_last_checkpoint"
    for text in ("{no", '{"version": 99}'):
        pointer.write_text(text)
        seen = observe(client)
        assert (seen.measurement("checkpoint_version"), seen.measurement("versions_uncheckpointed")) == (None, None)
    pointer.unlink()
    for version in range(2):
        commit_file(orders, version).unlink()
    assert observe(client).measurement("versions_uncheckpointed") is None


def test_a_log_of_which_only_the_checkpoint_is_left(orders: Path, client: DeltaClient) -> None:
    opened(orders).create_checkpoint()
    for version in range(3):
        commit_file(orders, version).unlink()
    seen = observe(client, progress_column="at")
    assert (seen.progress_time, seen.advanced_at) == (EVENT + timedelta(hours=2), None)
    assert (seen.measurement("version"), seen.measurement("committed_at")) == (2, None)
    assert observe(client).progress_time is None


def test_small_files_and_a_clock_that_is_ahead_are_found(orders: Path, client: DeltaClient) -> None:
    problem = found(observe(client), small_files_max=2)["small-files"]
    assert (problem.sentence, problem.evidence) == (
        "3 of 3 data files are smaller than 16 MiB",
        ("last OPTIMIZE: none in the versions read",),
    )
    assert found(observe(client, small_file_bytes=10), small_files_max=0) == {}
    opened(orders).optimize.compact()
    assert found(observe(client), small_files_max=0)["small-files"].evidence[0].startswith("last OPTIMIZE: ")

    def ahead(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"]["timestamp"] += 3_600_000
        return actions

    write(orders, 9)
    edit(orders, 4, ahead)
    problem = found(observe(client))["commit-in-future"]
    assert "in the future" in problem.sentence
    assert "delta-rs" in problem.evidence[0]


##### Settings, health, exporter, config init


def written(tmp_path: Path, location: object, more: str = "") -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(location=location, more=more))
    return path


def test_a_stage_from_the_settings_to_the_exporter(orders: Path, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, orders.parent, "versions_uncheckpointed_max = 1\nlag_ok = 3600"))
    monitor = Monitor(settings)
    snapshot = monitor.once()
    (stage,) = snapshot.pipelines[0].stages
    assert [finding.check_id for finding in stage.findings] == ["orders/checkpoint-overdue"]
    assert stage.state is not StageState.UNKNOWN
    served = ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(served)}
    assert samples["dataops_stage_figure", ("sales", "orders", "delta", "data_files", "")] == 3
    assert samples["dataops_component_up", ("delta",)] == 1


@pytest.mark.parametrize(
    ("location", "more", "problem"),
    [
        ("ftp://host", "", ".location: must begin with s3://, gs://, abfs://, file:// or /"),
        ("/a", "small_files_max = -1", "greater than or equal to 0"),
        ("/a", 'progress_colum = "x"', "progress_colum"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, location: str, more: str, problem: str) -> None:
    assert any(problem in line for line in find_problems(written(tmp_path, location, more)))


@pytest.mark.parametrize("table", ["/orders", "../orders", "s3://b/orders"])
def test_a_table_outside_of_the_location_is_refused(tmp_path: Path, table: str) -> None:
    path = written(tmp_path, "/a")
    path.write_text(path.read_text().replace('table = "orders"', f'table = "{table}"'))
    assert any(".table: must be a path below the location" in line for line in find_problems(path))


def test_a_property_that_delta_rs_does_not_have_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "s3://lake")
    text = path.read_text().replace('"s3://lake"\n', '"s3://lake"\nproperties = { role_arn = "r", region = "here" }\n')
    path.write_text(text)
    (line,) = find_problems(path)
    assert ".properties.role_arn: is not supported for Delta tables at this location; supported: access_key" in line


def test_properties_become_options_of_delta_rs() -> None:
    given = {"endpoint_override": "127.0.0.1:9000", "scheme": "http", "region": "r", "access_key": "k"}
    assert storage_options("s3", given, 2.5) == {
        "aws_endpoint": "http://127.0.0.1:9000", "aws_allow_http": "true", "aws_region": "r", "aws_access_key_id": "k",
        "timeout": "2500ms", "connect_timeout": "2500ms", "max_retries": "1", "retry_timeout": "2500ms",
    }  # fmt: skip
    assert storage_options("s3", {"endpoint_override": "s3.here"}, 1)["aws_endpoint"] == "https://s3.here"
    assert storage_options("abfs", {"account_name": "a"}, 1)["azure_storage_account_name"] == "a"


def test_a_package_that_is_not_installed_is_one_line(
    orders: Path, client: DeltaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    line = f"delta {orders.parent}: deltalake is not installed: pip install 'dataops-tui[delta]'"
    for ask in (lambda: observe(client), client.ping):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == line


def test_tables_are_proposed(lake: Path, orders: Path, client: DeltaClient) -> None:
    write(lake / "eu" / "returns", 1)
    (lake / "plain").mkdir()
    (lake / "a" / "b" / "c" / "d" / "e" / "_delta_log").mkdir(parents=True)
    draft = Draft()
    discover(draft, Clients(client))
    assert [stage.settings for stage in draft.stages()] == [
        {"name": "eu-returns", "kind": "delta_table", "table": "eu/returns"},
        {"name": "orders", "kind": "delta_table", "table": "orders"},
    ]
    assert "its timestamp columns: at." in next(draft.stages()).remarks[0]
    assert draft.failures == ()

    def by_spark(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for action in actions:
            if "commitInfo" in action:
                action["commitInfo"] |= {"operation": "STREAMING UPDATE", "operationParameters": {"queryId": "q-1"}}
        return actions

    edit(orders, 2, by_spark)
    found = DeltaClient("delta", DeltaSettings(location=str(lake)), 10.0)
    draft = Draft()
    discover(draft, Clients(found))
    assert [stage.remarks[0] for stage in draft.stages()][1] == (
        "The streaming query q-1 writes it: give its checkpoint with --checkpoint."
    )
    draft = Draft()
    draft.writers["q-1"] = draft.add("q", {"name": "land", "kind": "spark_query"})
    discover(draft, Clients(found))
    assert [stage.reads for stage in draft.stages("delta_table")] == [[], ["land"]]


def test_a_listing_of_tables_is_bounded(orders: Path, client: DeltaClient) -> None:
    assert client.tables(100, 0) == ()
    with pytest.raises(BadAnswer, match="more than 3 objects: set a narrower location"):
        client.tables(3, 4)


##### S3, and stores that do not respond


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Return the port of an S3 store with the bucket `raw`."""
    folder = tmp_path_factory.mktemp("weed")
    identity = {
        "name": "lake",
        "credentials": [{"accessKey": "key", "secretKey": "S3CR3T"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "admin", "s3")
    ports = {f"{part}.port{grpc}": free_port() for part in parts for grpc in ("", ".grpc")}
    ports["s3.port.iceberg"] = free_port()
    argv = (
        str(Path(sys.executable).parent / "weed"),
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.lance=0",
        *(f"-{flag}={port}" for flag, port in ports.items()),
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.localSocket={folder}/s3.sock",
        f"-s3.config={folder}/s3.json",
        "-bucket=raw",
    )
    env = {"HOME": str(folder), "TMPDIR": str(folder), "GOMEMLIMIT": "300MiB"}
    with (folder / "log").open("w") as log, subprocess.Popen(argv, env=env, stdout=log, stderr=log) as program:
        try:
            ends = time.monotonic() + 60
            while time.monotonic() < ends and not _bucket_exists(ports["s3.port"]):
                time.sleep(0.2)
            yield ports["s3.port"]
        finally:
            program.terminate()
            program.wait(20)


def _bucket_exists(port: int) -> bool:
    try:
        s3(port, 2.0, location="s3://raw").ping()
    except DataopsError:
        return False
    return True


def on_s3(port: int) -> dict[str, str]:
    return {"aws_access_key_id": "key", "aws_secret_access_key": "S3CR3T", "aws_region": "us-east-1"} | {
        "aws_endpoint": f"http://127.0.0.1:{port}", "aws_allow_http": "true", "aws_s3_allow_unsafe_rename": "true"
    }  # fmt: skip


@pytest.mark.programs
def test_a_table_on_s3(weed: int) -> None:
    from deltalake import DeltaTable, write_deltalake

    options = on_s3(weed)
    for number in range(3):
        write_deltalake("s3://raw/tables/eu/orders", rows(number), mode="append", storage_options=options)
    DeltaTable("s3://raw/tables/eu/orders", storage_options=options).create_checkpoint()
    DeltaTable("s3://raw/tables/eu/orders", storage_options=options).delete("id = 1")
    client = s3(weed, 20.0)
    detail, _ = observe_location(client)
    assert detail.startswith("the location exists; deltalake 1.")
    seen = observe(client, "eu/orders")
    assert (seen.measurement("version"), seen.measurement("data_version"), seen.position) == (3, 2, 2)
    assert (seen.measurement("checkpoint_version"), seen.measurement("versions_uncheckpointed")) == (2, 1)
    assert seen.progress_time is not None
    assert abs((seen.progress_time - datetime.now(UTC)).total_seconds()) < 60
    assert client.tables(100, 4) == ("eu/orders",)
    with pytest.raises(NotFound, match="table eu/returns: there is no Delta table"):
        observe(client, "eu/returns")
    with pytest.raises(AuthenticationFailed, match="rejected our credentials") as caught:
        observe(s3(weed, 20.0, secret="WR0NG"), "eu/orders")
    assert "WR0NG" not in str(caught.value)
    with pytest.raises(NotFound):
        observe(s3(weed, 20.0, location="s3://elsewhere"))


@pytest.fixture
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield int(server.getsockname()[1])


def s3(port: int, timeout: float, secret: str = "S3CR3T", location: str = "s3://raw/tables") -> DeltaClient:
    properties = {
        "endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "us-east-1",
        "access_key": "key", "secret_key": secret,
    }  # fmt: skip
    return DeltaClient("delta", DeltaSettings(location=location, properties=properties), timeout)


@pytest.mark.programs
def test_a_store_that_hangs_ends_at_the_deadline_and_blocks_no_other_thread(silent: int) -> None:
    import threading

    ticks, over = [], threading.Event()

    def tick() -> None:
        while not over.wait(0.02):
            ticks.append(1)

    ticking = threading.Thread(target=tick, daemon=True)
    client = s3(silent, 1.0)
    began = time.monotonic()
    ticking.start()
    with pytest.raises(TimedOut) as caught:
        observe(client)
    over.set()
    ticking.join()
    assert time.monotonic() - began < 20
    assert len(ticks) > 15, "the global lock was held while the store hung"
    assert str(caught.value).isprintable()


@pytest.mark.programs
def test_a_store_that_is_down_is_one_line_without_secrets() -> None:
    client = s3(free_port(), 10.0)
    with pytest.raises(ClientError) as caught:
        observe(client)
    assert isinstance(caught.value, Unreachable)
    assert str(caught.value) == "delta s3://raw/tables: table orders: cannot be reached"
    assert "S3CR3T" not in repr(client._settings)
