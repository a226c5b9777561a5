"""Iceberg catalogs without a REST server: SQL on SQLite and PostgreSQL, Glue on moto, and a Hive port that hangs."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import NullPool, create_engine, inspect
from tests.lake import SCHEMA, rows
from tests.ports import free_port
from tests.unit import test_sql_databases

from dataops_core.errors import (
    AuthenticationFailed,
    ConfigError,
    DataopsError,
    NotFound,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.iceberg import inspect as iceberg_inspect
from dataops_core.systems.iceberg import sdk
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings

postgres = test_sql_databases.postgres
SECRET = "S3CR3T-of-ours"


def client(timeout: float = 5.0, **properties: str) -> CatalogClient:
    return CatalogClient("lake", CatalogSettings(properties=properties), timeout)


def failure(lake: CatalogClient, kind: type[DataopsError]) -> str:
    with pytest.raises(kind) as caught:
        lake.ping()
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


def fill(catalog: Catalog) -> None:
    catalog.create_namespace("gold")
    table = catalog.create_table("gold.shipments", SCHEMA)
    table.append(rows("Ames", "Bath"))
    table.append(rows("Cork"))


def reads_all(lake: CatalogClient) -> None:
    assert lake.ping() == 1
    state = lake.table("gold.shipments")
    assert (state.records, state.snapshots) == (3, 2)
    assert [table.name for table in iceberg_inspect.tables(lake)] == ["gold.shipments"]
    with pytest.raises(NotFound):
        lake.table("gold.nothing")


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield a port that accepts connections and never sends anything."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_a_sql_catalog_on_sqlite_is_read(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/cat.db"
    with closing(SqlCatalog("lake", uri=uri, warehouse=f"file://{tmp_path}/lake")) as writer:
        fill(writer)
    reads_all(client(type="sql", uri=uri))
    reads_all(client(type="SQL", uri=uri))
    reads_all(client(uri=uri))


def test_a_sql_catalog_is_never_created(tmp_path: Path) -> None:
    path = tmp_path / "cat.db"
    assert failure(client(type="sql", uri=f"sqlite:///{path}"), NotFound).endswith("cat.db does not exist")
    assert not path.exists()
    path.touch()
    assert "no table iceberg_tables" in failure(client(type="sql", uri=f"sqlite:///{path}"), NotFound)
    assert inspect(create_engine(f"sqlite:///{path}")).get_table_names() == []


@pytest.mark.programs
def test_a_sql_catalog_on_postgresql_is_read(postgres: str, tmp_path: Path) -> None:
    uri = f"postgresql+psycopg://owner:own3r@{postgres}"
    assert "no table iceberg_tables" in failure(client(type="sql", uri=uri), NotFound)
    assert inspect(create_engine(uri, poolclass=NullPool)).get_table_names() == []
    with closing(SqlCatalog("lake", uri=uri, warehouse=f"file://{tmp_path}/lake")) as writer:
        fill(writer)
    reads_all(client(type="sql", uri=uri))
    wrong = f"postgresql+psycopg://owner:{SECRET}@{postgres}"
    assert "password authentication failed" in failure(client(type="sql", uri=wrong), AuthenticationFailed)


@pytest.mark.programs
def test_a_lock_on_postgresql_ends_in_the_timeout(postgres: str) -> None:
    uri = f"postgresql+psycopg://owner:own3r@{postgres}"
    SqlCatalog("lake", uri=uri, warehouse="file:///nowhere").close()
    lake = client(1.0, type="sql", uri=uri)
    assert lake.ping() >= 0
    with create_engine(uri, poolclass=NullPool).begin() as other:
        other.exec_driver_sql("LOCK TABLE iceberg_tables IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        assert "no response within 1s" in failure(lake, TimedOut)
        assert time.monotonic() - begun < 20
    assert lake.ping() >= 0, "it works again"


@pytest.mark.parametrize(
    "properties",
    [
        {"type": "sql", "uri": f"postgresql+psycopg://o:{SECRET}@127.0.0.1:{{port}}/d"},
        {"type": "glue", "glue.endpoint": "http://127.0.0.1:{port}"},
        {"type": "hive", "uri": "thrift://127.0.0.1:{port}"},
    ],
    ids=["postgresql", "glue", "hive"],
)
def test_a_port_that_hangs_or_is_closed_is_one_line(properties: dict[str, str], silent: int) -> None:
    needs = {"sql": "psycopg", "glue": "boto3", "hive": "thrift"}[properties["type"]]
    pytest.importorskip(needs)
    keys = {"glue.region": "eu-west-1", "glue.access-key-id": "x", "glue.secret-access-key": SECRET}
    given = {**(keys if needs == "boto3" else {}), **properties}
    begun = time.monotonic()
    hanging = client(2.0, **{key: value.format(port=silent) for key, value in given.items()})
    assert "no response within 2s" in failure(hanging, TimedOut)
    assert time.monotonic() - begun < 20
    assert "no response within 2s" in failure(hanging, TimedOut), "the earlier call has ended"
    closed = free_port()
    failure(client(2.0, **{key: value.format(port=closed) for key, value in given.items()}), Unreachable)


@pytest.mark.parametrize(
    ("properties", "module", "extra"),
    [
        ({"type": "sql", "uri": "postgresql+psycopg://o:x@h/d"}, "psycopg", "postgres-catalog"),
        ({"type": "sql", "uri": "sqlite:///x"}, "sqlalchemy", "sql-catalog"),
        ({"type": "glue"}, "botocore", "glue"),
        ({"type": "hive", "uri": "thrift://h:9083"}, "thrift", "hive"),
    ],
)
def test_a_missing_extra_is_named(
    properties: dict[str, str], module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] == module or name.startswith("pyiceberg.catalog.")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    text = failure(client(**properties), ConfigError)
    assert text.endswith(f"{module} is not installed: pip install 'dataops-tui[{extra}]'")


def test_any_spelling_of_a_rest_catalog_is_guarded() -> None:
    for properties in ({"type": "REST", "uri": "http://h"}, {"uri": "https://h"}, {"type": "rest", "uri": "http://h"}):
        assert sdk.type_of(properties) == "rest"
    assert sdk.type_of({"type": "rest", "py-catalog-impl": "a.b.C"}) == ""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    pytest.importorskip("boto3")
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto is not installed")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
    )
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_a_glue_catalog_is_read(moto: str) -> None:
    import boto3
    from pyiceberg.catalog.glue import GlueCatalog

    keys = {"region": "us-east-1", "access-key-id": "x", "secret-access-key": "x", "endpoint": moto}
    properties = {f"{service}.{key}": value for service in ("glue", "s3") for key, value in keys.items()}
    s3 = boto3.client(
        "s3", endpoint_url=moto, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    s3.create_bucket(Bucket="lakewh")
    fill(GlueCatalog("lake", warehouse="s3://lakewh", **properties))
    reads_all(client(10.0, type="glue", **properties))
