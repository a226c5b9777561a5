"""A hundred thousand faulty readings through the real stack: each record once, and silver equals the truth.

`make chaos` sends a million.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import Stack, high_watermarks, sent_since, until

from dataops_pipeline.catalog import open_catalog
from dataops_pipeline.settings import JobSettings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

READINGS = int(os.environ.get("DATAOPS_READINGS", "100000"))
OURS = "logger_id IN (SELECT logger_id FROM lake.truth.readings)"
"""The others are of days that other tests sent."""


@pytest.fixture(scope="module")
def sent(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], Path, str]:
    """Send the readings as fast as Kafka takes them.

    Returns:
        The simulator's own summary, the folder of its truth, and the SQL condition of the records.
    """
    before = high_watermarks(stack)
    truth = tmp_path_factory.mktemp("truth")
    # the stack's reference data is that of the default seed, for the whole year
    arguments = [
        "--no-dumps",
        "--as-fast-as-possible",
        "--readings",
        str(READINGS),
        "--truth",
        str(truth),
        "--start",
        "2013-05-01",
    ]
    faults = ["--duplicates", "0.02", "--garbage", "0.01", "--late", "0.05", "--clock-ahead", "0.01"]
    subprocess.run(
        [sys.executable, "-m", "dataops_pipeline.simulator", "run", *arguments, *faults],
        env=stack.env,
        check=True,
        timeout=600,
    )
    return json.loads((truth / "summary.json").read_text()), truth, sent_since(before)


def test_each_record_is_landed_exactly_once(stack: Stack, sent: tuple[dict[str, int], Path, str]) -> None:
    summary, _, ours = sent
    assert summary["records_sent"] == READINGS
    assert summary["garbage"] > 0.008 * READINGS
    assert summary["duplicates"] > 0.015 * READINGS
    landed = until(
        "every record in bronze or rejected",
        lambda: stack.sql(
            f"SELECT (SELECT count(*) FROM lake.bronze.readings WHERE {ours}) AS good,"
            f" (SELECT count(*) FROM lake.bronze.rejected_readings WHERE {ours}) AS rejected"
        )[0],
        lambda row: row["good"] + row["rejected"] >= READINGS,
        within=300,
    )
    assert landed == {"good": READINGS - summary["garbage"], "rejected": summary["garbage"]}
    gaps = stack.sql(
        'SELECT "partition", count(*) AS records, count(DISTINCT "offset") AS offsets, max("offset") + 1 AS expected'
        ' FROM (SELECT "partition", "offset" FROM lake.bronze.readings'
        ' UNION ALL SELECT "partition", "offset" FROM lake.bronze.rejected_readings) GROUP BY 1 ORDER BY 1'
    )
    assert len(gaps) == 4
    for row in gaps:
        assert row["records"] == row["offsets"] == row["expected"], row


def test_silver_equals_the_truth(stack: Stack, sent: tuple[dict[str, int], Path, str]) -> None:
    summary, truth, _ = sent
    catalog = open_catalog(JobSettings.from_env(stack.env))
    rows = pq.read_table(truth / "readings.parquet")
    catalog.create_namespace_if_not_exists("truth")
    catalog.create_table("truth.readings", rows.schema).append(rows)
    assert rows.num_rows == summary["distinct_readings"]

    conformed = stack.dataops("dag", "trigger", "conform_readings", "--wait", "--yes", timeout=600)
    assert conformed.returncode == 0, conformed.stderr
    assert stack.sql(f"SELECT count(*) AS n FROM lake.silver.readings WHERE {OURS}") == [{"n": rows.num_rows}]
    columns = (
        "logger_id, sequence, measured_at, reported_at, clock_ahead, raw_temperature_c, temperature_c, calibration_id,"
        " gateway_id, received_at"
    )
    for left, right in (("silver", "truth"), ("truth", "silver")):
        differing = stack.sql(
            f"SELECT count(*) AS n FROM (SELECT {columns} FROM lake.{left}.readings WHERE {OURS}"
            f" EXCEPT SELECT {columns} FROM lake.{right}.readings WHERE {OURS})"
        )
        assert differing == [{"n": 0}], f"in {left}, not in {right}"
    assert stack.sql("SELECT count(*) AS n FROM lake.silver.readings WHERE clock_ahead")[0]["n"] > 0
    contradicted = stack.sql(f"SELECT count(*) AS n FROM lake.silver.conflicting_readings WHERE {OURS}")
    assert contradicted == [{"n": summary["conflicts"]}]
