"""Airflow's API for params, tasks, logs, pausing and clearing, against a server that answers as Airflow 3 does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dataops_core.actions import Backfill
from dataops_core.clients.airflow import AirflowClient, DagRun
from dataops_core.clients.airflow_runs import (
    backfill,
    backfill_dates,
    clear_failed,
    log,
    params,
    set_paused,
    task_instances,
)
from dataops_core.config import AirflowSettings
from dataops_core.errors import ActionRefused, BadAnswer, NotFound

AT = "2026-01-05T03:00:00Z"


def instance(task_id: str, state: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": "01999999-0000-7000-8000-000000000000",
        "task_id": task_id, "dag_id": "d", "dag_run_id": "r", "map_index": -1, "logical_date": None,
        "run_after": AT, "start_date": None, "end_date": None, "duration": None, "state": state, "try_number": 1,
        "max_tries": 2, "task_display_name": task_id, "dag_display_name": "d", "hostname": None, "unixname": None,
        "pool": "default_pool", "pool_slots": 1, "queue": None, "priority_weight": 1, "operator": "BashOperator",
        "operator_name": "BashOperator", "queued_when": None, "scheduled_when": None, "pid": None, "executor": None,
        "executor_config": "{}", "note": None, "rendered_map_index": None, "rendered_fields": {}, "trigger": None,
        "triggerer_job": None, "dag_version": None, **more,
    }  # fmt: skip


DAG = {
    "dag_id": "d", "dag_display_name": "d", "is_paused": False, "is_stale": False, "timetable_summary": None,
    "timetable_description": None, "timetable_partitioned": False, "timetable_periodic": False, "description": None,
    "fileloc": "d.py", "relative_fileloc": "d.py", "bundle_name": None, "bundle_version": None, "file_token": "x",
    "has_task_concurrency_limits": False, "has_import_errors": False, "max_active_tasks": 1, "max_active_runs": 1,
    "max_consecutive_failed_dag_runs": 0, "owners": [], "tags": [], "concurrency": 1, "catchup": False,
    "allowed_run_types": None, "is_backfillable": True, "is_favorite": False, "active_runs_count": 0,
    "render_template_as_native_obj": False, "dag_run_timeout": None, "asset_expression": None, "doc_md": None,
    "start_date": None, "end_date": None, "is_paused_upon_creation": None, "timezone": "UTC", "last_expired": None,
    "last_parsed": None, "last_parsed_time": None, "last_parse_duration": None, "default_args": {},
    "latest_dag_version": None,
    "template_search_path": None, "next_dagrun_logical_date": None, "next_dagrun_data_interval_start": None,
    "next_dagrun_data_interval_end": None, "next_dagrun_run_after": None, "owner_links": None,
    "rerun_with_latest_version": None,
}  # fmt: skip


class Airflow:
    """Answers by path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], Any]] = []
        self.answers: dict[tuple[str, str], Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = parse_qs(url.query)
                outer.asked.append((self.command, url.path, query, json.loads(body) if body else None))
                found = outer.answers.get((self.command, url.path))
                found = found(query) if callable(found) else found
                self.send_response(404 if found is None else 200)
                raw = json.dumps({"detail": "not found"} if found is None else found).encode()
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the base class names them so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = AirflowClient(AirflowSettings(url=url, token="t"), 10)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = Airflow()
    yield server
    server.close()


def test_the_parameters_that_a_dag_declares(airflow: Airflow) -> None:
    declared = {"day": {"value": "2013-07-01", "schema": {"type": "string", "format": "date"}, "description": "which"}}
    airflow.answers["GET", "/api/v2/dags/d/details"] = {**DAG, "params": {**declared, "plain": 5}}
    day, plain = params(airflow.client, "d")
    assert (day.name, day.default, day.schema["format"], day.description) == ("day", "2013-07-01", "date", "which")
    assert (plain.name, plain.default, plain.schema) == ("plain", 5, {})
    with pytest.raises(NotFound):
        params(airflow.client, "nope")


def test_the_tasks_of_a_run_over_several_pages(airflow: Airflow) -> None:
    many = [instance(f"t{n:03}", None) for n in range(120)]
    many[110] |= {"state": "failed", "start_date": AT, "end_date": AT, "map_index": 2, "try_number": 3}

    def page(query: dict[str, list[str]]) -> dict[str, Any]:
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        return {"task_instances": many[offset : offset + limit], "total_entries": len(many)}

    airflow.answers["GET", "/api/v2/dags/d/dagRuns/r/taskInstances"] = page
    found = task_instances(airflow.client, "d", "r")
    assert len(found) == 120
    first = found[0]
    assert (first.key, first.state, first.tries, first.max_tries, first.operator) == (
        "t110[2]", "failed", 3, 2, "BashOperator",
    )  # fmt: skip
    assert found[1].state is None
    assert [query["offset"] for _, _, query, _ in airflow.asked] == [["0"], ["100"]]


def test_the_tasks_of_a_run_that_goes_on_and_what_has_a_time_comes_first(airflow: Airflow) -> None:
    some = [instance("later", None), instance("waits", "queued"), instance("done", "success")]
    some[1] |= {"queued_when": AT}
    some[2] |= {"start_date": AT, "end_date": AT}
    airflow.answers["GET", "/api/v2/dags/d/dagRuns/r/taskInstances"] = {"task_instances": some, "total_entries": 3}
    assert [task.key for task in task_instances(airflow.client, "d", "r")] == ["done", "waits", "later"]


def test_what_a_run_did_is_asked_for_once(airflow: Airflow) -> None:
    path = "/api/v2/dags/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {"task_instances": [instance("t", "success")], "total_entries": 1}
    run = DagRun("d", "r", "success", "manual", None, None, None, None, None)
    assert [airflow.client.did_something(run) for _ in range(3)] == [True] * 3
    assert len(airflow.asked) == 1


def test_a_log_in_parts(airflow: Airflow) -> None:
    path = "/api/v2/dags/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {"task_instances": [instance("t", "running", try_number=2)], "total_entries": 1}
    (task,) = task_instances(airflow.client, "d", "r")
    content = [{"event": "hello", "timestamp": AT, "level": "info", "logger": "task"}, {"event": "::group::x"}]
    airflow.answers["GET", f"{path}/t/logs/2"] = {"content": content, "continuation_token": "next"}
    part = log(airflow.client, "d", "r", task)
    assert [(line.level, line.text) for line in part.lines] == [("info", "hello"), (None, "::group::x")]
    assert part.lines[0].more == {"logger": "task"}
    airflow.answers["GET", f"{path}/t/logs/2"] = {"content": ["plain text"], "continuation_token": None}
    part = log(airflow.client, "d", "r", task, part.token)
    assert ([line.text for line in part.lines], part.token) == (["plain text"], None)
    assert airflow.asked[-1][2]["token"] == ["next"]
    assert "token" not in airflow.asked[-2][2]


def test_pausing_and_clearing_send_what_was_previewed(airflow: Airflow) -> None:
    airflow.answers["PATCH", "/api/v2/dags/d"] = DAG
    set_paused(airflow.client, "d", paused=True)
    assert airflow.asked[-1][3] == {"is_paused": True}
    path = "/api/v2/dags/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {
        "task_instances": [instance("a", "failed"), instance("b", "failed", map_index=1)],
        "total_entries": 2,
    }
    tasks = task_instances(airflow.client, "d", "r")
    airflow.answers["POST", "/api/v2/dags/d/clearTaskInstances"] = {
        "task_instances": [instance("a", None)],
        "total_entries": 1,
    }
    assert clear_failed(airflow.client, "d", "r") == 1
    sent = airflow.asked[-1][3]
    assert (sent["dry_run"], sent["dag_run_id"], sent["only_failed"]) == (False, "r", True)
    assert sent.get("task_ids") is None
    clear_failed(airflow.client, "d", "r", tasks)
    sent = airflow.asked[-1][3]
    assert (sent["only_failed"], sent["include_downstream"], sent["task_ids"]) == (False, True, ["a", ["b", 1]])


