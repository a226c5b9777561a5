"""Protobuf records by the descriptors of a schema registry: exact values, or one line beside the bytes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.json_server import JsonServer, serving

from dataops_core.json_text import indented
from dataops_core.systems.kafka.records import decode
from dataops_core.systems.kafka.schema_registry import SchemaRegistry
from dataops_core.systems.kafka.settings import SchemaRegistrySettings

TOWN = 'syntax: "proto3" package: "b" message_type { name: "Town" field { name: "name" number: 1 type: TYPE_STRING } }'
READING = """
    syntax: "proto3" package: "a"
    dependency: ["google/protobuf/timestamp.proto", "google/protobuf/duration.proto", "google/protobuf/struct.proto",
        "google/protobuf/wrappers.proto", "google/protobuf/api.proto", "confluent/meta.proto", "towns.proto"]
    public_dependency: 6
    message_type {
        name: "Reading"
        field { name: "id" number: 1 type: TYPE_INT64 }
        field { name: "total" number: 2 type: TYPE_UINT64 }
        field { name: "celsius" number: 3 type: TYPE_FLOAT }
        field { name: "raw" number: 4 type: TYPE_BYTES }
        field { name: "state" number: 5 type: TYPE_ENUM type_name: ".a.State" }
        field { name: "at" number: 6 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" }
        field { name: "took" number: 7 type: TYPE_MESSAGE type_name: ".google.protobuf.Duration" }
        field { name: "free" number: 8 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" }
        field { name: "limit" number: 9 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" }
        field { name: "note" number: 10 type: TYPE_STRING oneof_index: 1 proto3_optional: true }
        field { name: "shown" number: 11 type: TYPE_BOOL oneof_index: 0 }
        field { name: "code" number: 12 type: TYPE_INT32 oneof_index: 0 }
        field { name: "counts" number: 13 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".a.Reading.Count" }
        field { name: "parts" number: 14 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".a.Reading" }
        field { name: "numbers" number: 15 type: TYPE_SINT64 label: LABEL_REPEATED }
        field { name: "town" number: 16 type: TYPE_MESSAGE type_name: ".b.Town" }
        nested_type {
            name: "Count" options { map_entry: true }
            field { name: "key" number: 1 type: TYPE_INT32 }
            field { name: "value" number: 2 type: TYPE_DOUBLE }
        }
        nested_type { name: "Inner" field { name: "x" number: 1 type: TYPE_INT32 } }
        oneof_decl { name: "either" }
        oneof_decl { name: "_note" }
    }
    message_type { name: "Other" field { name: "y" number: 1 type: TYPE_STRING } }
    enum_type { name: "State" value { name: "NONE" number: 0 } value { name: "GOOD" number: 1 } }
"""
TOWNS = {"name": "towns.proto", "subject": "towns/all", "version": 2}
REFERRED = "/subjects/towns%2Fall/versions/2?format=serialized"


def serialized(text: str) -> str:
    from google.protobuf import descriptor_pb2, text_format

    file = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    return base64.b64encode(file.SerializeToString()).decode()


def knows(registry: JsonServer, schema_id: int, schema: str, **more: Any) -> None:
    about = {"schemaType": "PROTOBUF", **more}
    registry.answers[f"GET /schemas/ids/{schema_id}"] = {"schema": 'syntax = "proto3";', **about}
    registry.answers[f"GET /schemas/ids/{schema_id}?format=serialized"] = {"schema": schema, **about}


@pytest.fixture
def registry() -> Iterator[JsonServer]:
    with serving({f"GET {REFERRED}": {"schema": serialized(TOWN), "schemaType": "PROTOBUF"}}) as server:
        knows(server, 7, serialized(READING), references=[TOWNS])
        yield server


def client(registry: JsonServer) -> SchemaRegistry:
    return SchemaRegistry(SchemaRegistrySettings(url=registry.url))


def framed(schema_id: int, data: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4) + data


def value(of: SchemaRegistry, data: bytes, schema_id: int = 7) -> dict[str, Any]:
    found = of.decode(framed(schema_id, data))
    assert found is not None
    assert found.text is not None, found.reason
    read: dict[str, Any] = json.loads(found.text)
    return read


def why_not(of: SchemaRegistry, data: bytes = b"\0", schema_id: int = 7) -> str:
    found = of.decode(framed(schema_id, data))
    assert found is not None
    assert found.text is None
    assert found.reason is not None
    assert "\n" not in found.reason
    return found.reason


def message(of: SchemaRegistry, name: str = "Reading") -> Any:
    from google.protobuf.message_factory import GetMessageClass

    value(of, b"\0")
    return GetMessageClass(of._schemas[7].parsed.message_types_by_name[name])()


EMPTY = {
    "id": 0, "total": 0, "celsius": 0.0, "raw": "", "state": "NONE", "counts": {}, "parts": [], "numbers": [],
}  # fmt: skip


def test_each_kind_of_value_is_exact_and_the_schema_is_requested_once(registry: JsonServer) -> None:
    ours = client(registry)
    given = message(ours)
    given.id, given.total, given.celsius = -(2**63), 2**64 - 1, 21.4
    given.raw, given.state, given.note, given.code = b"\xff\x00", 1, "", 0
    given.at.seconds, given.at.nanos = 1_372_680_000, 1_500_000
    given.took.seconds, given.took.nanos = -3, -500_000_000
    given.free["k"] = [1.5, None, "x", {"y": True}]
    given.limit.value = 0
    given.counts[10], given.counts[9] = 0.1, float("inf")
    given.parts.add().state = 9
    given.numbers.extend([1, -1])
    given.town.name = "Ausable-é"
    expected = {
        "id": -(2**63),
        "total": 2**64 - 1,
        "celsius": 21.4,
        "raw": "ff00",
        "state": "GOOD",
        "at": "2013-07-01T12:00:00.001500+00:00",
        "took": "-3.5s",
        "free": {"k": [1.5, None, "x", {"y": True}]},
        "limit": 0,
        "note": "",
        "code": 0,
        "counts": {"9": "inf", "10": 0.1},
        "parts": [{**EMPTY, "state": 9}],
        "numbers": [1, -1],
        "town": {"name": "Ausable-é"},
    }
    for _ in range(3):
        found = value(ours, b"\0" + given.SerializeToString())
        assert found == expected
        assert [*found] == [*expected], "in the order of the schema"
    assert [path for _, path, _ in registry.asked] == ["/schemas/ids/7", "/schemas/ids/7?format=serialized", REFERRED]


def test_the_console_shows_it_as_json_with_the_exact_digits(registry: JsonServer) -> None:
    found = client(registry).decode(framed(7, b"\0\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
    kind, text = decode(b"", found)
    assert kind == "schema"
    assert '\n  "id": 9223372036854775807,\n' in indented(text)


@pytest.mark.parametrize(
    ("seconds", "nanos", "shown"),
    [
        (0, 0, "1970-01-01T00:00:00+00:00"),
        (-1, 1, "1969-12-31T23:59:59.000000001+00:00"),
        (2**40, 0, {"seconds": 2**40, "nanos": 0}),
        (0, -1, {"seconds": 0, "nanos": -1}),
    ],
)
def test_a_timestamp_outside_of_its_range_is_shown_by_its_fields(
    registry: JsonServer, seconds: int, nanos: int, shown: object
) -> None:
    ours = client(registry)
    given = message(ours)
    given.at.seconds, given.at.nanos = seconds, nanos
    assert value(ours, b"\0" + given.SerializeToString())["at"] == shown


DECIMAL = """
    syntax: "proto3" dependency: "confluent/type/decimal.proto"
    message_type {
        name: "A" field { name: "price" number: 1 type: TYPE_MESSAGE type_name: ".confluent.type.Decimal" }
    }
"""


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x0a\x02\x04\xd2\x18\x02", "12.34"),
        (b"\x0a\x01\xff\x18\x03", "-0.001"),
        (b"", "0"),
        (b"\x18\xff\xff\xff\xff\x07", {"value": "", "precision": 0, "scale": 2**31 - 1}),
    ],
)
def test_a_decimal_is_a_number_unless_its_scale_is_huge(registry: JsonServer, data: bytes, shown: object) -> None:
    knows(registry, 7, serialized(DECIMAL))
    assert value(client(registry), b"\0\x0a" + bytes([len(data)]) + data) == {"price": shown}


def test_fields_that_the_schema_does_not_have_are_shown_by_their_number(registry: JsonServer) -> None:
    unknown = b"\xa0\x06\x07" + b"\xa2\x06\x02hi" + b"\xa3\x06\x08\x01\xa4\x06" + b"\xad\x06\x01\0\0\0"
    assert value(client(registry), b"\0" + unknown) == {**EMPTY, "100": [7, "6869", {"1": 1}], "101": 1}
    assert value(client(registry), b"\0\x32\x02\x18\x05")["at"] == {"seconds": 0, "nanos": 0, "3": 5}


@pytest.mark.parametrize(
    ("indexes", "expected"),
    [
        (b"\0", EMPTY),
        (b"\x02\0", EMPTY),
        (b"\x02\x02", {"y": ""}),
        (b"\x04\0\0", {"x": 0}),  # the entry of a map is not a message that a record can be
    ],
)
def test_the_indexes_select_a_message(registry: JsonServer, indexes: bytes, expected: object) -> None:
    assert value(client(registry), indexes) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the bytes do not fit schema 7: EOFError"),
        (b"\x04\0", "the bytes do not fit schema 7: EOFError"),
        (b"\xff" * 12, "the bytes do not fit schema 7: EOFError"),
        (b"\x01", "the value has an invalid list of message indexes"),
        (b"\xfe\xff\xff\xff\x0f", "the value has an invalid list of message indexes"),
        (b"\x02\x0a", "the value names the message [5], which its schema does not have"),
        (b"\x02\x01", "the value names the message [-1], which its schema does not have"),
        (b"\x04\0\x02", "the value names the message [0, 1], which its schema does not have"),
        (b"\0\x08", "the bytes do not fit schema 7: EOFError"),
        (b"\0\x22\xff\xff\xff\xff\x7f", "the bytes do not fit schema 7: EOFError"),
        (b"\0\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "the bytes do not fit schema 7: EOFError"),
        (b"\0\x52\x01\xff", "the bytes do not fit schema 7: DecodeError"),  # not UTF-8
        (b"\0\x0f", "the bytes do not fit schema 7: KeyError"),
        (b"\0\x0c", "the bytes do not fit schema 7: KeyError"),
        (b"\0\x0b", "the bytes do not fit schema 7: EOFError"),
        (b"\0" + b"\x72\0" * 500_000, "the value has more than 100,000 values"),
        (b"\0\x7a\xc0\x84\x3d" + b"\1" * 1_000_000, "the value has more than 100,000 values"),
        (b"\0" + b"\x08\1" * 500_000, "the value has more than 100,000 values"),
        (b"\0" + b"\x0b" * 100_000, "the value is nested deeper than 100 levels"),
    ],
)
def test_bytes_that_do_not_fit_are_one_reason_at_once(registry: JsonServer, data: bytes, reason: str) -> None:
    ours = client(registry)
    value(ours, b"\0")
    began = time.process_time()
    assert why_not(ours, data) == reason
    assert time.process_time() - began < 5
    assert value(ours, b"\0") == EMPTY, "the schema is still known"


@pytest.mark.parametrize("levels", [60, 99, 100, 101, 5000])
def test_a_value_that_is_nested_too_deep_is_one_reason(registry: JsonServer, levels: int) -> None:
    data = b""
    for _ in range(levels):
        size, length = len(data), b""
        while size > 0x7F:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        data = b"\x72" + length + bytes([size]) + data
    assert why_not(client(registry), b"\0" + data).endswith("is nested deeper than 100 levels")


def by_text(registry: JsonServer, schema_id: int, text: str, refusal: object = None, **more: Any) -> None:
    """Let a registry return the text of a file only; by default it ignores format=serialized."""
    about = {"schemaType": "PROTOBUF", "schema": text, **more}
    registry.answers[f"GET /schemas/ids/{schema_id}"] = about
    registry.answers[f"GET /schemas/ids/{schema_id}?format=serialized"] = refusal or about


NOT_IMPLEMENTED = (501, {"error_code": 501, "message": "not implemented"})
TEXT = """
// A reading; "quoted
syntax = "proto3";
/* package c; */
package a;
import "google/protobuf/timestamp.proto";
import public "towns.proto";
import "confluent/meta.proto";
option java_package = 'org.x';
option (about) = { a: 1; b: "};" c < d: [1, 2] > };
message Reading {
  option deprecated = true;
  reserved 3, 20 to 30;
  reserved "old";
  int64 id = 1 [deprecated = true, (x) = { a: [1, 2] }];
  optional string note = 2;
  repeated Inner parts = 4;
  map<int32, .b.Town> towns_by_number = 5;
  oneof either { option (y) = 1; bool shown = 6; State state = 7; }
  google.protobuf.Timestamp at = 0x8;
  b.Town town = 011;;
  enum State {
    option allow_alias = true;
    reserved 9;
    NONE = 0; GOOD = 1 [deprecated = true]; FINE = 1; BAD = -1;
  }
  message Inner { sint32 x = 1; message Deeper { Reading reading = 1; } }
  string message = 10;
}
service Readings { rpc Get (Reading) returns (stream Other) { option (http) = { get: "/x" }; } }
message Other { string y = 1; }
"""
TOWN_TEXT = 'syntax = "proto3"; package b; message Town { string name = 1; }'


@pytest.mark.parametrize("refusal", [None, NOT_IMPLEMENTED, (500, {"message": "no"}), (422, {"message": "no format"})])
def test_a_registry_that_does_not_serialize_is_read_by_the_text(registry: JsonServer, refusal: object) -> None:
    by_text(registry, 8, TEXT, refusal, references=[TOWNS])
    registry.answers["GET /subjects/towns%2Fall/versions/2"] = {"schemaType": "PROTOBUF", "schema": TOWN_TEXT}
    registry.answers[f"GET {REFERRED}"] = refusal or {"schemaType": "PROTOBUF", "schema": TOWN_TEXT}
    ours = client(registry)
    of_text = {"id": 0, "parts": [], "towns_by_number": {}, "message": ""}
    assert value(ours, b"\0", 8) == of_text
    data = (
        *(b"\0\x08\x07", b"\x12\x00", b"\x22\x02\x08\x03", b"\x22\x00", b"\x2a\x07\x08\x05\x12\x03\x0a\x01t"),
        *(b"\x38" + b"\xff" * 9 + b"\x01", b"\x42\x02\x08\x01", b"\x4a\x03\x0a\x01e", b"\x52\x01m", b"\x58\x01"),
    )
    assert value(ours, b"".join(data), 8) == {
        "id": 7,
        "note": "",
        "parts": [{"x": -2}, {"x": 0}],
        "towns_by_number": {"5": {"name": "t"}},
        "state": "BAD",
        "at": "1970-01-01T00:00:01+00:00",
        "town": {"name": "e"},
        "message": "m",
        "11": 1,
    }
    assert value(ours, b"\x02\x02\x0a\x01y", 8) == {"y": "y"}
    assert value(ours, b"\x06\x00\x00\x00\x0a\x02\x08\x09", 8)["reading"]["id"] == 9
    asked = len(registry.asked)
    value(ours, b"\0", 8)
    assert len(registry.asked) == asked, "it is not requested for each record"


MIN = b"\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01"
"""The smallest value of an enum, as a varint."""


@pytest.mark.parametrize("syntax", ["", 'syntax = "proto2";'])
def test_the_text_of_proto2(registry: JsonServer, syntax: str) -> None:
    text = """
        message A {
          required int32 x = 1 [default = 3]; optional string y = 2 [default = "a;b"];
          repeated int32 z = 3 [packed = true];
          extensions 100 to 199, 300; extensions 1000 to max;
          extend A { optional int32 inner = 101; }
          enum E { MIN = -2147483648; MAX = 0x7fffffff; }
          optional E e = 4;
        }
        extend A { optional string more = 100; };
    """
    by_text(registry, 8, syntax + text)
    assert value(client(registry), b"\0\x08\x01\xa2\x06\x01m\xa8\x06\x05\x1a\x02\x01\x02\x20" + MIN, 8) == {
        "x": 1, "z": [1, 2], "e": "MIN", "[more]": "m", "[A.inner]": 5,
    }  # fmt: skip


def test_a_text_and_descriptors_mix(registry: JsonServer) -> None:
    by_text(registry, 8, TEXT, NOT_IMPLEMENTED, references=[TOWNS])
    assert value(client(registry), b"\0\x4a\x03\x0a\x01e", 8)["town"] == {"name": "e"}


NOT_TEXT = "is not the text of a .proto file: line "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("message A {\n  int64 x = ;\n}", f"{NOT_TEXT}2 at ;"),
        ("message A {\n  int64 x = 1", f"{NOT_TEXT}2 at its end"),
        ("message A { int64 x = 99999999999; }", f"{NOT_TEXT}1 at 99999999999;"),
        ("message A { int64 x = 1e; }", f"{NOT_TEXT}1 at 1e;"),
        ("message A { int64 x = 1.5; }", f"{NOT_TEXT}1 at 1.5;"),
        ("message 7 { }", f"{NOT_TEXT}1 at 7"),
        ("\nmessage A { } /* no end", f"{NOT_TEXT}2 at /*"),
        ('message A { } option x = "no end', f'{NOT_TEXT}1 at "no'),
        ("option x = { a: [ }", f"{NOT_TEXT}1 at its end"),
        ("import x;", f"{NOT_TEXT}1 at x;"),
        ("thrift struct A", f"{NOT_TEXT}1 at thrift"),
        ("\x1b[2J A", f"{NOT_TEXT}1 at \x1b[2J"),
        ("message A { x y = 1; }", "is invalid: "),
        ('import "none.proto"; message A { none.B y = 1; }', "is invalid: "),
        ("message A { int32 x = 0; }", "is invalid: "),
        ("message A { int32 x = 1; int32 y = 1; }", "is invalid: "),
        ("message A { optional group B = 1 { } }", "has a group, which needs format=serialized"),
        ('edition = "2023"; message A { }', "is of an edition of Protobuf, which needs format=serialized"),
        ("message A { " * 40 + "} " * 40, "has messages that are nested deeper than 32 levels"),
        ("x " * 600_000, "is larger than 1,048,576 bytes"),
    ],
)
def test_a_text_that_cannot_be_read_is_one_reason(registry: JsonServer, text: str, reason: str) -> None:
    where = f"schema registry {registry.url}: "
    by_text(registry, 8, text)
    assert why_not(client(registry), b"\0", 8).startswith(f"{where}the Protobuf schema 8 {reason}")
    by_text(registry, 9, text, NOT_IMPLEMENTED)
    found = why_not(client(registry), b"\0", 9)
    assert found.startswith(f"{where}the Protobuf schema 9 {reason}")
    assert found.endswith("; with format=serialized: HTTP 501: not implemented")


@pytest.mark.parametrize("text", ["/*" * 400_000, '"' * 400_001, "{" * 400_000, "message a { " * 80_000, "[" * 900_000])
def test_a_text_that_is_made_to_be_slow_is_refused_at_once(registry: JsonServer, text: str) -> None:
    by_text(registry, 8, text + " ")
    began = time.process_time()
    assert why_not(client(registry), b"\0", 8)
    assert time.process_time() - began < 5


def test_a_cycle_of_references_is_one_reason(registry: JsonServer) -> None:
    registry.answers[f"GET {REFERRED}"] = {"schema": serialized(TOWN), "references": [TOWNS]}
    assert why_not(client(registry)).endswith(": its schema references form a cycle")


def test_references_without_an_end_are_one_reason(registry: JsonServer) -> None:
    more = [{"name": f"t{n}", "subject": "t", "version": n} for n in range(1, 200)]
    for n in range(1, 200):
        registry.answers[f"GET /subjects/t/versions/{n}"] = {"schema": serialized(f'package: "p{n}"')}
    knows(registry, 7, serialized(READING), references=more)
    assert why_not(client(registry)).endswith(": a schema refers to more than 100 others")


FIELD = 'field { name: "x" number: 1 type: TYPE_INT32 }'


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (
            'syntax: "proto3" message_type { name: "A" field { name: "x" number: 1 type_name: ".b.Town" } }',
            "is invalid: ",
        ),
        (f'message_type {{ name: "A" {FIELD} {FIELD} }}', "is invalid: duplicate"),
        (f'message_type {{ name: "A" {FIELD} }} message_type {{ name: "A" }}', "is invalid: duplicate"),
        ('message_type { name: "A\\nb" }', "is invalid: invalid name"),
        ('dependency: "7" message_type { name: "A" field { name: "x" number: 1 type_name: ".none" } }', "is invalid: "),
        ('syntax: "proto9"', "is invalid: "),
    ],
)
def test_an_invalid_descriptor_is_one_reason(registry: JsonServer, schema: str, reason: str) -> None:
    knows(registry, 7, serialized(schema))
    assert f"schema registry {registry.url}: the Protobuf schema 7 {reason}" in why_not(client(registry))


@pytest.mark.parametrize(
    "schema", ["AAAA", base64.b64encode(b"\xff" * 90).decode(), base64.b64encode(b"\x22\x7f").decode()]
)
def test_what_is_not_a_descriptor_is_one_reason(registry: JsonServer, schema: str) -> None:
    knows(registry, 7, schema)
    assert why_not(client(registry)).endswith(": the Protobuf schema 7 is not a file descriptor")


def test_a_descriptor_without_messages_or_too_large_is_one_reason(registry: JsonServer) -> None:
    knows(registry, 7, "")
    assert why_not(client(registry)) == "the value names the message [0], which its schema does not have"
    knows(registry, 7, "A" * 2_000_000)
    assert why_not(client(registry)).endswith(": the Protobuf schema 7 is larger than 1,048,576 bytes")


def test_a_well_known_type_that_a_registry_redefines_is_one_reason(registry: JsonServer) -> None:
    name = "google/protobuf/timestamp.proto"
    fake = 'message_type { name: "Timestamp" field { name: "seconds" number: 1 type: TYPE_STRING } }'
    registry.answers["GET /subjects/t/versions/1"] = {"schema": serialized(f'package: "google.protobuf" {fake}')}
    field = 'field { name: "at" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" }'
    user = f'dependency: "{name}" message_type {{ name: "A" {field} }}'
    knows(registry, 7, serialized(user), references=[{"name": name, "subject": "t", "version": 1}])
    assert why_not(client(registry), b"\0\x0a\x03\x0a\x01x") == "the bytes do not fit schema 7: TypeError"


def test_small_data_cannot_create_large_messages(registry: JsonServer) -> None:
    fields = " ".join(f'field {{ name: "f{n}" number: {n} type: TYPE_INT32 }}' for n in range(2, 3000))
    part = 'field { name: "p" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".A" }'
    knows(registry, 7, serialized(f'syntax: "proto3" message_type {{ name: "A" {part} {fields} }}'))
    assert why_not(client(registry), b"\0" + b"\x0a\0" * 100) == "the value has more than 100,000 values"


def test_extensions_of_proto2_are_shown_by_their_name(registry: JsonServer) -> None:
    knows(
        registry,
        7,
        serialized(
            'package: "p" message_type { name: "A" extension_range { start: 100 end: 200 } }'
            'extension { name: "more" number: 100 type: TYPE_INT32 label: LABEL_OPTIONAL extendee: ".p.A" }'
        ),
    )
    assert value(client(registry), b"\0\xa0\x06\x07\xa8\x06\x08") == {"[p.more]": 7, "101": 8}
