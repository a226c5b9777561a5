"""The subjects of a schema registry in the console, with its client on a real local server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.console.conftest import SIZES, Console, make_console, settings, well
from tests.json_server import JsonServer, serving
from tests.screen import shown, until_shown
from tests.settings import Settings

from dataops_core.systems.clients import Clients
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.systems.kafka.settings import SchemaRegistrySettings
from dataops_tui.dialogs.text import TextDialog

ORDER = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}
PROTO = 'syntax = "proto3";\n\nmessage Town {\n\tstring name = 1; // \x1b[31m\n}\n'
CUSTOMER = {"name": "shop.Customer", "subject": "customers-value", "version": 2}


def version(number: int, schema_id: int, text: str, **more: Any) -> dict[str, Any]:
    return {"version": number, "id": schema_id, "schema": text, **more}


@pytest.fixture
def server() -> Iterator[JsonServer]:
    answers = {
        "GET /subjects": ["towns/all", "orders-value", "broken", "note"],
        "GET /config": {"compatibilityLevel": "BACKWARD"},
        "GET /config/orders-value": {"compatibilityLevel": "FULL"},
        "GET /subjects/orders-value/versions/latest": version(3, 1017, json.dumps(ORDER), references=[CUSTOMER]),
        "GET /subjects/towns%2Fall/versions/latest": version(1, 2, PROTO, schemaType="PROTOBUF"),
        "GET /subjects/broken/versions/latest": (500, {"error_code": 50001, "message": "store is closed"}),
        "GET /subjects/note/versions/latest": version(1, 4, '{"a": 1', schemaType="JSON"),
    }
    with serving(answers) as json_server:
        yield json_server


def registry(url: str, timeout: float = 3.0) -> SchemaRegistry:
    return SchemaRegistry(SchemaRegistrySettings(url=url), timeout)


def connected(console: Console, **clients: Any) -> Console:
    console.monitor.clients = Clients(airflow=console.airflow, trino=console.trino, **clients)  # type: ignore[arg-type]
    return console


async def open_subjects(console: Console) -> str:
    console.monitor.push(well())
    console.app.run_command("subjects")
    return await until_shown(console.app, lambda text: "orders-value" in text, "the subjects")


def without(*components: str, **context: Any) -> Settings:
    raw = settings(**context).model_dump(exclude_unset=True, by_alias=True)
    for name in components:
        del raw["contexts"]["test"][name]
    return Settings.model_validate(raw)


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_has_what_the_command_has_and_one_bad_subject_is_a_row(
    console: Console, server: JsonServer, size: tuple[int, int]
) -> None:
    connected(console, schema_registry=registry(server.url))
    async with console.app.run_test(size=size, notifications=True) as pilot:
        text = await open_subjects(console)
        rows = {line.split()[0]: line.split() for line in text.splitlines()[2:6]}
        inherited = ["INHERITED"] if size[0] > 80 else []
        headings = ["SUBJECT", "VERSION", "TYPE", "SCHEMA", "ID", "COMPATIBILITY", *inherited, "ERROR"]
        assert text.splitlines()[1].split() == headings
        assert rows["orders-value"] == ["orders-value", "3", "AVRO", "1017", "FULL", *(["no"] if inherited else [])]
        assert rows["towns/all"][:5] == ["towns/all", "1", "PROTOBUF", "2", "BACKWARD"]
        assert "✖ HTTP 500" in text
        assert "1 cannot be read" in text
        await pilot.press("ctrl+z")
        text = await until_shown(console.app, lambda text: "only problems" in text, "only the bad one")
        assert "broken" in text
        assert "orders-value" not in text
        await pilot.press("y")
        await until_shown(console.app, lambda text: "store is closed" in text, "the whole reason")
        await pilot.press("escape", "ctrl+z", "slash", *"PROTOBUF", "enter")
        text = await until_shown(console.app, lambda text: "1 of 4" in text, "the filter")
        assert "towns/all" in text
        assert "orders-value" not in text


async def test_enter_shows_the_newest_schema(console: Console, server: JsonServer) -> None:
    connected(console, schema_registry=registry(server.url))
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await open_subjects(console)
        await pilot.press("slash", *"^orders", "enter")
        await until_shown(console.app, lambda text: "1 of 4" in text, "the filter")
        await pilot.press("enter")
        text = await until_shown(console.app, lambda text: '"fields": [' in text, "the schema")
        assert "version 3, schema id 1017, AVRO, compatibility FULL, refers to customers-value version 2" in text
        await pilot.press("c")
        assert json.loads(console.app.clipboard) == ORDER
        await pilot.press("escape", "slash", "escape", "slash", *"towns", "enter")
        await until_shown(console.app, lambda text: "towns/all" in text and "orders" not in text, "the other one")
        await pilot.press("enter")
        text = await until_shown(console.app, lambda text: "message Town {" in text, "the text of the file")
        assert "compatibility BACKWARD (inherited)" in text
        assert "\x1b" not in text
        await pilot.press("escape", "slash", "escape", "slash", *"note", "enter")
        await until_shown(console.app, lambda text: "1 of 4" in text and "note" in text, "the third")
        await pilot.press("enter")
        await until_shown(console.app, lambda text: '{"a": 1' in text, "a text that is no JSON, unchanged")


async def test_a_subject_that_is_gone_is_said_and_the_list_stays(console: Console, server: JsonServer) -> None:
    connected(console, schema_registry=registry(server.url))
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await open_subjects(console)
        server.answers["GET /subjects/orders-value/versions/latest"] = (404, {"error_code": 40401, "message": "no"})
        await pilot.press("j", "j", "enter")
        text = await until_shown(console.app, lambda text: "there is no subject" in text, "why there is no schema")
        assert "orders-value" in text
        assert not isinstance(console.app.screen, TextDialog)


async def test_a_long_schema_is_shown_in_part_and_copied_whole(console: Console, server: JsonServer) -> None:
    lines = "".join(f"// line {n}\n" for n in range(5_000))
    answer = version(1, 2, lines, schemaType="PROTOBUF")
    server.answers |= {"GET /subjects": ["long"], "GET /subjects/long/versions/latest": answer}
    connected(console, schema_registry=registry(server.url))
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        console.app.run_command("subject")
        await until_shown(console.app, lambda text: "PROTOBUF" in text, "the subject")
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "// line 0" in text, "its beginning")
        dialog = console.app.screen
        dialog.query_one("#text").scroll_end(animate=False)
        text = await until_shown(console.app, lambda text: "3,000 more lines; c copies all" in text, "its end")
        assert "// line 1999" in text
        await pilot.press("c")
        assert console.app.clipboard == lines


async def test_a_context_without_a_registry_says_which_setting_is_missing(tmp_path: Path) -> None:
    console = make_console(tmp_path, without("schema_registry"))
    async with console.app.run_test(size=(120, 40), notifications=True):
        console.monitor.push(well())
        console.app.run_command("subjects")
        missing = "this context has no schema registry: set url in [contexts.NAME.schema_registry]"
        await until_shown(console.app, lambda text: missing in text, "the setting")


async def test_a_registry_that_hangs_is_said_and_the_rest_goes_on(console: Console) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        connected(console, schema_registry=registry(url, timeout=1.5))
        async with console.app.run_test(size=(120, 40), notifications=True):
            console.monitor.push(well())
            console.app.run_command("subjects")
            await until_shown(console.app, lambda text: "loading" in text, "that it loads")
            console.app.run_command("pipelines")
            await until_shown(console.app, lambda text: "caught up" in text, "the pipeline meanwhile")
            console.app.run_command("subjects")
            expected = f"schema registry {url}: no response within 1.5s"
            await until_shown(console.app, lambda text: expected in text, "why there is no list")


async def test_the_registry_is_that_of_the_chosen_kafka_or_a_chosen_one(tmp_path: Path) -> None:
    components = {
        "edge": {"system": "kafka", "bootstrap_servers": "edge:9092", "schema_registry": "avro"},
        "lost": {"system": "kafka", "bootstrap_servers": "lost:9092", "schema_registry": "avrro"},
        "avro": {"system": "schema_registry", "url": "http://avro"},
    }
    console = make_console(tmp_path, settings(components=components))
    with serving({}) as core, serving({}) as edge:
        for server, name in ((core, "of-core"), (edge, "of-edge")):
            server.answers["GET /subjects"] = [name]
        clients = {name: object() for name in ("kafka", "edge", "lost")}
        context = console.app.context_settings
        registries = {"schema_registry": registry(core.url), "avro": registry(edge.url)}
        console.monitor.clients = Clients(context, **registries, **clients)
        async with console.app.run_test(size=(160, 48), notifications=True):
            console.app.run_command("subjects")
            text = await until_shown(console.app, lambda text: "of-core" in text, "the registry named like its kind")
            assert "subjects on schema_registry" in text.splitlines()[0]
            console.app.run_command("component edge")
            text = await until_shown(console.app, lambda text: "of-edge" in text, "the registry of that Kafka")
            assert "subjects on avro" in text.splitlines()[0]
            assert "of-core" not in shown(console.app)
            console.app.run_command("component schema_registry")
            await until_shown(console.app, lambda text: "of-core" in text, "the one that is chosen")
            console.app.run_command("component edge")
            await until_shown(console.app, lambda text: "of-edge" in text, "the Kafka's own again")
            console.app.run_command("component lost")
            wrong = 'kafka lost: there is no schema registry "avrro"; did you mean "avro"?'
            await until_shown(console.app, lambda text: wrong in text, "the setting that is wrong")
