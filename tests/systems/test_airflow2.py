"""Airflow 2.11 by its REST API v1: a real web server and scheduler on SQLite, as `make test-systems` installs them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.systems.airflow2 import airflow2, until

from dataops_core.actions import Backfill
from dataops_core.cli.app import main
from dataops_core.errors import AuthenticationFailed, NotFound, PermissionDenied, RequestRefused
from dataops_core.health.observation import Activity
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.probe import observe_airflow, observe_dag
from dataops_core.systems.airflow.responses import DagRun
from dataops_core.systems.airflow.runs import (
    LogLine,
    TaskInstance,
    backfill_dates,
    clear_failed,
    log,
    params,
    set_paused,
    task_instances,
)
from dataops_core.systems.airflow.settings import AirflowSettings, DagStage

pytestmark = [pytest.mark.systems, pytest.mark.timeout(900)]
RUNS = 240.0
"""Seconds that a run may take, on a busy machine."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Airflow 2."""
    with airflow2(tmp_path_factory.mktemp("airflow2"), Path(__file__).parent / "airflow2_dags") as address:
        yield address


@pytest.fixture
def airflow(url: str) -> AirflowClient:
    """Return a client that has asked nothing yet."""
    return AirflowClient(AirflowSettings(url=url, username="admin", password="admin"), 60)


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(
        f'[contexts.dev.airflow]\nurl = "{url}"\nusername = "admin"\npassword = "admin"\n'
        '[pipelines.p]\ncontext = "dev"\n[[pipelines.p.stages]]\nname = "o"\nkind = "dag"\ndag_id = "orders"\n'
    )
    return path


def ended(airflow: AirflowClient, run: DagRun) -> str:
    """Wait until a run ends; return its state."""
    found = until(lambda: (now := airflow.run(run.dag_id, run.run_id)).state in ("success", "failed") and now, RUNS)
    assert isinstance(found, DagRun)
    return found.state


def text_of(airflow: AirflowClient, run: DagRun, task: TaskInstance) -> tuple[LogLine, ...]:
    part = log(airflow, run.dag_id, run.run_id, task)
    assert part.token is None, "the log of a task that has ended has one part"
    return part.lines


def test_the_version_and_the_health_of_airflow_2(airflow: AirflowClient) -> None:
    health = airflow.health()
    assert airflow.api_url.endswith("/api/v1")
    assert dict(health.parts) == {"metadatabase": "healthy", "scheduler": "healthy"}, "the others do not run separately"
    assert set(health.heartbeats) == {"scheduler"}
    until(airflow.failed_files, RUNS)
    detail, seen = observe_airflow(airflow)
    assert detail == "metadatabase, scheduler healthy"
    assert seen.attribute("triggerer") is None
    assert (seen.measurement("pool_slots"), seen.measurement("import_errors")) == (128, 1)
    (broken,) = airflow.failed_files()
    assert broken.file.endswith("/airflow2_dags/broken.py")
    assert broken.reason == "ModuleNotFoundError: No module named 'no_such_module'"


def test_its_dags_parameters_and_datasets(airflow: AirflowClient) -> None:
    until(lambda: len(airflow.dags()) == 4, RUNS)
    dags = {dag.dag_id: dag for dag in airflow.dags()}
    assert {name: dag.schedule for name, dag in dags.items()} == {
        "orders": "@daily", "report": "Dataset", "fails": None, "waits": None,
    }  # fmt: skip
    orders = dags["orders"]
    assert orders.unreadable is None
    assert (orders.paused, orders.tags, orders.import_errors) == (False, ("shop",), False)
    assert orders.next_run_after is not None
    (day,) = params(airflow, "orders")
    assert (day.name, day.default, day.schema["format"], day.description) == ("day", "2026-01-05", "date", "which day")
    (asset,) = airflow.assets()
    assert (asset.name, asset.writers, asset.readers) == ("s3://lake/shop/orders", ("orders",), ("report",))
    with pytest.raises(NotFound) as raised:
        airflow.dag("nope")
    assert "it may be in a file that fails to load" in raised.value.message


def test_a_run_that_succeeds(airflow: AirflowClient) -> None:
    run = airflow.trigger("orders", {"day": "2026-01-07"})
    assert "+" in run.run_id, "which is a space in a path unless it is encoded"
    assert ended(airflow, run) == "success"
    newest, *_ = airflow.runs("orders")
    assert newest.run_id == run.run_id, "and not the scheduled run, which is older"
    extract, load = task_instances(airflow, "orders", run.run_id)
    assert [(task.task_id, task.state, task.tries) for task in (extract, load)] == [
        ("extract", "success", 1), ("load", "success", 1),
    ]  # fmt: skip
    lines = text_of(airflow, run, extract)
    written = [line for line in lines if line.text == "day 2026-01-07"]
    assert [(line.level, line.at is not None) for line in written] == [("info", True)]
    assert any(line.text == 'it\'s "quoted"' for line in lines)
    until(lambda: not any(each.state in ("queued", "running") for each in airflow.runs("orders")), RUNS)
    seen = observe_dag(DagStage(name="o", kind="dag", dag_id="orders"), airflow)
    assert (seen.failure, seen.activity) == (None, Activity.WAITING)
    assert seen.progress_time is not None
    assert seen.progress_time >= until(lambda: airflow.run("orders", run.run_id).started_at, 1)
    until(lambda: any(each.run_type == "dataset_triggered" for each in airflow.runs("report")), RUNS)
    assert {each.dag_id for each in airflow.runs("~", 100)} >= {"orders", "report"}


