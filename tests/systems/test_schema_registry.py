"""Apicurio Registry and Kafka: subjects, schemas, compatibility levels, and records in the three formats."""

from __future__ import annotations

import io
import json
import urllib.error
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from tests.brokers import Brokers
from tests.ports import free_base
from tests.screen import until_shown
from tests.systems.apicurio import Apicurio
from tests.systems.foreign import run

from dataops_core.actions import ActionPolicy
from dataops_core.config import context_of
from dataops_core.recorder.recorded import RecordedMonitor
from dataops_core.systems.registry import load_settings
from dataops_local import fetch
from dataops_local.layout import OFFSETS
from dataops_tui.app import DataopsApp

pytestmark = [pytest.mark.systems, pytest.mark.timeout(600)]
CONFIG = """
[contexts.here.kafka]
bootstrap_servers = "{kafka}"
[contexts.here.schema_registry]
url = "{registry}"
[pipelines.p]
context = "here"
[[pipelines.p.stages]]
name = "orders"
kind = "topic"
topic = "orders"
"""
TOWN = {"type": "record", "name": "Town", "namespace": "shop", "fields": [{"name": "name", "type": "string"}]}
ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "to", "type": "shop.Town"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    ],
}
NOTE = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
PLACE = """syntax = "proto3";
package shop;

message Place {
  string name = 1;
}
"""
SHIPMENT = """syntax = "proto3";
package shop;

import "google/protobuf/timestamp.proto";
import "place.proto";

// Where a parcel goes.
message Shipment {
  int64 id = 1;
  Place to = 2;
  google.protobuf.Timestamp at = 3;
  map<string, int32> parts = 4;
  repeated Leg legs = 5;
  optional string note = 6;
  message Leg {
    sint32 days = 1;
  }
}

message Return {
  string reason = 1;
}
"""


OLD = "message Old { optional group Part = 1 { optional int32 x = 2; } }"


