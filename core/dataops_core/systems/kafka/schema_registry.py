"""Decode records by the schemas of a Confluent Schema Registry.

Such a record begins with a zero byte and the schema's id in four bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from dataops_core.bounded import LINE, Malformed, loads
from dataops_core.config import WebSettings
from dataops_core.errors import BadAnswer, ClientError, NotFound, RequestRefused
from dataops_core.json_text import dumps, parsed
from dataops_core.reasons import line
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import get_json
from dataops_core.values import DEEPEST_SHOWN, plain, too_deep

T = TypeVar("T")

HEADER = 5
"""Bytes before the data: the zero byte and the schema's id."""
PATIENCE = 3.0
"""Maximum deadline of a request in seconds; the display of records waits for it."""
ASK_AGAIN_AFTER = 30.0
"""Seconds until a failed request, or one for a missing schema, is repeated."""
DEEPEST = 16
"""Maximum depth of schema references."""
MOST_REFERENCES = 100
"""Maximum number of schemas that one schema refers to."""
SERIALIZED = "?format=serialized"
"""Query of a Protobuf schema as a serialized descriptor; a registry that ignores it returns a `.proto` file's text."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Bytes decoded by their schema.

    Attributes:
        text: The value as JSON; `None` if it cannot be decoded.
        reason: Why it cannot be decoded, in one line.
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
        parsed: An Avro schema, parsed by fastavro; the file descriptor of a Protobuf schema.
        named: Types that an Avro schema refers to, including those of its references.
    """

    kind: str
    text: str
    references: tuple[Reference, ...] = ()
    parsed: Any = None
    named: Mapping[str, Any] = field(default_factory=dict)


class SchemaRegistry:
    """A registry; safe to share between threads.

    Args:
        settings: Address and credentials.
        timeout: Deadline of each call in seconds, at most `PATIENCE`.
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
        """Return the kinds of schemas that it supports; raise ClientError."""
        try:
            kinds = self.get("/schemas/types")
        except NotFound as error:
            hint = "correct url; that of Apicurio Registry ends in /apis/ccompat/v7"
            raise NotFound(f"{self._where}: there is no schema registry at this address", hint=hint) from error
        if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) and kind for kind in kinds):
            raise BadAnswer(f"{self._where}: the response is not from a schema registry")
        return ", ".join(line(kind) for kind in kinds)

    def get(self, path: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON of a path; raise NotFound or another ClientError."""
        return get_json(self._where, self._settings, path, self._timeout)

    def decode(self, data: bytes | None) -> Decoded | None:
        """Return bytes decoded by the schema that they name, or `None` if they name none."""
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
        elif schema.kind == "PROTOBUF":
            from dataops_core.systems.kafka import protobuf  # noqa: PLC0415 - as above

            text, value = None, _fitting(lambda: protobuf.read(data, schema.parsed), schema_id)
        else:
            raise BadAnswer(f"schema {schema_id} is {line(schema.kind)}, which is not supported")
        if too_deep(value):
            raise BadAnswer(f"it is nested deeper than {DEEPEST_SHOWN} levels")
        return dumps(plain(value)) if text is None else text

    def _schema(self, schema_id: int) -> Schema:
        with self._lock:  # one request at a time: other threads then find the schema in the cache
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
            except ClientError as error:  # the registry is unavailable for every schema
                self._failed[None] = (time.monotonic(), str(error))
                raise
            self._schemas[schema_id] = schema
            return schema

    def _ask(self, schema_id: int) -> Schema:
        path = f"/schemas/ids/{schema_id}"
        try:
            result = self._get(path)
        except NotFound:
            raise NotFound(f"{self._where}: has no schema {schema_id}") from None
        if result.kind == "AVRO":
            named: dict[str, Any] = {}
            self._load_references(result, named, self._get, lambda _, schema: self._avro(schema, named))
            return replace(result, parsed=self._avro(result, named), named=named)
        if result.kind == "PROTOBUF":
            return self._protobuf(path, schema_id, result)
        return result

    def _load_references(
        self,
        schema: Schema,
        loaded: Container[str],
        get: Callable[[str], Schema],
        add: Callable[[str, Schema], object],
        *,
        depth: int = DEEPEST,
        left: Iterator[int] | None = None,
    ) -> None:
        """Call `add` for each schema that a schema refers to and that is not loaded, after those that it refers to."""
        if not depth:
            raise BadAnswer(f"{self._where}: its schema references form a cycle")
        left = iter(range(MOST_REFERENCES)) if left is None else left
        for reference in schema.references:
            if reference.name not in loaded:
                if next(left, None) is None:
                    raise BadAnswer(f"{self._where}: a schema refers to more than {MOST_REFERENCES} others")
                path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
                inner = get(path)
                self._load_references(inner, loaded, get, add, depth=depth - 1, left=left)
                add(reference.name, inner)

    def _avro(self, schema: Schema, named: dict[str, Any]) -> Any:  # noqa: ANN401 - fastavro's own
        """Return a schema parsed by fastavro, and add its types to `named`."""
        from dataops_core.systems.kafka import avro  # noqa: PLC0415 - as above

        try:
            return avro.parse(loads(schema.text, size=LINE), named)
        except Exception as error:  # fastavro raises any type for an invalid schema
            raise BadAnswer(f"{self._where}: it returned an invalid Avro schema: {type(error).__name__}") from error

    def _protobuf(self, path: str, schema_id: int, as_text: Schema) -> Schema:
        """Return a Protobuf schema with its file descriptor."""
        from dataops_core.systems.kafka import protobuf  # noqa: PLC0415 - as above

        files = protobuf.Files()
        refused: list[str] = []

        def get(at: str) -> Schema:
            try:
                return self._get(at + SERIALIZED)
            except (BadAnswer, RequestRefused) as error:  # Karapace 6.1: HTTP 500 for a schema with references
                refused.append(f"; with format=serialized: {error.message.removeprefix(f'{self._where}: ')}")
                return as_text if at == path else self._get(at)

        def add(name: str, schema: Schema) -> Any:  # noqa: ANN401 - protobuf's own
            try:
                return files.add(name, schema.text)
            except Malformed as error:
                why = f"{error}{''.join(refused[-1:])}"
                raise BadAnswer(f"{self._where}: the Protobuf schema {line(name)} {why}") from error

        result = get(path)
        self._load_references(result, files, get, add)
        return replace(result, parsed=add(str(schema_id), result))

    def _get(self, path: str) -> Schema:
        result = self.get(path)
        try:
            return read_schema(result)
        except Malformed as error:
            raise BadAnswer(f"{self._where}: the response is not from a schema registry: it {error}") from error


def read_schema(answer: object) -> Schema:
    """Return a schema from `/schemas/ids/ID` or from a subject's version; raise Malformed."""
    fields = Fields(answer)
    missing = fields.raw("references") is None
    return Schema(
        kind="AVRO" if fields.raw("schemaType") is None else fields.require_text("schemaType"),
        text=fields.require_text("schema"),
        references=()
        if missing
        else tuple(
            Reference(each.require_text("name"), each.require_text("subject"), each.require_count("version"))
            for each in fields.require_objects("references")
        ),
    )


def _fitting(read: Callable[[], T], schema_id: int) -> T:
    """Return the decoded value; raise BadAnswer if the bytes do not fit their schema."""
    try:
        return read()
    except Malformed as error:
        raise BadAnswer(f"the value {error}") from error
    except Exception as error:
        raise BadAnswer(f"the bytes do not fit schema {schema_id}: {type(error).__name__}") from error
