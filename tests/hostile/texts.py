"""Each parser of text or bytes from outside, with right inputs; what it raises is an error with one line."""

from __future__ import annotations

import base64
import copy
import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import fastavro
import trino

from dataops_core import json_text
from dataops_core.actions.policy import parse_conf
from dataops_core.bounded import Malformed, check_json, loads
from dataops_core.errors import DataopsError
from dataops_core.systems.kafka import avro
from dataops_core.systems.spark.offset_log import read_plan, read_query_id, words
from dataops_core.systems.trino.responses import read_http_error
from dataops_core.transport.credentials import web_token
from dataops_core.transport.http import refusal
from dataops_core.values import shown, text_of, too_deep


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
OFFSETS = (
    b'v1\n{"batchWatermarkMs":1700000000000,"batchTimestampMs":1,"conf":{}}\n{"orders":{"0":23,"1":5}}\n-\n{"logOffset":3}',
    b'v2\n{}\n0:{"sourceVersion":1,"reservoirId":"a","reservoirVersion":7,"index":-1}\n1:51\n2:-',
)
DOCUMENT = b'{"a": [1.10, 1e400, -0, "\\u00e9\\ud83d\\ude00", null, true], "b": {"c": [[], {}]}, "a": 2}'
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
