"""Check the bounds of Protobuf data before it is decoded.

The decoder creates each submessage, which may have two bytes but a thousand fields, and each field without presence is
shown. So a small record could take any amount of memory.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool

from dataops_core.bounded import Malformed
from dataops_core.systems.kafka.avro_bounds import MOST_VALUES
from dataops_core.values import DEEPEST_SHOWN

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_LONGEST = 10
"""Bytes of the longest 64-bit varint."""
_CONTINUED = bytes(range(0x80, 0x100))
"""Each byte of a varint but its last one."""
_TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
_FIXED = {
    FieldDescriptor.TYPE_DOUBLE: 8,
    FieldDescriptor.TYPE_FIXED64: 8,
    FieldDescriptor.TYPE_SFIXED64: 8,
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
}


class Bounds:
    """Walks through Protobuf data by its descriptors, without creating values.

    Args:
        data: The data.
        pool: The types, and the extensions of messages.
    """

    def __init__(self, data: bytes, pool: DescriptorPool) -> None:
        self._data = data
        self._pool = pool
        self._values = 0

    def check(self, kind: Descriptor, start: int) -> None:
        """Check a message.

        Raises:
            Malformed: It is too large or too deep.
            EOFError: It ends too early.
            LookupError: A field has an unknown wire type.
        """
        self._message(kind, start, len(self._data), DEEPEST_SHOWN)

    def _message(self, kind: Descriptor | None, at: int, end: int, depth: int, group: int | None = None) -> int:
        """Check a message, or an unknown group (`None`), and return the position after it."""
        if depth < 0:
            raise Malformed(f"is nested deeper than {DEEPEST_SHOWN} levels")
        self._count(1 if kind is None else 1 + len(kind.fields))
        while at < end:
            tag, at = varint(self._data, at, end)
            self._count(1)
            number, wire = tag >> 3, tag & 7
            if wire == _GROUP_END and number == group:
                return at
            field = None if kind is None else self._field(kind, number)
            if wire == _GROUP:
                at = self._message(None if field is None else field.message_type, at, end, depth - 1, number)
            elif wire == _BYTES:
                size, at = varint(self._data, at, end)
                self._bytes(field, at, _within(at + size, end), depth)
                at += size
            elif wire == _VARINT:
                _, at = varint(self._data, at, end)
            else:
                at = _within(at + _SIZES[wire], end)
        if group is not None:
            raise EOFError("it ends too early")
        return at

    def _bytes(self, field: FieldDescriptor | None, at: int, end: int, depth: int) -> None:
        if field is None:
            return
        if field.message_type is not None:
            self._message(field.message_type, at, end, depth - 1)
        elif field.is_repeated:
            self._count(_packed(field, self._data[at:end]))

    def _field(self, kind: Descriptor, number: int) -> FieldDescriptor | None:
        if number in kind.fields_by_number:
            return kind.fields_by_number[number]
        if not kind.is_extendable:
            return None
        if kind.GetOptions().message_set_wire_format:
            raise Malformed("has a message set, which is not supported")
        try:
            return self._pool.FindExtensionByNumber(kind, number)
        except KeyError:
            return None

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise Malformed(f"has more than {MOST_VALUES:,} values")


def _packed(field: FieldDescriptor, data: bytes) -> int:
    """Return the number of values of a packed field; 0 for a text."""
    if field.type in _TEXTS:
        return 0
    if field.type in _FIXED:
        return len(data) // _FIXED[field.type]
    return len(data.translate(None, _CONTINUED))


def _within(at: int, end: int) -> int:
    if at > end:
        raise EOFError("it ends too early")
    return at


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a varint and the position after it; raise EOFError if it ends too early or is too long."""
    number = 0
    for index in range(at, min(at + _LONGEST, end)):
        byte = data[index]
        number |= (byte & 0x7F) << (7 * (index - at))
        if byte < 0x80:
            return number, index + 1
    raise EOFError("it ends too early")
