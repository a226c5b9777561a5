"""Parse and check the parameters of a DAG run that are typed into a form, by the JSON schema of the DAG."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import Any

from dataops_core.bounded import LINE, loads
from dataops_core.errors import ActionRefused
from dataops_core.pattern import BadPattern, Pattern
from dataops_core.transport.fields import Fields

_FORMATS: Mapping[str, tuple[Callable[[str], object], str]] = {
    "date": (date.fromisoformat, "a date, e.g. 2013-07-01"),
    "date-time": (datetime.fromisoformat, "a time with a date, e.g. 2013-07-01T12:00:00+00:00"),
    "time": (time.fromisoformat, "a time of day, e.g. 12:00"),
}
_WORDS = {"true": True, "yes": True, "false": False, "no": False}
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}


def kinds(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a schema allows; empty if it allows all."""
    kind = schema.get("type")
    return (kind,) if isinstance(kind, str) else Fields(schema).texts("type")


def choices(schema: Mapping[str, Any]) -> list[object] | None:
    """Return the values that a schema allows; `None` if it does not list them."""
    result = schema.get("enum")
    return result if isinstance(result, list) else None


def expected(schema: Mapping[str, Any]) -> str:
    """Return the values that a schema expects, in words."""
    if (some := choices(schema)) is not None:
        return f"one of {', '.join(map(_as_typed, some))}"
    if (form := _format(schema)) is not None:
        return form[1]
    words = [_KINDS.get(kind, "text" if kind == "string" else "JSON") for kind in kinds(schema) if kind != "null"]
    limits = [f"{word} {limit}" for name, word in _LIMITS.items() if (limit := _limit(schema, name)) is not None]
    return ", ".join([" or ".join(words) or "text or JSON", *limits])


def _format(schema: Mapping[str, Any]) -> tuple[Callable[[str], object], str] | None:
    return _FORMATS.get(Fields(schema).text("format") or "")


def _limit(schema: Mapping[str, Any], name: str) -> float | str | None:
    """Return a limit of a schema; `None` if it is missing or of the wrong type."""
    fields = Fields(schema)
    if name == "pattern":
        return fields.text(name)
    result = schema.get(name)
    if name in ("minLength", "maxLength"):
        return fields.count(name)
    return result if isinstance(result, int) and not isinstance(result, bool) else fields.number(name)


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
    """Return the value of a parameter as typed.

    Raises:
        ActionRefused: It does not match the schema.
    """
    value = _value(typed, schema)
    if not _fits(value, schema):
        raise ActionRefused(f"{name} is not {expected(schema)}")
    return value


def _value(typed: str, schema: Mapping[str, Any]) -> object:
    allowed = kinds(schema)
    for choice in choices(schema) or ():
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
    if (some := choices(schema)) is not None:
        return any(type(value) is type(choice) and value == choice for choice in some)
    allowed = kinds(schema)
    if allowed and not any(_is(value, kind) for kind in allowed):
        return False
    if isinstance(value, str):
        return _text_fits(value, schema)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return all(
            (limit := _limit(schema, name)) is None or isinstance(limit, str) or holds(value, limit)
            for name, holds in _COMPARED.items()
        )
    return True


_COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}


def _text_fits(value: str, schema: Mapping[str, Any]) -> bool:
    fields = Fields(schema)
    shortest, longest, pattern = fields.count("minLength"), fields.count("maxLength"), fields.text("pattern")
    if len(value) < (shortest or 0) or (longest is not None and len(value) > longest):
        return False
    if pattern is not None and not _matches(pattern, value):
        return False
    form = _format(schema)
    if form is not None:
        try:
            form[0](value)
        except ValueError:
            return False
    return True


def _matches(pattern: str, value: str) -> bool:
    """Return whether a text matches a schema's pattern; patterns that RE2 does not support are left to Airflow."""
    try:
        return Pattern(pattern).matches([value]) == [True]
    except BadPattern:
        return True


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):  # a subclass of int in Python
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
