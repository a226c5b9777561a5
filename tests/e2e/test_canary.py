"""The canary on the whole stack: it arrives, each hop is timed, and no business table ever holds it."""

from __future__ import annotations

import json
import time

import pytest
from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def send(stack: Stack, *options: str) -> tuple[int, dict, str]:
    done = stack.dataops("canary", "boreal-bridge", "--yes", "-o", "json", *options, timeout=400)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def landing(stack: Stack) -> None:
    """`land_readings` runs, and has written its tables."""
    until(
        "land_readings has made its tables",
        lambda: stack.dataops("sql", "SELECT count(*) FROM lake.bronze.readings").returncode,
        lambda code: code == 0,
        within=240,
    )


def test_it_arrives_and_each_hop_is_timed(stack: Stack, landing: None) -> None:
    code, told, said = send(stack)
    outcomes = {p["hop"]: p["outcome"] for p in told["passages"]}
    assert list(outcomes) == ["logger-readings", "bronze.readings", "land_readings", "lake.bronze.readings"]
    # how long each takes is this machine's; that it was seen is what counts
    assert set(outcomes.values()) <= {"seen", "late"}, (told, said)
    assert code == (0 if set(outcomes.values()) == {"seen"} else 1)
    assert all(p["after"] > 0 and p["took"] >= 0 for p in told["passages"][1:])
    (row,) = stack.sql(f"SELECT * FROM lake.bronze.readings WHERE logger_id = '{told['id']}'")
    assert (row["partition"], row["offset"]) == (told["partition"], told["offset"])


def test_no_business_table_holds_it(stack: Stack, landing: None) -> None:
    _, told, _ = send(stack)
    done = stack.dataops("dag", "trigger", "conform_readings", "--wait", "--yes", timeout=400)
    assert done.returncode == 0, done.stderr
    landed = stack.sql("SELECT count(*) AS n FROM lake.bronze.readings WHERE logger_id LIKE 'CANARY-%'")
    assert landed[0]["n"] >= 1
    for table in ("silver.readings", "silver.conflicting_readings"):
        assert stack.sql(f"SELECT count(*) AS n FROM lake.{table} WHERE logger_id LIKE 'CANARY-%'")[0]["n"] == 0
    assert told["id"].startswith("CANARY-")


def test_a_hop_that_stands_still_is_named(stack: Stack, landing: None) -> None:
    stack.stop("land_readings")
    try:
        began = time.monotonic()
        code, told, said = send(stack, "--timeout", "10")
        assert time.monotonic() - began > 9
        assert code == 4, said
        assert "the first hop without it is bronze.readings" in said
        assert [p["outcome"] for p in told["passages"]] == ["seen", "missing", "missing", "missing"]
    finally:
        stack.start("land_readings")
    until(
        "the canary arrives once land_readings runs again",
        lambda: stack.sql(f"SELECT count(*) AS n FROM lake.bronze.readings WHERE logger_id = '{told['id']}'"),
        lambda rows: rows[0]["n"] == 1,
        within=240,
    )


def test_it_is_refused_without_confirmation(stack: Stack) -> None:
    done = stack.dataops("canary", "boreal-bridge")
    assert done.returncode == 2
    assert 'confirm with "yes"' in done.stderr
