"""Read Protobuf data as exact values, by descriptors of a schema registry.

Confluent's wire format names a message of the schema's file first: the number of indexes and the indexes, as zigzag
varints. Each index selects a message, and the next one selects a message nested in it.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from importlib import import_module
from math import isfinite
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from dataops_core.bounded import LINE, Malformed
from dataops_core.reasons import line
from dataops_core.systems.kafka import proto_text
from dataops_core.systems.kafka.protobuf_bounds import Bounds, varint
from dataops_core.times import known, moment
from dataops_core.values import DEEPEST_SHOWN, decimal_text

_WELL_KNOWN_FILES = (
    *("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type"),
    "wrappers",
)


def _decimal_file() -> descriptor_pb2.FileDescriptorProto:
    """Return Confluent's file of decimal numbers, which registries do not list as a reference."""
    kinds = {
        "value": FieldDescriptor.TYPE_BYTES,
        "precision": FieldDescriptor.TYPE_UINT32,
        "scale": FieldDescriptor.TYPE_INT32,
    }
    file = descriptor_pb2.FileDescriptorProto(name="confluent/type/decimal.proto", package="confluent.type")
    file.syntax = "proto3"
    fields = file.message_type.add(name="Decimal").field
    for number, (name, kind) in enumerate(kinds.items(), 1):
        fields.add(name=name, number=number, type=kind, label=FieldDescriptor.LABEL_OPTIONAL)
    return file


def _built_in() -> Iterator[tuple[str, descriptor_pb2.FileDescriptorProto]]:
    for name in _WELL_KNOWN_FILES:
        file = import_module(f"google.protobuf.{name}_pb2").DESCRIPTOR
        yield file.name, descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)
    yield "confluent/type/decimal.proto", _decimal_file()


_BUILT_IN: Mapping[str, descriptor_pb2.FileDescriptorProto] = dict(_built_in())
"""Files that a schema imports without a reference, by their name."""
_WRAPPERS = {
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
}
_LONGEST_DURATION = 315_576_000_000
"""Maximum seconds of a `google.protobuf.Duration`."""


class Files:
    """The files of one schema: those that it refers to, then its own."""

    def __init__(self) -> None:
        self._pool = DescriptorPool()
        self._names: set[str] = set()
        self._bytes = 0

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def add(self, name: str, text: str) -> FileDescriptor:
        """Add a file after those that it imports.

        Args:
            name: Its name in the imports of other files.
            text: Its serialized descriptor in base64, or the text of a `.proto` file.

        Raises:
            Malformed: It is neither of them, is invalid or too large.
        """
        self._bytes += len(text)
        if self._bytes > LINE:
            raise Malformed(f"is larger than {LINE:,} bytes")
        file = _descriptor(text)
        file.name = name
        # Registries leave out references to files that only declare options, such as confluent/meta.proto.
        imports = [each for each in file.dependency if self._imported(each)]
        if len(imports) < len(file.dependency):
            del file.dependency[:], file.public_dependency[:], file.weak_dependency[:]
            file.dependency.extend(imports)
        self._names.add(name)
        try:
            self._pool.Add(file)
            return self._pool.FindFileByName(name)
        except Exception as error:  # protobuf raises several types
            raise Malformed(f"is invalid: {line(str(error).rpartition('descriptor pool: ')[2])}") from error

    def _imported(self, name: str) -> bool:
        """Return whether a file can be imported; add it if it is built in."""
        if name not in self._names and name in _BUILT_IN:
            self._names.add(name)
            file = _BUILT_IN[name]
            for each in file.dependency:
                self._imported(each)
            self._pool.Add(file)
        return name in self._names


def _descriptor(text: str) -> descriptor_pb2.FileDescriptorProto:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:  # it has spaces
        return proto_text.parse(text)
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(content)
    except DecodeError as error:
        raise Malformed("is not a file descriptor") from error


def read(data: bytes, file: FileDescriptor) -> object:
    """Return the decoded value.

    Args:
        data: The indexes of the message, then the message.
        file: The file of the schema.

    Raises:
        Malformed: It is too large or deep, or names no message of the file.
        EOFError: It ends too early.
        DecodeError: It does not fit its message.
    """
    kind, start = _message_type(data, file)
    Bounds(data, file.pool).check(kind, start)
    message = GetMessageClass(kind)()
    message.ParseFromString(data[start:])
    return _value(message)


def _message_type(data: bytes, file: FileDescriptor) -> tuple[Descriptor, int]:
    """Return the message that the indexes select, and where its data begins."""
    length, at = _zigzag(data, 0)
    if not 0 <= length <= DEEPEST_SHOWN:
        raise Malformed("has an invalid list of message indexes")
    indexes = []
    for _ in range(length):
        index, at = _zigzag(data, at)
        indexes.append(index)
    kind, kinds = None, [*file.message_types_by_name.values()]
    for index in indexes or [0]:
        if not 0 <= index < len(kinds):
            raise Malformed(f"names the message {indexes or [0]}, which its schema does not have")
        kind = kinds[index]
        kinds = [each for each in kind.nested_types if not each.GetOptions().map_entry]
    return kind, at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    number, at = varint(data, at, len(data))
    return (number >> 1) ^ -(number & 1), at


