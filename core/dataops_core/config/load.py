"""Read and check a settings file; each problem is one line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

from platformdirs import user_config_path
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dataops_core.bounded import LINE, Malformed, load_toml, read_text
from dataops_core.config.base import TABLE_TAG, TEXT_TAG, Section
from dataops_core.config.check import Kinds, contradictions, no_such
from dataops_core.config.model import ContextSettings, Settings
from dataops_core.errors import ConfigError

FILE_NAME = "dataops.toml"
FILE_VARIABLE = "DATAOPS_CONFIG"
ENVIRONMENT = {
    "default_context": "DATAOPS_CONTEXT",
    "refresh": "DATAOPS_REFRESH",
    "probe_timeout": "DATAOPS_PROBE_TIMEOUT",
}
"""Settings that an environment variable overrides, and the variable."""

Table = tuple[tuple[str, ...], type[Section]]
"""The path of a table in the settings, and its type: `*` is any name or number, `<kind>` the tag of a union."""


def find_config(flag: Path | None = None) -> Path:
    """Return the settings file: that of the flag, `$DATAOPS_CONFIG`, `./dataops.toml`, or the user's file.

    Raises:
        ConfigError: There is no settings file.
    """
    if flag is not None:
        return flag
    if named := os.environ.get(FILE_VARIABLE):
        return Path(named)
    defaults = (Path(FILE_NAME), user_config_path("dataops") / FILE_NAME)
    for path in defaults:
        if path.is_file():
            return path
    raise ConfigError(
        f"no settings file found: neither {' nor '.join(map(str, defaults))}",
        hint=f"set one with --config or {FILE_VARIABLE}",
    )


def context_of(settings: Settings, name: str | None = None) -> tuple[str, ContextSettings]:
    """Return the name and the settings of the context to use: the named one, else the default, else the only one.

    Raises:
        ConfigError: There is no such context, or there are several and none is named.
    """
    chosen = (
        name or settings.default_context or (next(iter(settings.contexts)) if len(settings.contexts) == 1 else None)
    )
    if chosen is None:
        raise ConfigError(
            f"the settings have several contexts ({', '.join(settings.contexts)})",
            hint="choose one with --context, or set default_context",
        )
    if chosen not in settings.contexts:
        raise ConfigError(no_such("context", chosen, settings.contexts))
    return chosen, settings.contexts[chosen]


def sections(model: type[Section], at: tuple[str, ...] = ()) -> Iterator[Table]:
    """Yield all tables of the settings, outer tables first."""
    yield at, model
    for name, field in model.model_fields.items():
        yield from _sections_in(field.annotation, (*at, field.alias or name))


def _sections_in(annotation: object, at: tuple[str, ...]) -> Iterator[Table]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _sections_in(inner[0], at)
    elif origin is dict:
        yield from _sections_in(inner[1], (*at, "*"))
    elif origin is tuple:
        yield from _sections_in(inner[0], (*at, "*"))
    elif origin in (Union, UnionType):
        for member in inner:
            tag = _tag(member)
            yield from _sections_in(member, at if tag is None else (*at, tag))
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        yield from sections(annotation, at)


def _tag(member: object) -> str | None:
    """Return the tag that pydantic adds to the location of an error in this member of a union."""
    if get_origin(member) is Annotated:
        return next((str(m.tag) for m in get_args(member)[1:] if hasattr(m, "tag")), None)
    for key in ("kind", "system"):
        field = getattr(member, "model_fields", {}).get(key)
        if field is not None and (values := get_args(field.annotation)):
            return str(values[0])
    return None


class Tree(Kinds, Protocol):
    """The source of the settings tree; `dataops_core.systems.registry` implements it."""

    def settings_type(self, raw: Mapping[str, Any] | None = None) -> type[Settings]:
        """Return the settings tree with the tables of the systems that raw settings name."""


def read_settings(path: Path, tree: Tree) -> tuple[Settings | None, tuple[str, ...]]:
    """Return the settings of a file with overrides from the environment, and all problems."""
    raw, problem = _read(path)
    if raw is None:
        return None, (problem,)
    from_environment = {key: os.environ[name] for key, name in ENVIRONMENT.items() if os.environ.get(name)}
    return check_settings({**raw, **from_environment}, path.absolute().parent, path, tree)


def check_settings(
    raw: Mapping[str, Any], folder: Path, where: Path | str, tree: Tree
) -> tuple[Settings | None, tuple[str, ...]]:
    """Return the settings from raw tables, and all problems, one line each.

    Args:
        raw: The tables.
        folder: Folder of relative paths.
        where: Name of the source in errors.
        tree: Source of the settings tree.
    """
    model = tree.settings_type(raw)
    try:
        settings = model.model_validate(raw, context=folder)
    except ValidationError as error:
        return None, tuple(_line(where, details, raw, model) for details in _informative(error))
    return settings, tuple(f"{where}: {problem}" for problem in contradictions(settings, tree))


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        return load_toml(read_text(path, LINE)), ""
    except OSError as error:
        return None, f"{path}: {(error.strerror or 'cannot be read').lower()}"
    except UnicodeDecodeError as error:
        return None, f"{path}: not UTF-8 at byte {error.start}"
    except tomllib.TOMLDecodeError as error:
        return None, f"{path}: not TOML: {error}"
    except Malformed as error:
        return None, f"{path}: {error}"


def _informative(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors without consequences of others: a list is reported as empty if all its items are invalid."""
    result = error.errors(include_input=False)
    locations = [details["loc"] for details in result]
    return [
        details
        for details in result
        if details["type"] != "too_short"
        or not any(len(at) > len(details["loc"]) and at[: len(details["loc"])] == details["loc"] for at in locations)
    ]


