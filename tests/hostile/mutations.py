"""Every way in which one field of an answer can be wrong: each value of it replaced by each odd one, or left out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**400,
    -(10**400),
    0.5,
    -0.0,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    "x",
    "NaN",
    "1e999",
    "-1",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-13-45",
    "99999999999999999999999999d",
    "\x1b[2J\u202e",
    "\x00",
    "x" * 10_000,
    [],
    [None],
    [[]],
    ["x", 1],
    {},
    {"x": None},
    [{}],
)
"""Values of other types, and extreme ones of the right type."""


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in an answer, that of the whole first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from paths(inner, (*at, number))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return an answer with one value of it replaced."""
    if not path:
        return by
    found = copy.deepcopy(value)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = by
    return found


def without(value: Any, path: tuple[Any, ...]) -> Any:
    """Return an answer with one value of it left out."""
    found = copy.deepcopy(value)
    place = found
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return found


def mutations(value: Any) -> Iterator[Any]:
    """Yield an answer with each value of it wrong in each way."""
    for path in paths(value):
        for odd in ODD:
            yield replaced(value, path, odd)
        if path:
            yield without(value, path)
