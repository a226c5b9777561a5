"""`dataops config`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.terminal import Exit, say, write
from dataops_core.config import ENVIRONMENT, SecretSource, Section, find_config
from dataops_core.config.secret import masked, masked_property
from dataops_core.config.toml import toml_key, toml_value
from dataops_core.systems.registry import find_problems, load_settings


def validate(invocation: Invocation) -> int:
    """Name all that is wrong with the settings."""
    path = find_config(invocation.config)
    problems = find_problems(path)
    for problem in problems:
        say(f"dataops: {problem}")
    if problems:
        return Exit.FAILED
    settings = load_settings(path)
    write(f"{path}: valid; contexts: {_names(settings.contexts)}; pipelines: {_names(settings.pipelines)}\n")
    return Exit.OK


def show(invocation: Invocation) -> int:
    """Write the settings in effect."""
    path = find_config(invocation.config)
    settings = load_settings(path)
    lines = [f"# {path}", *_lines(settings, "")]
    write("\n".join(lines) + "\n")
    return Exit.OK


def _names(named: dict[str, Section] | object) -> str:
    return ", ".join(named) if isinstance(named, dict) and named else "none"


def _lines(section: Section, prefix: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        key = f"{prefix}{field.alias or name}"
        value = getattr(section, name)
        if value is None:
            continue
        if isinstance(value, Section) and not isinstance(value, SecretSource):
            yield from _lines(value, f"{key}.")
        elif isinstance(value, dict):
            for inner, item in value.items():
                if isinstance(item, Section) and not isinstance(item, SecretSource):
                    yield from _lines(item, f"{key}.{toml_key(inner)}.")
                else:
                    yield f"{key}.{toml_key(inner)} = {toml_value(masked_property(inner, item))}"
        elif _is_secret(field):
            yield f"{key} = {toml_value(masked(value))}"
        else:
            yield f"{key} = {toml_value(_without_secrets(value))}{_origin(section, name, prefix)}"


def _is_secret(field: FieldInfo) -> bool:
    return SecretSource.__name__ in str(field.annotation)


def _without_secrets(value: object) -> object:
    """Return a value with each secret of the tables in it masked."""
    if isinstance(value, list | tuple):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, Section):
        return value
    shown: dict[str, object] = {}
    for name, field in type(value).model_fields.items():
        item = getattr(value, name)
        if item is None:
            continue
        if isinstance(item, dict):
            item = {key: masked_property(key, each) if _is_secret(field) else each for key, each in item.items()}
        elif _is_secret(field):
            item = masked(item)
        shown[field.alias or name] = _without_secrets(item)
    return shown


def _origin(section: Section, name: str, prefix: str) -> str:
    if not prefix and os.environ.get(ENVIRONMENT.get(name, "")):
        return f"  # from {ENVIRONMENT[name]}"
    return "" if name in section.model_fields_set else "  # default"
