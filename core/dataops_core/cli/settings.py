"""`dataops config`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dataops_core.cli.invocation import Invocation
from dataops_core.cli.terminal import Exit, say, write
from dataops_core.config import ENVIRONMENT, SecretSource, Section, find_config
from dataops_core.config.secret import masked, masked_property
from dataops_core.config.toml import toml_key, toml_value
from dataops_core.systems.registry import find_problems, load_settings

SECRETS = ("password", "token")
"""Keys whose value is a secret, wherever they stand."""


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
        elif name in SECRETS:
            yield f"{key} = {toml_value(masked(value))}"
        else:
            yield f"{key} = {toml_value(value)}{_origin(section, name, prefix)}"


def _origin(section: Section, name: str, prefix: str) -> str:
    if not prefix and os.environ.get(ENVIRONMENT.get(name, "")):
        return f"  # from {ENVIRONMENT[name]}"
    return "" if name in section.model_fields_set else "  # default"
