"""A Confluent Schema Registry: what the bytes of a record mean.

A record that was written with one begins with a zero byte and the schema's id in four. Only reading is done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from dataops_core.bounded import LINE, Malformed, loads
from dataops_core.config import WebSettings
from dataops_core.errors import BadAnswer, ClientError, NotFound
from dataops_core.json_text import dumps, parsed
from dataops_core.reasons import line
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import get_json
from dataops_core.values import DEEPEST_SHOWN, plain, too_deep

T = TypeVar("T")

HEADER = 5
"""Bytes before what was written: the zero and the schema's id."""
PATIENCE = 3.0
"""Longest deadline of a question, in seconds: who reads records waits for the answer."""
ASK_AGAIN_AFTER = 30.0
"""Seconds after which a registry that did not answer, or did not know a schema, is asked again."""
DEEPEST = 16
"""Schemas that refer to each other, one below the other, that are followed."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What some bytes are by their schema.

    Attributes:
        schema_id: The schema's id.
        text: They as JSON; `None` where they cannot be decoded.
        reason: Why not, in one line.
    """

    schema_id: int
    text: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another one refers to by a name."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema.

    Attributes:
        kind: `AVRO`, `JSON` or `PROTOBUF`.
        parsed: An Avro schema as fastavro takes it.
        named: The types that it names, those of its references with them.
    """

    kind: str
    text: str
    references: tuple[Reference, ...] = ()
    parsed: Any = None
    named: Mapping[str, Any] = field(default_factory=dict)


class SchemaRegistry:
    """A registry; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each call, in seconds; at the most `PATIENCE`.
    """

    def __init__(self, settings: WebSettings, timeout: float = PATIENCE) -> None:
        self.target = settings.url.rstrip("/")
        self._where = f"schema registry {self.target}"
        self._settings = settings
        self._timeout = min(timeout, PATIENCE)
        self._lock = Lock()
        self._schemas: dict[int, Schema] = {}
        self._failed: dict[int | None, tuple[float, str]] = {}

    def ping(self) -> str:
        """Return the kinds of schemas that it knows; raises ClientError."""
        kinds = get_json(self._where, self._settings, "/schemas/types", self._timeout)
        if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) and kind for kind in kinds):
            raise BadAnswer(f"{self._where}: the response is not from a schema registry")
        return ", ".join(line(kind) for kind in kinds)

    def decode(self, data: bytes | None) -> Decoded | None:
        """Return what bytes are by the schema that they name; `None` where they name none."""
        if data is None or len(data) < HEADER or data[0] != 0:
            return None
        schema_id = int.from_bytes(data[1:HEADER])
        try:
            return Decoded(schema_id, text=self._text(self._schema(schema_id), schema_id, data[HEADER:]))
        except ClientError as error:
            return Decoded(schema_id, reason=str(error))

    def _text(self, schema: Schema, schema_id: int, data: bytes) -> str:
        if schema.kind == "JSON":
            text = _fitting(data.decode, schema_id)
            value = _fitting(lambda: parsed(text), schema_id)
        elif schema.kind == "AVRO":
            from dataops_core.systems.kafka import avro  # noqa: PLC0415 - who reads no Avro needs it not

            text, value = None, _fitting(lambda: avro.read(data, schema.parsed, schema.named), schema_id)
        else:
            raise BadAnswer(f"schema {schema_id} is {line(schema.kind)}, which is not supported")
        if too_deep(value):
            raise BadAnswer(f"it is nested deeper than {DEEPEST_SHOWN} levels")
        return dumps(plain(value)) if text is None else text

    def _schema(self, schema_id: int) -> Schema:
        with self._lock:  # one question at a time: who waits for the same schema finds it then
            if schema_id in self._schemas:
                return self._schemas[schema_id]
            for about in (None, schema_id):
                failed_at, reason = self._failed.get(about, (-ASK_AGAIN_AFTER, ""))
                if time.monotonic() - failed_at < ASK_AGAIN_AFTER:
                    raise BadAnswer(reason)
            try:
                schema = self._ask(schema_id)
            except (BadAnswer, NotFound) as error:
                self._failed[schema_id] = (time.monotonic(), str(error))
                raise
            except ClientError as error:  # what does not answer knows no other schema either
                self._failed[None] = (time.monotonic(), str(error))
                raise
            self._schemas[schema_id] = schema
            return schema

    def _ask(self, schema_id: int) -> Schema:
        try:
            found = self._get(f"/schemas/ids/{schema_id}")
        except NotFound:
            raise NotFound(f"{self._where}: has no schema {schema_id}") from None
        if found.kind != "AVRO":
            return found
        named: dict[str, Any] = {}
        return replace(found, parsed=self._parsed(found, named, DEEPEST), named=named)

    def _parsed(self, schema: Schema, named: dict[str, Any], depth: int) -> Any:  # noqa: ANN401 - fastavro's own
        """Return a schema as fastavro takes it, and put those that it refers to into `named`."""
        from dataops_core.systems.kafka import avro  # noqa: PLC0415 - as above

        if not depth:
            raise BadAnswer(f"{self._where}: its schema references form a cycle")
        for reference in schema.references:
            if reference.name not in named:
                path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
                self._parsed(self._get(path), named, depth - 1)
        try:
            return avro.parse(loads(schema.text, size=LINE), named)
        except Exception as error:  # whatever a schema that is none makes of fastavro
            raise BadAnswer(f"{self._where}: it returned an invalid Avro schema: {type(error).__name__}") from error

    def _get(self, path: str) -> Schema:
        found = get_json(self._where, self._settings, path, self._timeout)
        try:
            return read_schema(found)
        except Malformed as error:
            raise BadAnswer(f"{self._where}: the response is not from a schema registry: it {error}") from error


def read_schema(found: object) -> Schema:
    """Return a schema of `/schemas/ids/ID` or of a subject's version; raises Malformed."""
    fields = Fields(found)
    missing = fields.found("references") is None
    return Schema(
        kind="AVRO" if fields.found("schemaType") is None else fields.require_text("schemaType"),
        text=fields.require_text("schema"),
        references=()
        if missing
        else tuple(
            Reference(each.require_text("name"), each.require_text("subject"), each.require_count("version"))
            for each in fields.require_objects("references")
        ),
    )


def _fitting(read: Callable[[], T], schema_id: int) -> T:
    """Return what is read; raises BadAnswer where the bytes are not what their schema says."""
    try:
        return read()
    except Malformed as error:
        raise BadAnswer(f"the value {error}") from error
    except Exception as error:
        raise BadAnswer(f"the bytes do not fit schema {schema_id}: {type(error).__name__}") from error
