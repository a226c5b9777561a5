"""The DAGs, loaded by Airflow itself in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from dataops_local.layout import AIRFLOW_VENV, ROOT
from dataops_pipeline.jobs.recalibrate_logger import MAX_CORRECTION_C, NUMBER, Certificate
from dataops_pipeline.jobs.runner import SKIPPED

CODE = """
import json, logging, os, runpy
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("pipeline/dags")
found = {
    dag.dag_id: {
        "tasks": [task.task_id for task in dag.tasks],
        "retries": min(task.retries for task in dag.tasks),
        "owner": dag.owner,
        "minutes": max(task.execution_timeout.total_seconds() for task in dag.tasks) / 60,
        "schedule": type(dag.timetable).__name__,
        "params": {name: dag.params.get_param(name).dump() for name in dag.params},
        "outlets": [asset.uri for task in dag.tasks for asset in task.outlets],
        "pools": sorted({task.pool for task in dag.tasks}),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "documented": bool(dag.doc_md),
        "commands": [task.bash_command for task in dag.tasks],
        "env": [task.env or {} for task in dag.tasks],
        "skips": [list(task.skip_on_exit_code) for task in dag.tasks],
    }
    for dag in bag.dags.values()
}
conform = bag.dags["conform_readings"].timetable.timetable.delta.total_seconds()
reconcile = bag.dags["reconcile_logger_dumps"].timetable.delta.total_seconds()
refused = {}
for text in ("0", "-1", "often", "nan", "1440"):
    os.environ["BOREAL_CONFORM_MINUTES"] = text
    try:
        runpy.run_path("pipeline/dags/boreal_bridge.py")
    except ValueError as error:
        refused[text] = str(error)
print("FOUND" + json.dumps(
    {"errors": bag.import_errors, "dags": found, "intervals": [conform, reconcile], "refused": refused}
))
"""

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what Airflow makes of the folder of DAGs."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **os.environ,
        "BOREAL_CONFORM_MINUTES": "2.5",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    done = subprocess.run(
        [AIRFLOW_VENV / "bin" / "python", "-c", CODE],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    loaded: dict[str, Any] = json.loads(done.stdout.split("FOUND", 1)[1].splitlines()[0])
    return loaded


@pytest.fixture(scope="module")
def dags(found: dict[str, Any]) -> dict[str, Any]:
    """Return each DAG by its name."""
    assert found["errors"] == {}
    dags: dict[str, Any] = found["dags"]
    return dags


def test_how_often_a_dag_runs_is_a_setting(found: dict[str, Any]) -> None:
    assert found["intervals"] == [150, 600], "in seconds: that of the environment, and the default"
    assert found["refused"] == {
        text: f"BOREAL_CONFORM_MINUTES is '{text}': a number of minutes, more than 0 and less than a day"
        for text in ("0", "-1", "often", "nan", "1440")
    }


def test_each_job_has_a_thin_dag(dags: dict[str, Any]) -> None:
    assert set(dags) == {
        "load_reference_data",
        "conform_readings",
        "reconcile_logger_dumps",
        "assess_shipments",
        "recalibrate_logger",
        "create_views",
        "maintain_tables",
        "replay_rejected",
    }
    for name, dag in dags.items():
        assert dag["tasks"] == [name]
        assert dag["retries"] == 2
        assert dag["owner"] == "boreal-bridge"
        assert 0 < dag["minutes"] <= 60
        assert dag["catchup"] is False
        assert dag["max_active_runs"] == 1
        assert dag["documented"]
        assert dag["skips"] == [[SKIPPED]], "a job that comes too early is no failure"
        assert dag["commands"][0].endswith(f"-m dataops_pipeline.jobs.{name}")
        assert (ROOT / f"pipeline/dataops_pipeline/jobs/{name}.py").is_file()


def test_who_writes_silver_readings_waits_for_the_others(dags: dict[str, Any]) -> None:
    pools = {name: dag["pools"] for name, dag in dags.items() if "iceberg://lake/silver/readings" in dag["outlets"]}
    assert set(pools) == {"conform_readings", "reconcile_logger_dumps", "recalibrate_logger"}
    assert set(map(tuple, pools.values())) == {("silver_readings",)}


def test_parameters_have_a_form_and_none_reaches_a_shell(dags: dict[str, Any]) -> None:
    assert sum(bool(dag["params"]) for dag in dags.values()) >= 3
    for name, dag in dags.items():
        assert "{{" not in dag["commands"][0]
        (env,) = dag["env"]
        assert len(env) == len(dag["params"])
        for param, about in dag["params"].items():
            assert about["description"], (name, param)
            assert about["schema"]["type"], (name, param)
            assert any(f"params.{param}" in template for template in env.values()), (name, param)


def test_the_form_of_a_recalibration_takes_what_the_job_takes(dags: dict[str, Any]) -> None:
    dag = dags["recalibrate_logger"]
    schema = {name: param["schema"] for name, param in dag["params"].items()}
    assert set(schema) == set(Certificate.__dataclass_fields__)
    assert dag["schedule"] == "NullTimetable"
    assert dag["outlets"] == ["iceberg://lake/silver/readings"], "so that assess_shipments follows"
    correction = schema["correction_c"]
    limits = ("number", -MAX_CORRECTION_C, MAX_CORRECTION_C)
    assert (correction["type"], correction["minimum"], correction["maximum"]) == limits
    assert schema["calibration_id"]["pattern"] == f"^{NUMBER.pattern}$"
    assert schema["valid_until"]["type"] == ["null", "string"]
    assert schema["valid_from"]["format"] == "date-time"
