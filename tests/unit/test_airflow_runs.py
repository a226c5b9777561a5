"""Airflow's API for params, tasks, logs, pausing and clearing, against a server that answers as Airflow 3 does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.airflow_server import AT, DAG, Airflow, instance

from dataops_core.actions import Backfill
from dataops_core.errors import ActionRefused, BadAnswer, NotFound
from dataops_core.systems.airflow.responses import DagRun
from dataops_core.systems.airflow.runs import (
    backfill,
    backfill_dates,
    clear_failed,
    log,
    params,
    set_paused,
    task_instances,
)


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
        ("yesterday..2026-01-01", '"yesterday" is not a date'),
        ("2026-01-01..2026-01-02 all", '"all" does not say which dates to rerun: use one of none, failed, completed'),
    ],
)
def test_what_is_no_backfill_is_refused(typed: str, said: str) -> None:
    with pytest.raises(ActionRefused, match=said):
        Backfill.typed("d", typed)
