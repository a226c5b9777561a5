"""Maintenance and replay on the real store: nothing is lost or comes twice, and what a job or a tag needs stays."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.e2e.conftest import Stack, until
from tests.e2e.test_sql import job

from dataops_pipeline.catalog import PROGRESS, newest_with, open_catalog
from dataops_pipeline.jobs.land_readings import END_OFFSETS
from dataops_pipeline.settings import JobSettings

pytestmark = [pytest.mark.stack, pytest.mark.maintenance, pytest.mark.timeout(900)]

BATCHES = 4
KILLED = """
import os
from dataops_pipeline.jobs.replay_rejected import Options, move
from dataops_pipeline.session import spark_session
from dataops_pipeline.settings import JobSettings
move(spark_session(JobSettings.from_env(), "killed"), Options(quoted_numbers=True), lambda: os._exit(9))
"""
RECORDS = (
    'SELECT count(*) AS records, count(DISTINCT ("partition", "offset")) AS places FROM'
    ' (SELECT "partition", "offset" FROM lake.bronze.readings'
    ' UNION ALL SELECT "partition", "offset" FROM lake.bronze.rejected_readings)'
)
QUOTED = (
    "SELECT count(*) AS n FROM lake.bronze.rejected_readings"
    ' WHERE regexp_like(from_utf8(payload), \'"temperature_c":"-?[0-9.]+"\')'
)


@pytest.fixture
def landed(stack: Stack) -> int:
    """Send some readings in several batches, so that there are small files; return how many records there are."""
    for _ in range(BATCHES):
        before = stack.sql("SELECT count(*) AS n FROM lake.bronze.readings")[0]["n"] if _exists(stack) else 0
        subprocess.run(
            [sys.executable, "-m", "dataops_pipeline.simulator", "run", "--as-fast-as-possible", "--readings", "3000"],
            env=stack.env,
            check=True,
            timeout=120,
        )
        until("a batch is landed", lambda: _landed(stack), lambda n, before=before: n >= before + 2000, within=120)  # type: ignore[misc]
    return _settled(stack)


def test_replay_moves_each_record_once_also_when_it_was_killed_between_its_commits(stack: Stack, landed: int) -> None:
    quoted = stack.sql(QUOTED)[0]["n"]
    assert quoted > 0
    done = subprocess.run([sys.executable, "-c", KILLED], env=stack.env, timeout=300, check=False)
    assert done.returncode == 9
    assert stack.sql(RECORDS)[0] == {"records": landed + quoted, "places": landed}, "in both tables for now"
    said = job(stack, "replay_rejected", BOREAL_PARAM_QUOTED_NUMBERS="true")
    assert f"0 are new in lake.bronze.readings, {quoted} existed already" in said
    assert stack.sql(RECORDS)[0] == {"records": landed, "places": landed}
    assert stack.sql(QUOTED)[0]["n"] == 0
    said = job(stack, "replay_rejected", BOREAL_PARAM_QUOTED_NUMBERS="true")
    assert "none of the rejected records is valid now" in said
    assert stack.sql(RECORDS)[0] == {"records": landed, "places": landed}


def test_maintenance_leaves_every_row_the_stamps_and_the_tags(stack: Stack, landed: int) -> None:
    catalog = open_catalog(JobSettings.from_env(stack.env))
    bronze = catalog.load_table("bronze.readings")
    first = bronze.history()[0].snapshot_id
    bronze.manage_snapshots().create_tag(first, "first").commit()
    tagged = stack.sql("SELECT count(*) AS n FROM lake.bronze.readings FOR VERSION AS OF 'first'")
    stamps = {name: newest_with(bronze, name) for name in (END_OFFSETS, PROGRESS)}
    assert all(stamps.values())
    files = _files(stack)
    said = job(stack, "maintain_tables", BOREAL_PARAM_DRY_RUN="true", BOREAL_PARAM_RETENTION_HOURS="0")
    assert "bronze.readings: " in said
    assert _files(stack) == files

    job(stack, "maintain_tables", BOREAL_PARAM_RETENTION_HOURS="0")
    assert _files(stack) < files
    assert stack.sql(RECORDS)[0] == {"records": landed, "places": landed}
    assert stack.sql("SELECT count(*) AS n FROM lake.bronze.readings FOR VERSION AS OF 'first'") == tagged
    bronze = catalog.load_table("bronze.readings")
    for name, found in stamps.items():
        assert newest_with(bronze, name) == found, name


def _files(stack: Stack) -> int:
    return int(stack.sql('SELECT count(*) AS n FROM lake.bronze."readings$files"')[0]["n"])


def _exists(stack: Stack) -> bool:
    return open_catalog(JobSettings.from_env(stack.env)).table_exists("bronze.readings")


def _landed(stack: Stack) -> int:
    return int(stack.sql("SELECT count(*) AS n FROM lake.bronze.readings")[0]["n"]) if _exists(stack) else 0


def _settled(stack: Stack) -> int:
    """Wait until nothing more comes, and return the number of records in both tables."""
    seen: list[int] = []

    def look() -> bool:
        seen.append(int(stack.sql(RECORDS)[0]["records"]))
        return len(seen) > 8 and len(set(seen[-8:])) == 1

    until("nothing more comes", look, bool, within=120)
    return seen[-1]
