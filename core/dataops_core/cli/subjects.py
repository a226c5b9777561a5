"""`dataops kafka subjects` and `dataops kafka schema`."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Annotated

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import RegistryOption, RowOutput, RowsOption, SchemaOutput
from dataops_core.cli.terminal import Exit, say, write_exact, write_json

if TYPE_CHECKING:
    from dataops_core.systems.kafka.schema_registry import SchemaRegistry

COLUMNS = (
    ("subject", "varchar"),
    ("version", "integer"),
    ("type", "varchar"),
    ("schema_id", "integer"),
    ("compatibility", "varchar"),
    ("inherited", "boolean"),
    ("error", "varchar"),
)


def subjects(
    context: TyperContext,
    wanted: Annotated[
        str | None, typer.Option("--filter", metavar="REGEX", help="Only subjects whose name matches.")
    ] = None,
    component: RegistryOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List the schema registry's subjects with newest version, type, schema id and compatibility level.

    inherited: the subject has no level of its own, so the level of the registry applies.

    Example: dataops kafka subjects --filter '-value$'

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli.listing import name_pattern, say_unreadable, write_rows
    from dataops_core.systems.kafka.subjects import subjects

    pattern = name_pattern(wanted)
    result = subjects(_registry(context.obj, component), lambda names: list(compress(names, pattern.matches(names))))
    rows = [(s.name, s.version, s.kind, s.schema_id, s.compatibility, s.inherited, s.unreadable) for s in result]
    write_rows(output.value, COLUMNS, rows)
    say_unreadable(result, "subjects")
    return Exit.OK


def schema(
    context: TyperContext,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject.")],
    version: Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: the newest version.")] = None,
    component: RegistryOption = None,
    output: Annotated[
        SchemaOutput, typer.Option("--output", "-o", help="Output format: the schema alone, or all values.")
    ] = SchemaOutput.TEXT,
) -> int:
    """Print the schema of a subject: indented JSON for Avro and JSON Schema, or the text of a Protobuf file.

    Version, schema id, type, compatibility level and references go to standard error, and into the JSON.

    Example: dataops kafka schema orders-value --version 3

    Exit codes: 0 done, 1 no such subject or version, 2 wrong use or settings, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.systems.kafka.subjects import as_dict, subject_schema, summary

    result = subject_schema(_registry(context.obj, component), subject, version)
    if output is SchemaOutput.JSON:
        write_json(as_dict(result))
    else:
        write_exact(result.text.removesuffix("\n") + "\n")
        say(f"{result.subject.name}: {summary(result)}")
    if result.subject.unreadable is not None:
        say(f"dataops: {result.subject.unreadable}")
    return Exit.OK


def _registry(invocation: Invocation, component: str | None) -> SchemaRegistry:
    chosen = invocation.chosen()
    name = chosen.component("schema_registry", "schema registry", component)
    registry: SchemaRegistry = chosen.clients.need("schema_registry", name)
    return registry
