"""`dataops config`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import HELP
from dataops_core.cli.terminal import Exit, say, write, write_json

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from dataops_core.config import Section


app = typer.Typer(rich_markup_mode=None, context_settings=HELP, help="The settings.")


@app.command("validate")
def validate(context: TyperContext) -> int:
    """Check the settings, and list all mistakes.

    Example: dataops --config dataops.toml config validate

    Exit codes: 0 valid, 1 not valid, 2 wrong use or no settings file.
    """
    return _validate(context.obj)


@app.command("show")
def show(context: TyperContext) -> int:
    """Write the effective settings as TOML with the origin of each; secrets are masked.

    Example: dataops config show

    Exit codes: 0 done, 2 wrong use or settings.
    """
    return _show(context.obj)


@app.command("init")
def init(
    context: TyperContext,
    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Kafka's bootstrap servers.")] = None,
    airflow: Annotated[str | None, typer.Option(metavar="URL", help="Airflow's API server.")] = None,
    airflow_user: Annotated[
        str | None, typer.Option(metavar="NAME", help="User of Airflow; the password is $AIRFLOW_PASSWORD.")
    ] = None,
    trino: Annotated[str | None, typer.Option(metavar="URL", help="Trino's coordinator.")] = None,
    catalog: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URL", help="An Iceberg REST catalog; repeatable.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="A Spark query's checkpoint; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write. Default: standard output.")
    ] = None,
) -> int:
    """Generate settings from running systems: read all components, and link related stages.

    Without an address, it queries the components of the settings with their credentials, and writes only pipelines.
    Links come from commits of groups and tables, checkpoints, and assets that DAGs declare, never from names. Remarks
    list what is unknown. It changes nothing and overwrites no file.
    Exit codes: 0 done, 1 no such checkpoint, 2 wrong use or settings, 3 a checkpoint cannot be read, 130 interrupted.
    Example: dataops config init --kafka localhost:9092 --catalog lake=http://localhost:8181 -o dataops.toml
    """
    from dataops_core.cli.config_init import init as propose

    addresses = {"kafka": kafka, "airflow": airflow, "airflow_user": airflow_user, "trino": trino}
    return propose(context.obj, addresses, catalog or [], checkpoint or [], output)


@app.command("schema")
def schema() -> int:
    """Write the JSON Schema of the settings file, for completion and validation in editors.

    Exit codes: 0 done, 2 wrong use.
    Example: dataops config schema > dataops.schema.json
    """
    return _schema()


def _validate(invocation: Invocation) -> int:
    """Write all problems of the settings."""
    from dataops_core.config import find_config
    from dataops_core.systems.registry import find_problems, load_settings

    path = find_config(invocation.config)
    problems = find_problems(path)
    for problem in problems:
        say(f"dataops: {problem}")
    if problems:
        return Exit.FAILED
    settings = load_settings(path)
    write(f"{path}: valid; contexts: {_names(settings.contexts)}; pipelines: {_names(settings.pipelines)}\n")
    return Exit.OK


def _show(invocation: Invocation) -> int:
    """Write the effective settings."""
    from dataops_core.config import find_config
    from dataops_core.systems.registry import load_settings

    path = find_config(invocation.config)
    lines = [f"# {path}", *_lines(load_settings(path), "")]
    write("\n".join(lines) + "\n")
    return Exit.OK


def _schema() -> int:
    """Write the JSON Schema of the settings file."""
    from dataops_core.config.describe import describe
    from dataops_core.systems.registry import registry

    tree = registry().settings_type()
    describe(tree)
    result = tree.model_json_schema()
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    result["title"] = "dataops.toml"
    write_json(result)
    return Exit.OK


def _names(named: dict[str, Section] | object) -> str:
    return ", ".join(named) if isinstance(named, dict) and named else "none"


def _lines(section: Section, prefix: str) -> Iterator[str]:
    from dataops_core.config import SecretSource, Section
    from dataops_core.config.secret import masked, masked_property
    from dataops_core.config.toml import toml_key, toml_value

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
    from dataops_core.config import SecretSource

    return SecretSource.__name__ in str(field.annotation)


def _without_secrets(value: object) -> object:
    """Return a value with the secrets of its tables masked."""
    from dataops_core.config import Section
    from dataops_core.config.secret import masked, masked_property

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
    from dataops_core.config import ENVIRONMENT

    if not prefix and os.environ.get(ENVIRONMENT.get(name, "")):
        return f"  # from {ENVIRONMENT[name]}"
    return "" if name in section.model_fields_set else "  # default"