def _line(path: Path | str, details: ErrorDetails, raw: Mapping[str, Any], model: type[Settings]) -> str:
    at = details["loc"]
    if at and at[0] in ENVIRONMENT and os.environ.get(ENVIRONMENT[str(at[0])]):
        return f"environment variable {ENVIRONMENT[str(at[0])]}: {_problem(details)}"
    if details["type"] == "extra_forbidden":
        *inside, unknown = at
        known = _known_keys(tuple(inside), model)
        near = get_close_matches(str(unknown), known, n=1)
        remedy = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
        return f"{path}: {_location(inside, raw) or 'top level'}: unknown key {unknown!r}; {remedy}"
    return f"{path}: {_location(at, raw) or 'top level'}: {_problem(details)}"


def _problem(details: ErrorDetails) -> str:
    match details["type"]:
        case "missing":
            return "missing"
        case "union_tag_invalid":
            expected = str(details["ctx"]["expected_tags"]).replace("'", '"')
            key = str(details["ctx"]["discriminator"]).strip("'")
            return f'{key} "{details["ctx"]["tag"]}" is unknown; known are {expected}'
        case "union_tag_not_found":
            return f"has no {details['ctx']['discriminator']!s}".replace("'", '"')
        case "model_type" | "model_attributes_type" if details["loc"][-1] == TABLE_TAG:
            return "must be a text, or a table with `file` or `command`"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table"
        case _:
            return details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _known_keys(inside: tuple[str | int, ...], tree: type[Settings]) -> list[str]:
    for at, model in sections(tree):
        if len(at) == len(inside) and all(a in ("*", str(b)) for a, b in zip(at, inside, strict=True)):
            return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _location(at: tuple[str | int, ...] | list[str | int], raw: Mapping[str, Any]) -> str:
    """Return a path such as `pipelines.orders.stages[2] "bronze.orders".lag_ok`."""
    in_stage = len(at) > 3 and at[0] == "pipelines" and at[2] == "stages"
    in_component = len(at) > 3 and at[0] == "contexts" and at[2] == "components"
    text = ""
    for index, element in enumerate(at):
        if element in (TEXT_TAG, TABLE_TAG) or ((in_stage or in_component) and index == 4):
            continue  # the tag of a union is not a key
        if isinstance(element, int):
            text += f"[{element}]"
        else:
            text += ("." if text else "") + (element if element.replace("-", "").isidentifier() else f'"{element}"')
        if in_stage and index == 3 and (name := _stage_name(at, raw)):
            text += f' "{name}"'
    return text


def _stage_name(at: tuple[str | int, ...] | list[str | int], raw: Mapping[str, Any]) -> str | None:
    stage = raw["pipelines"][at[1]]["stages"][at[3]]
    name = stage.get("name") if isinstance(stage, Mapping) else None
    return name if isinstance(name, str) else None