class Shop:
    """The registry with its schemas, and a broker."""

    def __init__(self, folder: Path, registry: Apicurio, brokers: Brokers) -> None:
        self.registry = registry
        self.brokers = brokers
        self.config = folder / "dataops.toml"
        self.config.write_text(CONFIG.format(kafka=brokers.servers, registry=registry.url))
        registry.register("towns/all", json.dumps(TOWN))
        self.order = registry.register("orders-value", json.dumps(ORDER), "AVRO", ("shop.Town", "towns/all"))
        either = json.dumps(["shop.Town", "shop.Order"])
        named = (("shop.Town", "towns/all"), ("shop.Order", "orders-value"))
        self.either = registry.register("either-value", either, "AVRO", *named)
        self.note = registry.register("notes-value", json.dumps(NOTE), "JSON")
        registry.register("place.proto", PLACE, "PROTOBUF")
        self.shipment = registry.register("shipments-value", SHIPMENT, "PROTOBUF", ("place.proto", "place.proto"))
        self.old = registry.register("old-value", OLD, "PROTOBUF")
        for topic in ("orders", "old"):
            brokers.topic(topic)

    def send(self, topic: str, *records: tuple[int, bytes]) -> None:
        """Produce records: the id of the schema, and the data."""
        producer = Producer({"bootstrap.servers": self.brokers.servers, "log_level": 0})
        for schema_id, data in records:
            producer.produce(topic, b"\0" + schema_id.to_bytes(4) + data)
        assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Start both, and register the schemas."""
    folder = tmp_path_factory.mktemp("shop")
    fetch.fetch(print)
    registry = Apicurio(tmp_path_factory.mktemp("apicurio"))
    try:
        brokers = Brokers(folder / "kafka", free_base(OFFSETS.values()))
        try:
            brokers.start()
            yield Shop(folder, registry, brokers)
        finally:
            brokers.stop()
    finally:
        registry.stop()


Output = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def ask(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Output:
    """Return a function that runs a command with JSON, and returns its exit code, output and errors."""

    def asked(*arguments: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = run(shop.config, *arguments, "-o", "json")
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return asked


def test_the_registry_is_up_below_its_path(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop.config, "doctor") == 0
    assert "JSON, PROTOBUF, AVRO" in capsys.readouterr().out
    wrong = tmp_path / "dataops.toml"
    wrong.write_text(shop.config.read_text().replace(shop.registry.url, shop.registry.root))
    assert run(wrong, "doctor") == 1
    out = capsys.readouterr().out
    assert f"schema registry {shop.registry.root}: there is no schema registry at this address" in out
    assert "that of Apicurio Registry ends in /apis/ccompat/v7" in out


def test_levels_are_those_that_apply(shop: Shop, ask: Output) -> None:
    def levels() -> dict[str, tuple[str, bool]]:
        code, rows, err = ask("kafka", "subjects")
        assert (code, err) == (0, "")
        return {row["subject"]: (row["compatibility"], row["inherited"]) for row in rows}

    names = {"either-value", "towns/all", "orders-value", "notes-value", "place.proto", "shipments-value", "old-value"}
    assert levels() == dict.fromkeys(names, ("NONE", True)), "the registry's default"
    shop.registry.level("BACKWARD")
    shop.registry.level("FULL_TRANSITIVE", "orders-value")
    assert levels() == {**dict.fromkeys(names, ("BACKWARD", True)), "orders-value": ("FULL_TRANSITIVE", False)}
    shop.registry.level("NONE", "towns/all")
    assert levels()["towns/all"] == ("BACKWARD", True)
    other = json.dumps({**TOWN, "fields": [{"name": "name", "type": "int"}]})
    with pytest.raises(urllib.error.HTTPError, match="409"):
        shop.registry.register("towns/all", other)  # it is BACKWARD: NONE only deletes the subject's own level
    more = json.dumps({**TOWN, "fields": [*TOWN["fields"], {"name": "zip", "type": "string", "default": ""}]})
    shop.registry.register("towns/all", more)
    rows = {row["subject"]: row for row in ask("kafka", "subjects", "--filter", "^towns")[1]}
    assert (rows["towns/all"]["version"], rows["towns/all"]["type"]) == (2, "AVRO")


def test_schemas_are_shown(shop: Shop, ask: Output, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, err = ask("kafka", "schema", "orders-value")
    assert (code, err, json.loads(shown["schema"])) == (0, "", ORDER)
    assert shown["references"] == [{"name": "shop.Town", "subject": "towns/all", "version": 1}]
    assert (shown["version"], shown["schema_id"], shown["type"]) == (1, shop.order, "AVRO")
    assert run(shop.config, "kafka", "schema", "shipments-value") == 0
    out, err = capsys.readouterr()
    assert out == SHIPMENT
    assert "PROTOBUF" in err
    assert "refers to place.proto version 1" in err
    code, shown, _ = ask("kafka", "schema", "towns/all", "--version", "1")
    assert json.loads(shown["schema"]) == TOWN
    assert ask("kafka", "schema", "nobody")[0] == 1
    assert ask("kafka", "schema", "orders-value", "--version", "7")[::2] == (
        *(1,),
        f'dataops: schema registry {shop.registry.url}: there is no subject "orders-value" with version 7\n',
    )


def test_records_are_decoded(shop: Shop, ask: Output) -> None:
    out = io.BytesIO()
    town: dict[str, Any] = {}
    fastavro.parse_schema(TOWN, town)
    order = {"id": 2**53 + 1, "to": {"name": "Cohoes"}, "total": Decimal("12.50")}
    fastavro.schemaless_writer(out, fastavro.parse_schema(ORDER, town), order)
    data = (
        *(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x12\x08\x0a\x06Elmira", b"\x1a\x02\x08\x01"),
        *(b"\x22\x05\x0a\x01b\x10\x02", b"\x2a\x02\x08\x03", b"\x32\x00"),
    )
    shop.send(
        "orders",
        (shop.order, out.getvalue()),
        (shop.either, b"\x02" + out.getvalue()),
        (shop.note, b'{"id": 12345678901234567890}'),
        (shop.shipment, b"\0" + b"".join(data)),
        (shop.shipment, b"\x02\x02\x0a\x03wet"),  # the indexes [1]
        (shop.shipment, b"\x04\x00\x02\x08\x05"),  # the indexes [0, 1]: after the entries of the map
    )
    code, rows, err = ask("kafka", "peek", "orders", "--from", "beginning")
    assert code == 0
    assert [row["value"] for row in rows[:5]] == [
        {"id": 2**53 + 1, "to": {"name": "Cohoes"}, "total": "12.50"},
        {"id": 2**53 + 1, "to": {"name": "Cohoes"}, "total": "12.50"},
        {"id": 12345678901234567890},
        {
            "id": 2**63 - 1,
            "to": {"name": "Elmira"},
            "at": "1970-01-01T00:00:01+00:00",
            "parts": {"b": 2},
            "legs": [{"days": -2}],
            "note": "",
        },
        {"reason": "wet"},
    ]
    assert err == "dataops: not decoded: the value names the message [0, 1], which its schema does not have\n"
    assert rows[5]["value"] == (b"\0" + shop.shipment.to_bytes(4) + b"\x04\x00\x02\x08\x05").hex(" ")


def test_what_cannot_be_decoded_is_bytes_with_a_reason(shop: Shop, ask: Output) -> None:
    shop.send("old", (shop.old, b"\0\x0b\x10\x01\x0c"), (999_999, b"x"), (shop.order, b"\xff"), (shop.note, b"{"))
    code, rows, err = ask("kafka", "peek", "old", "--from", "beginning")
    assert code == 0
    where = f"dataops: not decoded: schema registry {shop.registry.url}:"
    assert err.splitlines()[:2] == [
        f"{where} the Protobuf schema {shop.old} has a group, which needs format=serialized",
        f"{where} has no schema 999999",
    ]
    assert f"the bytes do not fit schema {shop.order}: " in err.splitlines()[2]
    assert f"the bytes do not fit schema {shop.note}: " in err.splitlines()[3]
    assert [row["kind"] for row in rows] == ["hex"] * 4
    assert rows[1]["value"] == (b"\0" + (999_999).to_bytes(4) + b"x").hex(" ")


async def test_the_console_shows_them(shop: Shop) -> None:
    settings = load_settings(shop.config)
    policy = ActionPolicy(*context_of(settings), audit_path=shop.config.with_name("audit.jsonl"))
    recorder = settings.recorder.model_copy(update={"folder": shop.config.with_name("recordings")})
    settings = settings.model_copy(update={"recorder": recorder})
    app = DataopsApp(settings, None, lambda: RecordedMonitor(settings), policy)
    async with app.run_test(size=(160, 48), notifications=True) as pilot:
        app.run_command("subjects")
        text = await until_shown(app, lambda text: "place.proto" in text, "the subjects")
        assert "cannot be read" not in text
        await pilot.press("slash", *"shipments", "enter")
        await until_shown(app, lambda text: "1 of 7" in text, "the filter")
        await pilot.press("enter")
        text = await until_shown(app, lambda text: "message Shipment {" in text, "the schema")
        assert "refers to place.proto version 1" in " ".join(text.replace("│", " ").split())
        await pilot.press("escape")
        app.run_command("peek orders")
        await until_shown(app, lambda text: '"Elmira"' in text, "the records")
