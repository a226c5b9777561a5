"""DAG files that fail to load are named wherever their DAGs are missed, and an unreadable item hides no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.airflow_server import AT, DAG, Airflow, instance
from tests.hostile.answers import POOL, RUN

from dataops_core.cli.app import main
from dataops_core.errors import BadAnswer, NotFound, RequestRefused
from dataops_core.systems.airflow.probe import observe_airflow, observe_dag
from dataops_core.systems.airflow.runs import log, params, task_instances
from dataops_core.systems.airflow.settings import DagStage

TRACE = """Traceback (most recent call last):
  File "/opt/dags/orders.py", line 3, in <module>
    raise ValueError("first\\nsecond")
ValueError: first
second

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/dags/orders.py", line 5, in <module>
    raise KeyError("the cause")
KeyError: 'the cause'
  and a line behind it
"""
DAGS, FILES = "/api/v2/dags", "/api/v2/importErrors"


def broken(filename: str, trace: str = TRACE) -> dict[str, Any]:
    return {"import_error_id": 1, "timestamp": AT, "filename": filename, "bundle_name": "b", "stack_trace": trace}


def files(*found: dict[str, Any]) -> dict[str, Any]:
    return {"import_errors": list(found), "total_entries": len(found)}


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = Airflow()
    yield server
    server.close()


@pytest.fixture
def config(tmp_path: Path, airflow: Airflow) -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(f'[contexts.dev.airflow]\nurl = "{airflow.url}"\ntoken = "t"\n')
    return path


def run(config: Path, *arguments: str) -> int:
    return main(["--config", str(config), *arguments])


def test_the_list_names_each_file_that_fails_to_load(
    config: Path, airflow: Airflow, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {**DAG, "dag_id": "known", "has_import_errors": True, "relative_fileloc": "known.py"}
    airflow.answers["GET", DAGS] = {"dags": [DAG, known], "total_entries": 2}
    airflow.answers["GET", FILES] = files(broken("known.py", "SyntaxError: bad"), broken("orders.py"))
    assert run(config, "dag", "list", "-o", "json") == 0
    out = capsys.readouterr()
    assert [(row["dag_id"], row["state"], row["error"]) for row in json.loads(out.out)] == [
        ("d", "active", None),
        ("known", "import errors", "known.py: SyntaxError: bad"),
        (None, "import errors", "orders.py: KeyError: 'the cause'"),
    ]
    assert "2 DAG files not loaded" in out.err
    assert run(config, "dag", "list") == 0
    assert "orders.py: KeyError" in capsys.readouterr().out


def test_without_import_errors_the_list_is_as_it_was(
    config: Path, airflow: Airflow, capsys: pytest.CaptureFixture[str]
) -> None:
    airflow.answers["GET", DAGS] = {"dags": [DAG], "total_entries": 1}
    assert run(config, "dag", "list") == 0, "to see import errors is a right of its own"
    out = capsys.readouterr()
    assert "error" not in out.out
    assert "import errors are unknown" in out.err
    airflow.answers["GET", FILES] = files()
    assert run(config, "dag", "list") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("found", "said", "hint"),
    [
        (files(broken("a/orders.py")), "its file a/orders.py fails to load: KeyError: 'the cause'", "Fix a/orders.py."),
        (files(broken("x.py", "E: DAG orders is wrong")), "its file x.py fails to load", "Fix x.py."),
        (
            files(broken("x.py", "E: DAG old-orders is wrong")),
            "it may be in a file that fails to load: x.py",
            "or correct",
        ),
        (files(), "not found", None),
        (None, "not found", None),
    ],
)
def test_a_dag_that_is_not_there_may_be_in_a_file_that_fails_to_load(
    airflow: Airflow, found: Any, said: str, hint: str | None
) -> None:
    airflow.answers["GET", FILES] = found
    for ask in (
        lambda: airflow.client.dag("orders"),
        lambda: airflow.client.runs("orders"),
        lambda: airflow.client.trigger("orders"),
        lambda: params(airflow.client, "orders"),
    ):
        with pytest.raises(NotFound) as raised:
            ask()
        assert said in raised.value.message
        assert raised.value.message.count("fails to load") <= 1
        assert (hint is None) == (raised.value.remedy is None)
        assert hint is None or hint in str(raised.value.remedy)


@pytest.mark.parametrize(("status", "code"), [(400, 2), (422, 2), (409, 2), (500, 3), (404, 1)])
def test_what_airflow_refuses_is_wrong_use_and_no_lost_connection(
    config: Path, airflow: Airflow, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    airflow.answers["POST", f"{DAGS}/d/dagRuns"] = (status, {"detail": "Invalid input for param n"})
    assert run(config, "dag", "trigger", "d", "--yes") == code
    said = capsys.readouterr().err
    assert "Invalid input for param n" in said
    assert "{" not in said
    assert len(said.splitlines()) == 1


def test_a_wrong_item_of_each_list_is_a_row_that_says_why(airflow: Airflow) -> None:
    for path, name, item, wrong, ask in (
        (DAGS, "dags", DAG, {"dag_id": "w", "is_paused": "perhaps"}, airflow.client.dags),
        (f"{DAGS}/d/dagRuns", "dag_runs", RUN, {"dag_run_id": "w"}, lambda: airflow.client.runs("d")),
        ("/api/v2/pools", "pools", POOL, {"name": "w", "slots": "many"}, airflow.client.pools),
        (
            f"{DAGS}/d/dagRuns/r/taskInstances",
            "task_instances",
            instance("t", "success"),
            {"map_index": 1},
            lambda: task_instances(airflow.client, "d", "r"),
        ),
    ):
        airflow.answers["GET", path] = {name: [item, {**item, **wrong, "task_id": None}, None, 7], "total_entries": 4}
        if name != "task_instances":
            airflow.answers["GET", path][name][1] = wrong
        found = ask()
        assert len(found) == 4, name
        assert sum(each.unreadable is not None for each in found) == 3, name
        assert all("\n" not in each.unreadable for each in found if each.unreadable)


def test_a_probe_goes_on_beside_items_that_cannot_be_read(airflow: Airflow) -> None:
    airflow.answers["GET", f"{DAGS}/d"] = DAG
    airflow.answers["GET", f"{DAGS}/d/dagRuns"] = {"dag_runs": [{}, RUN], "total_entries": 2}
    path = f"{DAGS}/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {"task_instances": [instance("t", "success")], "total_entries": 1}
    seen = observe_dag(DagStage(name="d", kind="dag", dag_id="d"), airflow.client)
    assert seen.progress_time is not None
    assert "1 of 2 runs cannot be read" in seen.notes
    healthy = {"status": "healthy"}
    airflow.answers["GET", "/api/v2/monitor/health"] = {"metadatabase": healthy, "scheduler": healthy}
    airflow.answers["GET", "/api/v2/pools"] = {"pools": [POOL, {"name": "w"}], "total_entries": 2}
    airflow.answers["GET", FILES] = files()
    _, at_airflow = observe_airflow(airflow.client)
    assert at_airflow.attribute("tasks_waiting_for_slot") is None, "a sum without one of its numbers is unknown"


def test_lines_of_a_log_of_any_form_are_shown(airflow: Airflow) -> None:
    path = f"{DAGS}/d/dagRuns/r/taskInstances"
    airflow.answers["GET", path] = {"task_instances": [instance("t", "failed")], "total_entries": 1}
    (task,) = task_instances(airflow.client, "d", "r")
    content = [
        {"event": {"nested": [1]}, "timestamp": "no time", "level": 3},
        7,
        {"event": "x", "error_detail": [{"frames": [None, {"lineno": 1}], "exc_type": "E", "exc_value": None}, 4]},
        {"error_detail": "text"},
    ]
    airflow.answers["GET", f"{path}/t/logs/1"] = {"content": content, "continuation_token": 5}
    part = log(airflow.client, "d", "r", task)
    assert [line.text for line in part.lines] == ['{"nested": [1]}', "7", "x", ""]
    assert [line.at for line in part.lines] == [None] * 4
    assert part.lines[2].traceback == ("  None:1 in None", "E: None")
    assert part.token is None


@pytest.mark.parametrize("lie", [{}, [], {"params": {}}, {"dag_id": "d", "params": []}])
def test_an_answer_that_is_no_dag_is_no_dag_without_parameters(airflow: Airflow, lie: Any) -> None:
    airflow.answers["GET", f"{DAGS}/d/details"] = lie
    with pytest.raises(BadAnswer):
        params(airflow.client, "d")


@pytest.mark.parametrize("lie", [{}, [], {"dags": {}}, {"dags": [], "total_entries": "many"}, {"dags": None}])
def test_an_answer_without_its_list_is_invalid_and_not_empty(airflow: Airflow, lie: Any) -> None:
    airflow.answers["GET", DAGS] = lie
    with pytest.raises(BadAnswer) as raised:
        airflow.client.dags()
    assert not isinstance(raised.value, RequestRefused)
    assert "the response is not from Airflow: it " in raised.value.message
