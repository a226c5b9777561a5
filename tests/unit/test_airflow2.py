"""Airflow 2 behind the client of Airflow 3: which version it is, and what a real 2.11.0 has answered."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.airflow_server import DAG, PAGE, Airflow

from dataops_core.actions import Backfill
from dataops_core.config.base import SecretSource
from dataops_core.errors import AuthenticationFailed, BadAnswer, NotFound, PermissionDenied, RequestRefused
from dataops_core.health.observation import Activity
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.probe import observe_airflow, observe_dag
from dataops_core.systems.airflow.runs import (
    TaskInstance,
    backfill,
    backfill_dates,
    clear_failed,
    log,
    params,
    set_paused,
    task_instances,
)
from dataops_core.systems.airflow.settings import AirflowSettings, DagStage

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "airflow2" / "answers.json").read_text())
"""Answers of Airflow 2.11.0 with the DAGs of tests/systems: `orders` succeeded, `fails` failed, `broken.py` does not
load."""
VERSION = {"version": "2.11.0", "git_version": None}
RUN = {"dag_id": "d", "state": "success", "run_type": "manual"}


def of_state(answer: dict[str, Any], query: dict[str, list[str]]) -> dict[str, Any]:
    """Return the tasks in the states that are asked for, as Airflow does."""
    tasks = [task for task in answer["task_instances"] if task["state"] in query.get("state", [task["state"]])]
    return {"task_instances": tasks, "total_entries": len(tasks)}


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = Airflow("/api/v1")
    for key, answer in RECORDED.items():
        method, _, path = key.partition(" ")
        server.answers[method, path] = partial(of_state, answer) if path.endswith("/taskInstances") else answer
    yield server
    server.close()


def with_password(server: Airflow) -> AirflowClient:
    return AirflowClient(AirflowSettings(url=server.url, username="ä", password="p:w"), 10)


def paths(server: Airflow) -> list[str]:
    return [f"{method} {path}" for method, path, _, _ in server.asked]


def run_of(server: Airflow, dag_id: str) -> str:
    """Return the id of the newest recorded run, as a path has it."""
    found = server.answers["GET", f"/api/v1/dags/{dag_id}/dagRuns"]["dag_runs"]
    return str(found[0]["dag_run_id"])


def test_the_version_is_found_out_once(airflow: Airflow) -> None:
    assert {dag.dag_id for dag in airflow.client.dags()} == {"fails", "orders", "report", "waits"}
    airflow.client.pools()
    assert paths(airflow) == ["GET /api/v2/dags", "GET /api/v1/version", "GET /api/v1/dags", "GET /api/v1/pools"]
    assert {headers["Authorization"] for headers in airflow.headers} == {"Bearer t"}
    assert airflow.client.api_url == f"{airflow.url}/api/v1"


def test_a_password_is_sent_as_basic_authentication(airflow: Airflow) -> None:
    client = with_password(airflow)
    client.dags()
    client.pools()
    assert paths(airflow) == ["POST /auth/token", "GET /api/v1/version", "GET /api/v1/dags", "GET /api/v1/pools"]
    assert [headers.get("Authorization") for headers in airflow.headers[2:]] == [
        "Basic " + base64.b64encode("ä:p:w".encode()).decode()
    ] * 2


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_proxy_that_does_not_forward_v2(airflow: Airflow, status: int) -> None:
    for path in ("/api/v2/dags", "/auth/token"):
        airflow.answers["GET", path] = airflow.answers["POST", path] = (status, PAGE)
    assert len(airflow.client.dags()) == len(with_password(airflow).dags()) == 4


def test_an_upgrade_is_noticed_at_the_next_request(airflow: Airflow) -> None:
    clients = (airflow.client, with_password(airflow))
    for client in clients:
        client.dags()
    removed = {"error": "/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead."}
    airflow.answers = {("GET", f"/api/v1/{name}"): (404, removed) for name in ("dags", "version")}
    airflow.answers["GET", "/api/v2/version"] = {"version": "3.3.2", "git_version": None}
    airflow.answers["GET", "/api/v2/dags"] = {"dags": [DAG], "total_entries": 1}
    airflow.answers["POST", "/auth/token"] = {"access_token": "issued"}
    for client, token in zip(clients, ("t", "issued"), strict=True):
        airflow.asked.clear()
        assert [dag.dag_id for dag in client.dags()] == ["d"]
        assert airflow.headers[-1]["Authorization"] == f"Bearer {token}"
        assert client.api_url == f"{airflow.url}/api/v2"


def test_threads_that_ask_at_once_agree_on_the_version(airflow: Airflow) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: len(airflow.client.dags()), range(16)))
    assert found == [4] * 16
    assert paths(airflow).count("GET /api/v1/version") == 1


def test_what_is_missing_in_airflow_2_is_no_other_version(airflow: Airflow) -> None:
    airflow.client.dags()
    airflow.asked.clear()
    with pytest.raises(NotFound, match="it may be in a file that fails to load"):
        airflow.client.dag("nope")
    assert paths(airflow) == ["GET /api/v1/dags/nope", "GET /api/v1/importErrors"]


@pytest.mark.parametrize("answer", [PAGE, {"error": "API route not found"}, {"version": 3}, [1]])
def test_what_is_no_airflow_is_not_found(airflow: Airflow, answer: Any) -> None:
    airflow.answers = {("GET", "/api/v1/version"): answer if isinstance(answer, dict) else (404, answer)}
    for client in (airflow.client, with_password(airflow)):
        with pytest.raises(NotFound):
            client.dags()
        assert client.api_url.endswith("/api/v2")


def test_the_health_of_parts_that_do_not_run_separately_is_not_reported(airflow: Airflow) -> None:
    detail, seen = observe_airflow(airflow.client)
    assert detail == "metadatabase, scheduler healthy"
    assert (seen.attribute("dag_processor"), seen.attribute("triggerer")) == (None, None)
    assert (seen.measurement("pool_slots"), seen.measurement("import_errors")) == (128, 1)
    (broken,) = airflow.client.failed_files()
    assert broken.file.endswith("/broken.py")
    assert (broken.reason, broken.at is not None) == ("ModuleNotFoundError: No module named 'no_such_module'", True)


def test_dags_parameters_and_datasets(airflow: Airflow) -> None:
    dags = {dag.dag_id: dag for dag in airflow.client.dags()}
    assert {name: dag.schedule for name, dag in dags.items()} == {
        "orders": "@daily", "report": "Dataset", "fails": None, "waits": None,
    }  # fmt: skip
    orders = dags["orders"]
    assert (orders.unreadable, orders.paused, orders.tags) == (None, False, ("shop",))
    assert orders.next_run_after is not None
    assert orders.file is not None
    assert orders.file.endswith("/shop.py")
    (day,) = params(airflow.client, "orders")
    assert (day.name, day.default, day.schema["format"], day.description) == ("day", "2026-01-05", "date", "which day")
    (asset,) = airflow.client.assets()
    assert (asset.name, asset.writers, asset.readers) == ("s3://lake/shop/orders", ("orders",), ("report",))


@pytest.mark.parametrize(
    ("interval", "description", "schedule"),
    [
        (None, "Never, external triggers only", None),
        ({"__type": "CronExpression", "value": "0 3 * * *"}, "At 03:00", "0 3 * * *"),
        ({"__type": "TimeDelta", "days": 1, "seconds": 7200, "microseconds": 0}, "", "1d 2h"),
        ({"__type": "TimeDelta", "days": 1e308, "seconds": "x"}, "", "TimeDelta"),
        ({"__type": "RelativeDelta", "months": 1}, "Every month", "Every month"),
        ({"__type": "RelativeDelta", "months": 1}, None, "RelativeDelta"),
        ("0 3 * * *", None, None),
    ],
)
def test_the_forms_of_a_schedule(
    airflow: Airflow, interval: Any, description: str | None, schedule: str | None
) -> None:
    dag = {"dag_id": "d", "is_paused": False, "schedule_interval": interval, "timetable_description": description}
    airflow.answers["GET", "/api/v1/dags"] = {"dags": [dag, 7], "total_entries": 2}
    found, wrong = airflow.client.dags()
    assert found.schedule == schedule
    assert wrong.unreadable is not None


def test_a_probe_of_dags(airflow: Airflow) -> None:
    seen = observe_dag(DagStage(name="o", kind="dag", dag_id="orders"), airflow.client)
    assert (seen.failure, seen.activity) == (None, Activity.WAITING)
    newest, *_ = airflow.client.runs("orders")
    assert (seen.progress_time, seen.advanced_at) == (newest.started_at, newest.ended_at)
    failed = observe_dag(DagStage(name="f", kind="dag", dag_id="fails"), airflow.client)
    assert failed.failure == f"its newest run {run_of(airflow, 'fails')} failed in task check"
    assert failed.progress_time is None


def test_runs_are_ordered_by_when_they_could_start(airflow: Airflow) -> None:
    def run(run_id: str, at: str | None, end: str | None) -> dict[str, Any]:
        return {**RUN, "dag_run_id": run_id, "execution_date": at, "logical_date": at, "data_interval_end": end}

    daily = run("daily", "2026-01-04T00:00:00+00:00", "2026-01-05T00:00:00+00:00")
    manual = run("manual", "2026-01-04T12:00:00+00:00", "2026-01-04T00:00:00+00:00")
    odd = run("odd", "0001-01-01T00:00:00+14:00", None)
    answer = {"dag_runs": [manual, daily, odd, run("none", None, None), None], "total_entries": 5}
    airflow.answers["GET", "/api/v1/dags/d/dagRuns"] = answer
    assert [each.run_id for each in airflow.client.runs("d")] == ["daily", "manual", "odd", "none", "#5"]
    assert airflow.asked[-1][2]["order_by"] == ["-execution_date"]


def test_tasks_and_their_log(airflow: Airflow) -> None:
    run_id = run_of(airflow, "orders")
    extract, load = task_instances(airflow.client, "orders", run_id)
    assert [(task.key, task.state, task.tries, task.operator) for task in (extract, load)] == [
        ("extract", "success", 1, "BashOperator"), ("load", "success", 1, "BashOperator"),
    ]  # fmt: skip
    assert airflow.client.tasks("fails", run_of(airflow, "fails"), "failed") == ("check",)
    part = log(airflow.client, "orders", run_id, extract)
    assert part.token is None
    (written,) = (line for line in part.lines if line.text.startswith("day "))
    assert (written.level, written.more) == ("info", {"logger": "subprocess.py:106"})
    assert written.at is not None
    assert any(line.text == 'it\'s "quoted"' for line in part.lines)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("[]", []),
        (str([]), []),
        (str([("h", "")]), []),
        (str([("h", "a\n\nb'\"\\ é\x00\n"), ("i", 'it\'s "c"')]), ["a", "", "b'\"\\ é\x00", 'it\'s "c"']),
        ("no list\nbut a text", ["no list", "but a text"]),
        ("[('h', 'a')", ["[('h', 'a')"]),
        ("[('h', 'a'), 7]", ["[('h', 'a'), 7]"]),
        ("[('h', 'a", ["[('h', 'a"]),
        ("[('h', 'a\\", ["[('h', 'a\\"]),
        ("[('h', '\\x')]", ["[('h', '\\x')]"]),
        ("[('h', f'{1}')]", ["[('h', f'{1}')]"]),
        ("[" * 10_000, ["[" * 10_000]),
        ("", []),
    ],
)
def test_a_log_of_any_form_is_shown(airflow: Airflow, content: str, lines: list[str]) -> None:
    path = "/api/v1/dags/d/dagRuns/r/taskInstances/t/logs/1"
    airflow.answers["GET", path] = {"content": content, "continuation_token": None}
    airflow.client._connection.version = "v1"
    task = TaskInstance("t", -1, "success", None, 1, 0, None, None, None)
    assert [line.text for line in log(airflow.client, "d", "r", task).lines] == lines


def signed(found: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode().rstrip("=") + ".signature"


@pytest.mark.parametrize(
    ("token", "text", "goes_on"),
    [
        (signed({"end_of_log": False, "log_pos": 5}), "", True),
        (signed({"end_of_log": True, "log_pos": 5}), "a", False),
        (signed({"offset": 5}), "a", True),
        (signed({"offset": 5}), "", False),
        (signed([1]), "a", True),
        (".compressed", "a", True),
        (".compressed", "", False),
        ("é", "a", True),
        (None, "a", False),
        (7, "a", False),
    ],
)
def test_a_log_ends_where_airflow_says_so(airflow: Airflow, token: Any, text: str, goes_on: bool) -> None:
    path = "/api/v1/dags/d/dagRuns/r/taskInstances/t/logs/1"
    airflow.answers["GET", path] = {"content": str([("", text)]), "continuation_token": token}
    airflow.client._connection.version = "v1"
    task = TaskInstance("t", -1, "running", None, 1, 0, None, None, None)
    part = log(airflow.client, "d", "r", task)
    assert part.token == (token if goes_on else None)
    if goes_on:
        log(airflow.client, "d", "r", task, part.token)
        assert airflow.asked[-1][2]["token"] == [token]


def test_what_is_changed(airflow: Airflow) -> None:
    airflow.client.dags()
    run = airflow.client.trigger("orders", {"day": "2026-01-07"})
    assert airflow.asked[-1][3] == {"conf": {"day": "2026-01-07"}}
    assert run.dag_id == "orders"
    set_paused(airflow.client, "orders", paused=True)
    assert airflow.asked[-1][0::3] == ("PATCH", {"is_paused": True})
    assert clear_failed(airflow.client, "fails", "r") == 2
    assert airflow.asked[-1][3] == {
        "dry_run": False, "dag_run_id": "r", "only_failed": True, "reset_dag_runs": True, "include_downstream": False,
    }  # fmt: skip
    check, mapped = (TaskInstance("check", number, "failed", None, 1, 0, None, None, None) for number in (-1, 3))
    clear_failed(airflow.client, "fails", "r", [check])
    assert airflow.asked[-1][3]["task_ids"] == ["check"]
    asked = len(airflow.asked)
    body = Backfill.typed("d", "2026-01-01..2026-01-02").body
    for ask, said in (
        (lambda: clear_failed(airflow.client, "fails", "r", [check, mapped]), "mapped task"),
        (lambda: backfill(airflow.client, body), "backfills"),
        (lambda: backfill_dates(airflow.client, body), "backfills"),
    ):
        with pytest.raises(RequestRefused, match=said) as raised:
            ask()
        assert raised.value.remedy is not None
    assert len(airflow.asked) == asked, "nothing is sent"


@pytest.mark.parametrize("run_id", ["manual__2026-01-05T03:00:00.1+00:00", "a b/c+d", "50%25", "ä~?#&=", "a/../b"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_run_id_is_one_part_of_a_path(airflow: Airflow, run_id: str, version: Any) -> None:
    airflow.client._connection.version = version
    with pytest.raises(NotFound):
        task_instances(airflow.client, "a/b", run_id)
    *_, asked = (path for _, path, _, _ in airflow.asked if path.startswith(f"/api/{version}/"))
    parts = [unquote(part) for part in asked.split("/")]
    assert parts == ["", "api", version, "dags", "a/b", "dagRuns", run_id, "taskInstances"]


def test_what_is_refused_is_one_clear_line(airflow: Airflow) -> None:
    denied = {"detail": None, "status": 403, "title": "Forbidden", "type": "t"}
    for client, basic in ((airflow.client, False), (with_password(airflow), True)):
        client.dags()
        airflow.answers["GET", "/api/v1/pools"] = (401, {**denied, "status": 401, "title": "Unauthorized"})
        with pytest.raises(AuthenticationFailed, match=r"rejected our credentials \(401\): Unauthorized") as rejected:
            client.pools()
        assert ("basic_auth" in str(rejected.value.remedy)) is basic
        airflow.answers["GET", "/api/v1/pools"] = (403, denied)
        with pytest.raises(PermissionDenied, match=r"denied permission \(403\): Forbidden"):
            client.pools()
        assert client.api_url.endswith("/api/v1")


def test_a_header_is_read_again_after_a_redirect_to_a_login_page(airflow: Airflow, tmp_path: Path) -> None:
    cookie = tmp_path / "cookie"
    cookie.write_text("session=1")
    client = AirflowClient(AirflowSettings(url=airflow.url, headers={"Cookie": SecretSource(file=str(cookie))}), 10)
    client.dags()
    assert {headers["Cookie"] for headers in airflow.headers} == {"session=1"}
    fine = airflow.answers["GET", "/api/v1/dags"]
    airflow.answers["GET", "/api/v1/dags"] = (400, {"title": "wrong"})
    with pytest.raises(RequestRefused):
        client.dags()
    cookie.write_text("session=2")
    airflow.redirect = "http://127.0.0.2:1/login"
    with pytest.raises(BadAnswer, match="redirect"):
        client.dags()
    airflow.redirect, airflow.answers["GET", "/api/v1/dags"] = None, fine
    assert len(client.dags()) == 4
    assert airflow.headers[-1]["Cookie"] == "session=2"


def test_the_pages_of_each_version(airflow: Airflow) -> None:
    client, run_id = airflow.client, "a+b/c"
    for version, pages in (
        ("v2", ["", "/runs/a%2Bb%2Fc", "/runs/a%2Bb%2Fc/tasks/t"]),
        ("v1", ["/grid", "/grid?dag_run_id=a%2Bb%2Fc", "/grid?dag_run_id=a%2Bb%2Fc&task_id=t"]),
    ):
        client._connection.version = version  # type: ignore[assignment]
        found = [client.page("d"), client.page("d", run_id), client.page("d", run_id, "t")]
        assert found == [f"{airflow.url}/dags/d{page}" for page in pages]


def test_a_time_without_a_zone_is_in_utc(airflow: Airflow) -> None:
    path = "/api/v1/dags/d/dagRuns/r/taskInstances/t/logs/1"
    content = str([("", "[2026-01-05 03:00:00,123] {a.py:1} ERROR - x\n[2026-01-05T03:00:00.123+0100] WARNING - y\n")])
    airflow.answers["GET", path] = {"content": content, "continuation_token": None}
    airflow.client._connection.version = "v1"
    task = TaskInstance("t", -1, "success", None, 1, 0, None, None, None)
    first, second = log(airflow.client, "d", "r", task).lines
    assert (first.level, first.text, first.at) == ("error", "x", datetime(2026, 1, 5, 3, 0, 0, 123_000, UTC))
    assert (second.level, second.text, second.at) == ("warning", "y", datetime(2026, 1, 5, 2, 0, 0, 123_000, UTC))
