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
import json, logging
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("pipeline/dags")
found = {
    dag.dag_id: {
        "tasks": [task.task_id for task in dag.tasks],
        "retries": min(task.retries for task in dag.tasks),
        "owner": dag.owner,
        "minutes": max(task.execution_timeout.total_seconds() for task in dag.tasks) / 60,
        "skips": [task.skip_on_exit_code for task in dag.tasks],
        "schedule": type(dag.timetable).__name__,
        "params": {name: {**param.schema, "description": param.description} for name, param in dag.params.items()},
        "env": [task.env for task in dag.tasks],
        "outlets": [asset.uri for task in dag.tasks for asset in task.outlets],
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "documented": bool(dag.doc_md),
        "commands": [task.bash_command for task in dag.tasks],
    }
    for dag in bag.dags.values()
}
print("FOUND" + json.dumps({"errors": bag.import_errors, "dags": found}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what Airflow makes of the folder of DAGs."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **os.environ,
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


@pytest.mark.timeout(180)
def test_airflow_loads_the_dags(found: dict[str, Any]) -> None:
    assert found["errors"] == {}
    assert set(found["dags"]) == {"load_reference_data", "conform_readings", "assess_shipments", "recalibrate_logger"}
    for name, dag in found["dags"].items():
        assert dag["tasks"] == [name]
        assert dag["retries"] == 2
        assert dag["owner"] == "boreal-bridge"
        assert 0 < dag["minutes"] <= 30
        assert dag["skips"] == [[SKIPPED]]
        assert dag["catchup"] is False
        assert dag["max_active_runs"] == 1
        assert dag["documented"]
        assert dag["commands"][0].endswith(f"-m dataops_pipeline.jobs.{name}")
        assert (ROOT / f"pipeline/dataops_pipeline/jobs/{name}.py").is_file()


@pytest.mark.timeout(180)
def test_a_recalibration_has_a_form_and_no_parameter_reaches_a_shell(found: dict[str, Any]) -> None:
    dag = found["dags"]["recalibrate_logger"]
    assert dag["schedule"] == "NullTimetable"
    assert dag["outlets"] == ["iceberg://lake/silver/readings"], "so that assess_shipments follows"
    assert set(dag["params"]) == set(Certificate.__dataclass_fields__)
    for name, schema in dag["params"].items():
        assert schema["description"], name
        assert schema["title"], name
    correction, number = dag["params"]["correction_c"], dag["params"]["calibration_id"]
    assert (correction["type"], correction["minimum"], correction["maximum"]) == (
        "number",
        -MAX_CORRECTION_C,
        MAX_CORRECTION_C,
    )
    assert number["pattern"] == f"^{NUMBER.pattern}$"
    assert dag["params"]["valid_until"]["type"] == ["null", "string"]
    assert dag["params"]["valid_from"]["format"] == "date-time"
    assert "{{" not in dag["commands"][0]
    assert set(dag["env"][0]) == {f"BOREAL_RECALIBRATE_{name.upper()}" for name in dag["params"]}
