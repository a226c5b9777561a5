"""Each DAG in the real Airflow, twice: the second run finds nothing to do, and every table stays as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.e2e.conftest import Stack, until

pytestmark = [pytest.mark.stack, pytest.mark.maintenance, pytest.mark.timeout(1800)]

FIRST: dict[str, dict[str, Any]] = {
    "reconcile_logger_dumps": {},
    "replay_rejected": {"quoted_numbers": True, "reason": "wrong-type"},
    "conform_readings": {},
}
CERTIFICATE: dict[str, Any] = {
    "calibration_id": "TEST-C1",
    "correction_c": 0.5,
    "issued_at": "2030-01-01T00:00:00Z",
    "valid_from": "2013-01-01T00:00:00Z",
}
LAST: dict[str, dict[str, Any]] = {
    "assess_shipments": {},
    "create_views": {},
    "maintain_tables": {"retention_hours": 0},
}
LOGGER = (
    "SELECT logger_id FROM lake.silver.readings WHERE source = 'stream' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
)
MEAN = "SELECT avg(temperature_c) AS c, count(*) AS n FROM lake.silver.readings {} WHERE logger_id = '{}'"
COLUMNS = """
    SELECT table_schema, table_name, array_agg('"' || column_name || '"' ORDER BY ordinal_position) AS names
    FROM lake.information_schema.columns JOIN lake.information_schema.tables USING (table_schema, table_name)
    WHERE table_schema IN ('bronze', 'silver', 'gold') AND table_type = 'BASE TABLE' GROUP BY 1, 2"""


def run(stack: Stack, dag_id: str, **params: Any) -> None:
    """Trigger a DAG as its operator does, and wait for its end."""
    conf = ("--conf", json.dumps(params)) if params else ()
    done = stack.dataops("dag", "trigger", dag_id, "--wait", "--timeout", "500", "--yes", *conf, timeout=600)
    assert done.returncode == 0, done.stderr


def contents(stack: Stack) -> dict[str, tuple[int, str]]:
    """Return how many rows each table has, and a checksum of them that their order does not change."""
    selects = [
        f"SELECT '{table['table_schema']}.{table['table_name']}' AS name, count(*) AS n,"
        f" to_hex(checksum(ROW({', '.join(table['names'])}))) AS sum"
        f" FROM lake.{table['table_schema']}.{table['table_name']}"
        for table in stack.sql(COLUMNS)
    ]
    return {row["name"]: (row["n"], row["sum"]) for row in stack.sql(" UNION ALL ".join(selects))}


def test_each_dag_runs_twice_with_the_same_result(stack: Stack) -> None:
    run(stack, "load_reference_data")
    day = ["--start", "2013-03-01"]
    for arguments in (["run", "--no-dumps", "--as-fast-as-possible", "--readings", "30000", *day], ["dumps", *day]):
        subprocess.run(
            [sys.executable, "-m", "dataops_pipeline.simulator", *arguments], env=stack.env, check=True, timeout=600
        )
    landed = "SELECT count(*) AS n FROM lake.bronze.readings WHERE measured_at < TIMESTAMP '2013-03-15 00:00:00 UTC'"
    until("all is landed", lambda: stack.sql(landed)[0]["n"], lambda n: n >= 29_000, within=180)
    run(stack, "conform_readings")
    for dag_id, params in FIRST.items():
        run(stack, dag_id, **params)
    (logger,) = stack.sql(LOGGER)
    before = stack.sql(MEAN.format("", logger["logger_id"]))
    then: dict[str, dict[str, Any]] = {"recalibrate_logger": {**logger, **CERTIFICATE}, **LAST}
    for dag_id, params in then.items():
        run(stack, dag_id, **params)
    once = contents(stack)
    for table in ("silver.reconciliation", "bronze.logger_dumps", "gold.shipment_exposure", "bronze.recalibrations"):
        assert once[table][0] > 0, table
    for dag_id, params in {"load_reference_data": {}, **FIRST, **then}.items():
        run(stack, dag_id, **params)
    assert contents(stack) == once

    restated = stack.sql(MEAN.format("", logger["logger_id"]))
    earlier = stack.sql(
        MEAN.format(f"FOR VERSION AS OF 'before_{CERTIFICATE['calibration_id'].lower()}'", logger["logger_id"])
    )
    assert earlier == before
    assert restated != before, "the certificate counts, and what stood before it stays readable by its tag"
