"""Restarting, pausing and resuming connectors: the requests on a real local server, the policy, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.json_server import JsonServer, serving
from tests.settings import ContextSettings

from dataops_core.actions import ActionPolicy
from dataops_core.cli import app as cli
from dataops_core.errors import ActionRefused, BadAnswer, NotFound, RequestRefused
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.requests import Change
from dataops_core.systems.connect.settings import ConnectSettings

REQUESTS = {
    Change.PAUSE: "PUT /connectors/my%20sink%2F1/pause",
    Change.RESUME: "PUT /connectors/my%20sink%2F1/resume",
    Change.RESTART: "POST /connectors/my%20sink%2F1/restart?includeTasks=true",
    Change.RESTART_FAILED: "POST /connectors/my%20sink%2F1/restart?includeTasks=true&onlyFailed=true",
}
NAME = "my sink/1"
TASKS = [
    {"id": 0, "state": "RUNNING", "worker_id": "w:1"},
    {"id": 1, "state": "FAILED", "worker_id": "w:2", "trace": "java.lang.IllegalStateException: no table\n\tat x"},
]
STATUS = {"name": "ice", "connector": {"state": "RUNNING", "worker_id": "w:1"}, "tasks": TASKS, "type": "sink"}


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with serving({"GET /connectors": {"ice": {"status": STATUS}}}) as json_server:
        yield json_server


@pytest.fixture
def client(server: JsonServer) -> ConnectClient:
    return ConnectClient("connect", ConnectSettings(url=server.url), 5.0)


@pytest.fixture
def config(tmp_path: Path, server: JsonServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "dataops.toml"
    path.write_text(
        f'default_context = "dev"\n[contexts.dev.connect]\nurl = "{server.url}"\n'
        f'[contexts.frozen]\nread_only = true\n[contexts.frozen.connect]\nurl = "{server.url}"\n'
    )
    return path


def changes(server: JsonServer) -> list[str]:
    return [f"{method} {path}" for method, path, _ in server.asked if method != "GET"]


@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("answer", [(202, {"name": NAME}), (202, b""), (204, b"")])
def test_a_change_is_one_request(
    server: JsonServer, client: ConnectClient, change: Change, answer: tuple[int, Any]
) -> None:
    server.answers[REQUESTS[change].partition("?")[0]] = answer
    client.change(NAME, change)
    assert changes(server) == [REQUESTS[change]]


def test_a_connector_that_is_not_there_is_named(client: ConnectClient) -> None:
    with pytest.raises(NotFound, match="there is no connector my sink/1"):
        client.change(NAME, Change.PAUSE)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", [], {}, "done"])
def test_a_page_is_not_a_change(server: JsonServer, client: ConnectClient, body: object) -> None:
    server.answers["PUT /connectors/ice/pause"] = (200, body)
    with pytest.raises(BadAnswer):
        client.change("ice", Change.PAUSE)


def test_a_rebalance_is_told_in_the_words_of_connect(server: JsonServer, client: ConnectClient) -> None:
    text = "Cannot complete request momentarily due to stale configuration"
    server.answers["PUT /connectors/ice/pause"] = (409, {"error_code": 409, "message": text})
    with pytest.raises(RequestRefused, match=text):
        client.change("ice", Change.PAUSE)


def test_a_change_is_confirmed_and_audited(server: JsonServer, client: ConnectClient, tmp_path: Path) -> None:
    server.answers["POST /connectors/ice/restart"] = (202, STATUS)
    policy = ActionPolicy("dev", ContextSettings(), tmp_path / "audit.jsonl")
    with pytest.raises(ActionRefused, match="restarting ice interrupts its tasks"):
        policy.change_connector(client, "ice", Change.RESTART_FAILED)
    assert changes(server) == []
    policy.change_connector(client, "ice", Change.RESTART_FAILED, "yes")
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [(line["action"], line["connector"], line["outcome"]) for line in lines] == [
        ("restart_connector", "ice", outcome) for outcome in ("refused", "allowed", "done")
    ]


def test_the_list_names_the_cause(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--config", str(config), "connect", "list", "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "connector": "ice",
        "type": "sink",
        "state": "RUNNING",
        "tasks": 2,
        "failed_tasks": 1,
        "worker": "w:1",
        "cause": "java.lang.IllegalStateException: no table",
    }


@pytest.mark.parametrize(
    ("arguments", "request_line"),
    [
        (("restart", "ice"), "POST /connectors/ice/restart?includeTasks=true&onlyFailed=true"),
        (("restart", "ice", "--all"), "POST /connectors/ice/restart?includeTasks=true"),
        (("pause", "ice"), "PUT /connectors/ice/pause"),
        (("resume", "ice"), "PUT /connectors/ice/resume"),
    ],
)
def test_the_command_line_changes_a_connector(
    config: Path, server: JsonServer, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], request_line: str
) -> None:
    server.answers[request_line.partition("?")[0]] = (202, b"")
    assert cli.main(["--config", str(config), "connect", *arguments, "--yes"]) == 0
    assert f"{arguments[0]} of ice requested" in capsys.readouterr().err
    assert changes(server) == [request_line]
    assert cli.main(["--config", str(config), "--context", "frozen", "connect", *arguments, "--yes"]) == 2
    assert "read-only" in capsys.readouterr().err
    assert len(changes(server)) == 1


def test_an_unknown_connector_fails(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--config", str(config), "connect", "pause", "nope", "--yes"]) == 1
    assert "there is no connector nope" in capsys.readouterr().err
