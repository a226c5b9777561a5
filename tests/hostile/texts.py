"""Each parser of text or bytes from outside, with right inputs; what it raises is an error with one line."""

from __future__ import annotations

import base64
import copy
import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import fastavro
import trino

from dataops_core import json_text
from dataops_core.actions.policy import parse_conf
from dataops_core.bounded import Malformed, check_json, loads
from dataops_core.errors import DataopsError
from dataops_core.json_text import dumps
from dataops_core.systems.kafka import avro
from dataops_core.systems.spark.offset_log import read_plan, read_query_id, words
from dataops_core.systems.trino.responses import read_http_error
from dataops_core.transport.credentials import web_token
from dataops_core.transport.http import refusal
from dataops_core.values import plain, shown, text_of, too_deep


@dataclass(frozen=True)
class TextParser:
    """A parser of bytes.

    Attributes:
        samples: Right inputs.
        read: Reads one; raises one of `typed`.
        typed: What it may raise.
    """

    samples: tuple[bytes, ...]
    read: Callable[[bytes], object]
    typed: tuple[type[Exception], ...] = (Malformed, DataopsError)


AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Node",
    "fields": [
        {"name": "next", "type": ["null", "Node"]},
        {"name": "items", "type": {"type": "array", "items": ["null", "long", {"type": "map", "values": "string"}]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    ],
}
NODE: dict[str, Any] = {
    "next": {"next": None, "items": [], "at": 0, "day": 1, "amount": b"\x01", "kind": "A"},
    "items": [None, 7, {"k": "v"}],
    "at": 1_700_000_000_000_000,
    "day": 20_000,
    "amount": b"\x04\xd2",
    "kind": "B",
}
_NAMED: dict[str, Any] = {}
_PARSED = avro.parse(AVRO, _NAMED)
WELL_KNOWN = ("Timestamp", "Duration", "Struct", "Value", "ListValue", "Int64Value", "BytesValue")
PROTOBUF = (
    (
        b"\0\x0a\x08\0\0\0\0\0\0\xf8\x3f\x15\xcd\xcc\xcc\x3d\x1a\x02\x01\x7f\x20\x07\x4a\x02hi\x62\x02\xff\0"
        b"\xa2\x01\x02\x20\x01\xaa\x01\x06\x08\x80\xf8\xc5\x8e\x05\xb2\x01\x04\x08\x03\x10\x05"
        b"\xba\x01\x0b\x0a\x09\x0a\x01k\x12\x04\x1a\x02hi\xca\x01\x04\x0a\x02\x20\x01\xd2\x01\x02\x08\x05\xa3\x06\x08\1\xa4\x06"
    ),
    b"\x02\0\xa2\x01\x05\xa2\x01\x02\x20\x01",
)
PROTOBUF_SCHEMA = b'\n\x01x\x12\x01p"\x19\n\x01A\x12\t\n\x01x\x18\x01 \x01(\x05\x12\t\n\x01y\x18\x02 \x03(\tb\x06proto3'
OFFSETS = (
    b'v1\n{"batchWatermarkMs":1700000000000,"batchTimestampMs":1,"conf":{}}\n{"orders":{"0":23,"1":5}}\n-\n{"logOffset":3}',
    b'v2\n{}\n0:{"sourceVersion":1,"reservoirId":"a","reservoirVersion":7,"index":-1}\n1:51\n2:-',
)
DOCUMENT = b'{"a": [1.10, 1e400, -0, "\\u00e9\\ud83d\\ude00", null, true], "b": {"c": [[], {}]}, "a": 2}'
PROTOBUF_TEXT = b"""syntax = "proto3"; package a.b; import public 'google/protobuf/any.proto'; // one
option (x) = { a: [1, 2]; b: "}" }; /* two */
message A { reserved 3, 5 to max; optional int64 x = 1 [deprecated = true]; map<string, A> m = 2;
  oneof o { E e = 4; .a.b.A a = 0x6; } enum E { option allow_alias = true; Z = 0; N = -1; } extensions 9 to 12, 14; }
service S { rpc R (A) returns (stream A) { } }
extend A { repeated google.protobuf.Any any = 10; }
"""
TOKEN = b".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b"{}", b'{"exp": 1700000000, "iat": 1}', b"s")
)


def _avro_record() -> bytes:
    out = io.BytesIO()
    plain = copy.deepcopy(AVRO)  # fastavro's writer takes a time for a logical type, and not its number
    for field in plain["fields"][2:5]:
        field["type"] = field["type"]["type"]
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), NODE)
    return out.getvalue()


