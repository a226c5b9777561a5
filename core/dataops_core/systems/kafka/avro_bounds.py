"""Check the bounds of Avro data before it is decoded.

fastavro recurses in C for each level of nesting, so deep data overflows the stack and crashes the process. It also
creates as many items as an array block declares, which may be 2^62 items of zero bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataops_core.bounded import Malformed
from dataops_core.values import DEEPEST_SHOWN

MOST_VALUES = 100_000
"""Maximum number of values in one record."""
_FIXED = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_VARINT = 10
"""Bytes of the longest 64-bit varint."""


class Bounds:
    """Walks through Avro data by its schema, without creating values.

    Args:
        data: The data.
        named: Types that the schema refers to.
    """

    def __init__(self, data: bytes, named: Mapping[str, Any]) -> None:
        self._data = data
        self._named = named
        self._at = 0
        self._values = 0

    def check(self, schema: Any, depth: int = DEEPEST_SHOWN) -> None:  # noqa: ANN401 - fastavro's own
        """Check data; raise Malformed if it is too large, EOFError or LookupError if it does not fit the schema."""
        self._values += 1
        if self._values > MOST_VALUES:
            raise Malformed(f"has more than {MOST_VALUES:,} values")
        if depth < 0:
            raise Malformed(f"is nested deeper than {DEEPEST_SHOWN} levels")
        if isinstance(schema, list):
            number = self._number()
            if not 0 <= number < len(schema):
                raise IndexError("its union does not have this branch")
            self.check(schema[number], depth - 1)
            return
        kind = schema["type"] if isinstance(schema, Mapping) else schema
        if not isinstance(kind, str):
            self.check(kind, depth - 1)
        elif kind in ("array", "map"):
            self._blocks(schema, kind, depth)
        elif kind in ("record", "error"):
            for field in schema["fields"]:
                self.check(field["type"], depth - 1)
        elif kind in self._named:
            self.check(self._named[kind], depth - 1)
        else:
            self._leaf(schema, kind)

    def _leaf(self, schema: Any, kind: str) -> None:  # noqa: ANN401 - as above
        if kind in _FIXED:
            self._skip(_FIXED[kind])
        elif kind in ("int", "long", "enum"):
            self._number()
        elif kind in ("bytes", "string"):
            self._skip(self._number())
        elif kind == "fixed":
            self._skip(int(schema["size"]))
        else:
            raise LookupError("its schema does not have this type")

    def _blocks(self, schema: Mapping[str, Any], kind: str, depth: int) -> None:
        while number := self._number():
            if number < 0:
                self._number()  # the bytes of the block
            for _ in range(abs(number)):
                if kind == "map":
                    self._skip(self._number())
                self.check(schema["items" if kind == "array" else "values"], depth - 1)

    def _skip(self, size: int) -> None:
        if not 0 <= size <= len(self._data) - self._at:
            raise EOFError("it ends too early")
        self._at += size

    def _number(self) -> int:
        shifted = 0
        for index, byte in enumerate(self._data[self._at : self._at + _VARINT]):
            shifted |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                self._at += index + 1
                return (shifted >> 1) ^ -(shifted & 1)
        raise EOFError("it ends too early")
