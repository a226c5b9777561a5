"""Write settings as TOML; Python's standard library only reads it."""

from __future__ import annotations

import json
import re

from dataops_core.config.base import Section

_SURROGATE = re.compile("[\ud800-\udfff]")


def toml_key(name: str) -> str:
    """Return a key, in quotes if TOML requires them."""
    return name if name.isascii() and name.replace("-", "_").isidentifier() else _quoted(name)


def toml_value(value: object) -> str:
    """Return a value in one line; a table of the settings without keys that are `None`."""
    if isinstance(value, Section):
        pairs = ((field.alias or name, getattr(value, name)) for name, field in type(value).model_fields.items())
        value = {name: item for name, item in pairs if item is not None}
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_key(name)} = {toml_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, re.Pattern):
        value = value.pattern
    return _quoted(value) if isinstance(value, str) else json.dumps(value)  # TOML writes numbers and booleans like JSON


def _quoted(text: str) -> str:
    """Return a TOML basic string; unlike JSON, TOML forbids lone surrogates and an unescaped DEL."""
    quoted = json.dumps(_SURROGATE.sub("\ufffd", text), ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join([c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted])