def _value(message: Message) -> object:
    """Return the value of a message: a readable form of a well-known type, else its fields."""
    unknown = UnknownFieldSet(message)
    name = message.DESCRIPTOR.full_name
    if not len(unknown) and (name in _WRAPPERS or name in _WELL_KNOWN):
        given = {field.name: value for field, value in message.ListFields()}
        if name in _WRAPPERS:
            (field,) = message.DESCRIPTOR.fields
            return _scalar(field, given.get("value", field.default_value))
        if (readable := _WELL_KNOWN[name](given)) is not None:
            return readable[0]
    return {**dict(_fields(message)), **_unknown(unknown)}


def _fields(message: Message) -> Iterator[tuple[str, object]]:
    """Yield the fields that are set, and those without presence, then extensions."""
    given = message.ListFields()
    values = {field.number: value for field, value in given}
    for field in message.DESCRIPTOR.fields:
        if field.number in values:
            yield field.name, _content(field, values[field.number])
        elif not field.has_presence:
            empty = {} if _is_map(field) else [] if field.is_repeated else _scalar(field, field.default_value)
            yield field.name, empty
    for field, value in given:
        if field.is_extension:
            yield f"[{field.full_name}]", _content(field, value)


def _content(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - protobuf's own
    if _is_map(field):
        inner = field.message_type.fields_by_name["value"]
        return {key: _one(inner, value[key]) for key in sorted(value)}
    return [_one(field, each) for each in value] if field.is_repeated else _one(field, value)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry)


def _one(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - protobuf's own
    return _scalar(field, value) if field.message_type is None else _value(value)


def _scalar(field: FieldDescriptor, value: Any) -> object:  # noqa: ANN401 - protobuf's own
    if field.enum_type is not None:
        known_value = field.enum_type.values_by_number.get(value)
        return value if known_value is None else known_value.name
    return _shortest(value) if field.type == FieldDescriptor.TYPE_FLOAT and isfinite(value) else value


def _shortest(value: float) -> float:
    """Return the shortest number that is the same 32-bit float: 0.1 instead of 0.10000000149011612."""
    exact = struct.pack("<f", value)
    return next(short for digits in (6, 7, 8, 9) if struct.pack("<f", short := float(f"{value:.{digits}g}")) == exact)


def _unknown(fields: UnknownFieldSet) -> dict[str, object]:
    """Return fields that the schema does not have, by their number."""
    results: dict[str, list[object]] = {}
    for each in fields:
        data = _unknown(each.data) if isinstance(each.data, UnknownFieldSet) else each.data
        results.setdefault(str(each.field_number), []).append(data)
    return {number: data[0] if len(data) == 1 else data for number, data in results.items()}


def _timestamp(given: Mapping[str, Any]) -> tuple[object] | None:
    seconds, nanos = given.get("seconds", 0), given.get("nanos", 0)
    at = known(moment(seconds, "s"))
    if at is None or not 0 <= nanos < 1_000_000_000:
        return None
    text = at.isoformat()
    if not nanos:
        return (text,)
    fraction = f"{nanos:09d}" if nanos % 1000 else f"{nanos // 1000:06d}"
    return (f"{text[:19]}.{fraction}{text[19:]}",)


def _duration(given: Mapping[str, Any]) -> tuple[object] | None:
    seconds, nanos = given.get("seconds", 0), given.get("nanos", 0)
    if abs(seconds) > _LONGEST_DURATION or abs(nanos) >= 1_000_000_000 or seconds * nanos < 0:
        return None
    return (f"{(seconds + Decimal(nanos).scaleb(-9)).normalize():f}s",)


def _decimal(given: Mapping[str, Any]) -> tuple[object] | None:
    text = decimal_text(given.get("value", b""), given.get("scale", 0))
    return None if text is None else (text,)


def _struct(given: Mapping[str, Any]) -> tuple[object]:
    fields = given.get("fields", {})
    return ({name: _value(fields[name]) for name in sorted(fields)},)


def _json_value(given: Mapping[str, Any]) -> tuple[object] | None:
    for name, value in given.items():  # at most one
        if name == "null_value":
            return (None,)
        return (_value(value) if isinstance(value, Message) else value,)
    return None


# A function returns None if the message is outside of its type's range: then its fields are shown.
_WELL_KNOWN: Mapping[str, Callable[[Mapping[str, Any]], tuple[object] | None]] = {
    "confluent.type.Decimal": _decimal,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": lambda given: ([_value(each) for each in given.get("values", ())],),
    "google.protobuf.Value": _json_value,
}