def test_a_run_that_fails_and_is_cleared(airflow: AirflowClient) -> None:
    run = airflow.trigger("fails")
    assert ended(airflow, run) == "failed"
    seen = observe_dag(DagStage(name="f", kind="dag", dag_id="fails"), airflow)
    assert seen.failure == f"its newest run {run.run_id} failed in task check"
    assert airflow.tasks("fails", run.run_id, "upstream_failed") == ("after",)
    check = next(task for task in task_instances(airflow, "fails", run.run_id) if task.task_id == "check")
    assert any("exit code 3" in line.text for line in text_of(airflow, run, check))
    assert clear_failed(airflow, "fails", run.run_id) == 2
    until(lambda: "check" in airflow.tasks("fails", run.run_id, "failed") and _tries(airflow, run) == 2, RUNS)
    check = next(task for task in task_instances(airflow, "fails", run.run_id) if task.task_id == "check")
    assert clear_failed(airflow, "fails", run.run_id, [check]) == 2, "and what follows it"
    with pytest.raises(RequestRefused, match="mapped task"):
        clear_failed(airflow, "fails", run.run_id, [TaskInstance("check", 3, "failed", None, 1, 1, None, None, None)])
    with pytest.raises(RequestRefused, match="backfills"):
        backfill_dates(airflow, Backfill.typed("fails", "2026-01-01..2026-01-02").body)


def _tries(airflow: AirflowClient, run: DagRun) -> int:
    return max(task.tries for task in task_instances(airflow, run.dag_id, run.run_id))


def test_the_log_of_a_task_that_runs_grows(airflow: AirflowClient) -> None:
    run = airflow.trigger("waits")
    until(lambda: airflow.tasks("waits", run.run_id, "running"), RUNS)
    (task,) = task_instances(airflow, "waits", run.run_id)
    active = {task.task_id: task for task in airflow.active_tasks("~", "~", "default_pool")}
    assert (active["wait"].state, active["wait"].run_id) == ("running", run.run_id)
    part, lines = log(airflow, "waits", run.run_id, task), []
    assert part.token is not None
    until(lambda: airflow.run("waits", run.run_id).state == "success", RUNS)
    while True:
        lines += [line.text for line in part.lines]
        if part.token is None:
            break
        part = log(airflow, "waits", run.run_id, task, part.token)
    assert [text for text in lines if text in ("begun", "done")] == ["begun", "done"]


def test_a_dag_is_paused_and_unpaused(airflow: AirflowClient) -> None:
    for paused in (True, False):
        set_paused(airflow, "waits", paused=paused)
        assert airflow.dag("waits").dag.paused is paused


def test_any_run_id_is_one_part_of_a_path(airflow: AirflowClient, url: str) -> None:
    set_paused(airflow, "waits", paused=True)
    for run_id in ("a b", "a+b:c", "50%25", "ä~?#&="):
        post(url, "dags/waits/dagRuns", {"dag_run_id": run_id})
        assert airflow.run("waits", run_id).run_id == run_id
        assert [task.task_id for task in task_instances(airflow, "waits", run_id)] == ["wait"]


def post(url: str, path: str, body: Any) -> None:
    """Do what the client does not."""
    headers = {"Content-Type": "application/json", "Authorization": "Basic YWRtaW46YWRtaW4="}
    request = urllib.request.Request(f"{url}/api/v1/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def test_what_airflow_2_refuses_is_one_clear_line(url: str) -> None:
    wrong = AirflowClient(AirflowSettings(url=url, username="admin", password="wrong"), 60)
    with pytest.raises(AuthenticationFailed, match=r"rejected our credentials \(401\)") as raised:
        wrong.dags()
    assert "basic_auth" in str(raised.value.remedy)
    token = AirflowClient(AirflowSettings(url=url, token="wrong"), 60)
    with pytest.raises(AuthenticationFailed, match=r"rejected our credentials \(401\)"):
        token.dags()
    names = {"first_name": "A", "last_name": "B", "email": "nobody@example.org", "roles": [{"name": "Public"}]}
    post(url, "users", {"username": "nobody", "password": "nobody", **names})
    nobody = AirflowClient(AirflowSettings(url=url, username="nobody", password="nobody"), 60)
    with pytest.raises(PermissionDenied, match=r"denied permission \(403\)"):
        nobody.pools()


def test_the_commands(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = main(["--config", str(config), *arguments])
        return code, capsys.readouterr().out

    def rows(*arguments: str) -> Any:
        code, out = run(*arguments, "-o", "json")
        assert code == 0
        return json.loads(out)

    assert {row["dag_id"] for row in rows("dag", "list")} == {"fails", "orders", "report", "waits", None}
    run_id = rows("dag", "runs", "orders")[0]["run_id"]
    code, out = run("dag", "logs", "orders", run_id, "extract")
    assert code == 0
    assert "day 2026-01-0" in out
    code, out = run("doctor")
    assert code == 0, out
    code, out = run("config", "init")
    assert code == 0
    assert "# - DAG orders" in out, "which nothing connects with other stages"
    assert "DAG fails" not in out, "it has no schedule"
