"""Stages whose progress a query returns: SQLite in a file, and PostgreSQL where it and its driver are installed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.ports import free_port
from tests.postgres import Postgres, initdb_program

from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ConfigError,
    DataopsError,
    QueryFailed,
    TimedOut,
    Unreachable,
)
from dataops_core.health.model import StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import find_problems, load_settings
from dataops_core.systems.sql.client import DatabaseClient
from dataops_core.systems.sql.reading import query_problem
from dataops_core.systems.sql.settings import DatabaseSettings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

CONFIG = """
[contexts.here.databases.shop]
url = "{url}"
[pipelines.invoices]
context = "here"
[[pipelines.invoices.stages]]
name = "invoices"
kind = "sql_query"
query = '''{query}'''
"""
QUERY = (
    "SELECT max(loaded_at) AS progress_time, count(*) AS position, sum(amount) AS amount, 'v1' AS version FROM invoices"
)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS position FROM n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE invoices (loaded_at TEXT, amount REAL)")
        database.executemany(
            "INSERT INTO invoices VALUES (?, ?)", [("2026-01-05 08:00:00", 2.5), ("2026-01-05 07:00:00", 1)]
        )
    database.close()
    return path


def written(tmp_path: Path, url: object, query: str = QUERY) -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(url=url, query=query))
    return path


def observed(path: Path, timeout: float = 10.0) -> Observation:
    settings = load_settings(path)
    return Clients(settings.contexts["here"], timeout).observe(settings.pipelines["invoices"].stages[0])


def test_the_row_is_read_by_its_columns(shop: Path, tmp_path: Path) -> None:
    seen = observed(written(tmp_path, f"sqlite:///{shop}"))
    assert seen.progress_time == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert (seen.position, seen.measurement("amount"), seen.attribute("version")) == (2, 3.5, "v1")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT 1 AS lag_records WHERE 1 = 0", "the query returns no row"),
        ("SELECT amount AS lag_records FROM invoices", "the query returns more than one row"),
        ("SELECT 1 AS a, 2 AS A", "or two of one name"),
        ("SELECT 'soon' AS progress_time", "the value of progress_time is not a time"),
        ("SELECT 1", "a name may hold lower-case letters, digits and _ only"),
        ("SELECT " + ", ".join(f"1 AS c{n}" for n in range(21)), "has 21 labels; the maximum is 20"),
    ],
)
def test_another_row_is_one_line(shop: Path, tmp_path: Path, query: str, error: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        observed(written(tmp_path, f"sqlite:///{shop}", query))
    assert error in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_null_is_unknown_and_never_green(shop: Path, tmp_path: Path) -> None:
    path = written(tmp_path, f"sqlite:///{shop}", "SELECT NULL AS progress_time, 3 AS lag_records")
    snapshot = Monitor(load_settings(path)).once()
    (stage,) = snapshot.pipelines[0].stages
    assert (stage.state, stage.reason) == (
        StageState.UNKNOWN,
        "it has unread records, but the age of the oldest is unknown",
    )
    assert [component.name for component in snapshot.components] == ["shop"]
    assert snapshot.components[0].reachable


def test_what_fails_is_one_line(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(QueryFailed, match="database shop: no such table: missing"):
        observed(written(tmp_path, f"sqlite:///{shop}", "SELECT count(*) AS position FROM missing"))
    with pytest.raises(Unreachable, match="does not exist"):
        observed(written(tmp_path, f"sqlite:///{tmp_path}/other.db"))
    assert not (tmp_path / "other.db").exists()
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises((QueryFailed, Unreachable), match="file is not a database"):
        observed(written(tmp_path, f"sqlite:///{tmp_path}/text.db"))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nothing", "url is not a SQLAlchemy URL"),
        ("oracle+oracledb://u:S3CR3T@h/d", "the driver oracledb is not installed"),
        ("nosuch://u:S3CR3T@h/d", "SQLAlchemy has no dialect nosuch"),
        ("${NOT_SET_HERE}", "the environment variable NOT_SET_HERE is not set"),
    ],
)
def test_a_wrong_url_is_an_error_of_the_settings(tmp_path: Path, url: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        observed(written(tmp_path, url))
    assert "S3CR3T" not in str(caught.value)


def test_without_the_extra_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(ConfigError, match="SQLAlchemy is not installed: pip install"):
        observed(written(tmp_path, "sqlite:///a.db"))


@pytest.mark.programs
def test_a_query_without_an_end_is_cancelled_and_the_next_one_goes_on(shop: Path, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, f"sqlite:///{shop}", ENDLESS))
    clients, stage = Clients(settings.contexts["here"], 1.0), settings.pipelines["invoices"].stages[0]
    began = time.monotonic()
    with pytest.raises(TimedOut, match="no response within 1s"):
        clients.observe(stage)
    assert time.monotonic() - began < 20
    assert clients.need("database").ping()[0] == "sqlite"


@pytest.mark.programs
def test_a_slow_query_does_not_make_the_database_look_down(shop: Path) -> None:
    client = DatabaseClient("shop", DatabaseSettings(url=f"sqlite:///{shop}"), 5.0)
    failed: list[BaseException] = []

    def slow() -> None:
        try:
            client.row(ENDLESS)
        except TimedOut as error:
            failed.append(error)

    thread = threading.Thread(target=slow, daemon=True)
    thread.start()
    time.sleep(0.5)
    assert client.ping()[0] == "sqlite"
    assert thread.is_alive()
    thread.join()
    assert len(failed) == 1


def test_changes_are_refused_by_the_settings_and_by_the_database(shop: Path, tmp_path: Path) -> None:
    (problem,) = find_problems(written(tmp_path, f"sqlite:///{shop}", "DELETE FROM invoices"))
    assert ".query: must begin with SELECT, WITH, VALUES or TABLE" in problem
    client = DatabaseClient("shop", DatabaseSettings(url=f"sqlite:///{shop}"), 10.0)
    with pytest.raises(QueryFailed, match="readonly"):
        client.row("DELETE FROM invoices")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; DELETE FROM t", "DELETE FROM t", "WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x",
        "SELECT * INTO u FROM t", "SELECT nextval('s')", "SELECT 1 -- x\n; DROP TABLE t",
        "/* SELECT */ UPDATE t SET a = 1",
        "SELECT * FROM t FOR UPDATE", "", ";", "SELECT load_extension('x')", "SELECT pg_sleep(1)", "x" * 20_001,
        "COPY t TO PROGRAM 'x'", "SELECT 'a''; DELETE FROM t", "SELECT 1 /* */ ; /* */ SELECT 2",
    ],
)  # fmt: skip
def test_a_statement_that_may_change_something_is_refused(query: str) -> None:
    assert query_problem(query) is not None


@pytest.mark.parametrize(
    "query",
    [
        "SELECT max(a) FROM t", "select 1;", "WITH x AS (SELECT 1) SELECT * FROM x", "-- why; delete\nSELECT 1",
        "SELECT 'a; DELETE FROM t', \"update\" FROM t", "SELECT updated_at, `set` FROM t", "/* insert; */ VALUES (1)",
    ],
)  # fmt: skip
def test_a_statement_that_reads_is_taken(query: str) -> None:
    assert query_problem(query) is None


def test_the_words_of_a_query_are_read_in_linear_time() -> None:
    began = time.monotonic()
    for text in ("'" * 20_000, "/*" * 10_000, "--" * 10_000, '"' * 19_999, "a'" * 10_000):
        query_problem(text)
    assert time.monotonic() - began < 10


def test_doctor_and_exporter_show_it(shop: Path, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, f"sqlite:///{shop}"))
    component, stage = diagnose(settings.contexts["here"], settings.pipelines, 10.0)
    assert component.status.value == "ok", component.steps
    assert {"progress_time: found", "label version: found"} <= {step.detail for step in stage.steps}
    monitor = Monitor(settings)
    seen = ServedSnapshot(monitor.once(), monitor.pipelines, settings.exporter, timedelta(1))
    found = {(metric.name, labels): number for metric, labels, number in snapshot_samples(seen)}
    assert found["dataops_stage_figure", ("invoices", "invoices", "sql", "amount", "")] == 3.5
    assert found["dataops_component_up", ("shop",)] == 1


##### PostgreSQL


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own, on a port of its own; its URL without a user."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    initdb = initdb_program()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(initdb)
    with (server.folder / "log").open("wb") as log:
        process = subprocess.Popen(server.argv, stdout=log, stderr=log, cwd=server.folder)
    try:
        client = DatabaseClient("shop", DatabaseSettings(url=server.url()), 10.0)
        for _ in range(200):
            try:
                client.ping()
                break
            except DataopsError:
                time.sleep(0.2)
        else:
            pytest.fail((server.folder / "log").read_text())
        yield f"{server.address}/postgres"
    finally:
        process.terminate()
        process.wait(60)
        server.remove()


@pytest.mark.programs
def test_postgresql_is_read_and_not_changed(postgres: str, tmp_path: Path) -> None:
    url = f"postgresql+psycopg://owner:own3r@{postgres}"
    query = "SELECT now() - interval '5 minutes' AS progress_time, 12::numeric AS lag_records, date '2026-01-05' AS day"
    seen = observed(written(tmp_path, url, query))
    assert seen.progress_time is not None
    assert 299 < (seen.observed_at - seen.progress_time).total_seconds() < 330
    assert seen.lag_records == 12
    client = DatabaseClient("shop", DatabaseSettings(url=url), 10.0)
    assert client.ping()[0] == "postgresql"
    with pytest.raises(QueryFailed, match="read-only transaction"):
        client.row("CREATE TABLE t (a int)")


@pytest.mark.programs
def test_postgresql_ends_a_statement_in_time(postgres: str) -> None:
    client = DatabaseClient("shop", DatabaseSettings(url=f"postgresql+psycopg://owner:own3r@{postgres}"), 1.0)
    began = time.monotonic()
    with pytest.raises(TimedOut):
        client.row("SELECT pg_sleep(60)")
    assert time.monotonic() - began < 20
    patient = DatabaseClient("shop", DatabaseSettings(url=f"postgresql+psycopg://owner:own3r@{postgres}"), 20.0)
    for _ in range(50):
        busy = patient.row("SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
        if busy == {"n": 0}:
            break
        time.sleep(0.2)
    else:
        pytest.fail("the statement goes on")


@pytest.mark.programs
def test_postgresql_refuses_a_wrong_password_in_one_line_without_it(postgres: str) -> None:
    client = DatabaseClient("shop", DatabaseSettings(url=f"postgresql+psycopg://owner:S3CR3T@{postgres}"), 10.0)
    with pytest.raises(AuthenticationFailed) as caught:
        client.ping()
    assert "S3CR3T" not in str(caught.value) + client.target
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.programs
def test_postgresql_that_is_down_is_one_line() -> None:
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    client = DatabaseClient(
        "shop", DatabaseSettings(url=f"postgresql+psycopg://o:S3CR3T@127.0.0.1:{free_port()}/d"), 10.0
    )
    with pytest.raises(Unreachable) as caught:
        client.ping()
    assert "S3CR3T" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
