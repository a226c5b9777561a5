"""Parse the output of a Nagios plug-in: `TEXT | 'label'=value[unit];warn;crit;min;max …` (plug-in guidelines)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dataops_core.bounded import Malformed
from dataops_core.transport.fields import as_number

STATES = {0: "OK", 1: "WARNING", 2: "CRITICAL"}
"""States by exit code; 3 and others mean unknown."""
ITEMS = 1000
"""Maximum number of perfdata values."""
_ITEM = re.compile(
    r"\s*(?:'(?P<quoted>(?:[^']|'')*)'|(?P<plain>[^\s='|]+))=(?P<value>[^\s;]*)(?P<limits>(?:;[^\s;]*){0,4})"
)
_VALUE = re.compile(r"(?P<number>[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)(?P<unit>[A-Za-z%]*)")
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_LIMITS = ("warn", "crit", "min", "max")


def read_plugin(code: int, output: str) -> dict[str, Any]:
    """Return a plug-in's output as a document: `state`, `exit_code`, `text`, `long_text` and `perfdata` by label.

    Times are in seconds; the value of an item without a number is `None`.

    Raises:
        Malformed: The perfdata is invalid.
    """
    first, _, rest = output.partition("\n")
    text, _, perfdata = first.partition("|")
    further, _, more = rest.partition("|")
    items = dict(_items(f"{perfdata} {more}"))
    text, further = text.strip(), further.strip()
    return {
        "exit_code": code,
        "state": STATES.get(code, "UNKNOWN"),
        "text": text,
        "long_text": further,
        "perfdata": items,
    }


def _items(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    at, text = 0, text.rstrip()
    for _ in range(ITEMS):
        if at >= len(text):
            return
        match = _ITEM.match(text, at)
        if match is None:
            raise Malformed("has perfdata that cannot be read")
        at = match.end()
        name = match["quoted"].replace("''", "'") if match["quoted"] is not None else match["plain"]
        limits = match["limits"].split(";")[1:]
        value, unit = _value(match["value"])
        yield name, {"value": value, "unit": unit, **dict(zip(_LIMITS, limits, strict=False))}
    raise Malformed(f"has more than {ITEMS:,} values of perfdata")


def _value(text: str) -> tuple[float | None, str]:
    match = _VALUE.fullmatch(text)
    if match is None:  # `U`: unknown
        return None, ""
    number = as_number(float(match["number"].replace(",", ".")))
    factor = _SECONDS.get(match["unit"])
    if number is None or factor is None:
        return number, match["unit"]
    return number * factor, "s"
