"""Kafka Connect in the console, with its client on a real local server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.console.conftest import SIZES, Console, make_console, settings, well
from tests.json_server import JsonServer, serving
from tests.screen import until_shown
from tests.settings import Settings

from dataops_core.systems.clients import Clients
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.settings import ConnectSettings
from dataops_tui.dialogs.confirm import ConfirmDialog


def status(name: str, state: str, *tasks: str) -> dict[str, Any]:
    listed = [
        {"id": n, "state": task, "worker_id": "w:1"}
        | ({"trace": "java.io.IOException: no \x1b[31mstore"} if task == "FAILED" else {})
        for n, task in enumerate(tasks)
    ]
    return {
        "status": {"name": name, "connector": {"state": state, "worker_id": "w:1"}, "tasks": listed, "type": "sink"}
    }


CONNECTORS = {
    "broken": status("broken", "RUNNING", "RUNNING", "FAILED"),
    "held": status("held", "PAUSED", "PAUSED"),
    "hollow": status("hollow", "RUNNING"),
    "well": status("well", "RUNNING", "RUNNING"),
}


@pytest.fixture
def server() -> Iterator[JsonServer]:
    done = (202, b"")
    changes = {
        f"{method} /connectors/{name}/{what}": done
        for name in CONNECTORS
        for method, what in (("PUT", "pause"), ("PUT", "resume"), ("POST", "restart"))
    }
    with serving({"GET /connectors": CONNECTORS, **changes}) as json_server:
        yield json_server


def connected(console: Console, server: JsonServer) -> Console:
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    console.monitor.clients = Clients(airflow=console.airflow, trino=console.trino, connect=client)  # type: ignore[arg-type]
    return console


async def open_connect(console: Console, pilot: Any) -> str:
    console.monitor.push(well())
    console.app.run_command("connect")
    return await until_shown(console.app, lambda text: "hollow" in text, "the connectors")


def changes(server: JsonServer) -> list[str]:
    return [f"{method} {path}" for method, path, _ in server.asked if method != "GET"]


@pytest.mark.parametrize("size", SIZES)
async def test_connectors_with_their_tasks(console: Console, server: JsonServer, size: tuple[int, int]) -> None:
    connected(console, server)
    async with console.app.run_test(size=size, notifications=True) as pilot:
        text = await open_connect(console, pilot)
        assert "1 running, 1 failed" in text
        assert "‖ paused" in text
        text = await until_shown(console.app, lambda text: "tasks of broken" in text, "the tasks")
        assert "java.io.IOException: no ␛[31mstore" in text
        await pilot.press("ctrl+z")
        text = await until_shown(console.app, lambda text: "held" not in text, "only what is wrong")
        assert "broken" in text
        assert "hollow" in text, "RUNNING without tasks is a fault"


async def test_failed_tasks_are_restarted_once_it_is_confirmed(console: Console, server: JsonServer) -> None:
    connected(console, server)
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_connect(console, pilot)
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(console.app.screen, ConfirmDialog)
        await until_shown(
            console.app, lambda text: f"{server.url}/connectors/broken/restart?includeTasks" in text, "the request"
        )
        await pilot.press("escape")
        await pilot.pause()
        assert changes(server) == []
        await pilot.press("r")
        await pilot.pause()
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "restart requested for broken" in text, "that it is done")
    assert changes(server) == ["POST /connectors/broken/restart?includeTasks=true&onlyFailed=true"]
    lines = [json.loads(line) for line in console.audit.read_text().splitlines()]
    assert [(line["action"], line["outcome"]) for line in lines] == [
        ("restart_connector", "allowed"),
        ("restart_connector", "done"),
    ]


@pytest.mark.parametrize(
    ("keys", "requests"),
    [
        (("j", "p"), ["PUT /connectors/held/resume"]),
        (("j", "j", "r"), ["POST /connectors/hollow/restart?includeTasks=true"]),
        (("G", "p"), ["PUT /connectors/well/pause"]),
        (("space", "j", "space", "p"), ["PUT /connectors/broken/pause", "PUT /connectors/hollow/pause"]),
    ],
)
async def test_a_key_does_what_fits_the_state(
    console: Console, server: JsonServer, keys: tuple[str, ...], requests: list[str]
) -> None:
    connected(console, server)
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_connect(console, pilot)
        await pilot.press(*keys)
        await pilot.pause()
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "requested for" in text, "that it is done")
    assert changes(server) == requests


async def test_a_read_only_context_changes_nothing(console: Console, server: JsonServer) -> None:
    other = connected(make_console(console.audit.parent, settings(read_only=True)), server)
    async with other.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_connect(other, pilot)
        await pilot.press("p")
        await until_shown(other.app, lambda text: "read-only" in text, "the refusal")
    assert changes(server) == []


async def test_a_context_without_connect_says_so(console: Console) -> None:
    raw = settings().model_dump(exclude_unset=True, by_alias=True)
    del raw["contexts"]["test"]["connect"]
    other = make_console(console.audit.parent, Settings.model_validate(raw))
    async with other.app.run_test(size=(160, 48), notifications=True) as pilot:
        other.monitor.push(well())
        other.app.run_command("connect")
        await until_shown(other.app, lambda text: "this context has no Kafka Connect" in text, "why")
        await pilot.press("p", "r")
        assert await until_shown(other.app, lambda text: "no connector selected" in text, "that there is none")