def test_an_answer_that_is_no_log_is_a_bad_answer(airflow: Airflow) -> None:
    path = "/api/v2/dags/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {"task_instances": [instance("t", "failed")], "total_entries": 1}
    (task,) = task_instances(airflow.client, "d", "r")
    with pytest.raises(NotFound):
        log(airflow.client, "d", "r", task)
    for lie in ({"other": 1}, [1], {"content": "x"}):
        airflow.answers["GET", f"{path}/t/logs/1"] = lie
        with pytest.raises(BadAnswer):
            log(airflow.client, "d", "r", task)


def test_a_backfill_is_asked_for_and_made_for_the_same_dates(airflow: Airflow) -> None:
    wanted = Backfill.typed("d", "2026-01-01..2026-01-02 completed")
    dates = [{"logical_date": f"2026-01-0{day}T00:00:00Z"} for day in (1, 2)]
    airflow.answers["POST", "/api/v2/backfills/dry_run"] = {"backfills": dates, "total_entries": 2}
    airflow.answers["POST", "/api/v2/backfills"] = {
        "id": 7, "dag_id": "d", "dag_display_name": "d", "from_date": AT, "to_date": AT, "is_paused": False,
        "reprocess_behavior": "completed", "max_active_runs": 10, "created_at": AT, "completed_at": None,
        "updated_at": AT, "dag_run_conf": {},
    }  # fmt: skip
    assert [date.day for date in backfill_dates(airflow.client, wanted.body)] == [1, 2]
    assert backfill(airflow.client, wanted.body) == 7
    bodies = [body for _, _, _, body in airflow.asked]
    assert bodies[0] == bodies[1]
    assert bodies[0]["reprocess_behavior"] == "completed"
    assert bodies[0]["from_date"].startswith("2026-01-01T00:00:00")
    airflow.answers.clear()
    with pytest.raises(NotFound):
        backfill_dates(airflow.client, wanted.body)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("2026-01-01", "first and the last date"),
        ("2026-01-02..2026-01-01", "ends before it begins"),
        ("yesterday..2026-01-01", '"yesterday" is no date'),
        ("2026-01-01..2026-01-02 all", '"all" is none of none, failed, completed'),
    ],
)
def test_what_is_no_backfill_is_refused(typed: str, said: str) -> None:
    with pytest.raises(ActionRefused, match=said):
        Backfill.typed("d", typed)
