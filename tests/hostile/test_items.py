"""Items of lists, times and schemas from outside: a wrong one is named, is bounded, and hides no other."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest
from tests.hostile.answers import ALERT, FIRING, QUERY

from dataops_core.actions.params import expected, parse_param
from dataops_core.actions.policy import parse_conf
from dataops_core.bounded import Malformed
from dataops_core.cli import tables as tables_command
from dataops_core.errors import ActionRefused, Unreachable
from dataops_core.json_text import parsed
from dataops_core.systems.iceberg import inspect
from dataops_core.systems.iceberg.table import _millis, _snapshot_age, _time, count_of
from dataops_core.systems.kafka import avro
from dataops_core.systems.kafka.schema_registry import read_schema
from dataops_core.systems.prometheus.probe import observe_alerts
from dataops_core.systems.prometheus.responses import read_active, read_data, read_firing
from dataops_core.systems.spark.ui import read_dropped, read_ended, read_running
from dataops_core.systems.trino.responses import read_queries
from dataops_core.transport.credentials import web_token

ODD: tuple[Any, ...] = (None, 7, {}, [], "x")


@pytest.mark.parametrize("odd", ODD)
def test_a_wrong_alert_is_listed_and_hides_no_other(odd: Any) -> None:
    firing = read_data({"status": "success", "data": {"alerts": [odd, FIRING, {**FIRING, "activeAt": "never"}]}})
    for found in (read_firing(firing), read_active([odd, ALERT, {**ALERT, "startsAt": 5}])):
        assert [alert.unreadable is None for alert in found] == [False, False, True]
        assert found[1].name == "A", "its name is known"
        _, seen = observe_alerts(SimpleNamespace(alerts=lambda found=found: found), "prometheus")  # type: ignore[arg-type]
        assert seen.measurement("alerts_firing") == 3
        assert sum("cannot be read" in note for note in seen.notes) == 2
    with pytest.raises(Malformed, match="has no readable alert"):
        read_active([odd])


@pytest.mark.parametrize("odd", ODD)
def test_a_wrong_query_is_listed_and_hides_no_other(odd: Any) -> None:
    found = read_queries([odd, QUERY, {**QUERY, "queryId": "q", "queryStats": None}])
    assert sorted(query.query_id for query in found) == ["#1", QUERY["queryId"], "q"]
    assert sum(query.unreadable is not None for query in found) == 2
    with pytest.raises(Malformed, match="has no readable query"):
        read_queries([odd])


@pytest.mark.parametrize("number", [0, 1, -1, 2**62, -(2**63), 2**63 - 1])
def test_any_timestamp_of_a_table_is_a_time_or_unknown(number: int) -> None:
    for found in (_millis(number), _time(number.to_bytes(8, "little", signed=True))):
        assert (found is None) == (abs(number) > 2**60)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣", "9" * 30, "9" * 5000, None])
def test_numbers_of_a_summary_are_counts_or_unknown(text: str | None) -> None:
    assert count_of(text) is None
    properties = {} if text is None else {"history.expire.max-snapshot-age-ms": text}
    assert _snapshot_age(SimpleNamespace(properties=properties)) == 432_000  # type: ignore[arg-type]


@pytest.mark.parametrize("claim", [10**30, -(10**30), 1e300, "soon", None, True, [], {}])
def test_a_token_with_an_odd_end_has_none(claim: Any) -> None:
    def token(claims: Any) -> str:
        return f"a.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c"

    with pytest.raises(ValueError, match="a token without an expiry date"):
        web_token(token({"exp": claim}))
    assert web_token(token({"exp": 5, "iat": claim})).ends == datetime.fromtimestamp(5, UTC)
    with pytest.raises(ValueError, match="an unreadable token"):
        web_token(token([claim]))


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


def _avro(schema: Any, data: bytes) -> object:
    named: dict[str, Any] = {}
    return avro.read(data, avro.parse(schema, named), named)


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"type": "array", "items": "null"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"),
        ({"type": "array", "items": {"type": "record", "name": "R", "fields": []}}, b"\x80\x80\x80\x80\x10\x00"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, b"\xff\xff\xff\xff\x7f\x00\x00"),
        (NODE, b"\x02" * 1_000_000),
        ({"type": "record", "name": "R", "fields": [{"name": "r", "type": "R"}]}, b""),
        ({"type": "array", "items": ["null", {"type": "array", "items": "null"}]}, b"\x02\x02" * 500_000),
    ],
)
def test_avro_data_that_is_deep_or_has_items_of_no_bytes_is_refused_at_once(schema: Any, data: bytes) -> None:
    began = time.process_time()
    with pytest.raises((Malformed, EOFError)):
        _avro(schema, data)
    assert time.process_time() - began < 5


def test_an_avro_decimal_with_a_scale_of_billions_is_refused() -> None:
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 2**31, "scale": 2**30}
    with pytest.raises(Malformed, match="a decimal with more than 4,000 digits"):
        _avro(schema, b"\x02\x01")


def test_avro_data_within_the_bounds_is_read_as_before() -> None:
    assert _avro(NODE, b"\x02\x02\x00") == {"next": {"next": {"next": None}}}
    assert fastavro.parse_schema(NODE)
    schema = {
        "type": "record",
        "name": "All",
        "fields": [
            {"name": "a", "type": {"type": "array", "items": "long"}},
            {"name": "m", "type": {"type": "map", "values": "string"}},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"]}},
            {"name": "f", "type": {"type": "fixed", "name": "F", "size": 2}},
            {"name": "u", "type": ["null", "E", {"type": "int", "logicalType": "date"}]},
        ],
    }
    data = b"\x04\x02\x04\x00" + b"\x02\x02k\x02v\x00" + b"\x02" + b"ab" + b"\x04\x02"
    assert _avro(schema, data) == {"a": [1, 2], "m": {"k": "v"}, "e": "Y", "f": b"ab", "u": date(1970, 1, 2)}


@pytest.mark.parametrize(
    "lie",
    [None, [], {}, {"schema": 7}, {"schema": "x", "references": 7}, {"schema": "x", "references": [{"name": "n"}]},
     {"schema": "x", "schemaType": []}, {"schema": "x", "references": [{"name": "n", "subject": "s", "version": -1}]}],
)  # fmt: skip
def test_a_schema_of_another_form_is_refused(lie: Any) -> None:
    with pytest.raises(Malformed):
        read_schema(lie)


def test_executions_of_spark_are_read_one_by_one() -> None:
    one = {
        "id": 1, "status": "COMPLETED", "description": "id = q\n", "submissionTime": "2026-01-05T00:00:00.000GMT",
        "duration": 1000,
    }  # fmt: skip
    odd = [{**one, "id": n + 2, name: value} for n, (name, value) in enumerate((k, v) for k in one for v in (None, -1))]
    ended = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(seconds=1)
    assert read_ended([one, *odd, {**one, "id": 99, "duration": 2**62}], "q") == {1: ended}
    assert read_dropped({"nodes": []}) is None
    name = "number of rows which are dropped by watermark"
    assert (
        read_dropped({"nodes": [{"metrics": [{"name": name, "value": "1.234"}, {"name": name, "value": "6"}]}]}) == 1240
    )
    for lie in ("", "x", "9" * 5000, 7):
        with pytest.raises(Malformed):
            read_dropped({"nodes": [{"metrics": [{"name": name, "value": lie}]}]})
    with pytest.raises(Malformed):
        read_running([])


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": 7}, {"type": 7}, {"type": ["null", 7]}, {"minLength": "x"}, {"maxLength": -1}, {"pattern": "("},
        {"pattern": 7}, {"minimum": "x"}, {"format": []}, {"exclusiveMaximum": {}}, {"maximum": 10**400},
        {"pattern": "(a+)+$"}, {"type": {}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("typed", ["", "5", "x", "a" * 60 + "!", '"text"', "[1]", "1e999", "true"])
def test_an_odd_schema_of_a_parameter_is_no_limit_and_no_error(schema: dict[str, Any], typed: str) -> None:
    began = time.process_time()
    expected(schema)
    with suppress(ActionRefused):
        parse_param("n", typed, schema)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("text", ["[1]", "x", "{", "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, "7"])
def test_parameters_that_are_no_object_or_too_deep_are_one_line(text: str) -> None:
    with pytest.raises(ActionRefused) as raised:
        parse_conf(text)
    assert "\n" not in str(raised.value)
    assert parse_conf("") == {}
    assert parse_conf('{"a": [1]}') == {"a": [1]}


def test_a_document_that_is_deep_is_refused_before_it_is_read() -> None:
    with pytest.raises(Malformed):
        parsed("[" * 100_000)


def test_one_catalog_that_is_down_is_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def tables(client: str) -> tuple[inspect.TableSummary, ...]:
        if client == "down":
            raise Unreachable("catalog down: refused")
        return (inspect.TableSummary("a.b", records=1),)

    monkeypatch.setattr(inspect, "tables", tables)
    both = {"lake": "up", "other": "down"}
    monkeypatch.setattr(tables_command, "_open", lambda *_: (None, both))
    assert tables_command._list_tables(SimpleNamespace(), None, "json") == 3  # type: ignore[arg-type]
    rows = json.loads(capsys.readouterr().out)
    assert [(row["table"], row["error"]) for row in rows] == [("lake.a.b", None), ("other.*", "catalog down: refused")]
    del both["lake"]
    with pytest.raises(Unreachable):
        tables_command._list_tables(SimpleNamespace(), None, "json")  # type: ignore[arg-type]
