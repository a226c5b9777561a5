"""The quality officer's SQL: every file is valid on the real Trino, and says what `docs/sql.md` shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import ROOT, Stack, until

from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.settings import JobSettings
from dataops_pipeline.tables import COLUMNS, EXCURSIONS, RECONCILIATION, RELEASES
from dataops_pipeline.views import queries

pytestmark = [pytest.mark.stack, pytest.mark.maintenance, pytest.mark.timeout(600)]

FILES = {query.name: ROOT / f"pipeline/dataops_pipeline/sql/{query.name}.sql" for query in queries()}
DETERMINISTIC = ("worst_routes",)
TAGS = {"gold.shipment_exposure": "lot_l1820", "silver.readings": "before_bl-0701-0004-c9"}
"""Those that the docs ask for, as a release and a recalibration leave them."""
PAGES = {path.name: path for path in sorted((ROOT / "docs").glob("*.md")) if "```sql" in path.read_text()}
ELSEWHERE = (EXCURSIONS, RECONCILIATION, RELEASES)
"""Tables that may not have been written yet: empty ones do for the queries to be checked."""
TYPES = {"string": "varchar", "timestamp": "timestamp(6) with time zone"}
"""Spark's types in Trino, where they differ."""


def job(stack: Stack, name: str, **env: str) -> str:
    """Run a job to its end, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", f"dataops_pipeline.jobs.{name}"],
        env={**stack.env, **env},
        timeout=300,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


@pytest.fixture(scope="module")
def tables(stack: Stack) -> None:
    """All tables that the queries read, with a tag as a release leaves one."""
    done = stack.dataops("dag", "trigger", "load_reference_data", "--wait", "--yes", timeout=400)
    assert done.returncode == 0, done.stderr
    catalog = open_catalog(JobSettings.from_env(stack.env))
    until(
        "land_readings makes the tables",
        lambda: [catalog.table_exists(name) for name in ("silver.readings", "gold.shipment_exposure")],
        all,
        within=120,
    )
    for name in ELSEWHERE:
        columns = (column.split() for column in " ".join(COLUMNS[name].split()).split(", "))
        listed = ", ".join(f"{column} {TYPES.get(kind, kind)}" for column, kind in columns)
        done = stack.dataops("sql", "--yes", f"CREATE TABLE IF NOT EXISTS {name} ({listed})")
        assert done.returncode == 0, done.stderr
    for name, tag in TAGS.items():
        table = catalog.load_table(name)
        if tag not in table.refs():
            table.append(table.schema().as_arrow().empty_table())
            table = catalog.load_table(name)
            table.manage_snapshots().create_tag(table.current_snapshot().snapshot_id, tag).commit()


@pytest.mark.parametrize("name", FILES)
def test_each_query_runs(stack: Stack, tables: None, name: str) -> None:
    # a timeline of all shipments is long
    done = stack.dataops("sql", "-o", "csv", f"SELECT * FROM ({FILES[name].read_text()}) LIMIT 5")
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_query_of_what_is_real_gives_what_the_docs_show(stack: Stack, tables: None, name: str) -> None:
    done = stack.dataops("sql", "-f", str(FILES[name]))
    assert done.returncode == 0, done.stderr
    assert _lines(done.stdout) == _lines(_shown(name))


def test_the_views_are_made_once(stack: Stack, tables: None) -> None:
    views = [query.name for query in queries() if query.is_view]
    job(stack, "create_views")
    assert f"0 views created, {len(views)} unchanged" in job(stack, "create_views")
    for name in views:
        assert stack.dataops("sql", f"SELECT * FROM lake.gold.{name} LIMIT 1").returncode == 0


@pytest.mark.parametrize("page", PAGES)
def test_each_statement_in_the_docs_is_valid(stack: Stack, tables: None, page: str) -> None:
    job(stack, "create_views")
    blocks = re.findall(r"```sql\n(.*?)```", PAGES[page].read_text(), re.DOTALL)
    statements = [part for block in blocks for part in re.split(r";\s*\n", block) if part.strip()]
    assert statements
    for statement in statements:
        done = stack.dataops("sql", f"EXPLAIN (TYPE VALIDATE) {statement.rstrip().removesuffix(';')}")
        assert done.returncode == 0, (statement, done.stderr)


def test_the_docs_show_each_query() -> None:
    text = (ROOT / "docs/sql.md").read_text()
    for query in queries():
        assert f"## `{query.name}`" in text
        assert f"pipeline/dataops_pipeline/sql/{query.name}.sql" in text


def _shown(name: str) -> str:
    text = Path(ROOT / "docs/sql.md").read_text()
    section = text.split(f"## `{name}`", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"```text\n(.*?)```", section, re.DOTALL)
    assert found, f"docs/sql.md shows no result of {name}"
    return found[1]


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
