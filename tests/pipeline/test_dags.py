"""The DAGs, loaded by Airflow itself in its own environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dataops_local.layout import AIRFLOW_VENV, ROOT

CODE = """
import json, logging
logging.disable(logging.CRITICAL)
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("pipeline/dags")
found = {
    dag.dag_id: {
        "tasks": [task.task_id for task in dag.tasks],
        "retries": min(task.retries for task in dag.tasks),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "documented": bool(dag.doc_md),
        "commands": [task.bash_command for task in dag.tasks],
        "skips": [list(task.skip_on_exit_code) for task in dag.tasks],
        "env": [task.env for task in dag.tasks],
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "outlets": [asset.uri for task in dag.tasks for asset in task.outlets],
    }
    for dag in bag.dags.values()
}
print("FOUND" + json.dumps({"errors": bag.import_errors, "dags": found}))
"""


@pytest.mark.timeout(180)
def test_airflow_loads_the_dags(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
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
    found = json.loads(done.stdout.split("FOUND", 1)[1].splitlines()[0])
    assert found["errors"] == {}
    assert set(found["dags"]) == {
        "load_reference_data",
        "conform_readings",
        "reconcile_logger_dumps",
        "assess_shipments",
    }
    reconcile = found["dags"]["reconcile_logger_dumps"]
    assert reconcile["env"] == [{"BOREAL_MAX_DUMP_FILES": "{{ params.max_files }}"}]
    assert reconcile["params"]["max_files"]["type"] == "integer"
    assert reconcile["params"]["max_files"]["minimum"] == 1
    assert reconcile["outlets"] == found["dags"]["conform_readings"]["outlets"]
    for name, dag in found["dags"].items():
        assert dag["tasks"] == [name]
        assert dag["retries"] == 2
        assert dag["catchup"] is False
        assert dag["max_active_runs"] == 1
        assert dag["documented"]
        assert dag["skips"] == [[99]], "a job that comes too early is no failure"
        assert dag["commands"][0].endswith(f"-m dataops_pipeline.jobs.{name}")
        assert (ROOT / f"pipeline/dataops_pipeline/jobs/{name}.py").is_file()
