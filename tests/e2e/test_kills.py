"""Kill -9 of Spark, Kafka, and the store with the catalog, under load, at seeded random moments: nothing lost or twice.

`make chaos` kills twenty times, `make test` four times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import TWO_TRIGGERS, Stack, high_watermarks, send, sent_since, until

from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.settings import JobSettings

KILLS = int(os.environ.get("DATAOPS_KILLS", "4"))
SEED = int(os.environ.get("DATAOPS_KILLS_SEED", "2013"))
VICTIMS = ("land_readings", "kafka", "store")
BETWEEN = (5.0, 25.0)
"""Seconds between two kills; a second one often comes before the first is mended."""
RATE = 1_500
"""Records per second, about: the load during the kills."""

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900 + 90 * KILLS)]


def test_no_reading_is_lost_or_landed_twice_whatever_is_killed(stack: Stack, tmp_path: Path) -> None:
    before = high_watermarks(stack)
    # 600 boxes a day send 1.4 records a second of simulated time
    arguments = ["--no-dumps", "--speed-up", str(RATE / 1.4), "--truth", str(tmp_path), "--start", "2013-04-01"]
    simulator = subprocess.Popen(
        [sys.executable, "-m", "dataops_pipeline.simulator", "run", *arguments], env=stack.env, text=True
    )
    chance = random.Random(SEED)
    killed = []
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(*BETWEEN))
            victim = chance.choice(VICTIMS)
            killed.append((victim, kill(stack, victim)))
        until(
            "what was killed last runs again", lambda: pid(stack, victim), lambda now: now != killed[-1][1], within=90
        )
    finally:
        simulator.send_signal(signal.SIGTERM)
        assert simulator.wait(120) == 0
    assert any(was is not None for _, was in killed)
    sent = json.loads((tmp_path / "summary.json").read_text())
    assert sent["records_sent"] > RATE * BETWEEN[0] * KILLS / 2

    since = sent_since(before)
    counted = (
        'SELECT count(*) AS records, count(DISTINCT ("partition", "offset")) AS distinct_records'
        f" FROM lake.bronze.%s WHERE {since}"
    )
    until(
        "the store answers again",
        lambda: stack.dataops("sql", counted % "readings"),
        lambda done: done.returncode == 0,
        within=120,
    )
    expected = {"readings": sent["records_sent"] - sent["garbage"], "rejected_readings": sent["garbage"]}
    for table, number in expected.items():
        until(
            f"every record in bronze.{table}",
            lambda table=table: stack.sql(counted % table)[0]["records"],
            lambda records, number=number: records >= number,
            within=300,
        )
    time.sleep(TWO_TRIGGERS)
    for table, number in expected.items():
        assert stack.sql(counted % table) == [{"records": number, "distinct_records": number}], killed
    assert_truth(stack, tmp_path / "readings.parquet")


def assert_truth(stack: Stack, path: Path) -> None:
    """Compare what was landed of each reading with what the simulator knows, by SQL."""
    catalog = open_catalog(JobSettings.from_env(stack.env))
    rows = pq.read_table(path)
    catalog.create_namespace_if_not_exists("truth")
    catalog.create_table("truth.killed", rows.schema).append(rows)
    loggers = "logger_id IN (SELECT DISTINCT logger_id FROM lake.truth.killed)"
    columns = "logger_id, sequence, reported_at, raw_temperature_c, gateway_id, received_at"
    landed = "logger_id, sequence, measured_at, temperature_c, gateway_id, received_at"
    missing = stack.sql(
        f"SELECT count(*) AS n FROM (SELECT {columns} FROM lake.truth.killed"
        f" EXCEPT SELECT {landed} FROM lake.bronze.readings WHERE {loggers})"
    )
    assert missing == [{"n": 0}]


def pid(stack: Stack, name: str) -> int | None:
    """Return the process id of a program that runs; `None` where it is about to be started again."""
    try:
        number = int((stack.state / "pids" / name).read_text())
        os.kill(number, 0)
    except (OSError, ValueError):
        return None
    return number


def kill(stack: Stack, name: str) -> int | None:
    """Kill a program and its children at once; it may be about to be started again, then nothing happens."""
    number = pid(stack, name)
    if number is not None:
        os.killpg(os.getpgid(number), signal.SIGKILL)
    return number


def test_a_lost_checkpoint_is_said_and_lands_nothing_twice(stack: Stack) -> None:
    stack.stop("land_readings")
    shutil.rmtree(stack.state / "checkpoints" / "land_readings")
    stack.start("land_readings")
    send(stack, 5000, day="2013-04-20")
    # It reads all of the topic again before it commits.
    stack.probe_until("a finding", lambda s: said(s["verdict"]), within=400)
    high = sum(high_watermarks(stack).values())
    counted = (
        "SELECT (SELECT count(*) FROM lake.bronze.readings) + (SELECT count(*) FROM lake.bronze.rejected_readings) AS n"
    )
    until("all records landed", lambda: stack.sql(counted)[0]["n"], lambda n: n >= high, within=300)
    time.sleep(TWO_TRIGGERS)
    assert stack.sql(counted) == [{"n": high}]


def said(verdict: dict[str, Any]) -> bool:
    """Tell whether a verdict speaks of the lost checkpoint, as the finding or beside a worse one."""
    told = (verdict["sentence"], *verdict["evidence"])
    return any("bronze.readings" in line and "checkpoint was lost" in line for line in told)