@cache
def _protobuf_file() -> Any:
    """Return a file with one message, which has fields of the scalar and of the well-known types."""
    from google.protobuf import descriptor_pb2

    from dataops_core.systems.kafka import protobuf

    names = ("timestamp", "duration", "struct", "wrappers")
    file = descriptor_pb2.FileDescriptorProto(syntax="proto3", dependency=[f"google/protobuf/{n}.proto" for n in names])
    node = file.message_type.add(name="Node")
    for kind in range(1, 19):
        if kind not in (10, 11, 14):  # a group, a message and an enum have a type's name
            node.field.add(name=f"f{kind}", number=kind, type=kind, label=3 if kind % 2 else 1)
    for number, name in enumerate(("Node", *(f"google.protobuf.{n}" for n in WELL_KNOWN)), 20):
        node.field.add(name=f"f{number}", number=number, type=11, label=3 if number % 2 else 1, type_name=f".{name}")
    return protobuf.Files().add("1", base64.b64encode(file.SerializeToString()).decode())


def _protobuf_record(data: bytes) -> None:
    from google.protobuf.message import DecodeError

    from dataops_core.systems.kafka import protobuf

    try:
        dumps(plain(protobuf.read(data, _protobuf_file())))
    except DecodeError as error:
        raise Malformed("does not fit its message") from error


def _protobuf_schema(data: bytes) -> None:
    from dataops_core.systems.kafka import protobuf

    text = base64.b64encode(data).decode()
    file = protobuf.Files().add("1", text)
    with suppress(Malformed, EOFError):
        protobuf.read(b"\0", file)


def _protobuf_text(data: bytes) -> None:
    from dataops_core.systems.kafka import protobuf

    file = protobuf.Files().add("1", " " + data.decode(errors="replace"))  # the space: it is not base64
    with suppress(Malformed, EOFError):
        protobuf.read(b"\0", file)


def _plan(data: bytes) -> None:
    words(read_plan(data.decode(errors="replace"), "offsets/1").sources)


def _document(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    value = json_text.parsed(text)
    if not too_deep(value):
        document = json_text.JsonText(text)
        assert json.loads(json_text.one_line(document), parse_int=str, parse_float=str) == value
        assert json.loads(json_text.indented(document), parse_int=str, parse_float=str) == value
        json_text.readable(text)


def _bounded(data: bytes) -> None:
    with suppress(Malformed):
        check_json(data, depth=20, size=10_000)
    loads(data)


def _shown(data: bytes) -> None:
    text_of(data)
    shown(data)


def _refused(data: bytes) -> None:
    for status in (400, 404, 500):
        error = refusal("server", status, data)
        assert error is not None
        assert "\n" not in str(error)


def _driver(data: bytes) -> None:
    status, body = read_http_error(trino.exceptions.HttpError(f"error 500: {data!r}"))
    refusal("trino", status, body)
    read_http_error(trino.exceptions.HttpError(data.decode(errors="replace")))


TEXTS: dict[str, TextParser] = {
    "spark offsets": TextParser(OFFSETS, _plan),
    "spark metadata": TextParser(
        (b'{"id":"08f1d6d4-0c1d-4a86-9d9e-3ad7a0f4cf8f"}',),
        lambda data: read_query_id(data.decode(errors="replace"), "m"),
    ),
    "json document": TextParser((DOCUMENT,), _document, (ValueError,)),
    "json bounded": TextParser((DOCUMENT,), _bounded),
    "record value": TextParser((DOCUMENT, b"\x1b[2Jtext", b"\x00\xff"), _shown),
    "error body": TextParser(
        (b'{"detail": [{"loc": ["a", 1], "msg": "m"}]}', b"<html><title>502 Bad &amp; up</title>", b"text\nmore"),
        _refused,
    ),
    "trino http error": TextParser((b'{"message": "queue is full"}',), _driver),
    "avro record": TextParser(
        (_avro_record(),),
        lambda data: avro.read(data, _PARSED, _NAMED),
        (Malformed, EOFError, LookupError, ValueError),
    ),
    "protobuf record": TextParser(PROTOBUF, _protobuf_record, (Malformed, EOFError, LookupError)),
    "protobuf schema": TextParser((PROTOBUF_SCHEMA,), _protobuf_schema),
    "protobuf text": TextParser((PROTOBUF_TEXT,), _protobuf_text),
    "web token": TextParser((TOKEN,), lambda data: web_token(data.decode(errors="replace")), (ValueError,)),
    "dag parameters": TextParser((b'{"day": "2013-01-01"}',), lambda data: parse_conf(data.decode(errors="replace"))),
}


def check_text(parser: TextParser, data: bytes) -> bool:
    """Let a parser read bytes; returns whether it could. Any error but a typed one, in one line, is a defect."""
    try:
        parser.read(data)
    except parser.typed as error:
        text = str(error)
    else:
        return True
    assert "\n" not in text, text
    return False
