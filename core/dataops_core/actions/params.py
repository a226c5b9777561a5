"""The parameters of a DAG's run, from what is typed into a form: the part of JSON schema that such forms need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

from dataops_core.errors import ActionRefused
from dataops_core.transport.bounded import LINE, loads

_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "a date, e.g. 2013-07-01"),
    "date-time": (datetime.fromisoformat, "a time with a date, e.g. 2013-07-01T12:00:00+00:00"),
    "time": (time.fromisoformat, "a time of day, e.g. 12:00"),
}
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a schema allows; none for any."""
    kind = schema.get("type")
    return (kind,) if isinstance(kind, str) else tuple(kind or ())


def expected(schema: Mapping[str, Any]) -> str:
    """Return what a schema expects, in words."""
    if "enum" in schema:
        return f"one of {', '.join(map(_as_typed, schema['enum']))}"
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]][1]
    words = [_KINDS.get(kind, "text" if kind == "string" else "JSON") for kind in kinds(schema) if kind != "null"]
    limits = [f"{word} {schema[name]}" for name, word in _LIMITS.items() if name in schema]
    return ", ".join([" or ".join(words) or "text or JSON", *limits])


_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "minLength": "characters at least",
    "maxLength": "characters at most",
    "pattern": "of the form",
}


def as_typed(value: object) -> str:
    """Return a value as it is typed into a form."""
    return "" if value is None else _as_typed(value)


def _as_typed(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def parse_param(name: str, typed: str, schema: Mapping[str, Any]) -> object:
    """Return the value of what was typed.

    Raises:
        ActionRefused: It is not what the schema expects.
    """
    value = _value(typed, schema)
    if not _fits(value, schema):
        raise ActionRefused(f"{name} is not {expected(schema)}")
    return value


def _value(typed: str, schema: Mapping[str, Any]) -> object:
    allowed = kinds(schema)
    for choice in schema.get("enum", ()):
        if typed == _as_typed(choice):
            return choice
    if not typed.strip() and "null" in allowed:
        return None
    if "boolean" in allowed and typed.strip().lower() in _WORDS:
        return _WORDS[typed.strip().lower()]
    if "string" in allowed:
        return typed
    try:
        return loads(typed, size=LINE)
    except ValueError:
        return typed


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    allowed = kinds(schema)
    if allowed and not any(_is(value, kind) for kind in allowed):
        return False
    if isinstance(value, str):
        return _text_fits(value, schema)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            schema.get("minimum", value) <= value <= schema.get("maximum", value)
            and not value <= schema.get("exclusiveMinimum", float("-inf"))
            and not value >= schema.get("exclusiveMaximum", float("inf"))
        )
    return True


def _text_fits(value: str, schema: Mapping[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        return False
    if schema.get("format") in _FORMATS:
        try:
            _FORMATS[schema["format"]][0](value)
        except ValueError:
            return False
    return True


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):  # which Python takes for an integer
        return kind == "boolean"
    return isinstance(value, _PYTHON.get(kind, object))


_PYTHON: Mapping[str, Any] = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "array": list,
    "object": dict,
}
