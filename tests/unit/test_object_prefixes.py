"""Stages whose progress is the newest object below a prefix: local folders, and an S3 that refuses or hangs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ports import free_port

from dataops_core.errors import BadAnswer, ConfigError, DataopsError, NotFound, TimedOut
from dataops_core.health.model import StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.object_prefix.probe import prefixes_at
from dataops_core.systems.object_prefix.settings import ObjectStoreSettings
from dataops_core.systems.object_prefix.store import ObjectStore
from dataops_core.systems.registry import find_problems, load_settings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

CONFIG = """
[contexts.here.object_stores.landing]
location = "{location}"
[pipelines.orders]
context = "here"
[[pipelines.orders.stages]]
name = "files"
kind = "object_prefix"
prefix = "orders"
{more}
"""
AT = datetime(2026, 1, 5, 8, tzinfo=UTC)


def put(root: Path, path: str, hours: float, size: int = 10) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    at = (AT + timedelta(hours=hours)).timestamp()
    os.utime(file, (at, at))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "landing"
    put(found, "orders/dt=1/a.parquet", 0)
    put(found, "orders/dt=1/_SUCCESS", 1, 0)
    put(found, "orders/dt=2/b.parquet", 2)
    put(found, "orders/dt=2/.b.parquet.crc", 3)
    put(found, "orders/dt=2/c.csv", 4, 30)
    put(found, "others/d.parquet", 9)
    return found


def written(tmp_path: Path, location: object, more: str = "") -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(location=location, more=more))
    return path


def observed(path: Path) -> Observation:
    settings = load_settings(path)
    return Clients(settings.contexts["here"], 10.0).observe(settings.pipelines["orders"].stages[0])


def test_the_newest_object_is_the_progress(root: Path, tmp_path: Path) -> None:
    seen = observed(written(tmp_path, root))
    assert (seen.progress_time, seen.lag_records) == (AT + timedelta(hours=4), None)
    assert (seen.measurement("objects"), seen.measurement("object_bytes")) == (3, 50)
    assert seen.attribute("newest_object") == "orders/dt=2/c.csv"
    seen = observed(written(tmp_path, f"file://{root}", 'match = "*.parquet"'))
    assert (seen.progress_time, seen.measurement("objects")) == (AT + timedelta(hours=2), 2)


def test_with_a_marker_only_folders_that_have_it_count(root: Path, tmp_path: Path) -> None:
    path = written(tmp_path, root, 'marker = "_SUCCESS"')
    seen = observed(path)
    assert (seen.progress_time, seen.pending_since) == (AT + timedelta(hours=1), AT + timedelta(hours=2))
    assert (seen.lag_records, seen.measurement("bytes_waiting"), seen.measurement("folders_unmarked")) == (2, 40, 1)
    put(root, "orders/dt=2/_SUCCESS", 5, 0)
    seen = observed(path)
    assert (seen.progress_time, seen.lag_records) == (AT + timedelta(hours=5), 0)


def test_objects_that_wait_hold_the_progress_at_the_oldest(root: Path, tmp_path: Path) -> None:
    path = written(tmp_path, root, "waits = true\nwaiting_max = 2")
    seen = observed(path)
    assert (seen.progress_time, seen.lag_records, seen.pending_since) == (AT, 3, AT)
    settings = load_settings(path)
    monitor = Monitor(settings)
    snapshot = monitor.once()
    (stage,) = snapshot.pipelines[0].stages
    (finding,) = stage.findings
    assert (finding.check_id, finding.sentence) == ("files/objects-waiting", "3 objects waiting, more than 2")
    served = ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(served)}
    assert samples["dataops_stage_figure", ("orders", "files", "object_prefix", "bytes_waiting", "bytes")] == 50
    assert samples["dataops_component_up", ("landing",)] == 1
    for file in (root / "orders").rglob("*.*"):
        file.unlink()
    emptied = observed(path)
    assert (emptied.lag_records, emptied.progress_time) == (0, emptied.observed_at)


def test_a_prefix_that_is_missing_is_unknown(root: Path, tmp_path: Path) -> None:
    path = written(tmp_path, root)
    path.write_text(path.read_text().replace('"orders"', '"nothing"'))
    with pytest.raises(NotFound, match="there is no such prefix"):
        observed(path)
    (stage,) = Monitor(load_settings(path)).once().pipelines[0].stages
    assert stage.state is StageState.UNKNOWN
    with pytest.raises(NotFound, match="there is nothing at this location"):
        ObjectStore("landing", ObjectStoreSettings(location=str(tmp_path / "nowhere")), 5.0).ping()


def test_the_folder_of_the_day_before_is_read_as_well() -> None:
    at = datetime(2026, 1, 5, 0, 10, tzinfo=UTC)
    assert prefixes_at("/a/dt=%Y-%m-%d/", at) == ("a/dt=2026-01-05", "a/dt=2026-01-04")
    assert prefixes_at("a/%Y/%m/%d/%H", at) == ("a/2026/01/05/00", "a/2026/01/04/23")
    assert prefixes_at("a", at) == ("a",)


def test_a_listing_is_bounded(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BadAnswer, match="more than 4 objects below orders") as caught:
        observed(written(tmp_path, root, "objects_max = 4"))
    assert "set a narrower prefix" in str(caught.value)


@pytest.fixture
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield int(server.getsockname()[1])


def s3(port: int, timeout: float, **more: str) -> ObjectStore:
    properties = {
        "endpoint_override": f"127.0.0.1:{port}", "scheme": "http", "region": "here",
        "access_key": "key", "secret_key": "S3CR3T", **more,
    }  # fmt: skip
    return ObjectStore("landing", ObjectStoreSettings(location="s3://bucket", properties=properties), timeout)


@pytest.mark.programs
def test_a_store_that_hangs_ends_at_the_deadline(silent: int) -> None:
    store, began = s3(silent, 1.0), time.monotonic()
    with pytest.raises(TimedOut) as caught:
        store.objects("a", 10)
    assert time.monotonic() - began < 15
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.programs
def test_a_store_that_is_down_is_one_line_without_secrets() -> None:
    with pytest.raises(DataopsError) as caught:
        s3(free_port(), 30.0).ping()
    assert not isinstance(caught.value, BadAnswer)
    assert len(str(caught.value).splitlines()) == 1
    assert "S3CR3T" not in str(caught.value)
    assert "S3CR3T" not in repr(s3(1, 1.0)._settings)


def test_a_property_that_arrow_does_not_have_is_an_error_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="invalid properties for Arrow") as caught:
        s3(1, 5.0, colour="red").ping()
    assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "more", "problem"),
    [
        ("ftp://host", "", ".location: must begin with s3://, gs://, abfs://, file:// or /"),
        ("s3://", "", ".location: has no bucket"),
        ("file:relative", "", ".location: must be an absolute path"),
        ("/a", 'waits = true\nmarker = "x"', "has `waits` and `marker`"),
        ("/a", "objects_max = 0", "greater than 0"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, location: str, more: str, problem: str) -> None:
    assert any(problem in line for line in find_problems(written(tmp_path, location, more)))


def test_a_prefix_outside_of_the_location_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "/a")
    path.write_text(path.read_text().replace('"orders"', '"../b"'))
    assert any(".prefix: must be below" in line for line in find_problems(path))
