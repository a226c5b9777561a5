"""Options and arguments that several commands share, and shell completion of names."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.errors import DataopsError

HELP = {"help_option_names": ["-h", "--help"]}
"""Typer's settings for each group of commands."""


class ListOutput(StrEnum):
    """Output format of a list or a status."""

    TABLE = "table"
    JSON = "json"


class ReportOutput(StrEnum):
    """Output format of a report."""

    MARKDOWN = "markdown"
    JSON = "json"


class AlertSeverity(StrEnum):
    """Severity of an alert, which decides its route."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class RowOutput(StrEnum):
    """Output format of rows."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"
    CSV_SAFE = "csv-safe"


class SchemaOutput(StrEnum):
    """Output format of a schema."""

    TEXT = "text"
    JSON = "json"


def names_of(noun: str, *kinds: str) -> Callable[[TyperContext, str], list[str]]:
    """Return a function that completes a name from the settings; it completes nothing if they cannot be read.

    Args:
        noun: `context`, `pipeline`, `stage` or `component`.
        kinds: Kinds of components to complete; all by default.
    """

    def complete(context: TyperContext, incomplete: str) -> list[str]:
        typed = context.find_root().params
        invocation = Invocation(typed.get("config"), typed.get("context_name"))
        try:
            if noun == "component":
                here = invocation.chosen().context.configured()
                names = {name for name, each in here.items() if not kinds or each.component in kinds}
            else:
                settings = invocation.settings()
                stages = {stage.name for pipeline in settings.pipelines.values() for stage in pipeline.stages}
                names = {"context": set(settings.contexts), "pipeline": set(settings.pipelines), "stage": stages}[noun]
        except DataopsError:
            return []
        return sorted(name for name in names if name.startswith(incomplete))

    return complete


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Confirm the action; not valid in a production context.")]
ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="CONTEXT", help="Confirm the action with the name of the context.")
]


def confirmation(word: str | None, *, yes: bool) -> str | None:
    """Return the word from `--confirm` or `--yes` that confirms a change; `None` without either."""
    return word or ("yes" if yes else None)


PipelineArgument = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline.", autocompletion=names_of("pipeline"))
]


def _component_option(noun: str, *kinds: str) -> Any:  # noqa: ANN401 - an option of Typer
    return typer.Option(
        "--component",
        metavar="NAME",
        help=f"The {noun} component, needed only if the context has several.",
        autocompletion=names_of("component", *kinds),
    )


KafkaOption = Annotated[str | None, _component_option("Kafka", "kafka")]
RegistryOption = Annotated[str | None, _component_option("schema registry", "schema_registry")]
AirflowOption = Annotated[str | None, _component_option("Airflow", "airflow")]
ConnectOption = Annotated[str | None, _component_option("Kafka Connect", "connect")]
TrinoOption = Annotated[str | None, _component_option("Trino", "trino")]
CatalogOption = Annotated[
    str | None,
    typer.Option(
        "--component",
        metavar="NAME",
        help="Only this Iceberg catalog. Default: all of the context.",
        autocompletion=names_of("component", "iceberg"),
    ),
]
RowsOption = Annotated[
    RowOutput, typer.Option("--output", "-o", help="Output format of the rows; csv-safe contains no formulas.")
]
DagArgument = Annotated[str, typer.Argument(metavar="DAG_ID", help="The DAG.")]
TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", help="catalog.namespace.table; the catalog is optional if there is only one.")
]
