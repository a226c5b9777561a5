"""A schema registry: what it knows is decoded, and whatever goes wrong is one line beside the bytes."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from tests.json_server import JsonServer, serving

from dataops_core import cli
from dataops_core.errors import BadAnswer, NotFound, TimedOut
from dataops_core.systems.kafka.records import decode
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.systems.kafka.settings import SchemaRegistrySettings
from dataops_core.systems.kafka.subjects import Subject, subject_schema, subjects

TOWN = {"type": "record", "name": "Town", "namespace": "b", "fields": [{"name": "name", "type": "string"}]}
READING = {
    "type": "record",
    "name": "Reading",
    "fields": [
        {"name": "logger", "type": "string"},
        {"name": "celsius", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "note", "type": ["null", "string"]},
    ],
}
READ = {"logger": "L-é", "celsius": Decimal("5.25"), "at": datetime(2013, 7, 1, 12, tzinfo=UTC), "note": None}


@pytest.fixture
def registry() -> Iterator[JsonServer]:
    with serving({}) as server:
        yield server


def knows(registry: JsonServer, schema_id: int, schema: object, **more: Any) -> None:
    registry.answers[f"GET /schemas/ids/{schema_id}"] = {"schema": json.dumps(schema), **more}


def paths(registry: JsonServer) -> list[str]:
    return [path for _, path, _ in registry.asked]


def client(url: str, timeout: float = 3.0, **settings: Any) -> SchemaRegistry:
    return SchemaRegistry(SchemaRegistrySettings(url=url, **settings), timeout)


def framed(schema_id: int, data: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4) + data


def written(schema_id: int, schema: Any, value: object) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return framed(schema_id, out.getvalue())


def why_not(of: SchemaRegistry, data: bytes) -> str:
    found = of.decode(data)
    assert found is not None
    assert found.text is None
    assert found.reason is not None
    assert "\n" not in found.reason
    return found.reason


@pytest.mark.parametrize("data", [None, b"", b"\0\0\0\7", b'{"id": 7}', b"\1\0\0\0\7x"])
def test_what_names_no_schema_is_left_alone(data: bytes | None) -> None:
    assert client("http://127.0.0.1:1").decode(data) is None


def test_a_record_is_decoded_and_its_schema_is_asked_for_once(registry: JsonServer) -> None:
    knows(registry, 258, READING)
    ours = client(registry.url, token="t")
    for _ in range(3):
        found = ours.decode(written(258, READING, READ))
        assert found is not None
        assert found.schema_id == 258
        assert found.text == '{"logger": "L-é", "celsius": "5.25", "at": "2013-07-01T12:00:00+00:00", "note": null}'
    assert paths(registry) == ["/schemas/ids/258"]
    assert [headers["Authorization"] for _, _, headers in registry.asked] == ["Bearer t"]


def test_a_schema_that_refers_to_others_is_put_together(registry: JsonServer) -> None:
    flight = {"type": "record", "name": "Flight", "fields": [{"name": "to", "type": "b.Town"}]}
    knows(registry, 3, flight, references=[{"name": "b.Town", "subject": "towns/all", "version": 2}])
    registry.answers["GET /subjects/towns%2Fall/versions/2"] = {"schema": json.dumps(TOWN)}
    whole = {"type": "record", "name": "Flight", "fields": [{"name": "to", "type": TOWN}]}
    found = client(registry.url).decode(written(3, whole, {"to": {"name": "Ausable"}}))
    assert found is not None
    assert found.text == '{"to": {"name": "Ausable"}}'


@pytest.mark.parametrize(
    ("schema", "data", "expected"),
    [
        ("b.Town", b"\x02t", '{"name": "t"}'),
        (["null", "b.Town", "b.Flight"], b"\x02\x02t", '{"name": "t"}'),
        (["null", "b.Town", "b.Flight"], b"\x04\x02t", '{"to": {"name": "t"}}'),
        (["null", "b.Town", "b.Flight"], b"\x00", "null"),
        (["string", {"type": "array", "items": "b.Flight"}], b"\x02\x02\x02t\x00", '[{"to": {"name": "t"}}]'),
        ({"type": "map", "values": "b.Town"}, b"\x02\x02k\x02t\x00", '{"k": {"name": "t"}}'),
    ],
)
def test_a_schema_of_references_alone(registry: JsonServer, schema: object, data: bytes, expected: str) -> None:
    flight = {"type": "record", "name": "Flight", "namespace": "b", "fields": [{"name": "to", "type": "b.Town"}]}
    town = {"name": "b.Town", "subject": "towns", "version": 2}
    knows(registry, 3, schema, references=[town, {"name": "b.Flight", "subject": "flights", "version": 1}])
    registry.answers["GET /subjects/towns/versions/2"] = {"schema": json.dumps(TOWN)}
    registry.answers["GET /subjects/flights/versions/1"] = {"schema": json.dumps(flight), "references": [town]}
    ours = client(registry.url)
    for _ in range(2):
        found = ours.decode(framed(3, data))
        assert found is not None
        assert found.text == expected, found.reason


def test_a_value_that_is_nested_too_deep_is_said(registry: JsonServer) -> None:
    registry.answers["GET /schemas/ids/9"] = {"schema": "{}", "schemaType": "JSON"}
    deep = b"[" * 600 + b"]" * 600
    assert "deep" in why_not(client(registry.url), framed(9, deep))


@pytest.mark.parametrize("data", [b"[" * 16_000, b"[" * 500 + b"]" * 500])
def test_a_record_that_is_nested_too_deep_is_text(data: bytes) -> None:
    assert decode(data)[0] == "text"


def test_schemas_that_refer_to_each_other_without_an_end_are_said(registry: JsonServer) -> None:
    again = [{"name": "b.Town", "subject": "towns", "version": 1}]
    knows(registry, 4, TOWN, references=again)
    registry.answers["GET /subjects/towns/versions/1"] = {"schema": json.dumps(TOWN), "references": again}
    assert "form a cycle" in why_not(client(registry.url), framed(4, b"x"))


def test_a_schema_with_too_many_references_is_one_reason(registry: JsonServer) -> None:
    towns = [{"name": f"t{n}", "subject": f"t{n}", "version": 1} for n in range(200)]
    knows(registry, 4, TOWN, references=towns)
    for n in range(200):
        registry.answers[f"GET /subjects/t{n}/versions/1"] = {"schema": json.dumps({**TOWN, "name": f"t{n}"})}
    assert why_not(client(registry.url), framed(4, b"x")).endswith(": a schema refers to more than 100 others")


def test_json_is_read_and_an_unknown_kind_is_not(registry: JsonServer) -> None:
    knows(registry, 5, {}, schemaType="JSON")
    knows(registry, 6, "", schemaType="THRIFT")
    found = client(registry.url).decode(framed(5, b'{"id": 7}'))
    assert found is not None
    assert found.text == '{"id": 7}'
    assert why_not(client(registry.url), framed(6, b"x")) == "schema 6 is THRIFT, which is not supported"


def test_a_schema_that_is_not_known_is_asked_for_once_and_others_are_decoded(registry: JsonServer) -> None:
    knows(registry, 2, "string")
    ours = client(registry.url)
    for _ in range(3):
        assert why_not(ours, framed(1, b"x")) == f"schema registry {registry.url}: has no schema 1"
    found = ours.decode(written(2, "string", "é"))
    assert found is not None
    assert found.text == '"é"'
    assert paths(registry) == ["/schemas/ids/1", "/schemas/ids/2"]


def test_bytes_that_do_not_fit_are_said_and_their_schema_stays_known(registry: JsonServer) -> None:
    knows(registry, 1, READING)
    ours = client(registry.url)
    assert why_not(ours, framed(1, b"\xff\xff")).startswith("the bytes do not fit schema 1: ")
    assert ours.decode(written(1, READING, READ)) != ours.decode(framed(1, b""))


@pytest.mark.parametrize("answer", [{"schema": "{"}, {"schema": '{"type": "nonsense"}'}, {"schema": 7}, ["x"], "x"])
def test_a_registry_that_lies_is_said(registry: JsonServer, answer: object) -> None:
    registry.answers["GET /schemas/ids/1"] = answer
    assert why_not(client(registry.url), framed(1, b"x")).startswith(f"schema registry {registry.url}: ")


def test_a_registry_that_is_down_or_hangs_is_said_and_not_asked_for_each_record() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hung = client(url, timeout=0.5)
        for schema_id in range(1, 50):
            assert why_not(hung, framed(schema_id, b"x")) == f"schema registry {url}: no response within 500ms"
        silent.settimeout(0.0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # there was no second question
            silent.accept()
    down = client(url)
    assert "cannot be reached" in why_not(down, framed(1, b"x"))
    assert "cannot be reached" in why_not(down, framed(2, b"x"))


def test_no_secret_is_in_what_is_said() -> None:
    secret = "hunter2"
    ours = client("http://127.0.0.1:1", username="u", password=secret)
    assert secret not in why_not(ours, framed(1, b"x"))


def test_subjects_have_their_level_or_that_of_the_registry(registry: JsonServer) -> None:
    registry.answers["GET /subjects"] = ["b/c", "a"]
    registry.answers["GET /config"] = {"compatibilityLevel": "BACKWARD"}
    registry.answers["GET /subjects/a/versions/latest"] = {"version": 3, "id": 17, "schema": "{}"}
    registry.answers["GET /subjects/b%2Fc/versions/latest"] = {"version": 1, "id": 2, "schemaType": "PROTOBUF"}
    registry.answers["GET /config/b%2Fc"] = {"compatibilityLevel": "FULL"}
    assert subjects(client(registry.url)) == [
        Subject("a", 3, "AVRO", 17, "BACKWARD", inherited=True),
        Subject("b/c", 1, "PROTOBUF", 2, "FULL", inherited=False),
    ]
    registry.asked.clear()
    assert [found.name for found in subjects(client(registry.url), lambda names: names[1:])] == ["a"]
    assert sorted(paths(registry)) == ["/config", "/config/a", "/subjects", "/subjects/a/versions/latest"]


def test_an_unreadable_subject_does_not_hide_the_others(registry: JsonServer) -> None:
    registry.answers["GET /subjects"] = ["bad", "good", "gone", "level"]
    for name in ("good", "level"):
        registry.answers[f"GET /subjects/{name}/versions/latest"] = {"version": 1, "id": 2}
    registry.answers["GET /subjects/bad/versions/latest"] = {"version": -1, "id": 2}
    registry.answers["GET /config/good"] = {"compatibilityLevel": "NONE"}
    registry.answers["GET /config/level"] = {"compatibilityLevel": 7}
    where = f"schema registry {registry.url}"
    bad, gone, good, level = subjects(client(registry.url))
    assert bad.unreadable == (
        f"{where}: the response to /subjects/bad/versions/latest has a field that is not a count: version"
    )
    assert good == Subject("good", 1, "AVRO", 2, "NONE", inherited=False)
    assert gone.unreadable == f"{where}: not found"
    assert (level.compatibility, level.inherited) == (None, None)
    assert "compatibilityLevel" in (level.unreadable or "")


def test_a_level_that_nobody_has_is_unknown(registry: JsonServer) -> None:
    registry.answers["GET /subjects"] = ["a"]
    registry.answers["GET /subjects/a/versions/latest"] = {"version": 1, "id": 2}
    (found,) = subjects(client(registry.url))
    assert found == Subject(
        "a", 1, "AVRO", 2, None, inherited=True, unreadable=f"schema registry {registry.url}: not found"
    )


@pytest.mark.parametrize("answer", [{"a": 1}, ["a", 1], "a"])
def test_a_list_of_subjects_that_is_none_is_one_error(registry: JsonServer, answer: object) -> None:
    registry.answers["GET /subjects"] = answer
    with pytest.raises(BadAnswer, match="the list of subjects is not a list of names"):
        subjects(client(registry.url))


def test_a_registry_that_is_lost_is_not_asked_for_each_subject(
    registry: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.answers["GET /subjects"] = [f"s{n}" for n in range(100)]
    lost = client(registry.url)
    get, asked = lost.get, []

    def hang(path: str) -> Any:
        asked.append(path)
        if path != "/subjects":
            raise TimedOut("no response within 3s")
        return get(path)

    monkeypatch.setattr(lost, "get", hang)
    assert {found.unreadable for found in subjects(lost)} == {"no response within 3s"}
    assert len(asked) == 2


def test_the_command_lists_subjects(registry: JsonServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    registry.answers["GET /subjects"] = ["orders-value", "orders-key"]
    registry.answers["GET /config"] = {"compatibilityLevel": "BACKWARD"}
    registry.answers["GET /subjects/orders-value/versions/latest"] = {"version": 3, "id": 17}
    config = tmp_path / "dataops.toml"
    config.write_text(
        f'[contexts.c.schema_registry]\nurl = "{registry.url}"\n[contexts.none.trino]\nurl = "http://t"\n'
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["--config", str(config), "--context", *arguments])
        return (code, *capsys.readouterr())

    code, out, err = run("c", "kafka", "subjects", "-o", "json")
    assert (code, err) == (0, "dataops: 1 of 2 subjects cannot be read\n")
    assert [(row["subject"], row["version"], row["error"] is None) for row in json.loads(out)] == [
        ("orders-key", None, False),
        ("orders-value", 3, True),
    ]
    code, out, err = run("c", "kafka", "subjects", "--filter", "-value$")
    assert (code, err) == (0, "")
    assert "BACKWARD" in out
    assert "orders-key" not in out
    assert run("none", "kafka", "subjects")[::2] == (2, 'dataops: the context "none" has no schema registry\n')


ABOUT = {"subject": "orders-value", "version": 3, "id": 17}


def test_the_command_prints_a_schema(registry: JsonServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    town = {"name": "b.Town", "subject": "towns", "version": 2}
    schema = json.dumps({**TOWN, "doc": "1.10"})
    registry.answers["GET /subjects/orders-value/versions/latest"] = {**ABOUT, "schema": schema, "references": [town]}
    text = 'syntax = "proto3";\nmessage Town { string name = 1; }\n'
    old = {**ABOUT, "version": 2, "id": 5, "schemaType": "PROTOBUF", "schema": text}
    registry.answers["GET /subjects/orders-value/versions/2"] = old
    registry.answers["GET /config/orders-value"] = {"compatibilityLevel": "FULL"}
    config = tmp_path / "dataops.toml"
    config.write_text(f'[contexts.c.schema_registry]\nurl = "{registry.url}"\n')

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["--config", str(config), "kafka", "schema", *arguments])
        return (code, *capsys.readouterr())

    code, out, err = run("orders-value")
    assert code == 0
    assert out.startswith('{\n  "type": "record",\n  "name": "Town"')
    assert json.loads(out) == json.loads(schema)
    assert err == "orders-value: version 3, schema id 17, AVRO, compatibility FULL, refers to towns version 2\n"
    assert run("orders-value", "--version", "2") == (
        *(0, text),
        "orders-value: version 2, schema id 5, PROTOBUF, compatibility FULL\n",
    )
    code, out, err = run("orders-value", "-o", "json")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    assert json.loads(shown.pop("schema")) == json.loads(schema)
    assert shown == {
        "subject": "orders-value",
        "version": 3,
        "type": "AVRO",
        "schema_id": 17,
        "compatibility": "FULL",
        "inherited": False,
        "references": [town],
        "error": None,
    }
    where = f"dataops: schema registry {registry.url}"
    assert run("nobody") == (1, "", f'{where}: there is no subject "nobody"\n')
    assert run("orders-value", "--version", "9") == (
        *(1, ""),
        f'{where}: there is no subject "orders-value" with version 9\n',
    )
    assert run("orders-value", "--version", "0")[0] == 2


def test_an_unreadable_level_does_not_hide_the_schema(registry: JsonServer) -> None:
    registry.answers["GET /subjects/a/versions/latest"] = {**ABOUT, "schema": '"string"'}
    registry.answers["GET /config/a"] = (403, {"message": "no"})
    found = subject_schema(client(registry.url), "a")
    assert (found.text, found.subject.compatibility) == ('"string"', None)
    assert found.subject.unreadable == f"schema registry {registry.url}: denied permission (403): no"


@pytest.mark.parametrize("answer", [{**ABOUT}, {**ABOUT, "schema": 7}, {"schema": "{}", "version": 1}, [], "x"])
def test_a_schema_that_is_none_is_one_error(registry: JsonServer, answer: object) -> None:
    registry.answers["GET /subjects/a/versions/latest"] = answer
    with pytest.raises(BadAnswer, match="the response to /subjects/a/versions/latest "):
        subject_schema(client(registry.url), "a")


def test_a_registry_that_hangs_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            subject_schema(client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=3), "a")
        assert time.monotonic() - began < 6, "the level is requested first, and nothing after it"


def test_a_registry_below_a_path_gets_our_credentials_and_has_the_level_that_applies(registry: JsonServer) -> None:
    under = "/apis/ccompat/v7"
    answers = {
        "/schemas/types": ["AVRO"],
        "/config": {"compatibilityLevel": "BACKWARD"},
        "/subjects": ["own", "without"],
        "/config/own": {"compatibilityLevel": "FULL"},
        "/config/without": {"compatibilityLevel": "NONE"},
        "/schemas/ids/3": {"schema": '"b.Town"', "references": [{"name": "b.Town", "subject": "own", "version": 1}]},
        "/subjects/own/versions/1": {"schema": json.dumps(TOWN)},
        **{f"/subjects/{name}/versions/latest": {**ABOUT, "schema": '"string"'} for name in ("own", "without")},
    }
    registry.answers |= {f"GET {under}{path}": answer for path, answer in answers.items()}
    ours = client(f"{registry.url}{under}/", username="u", password="p")
    assert ours.ping() == "AVRO"
    assert [(found.compatibility, found.inherited) for found in subjects(ours)] == [("FULL", False), ("BACKWARD", True)]
    assert subject_schema(ours, "without").subject.inherited
    found = ours.decode(written(3, TOWN, {"name": "t"}))
    assert found is not None
    assert found.text == '{"name": "t"}'
    assert {*paths(registry)} == {f"{under}{path}" for path in answers}
    assert {headers["Authorization"] for _, _, headers in registry.asked} == {"Basic dTpw"}


def test_where_there_is_no_registry_the_fix_is_said(registry: JsonServer) -> None:
    with pytest.raises(NotFound) as caught:
        client(registry.url).ping()
    assert caught.value.message == f"schema registry {registry.url}: there is no schema registry at this address"
    assert caught.value.hint == "correct url; that of Apicurio Registry ends in /apis/ccompat/v7"
