"""The parameters of a DAG's run: what is typed becomes what the schema expects, or is refused in words."""

from __future__ import annotations

from typing import Any

import pytest

from dataops_core.actions.params import as_typed, expected, parse_param
from dataops_core.errors import ActionRefused


@pytest.mark.parametrize(
    ("typed", "schema", "value"),
    [
        ("abc", {}, "abc"),
        ("12", {}, 12),
        ('{"a": 1}', {}, {"a": 1}),
        ("12", {"type": "string"}, "12"),
        ("12", {"type": "integer"}, 12),
        ("1.5", {"type": "number"}, 1.5),
        ("2", {"type": "number"}, 2),
        ("Yes", {"type": "boolean"}, True),
        ("false", {"type": "boolean"}, False),
        ("", {"type": ["null", "integer"]}, None),
        ("7", {"type": ["null", "integer"]}, 7),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("5", {"enum": [5, 6]}, 5),
        ("b", {"enum": ["a", "b"]}, "b"),
        ("2013-07-01", {"type": "string", "format": "date"}, "2013-07-01"),
        ("2013-07-01T12:00:00Z", {"type": "string", "format": "date-time"}, "2013-07-01T12:00:00Z"),
    ],
)
def test_what_fits_is_converted(typed: str, schema: dict[str, Any], value: object) -> None:
    found = parse_param("p", typed, schema)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("typed", "schema", "said"),
    [
        ("x", {"type": "integer"}, "p is not a whole number"),
        ("1.5", {"type": "integer"}, "a whole number"),
        ("true", {"type": "integer"}, "a whole number"),
        ("maybe", {"type": "boolean"}, "true or false"),
        ("", {"type": "integer"}, "a whole number"),
        ("0", {"type": "integer", "minimum": 1}, "at least 1"),
        ("9", {"type": "number", "exclusiveMaximum": 9}, "less than 9"),
        ("c", {"enum": ["a", "b"]}, "one of a, b"),
        ("2013-02-30", {"type": "string", "format": "date"}, "a date"),
        ("noon", {"type": "string", "format": "date-time"}, "a time with a date"),
        ("ab", {"type": "string", "minLength": 3}, "characters at least 3"),
        ("ab", {"type": "string", "pattern": "^x"}, "of the form ^x"),
        ("{", {"type": "object"}, "JSON"),
    ],
)
def test_what_does_not_fit_is_refused(typed: str, schema: dict[str, Any], said: str) -> None:
    with pytest.raises(ActionRefused) as refused:
        parse_param("p", typed, schema)
    assert said in str(refused.value)


def test_a_default_is_typed_as_it_is_read() -> None:
    for value, schema in [(True, {"type": "boolean"}), ({"a": [1]}, {"type": "object"}), (None, {"type": ["null"]})]:
        assert parse_param("p", as_typed(value), schema) == value
    assert expected({}) == "text or JSON"
