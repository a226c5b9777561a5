"""Statistics of a result's columns, over the fetched rows, not over the whole table."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from dataops_core.values import Columns, Row, as_text

EXACT = 1024
"""Maximum number of distinct values that are counted exactly; above, it is estimated."""
_SPACE = float(1 << 64)


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Statistics of one column.

    Attributes:
        rows: Number of evaluated rows.
        nulls: Number of NULL values.
        distinct: Number of distinct values without NULL.
        exact: Whether `distinct` was counted; otherwise it is estimated, to about 3 %.
        smallest: The minimum; `None` without values, or if values have no order.
        largest: The maximum; `None` as for the minimum.
        length: Maximum characters of a value as text.
    """

    name: str
    kind: str
    rows: int
    nulls: int
    distinct: int
    exact: bool
    smallest: Any
    largest: Any
    length: int


class _Column:
    """Collects the statistics of one column in bounded memory, from the `EXACT` smallest hashes of its values."""

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind
        self._rows = self._nulls = self._length = 0
        self._hashes: set[int] = set()
        self._heap: list[int] = []
        self._over = False
        self._ordered = True
        self._smallest: Any = None
        self._largest: Any = None

    def add(self, values: Iterable[Any]) -> None:
        texts = []
        for value in values:
            self._rows += 1
            if value is None:
                self._nulls += 1
                continue
            texts.append(as_text(value))
            self._order(value)
        for text in texts:
            self._length = max(self._length, len(text))
            self._count(text)

    def _count(self, text: str) -> None:
        value = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if value in self._hashes:
            return
        if len(self._heap) < EXACT:
            heapq.heappush(self._heap, -value)
            self._hashes.add(value)
            return
        self._over = True
        if value < -self._heap[0]:
            self._hashes.discard(-heapq.heapreplace(self._heap, -value))
            self._hashes.add(value)

    def _order(self, value: Any) -> None:  # noqa: ANN401 - any value of Trino
        if not self._ordered or value != value:  # noqa: PLR0124 - NaN is not in any order
            return
        try:
            if self._smallest is None or value < self._smallest:
                self._smallest = value
            if self._largest is None or value > self._largest:
                self._largest = value
        except TypeError:
            self._ordered, self._smallest, self._largest = False, None, None

    def end(self) -> ColumnStatistics:
        distinct = len(self._heap)
        if self._over:
            distinct = round((EXACT - 1) * _SPACE / -self._heap[0])
        return ColumnStatistics(
            self._name,
            self._kind,
            self._rows,
            self._nulls,
            distinct,
            not self._over,
            self._smallest,
            self._largest,
            self._length,
        )


def column_statistics(
    columns: Columns, chunks: Iterable[list[Row]], on_rows: Callable[[int], None] = lambda _: None
) -> tuple[ColumnStatistics, ...]:
    """Return the statistics of all columns.

    Args:
        columns: Names and types.
        chunks: The rows in chunks.
        on_rows: Called after each chunk with the number of evaluated rows.
    """
    results = [_Column(name, kind) for name, kind in columns]
    seen = 0
    for rows in chunks:
        for column, values in zip(results, zip(*rows, strict=True), strict=True):
            column.add(values)
        seen += len(rows)
        on_rows(seen)
    return tuple(column.end() for column in results)
