"""The commands and their options. What a command does is imported when it runs, so that `--help` is there at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.statement import StatementCommand, read_statement
from dataops_core.cli.terminal import (
    OUTPUT_ERRORS,
    Exit,
    OutputFailed,
    exit_code,
    occupy_descriptors,
    output_failed,
    say,
    write,
)
from dataops_core.error_log import catch_unexpected, log_error
from dataops_core.errors import DataopsError
from dataops_core.gc_tuning import tune_for_probes
from dataops_core.narration import guard_stderr
from dataops_core.plain import visible_lines

PROBE_UNKNOWN = 3
"""Exit code of `probe` and `why` where the status is unknown; also of wrong use and internal errors."""
STATUS_COMMANDS = ("probe", "why")
"""Commands whose exit code is a status."""


class ListOutput(StrEnum):
    """How a list or a status is written."""

    TABLE = "table"
    JSON = "json"


class ReportOutput(StrEnum):
    """How a report is written."""

    MARKDOWN = "markdown"
    JSON = "json"


class AlertSeverity(StrEnum):
    """How bad an alert is, by which it is routed."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class RowOutput(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    YAML = "yaml"
    CSV_SAFE = "csv-safe"


_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(name="dataops", rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=_HELP)
kafka_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="Kafka's topics, groups and records.")
tables_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="Iceberg's tables.")
dag_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="Airflow's DAGs.")
monitoring_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="The central Prometheus.")
config_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="The settings.")
audit_app = typer.Typer(rich_markup_mode=None, context_settings=_HELP, help="What was done and refused.")
app.add_typer(kafka_app, name="kafka")
app.add_typer(tables_app, name="tables")
app.add_typer(dag_app, name="dag")
app.add_typer(monitoring_app, name="monitoring")
app.add_typer(config_app, name="config")
app.add_typer(audit_app, name="audit")

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Confirm a change, outside production.")]
ConfirmOption = Annotated[
    str | None, typer.Option("--confirm", metavar="CONTEXT", help="Confirm a change by the context's name.")
]


def _named(what: str, *kinds: str) -> Callable[[TyperContext, str], list[str]]:
    """Return what completes a name from the settings, as far as these can be read.

    Args:
        what: `context`, `pipeline`, `stage` or `component`.
        kinds: Kinds of components that are meant; all where none are given.
    """

    def complete(context: TyperContext, incomplete: str) -> list[str]:
        typed = context.find_root().params
        invocation = Invocation(typed.get("config"), typed.get("context_name"))
        try:
            if what == "component":
                here = invocation.chosen().context.configured()
                names = {name for name, each in here.items() if not kinds or each.component in kinds}
            else:
                settings = invocation.settings()
                stages = {stage.name for pipeline in settings.pipelines.values() for stage in pipeline.stages}
                names = {"context": set(settings.contexts), "pipeline": set(settings.pipelines), "stage": stages}[what]
        except DataopsError:
            return []
        return sorted(name for name in names if name.startswith(incomplete))

    return complete


PipelineArgument = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The pipeline.", autocompletion=_named("pipeline"))
]


def _component_option(noun: str, *kinds: str) -> Any:  # noqa: ANN401 - an option, as Typer takes it
    return typer.Option(
        "--component",
        metavar="NAME",
        help=f"The {noun} component, needed only where the context has several.",
        autocompletion=_named("component", *kinds),
    )


KafkaOption = Annotated[str | None, _component_option("Kafka", "kafka")]
AirflowOption = Annotated[str | None, _component_option("Airflow", "airflow")]
TrinoOption = Annotated[str | None, _component_option("Trino", "trino")]
CatalogOption = Annotated[
    str | None,
    typer.Option(
        "--component",
        metavar="NAME",
        help="Only this Iceberg catalog; all of the context if not given.",
        autocompletion=_named("component", "iceberg"),
    ),
]
RowsOption = Annotated[RowOutput, typer.Option("--output", "-o", help="How to write rows; csv-safe has no formulas.")]
DagArgument = Annotated[str, typer.Argument(metavar="DAG_ID", help="The DAG.")]
TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", help="catalog.namespace.table; the catalog may be left out if there is one.")
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; whatever goes wrong is one line on standard error."""
    invocation = Invocation()
    try:
        code = _called(arguments, invocation)
    except typer.TyperException as error:
        where = f"dataops {invocation.command or ''}".rstrip()
        say(f"{where}: {error.format_message()} (see {where} --help)")
        return _usage_code(invocation)
    except DataopsError as error:
        say(f"dataops: {error}")
        code = exit_code(error)
        is_ours = code is Exit.USAGE or isinstance(error, OutputFailed)
        return PROBE_UNKNOWN if is_ours and invocation.command in STATUS_COMMANDS else code
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no command prints a traceback
        where = f"dataops {invocation.command or ''}".rstrip()
        say(f"dataops: {log_error(error, where)}")
        return PROBE_UNKNOWN if invocation.command in STATUS_COMMANDS else Exit.INTERNAL
    return code if isinstance(code, int) else Exit.OK


def _called(arguments: Sequence[str] | None, invocation: Invocation) -> object:
    try:
        return app(arguments, standalone_mode=False, obj=invocation, prog_name="dataops")
    except OSError as error:
        if error.errno in OUTPUT_ERRORS and error.filename is None:  # of the help, which Typer writes itself
            raise output_failed(error) from error
        raise


def run() -> NoReturn:
    """Run the command line as a process of its own.

    A thread may still wait in a library for a component that hangs. Where Python takes itself down around it, C++ code
    can end the process by SIGABRT, and its exit code is lost; so the process ends at once instead.
    """
    occupy_descriptors()
    guard_stderr()
    tune_for_probes()
    for number in (signal.SIGTERM, signal.SIGHUP):  # as ctrl+c: a statement is not to run on in the server
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    with catch_unexpected(lambda line: say(f"dataops: {line}")):
        code = main()
        if any(thread.daemon for thread in threading.enumerate()):
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or None
                    stream.flush()
            os._exit(code)
        sys.exit(code)


def _usage_code(invocation: Invocation) -> int:
    return PROBE_UNKNOWN if invocation.command in STATUS_COMMANDS else Exit.USAGE


def _show_version(wanted: bool) -> None:
    if wanted:
        from dataops_core.version import version

        write(f"dataops {version()}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: TyperContext,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings file; else $DATAOPS_CONFIG, ./dataops.toml, or the user's own."),
    ] = None,
    context_name: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="NAME",
            help="Context to use; else the default one.",
            autocompletion=_named("context"),
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Where is the data stuck, and since when?"""
    context.obj.config = config
    context.obj.context = context_name
    context.obj.command = context.invoked_subcommand
    if context.invoked_subcommand is None:
        typer.echo(visible_lines(context.get_help()), err=True)
        raise typer.Exit(Exit.USAGE)


@app.command()
def probe(
    context: TyperContext,
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(metavar="PIPELINE", help="All if none named.", autocompletion=_named("pipeline")),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage",
            metavar="NAME",
            help="Look only at this stage and at what it reads; may be given again.",
            autocompletion=_named("stage"),
        ),
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="Show only this component; without a pipeline or stage only that is looked at; may be given again.",
            autocompletion=_named("component"),
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until ctrl+c.")] = False,
    every: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Between two looks; else as in the settings.")
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How to write it.")] = ListOutput.TABLE,
) -> int:
    """Look once at all stages, and say where the data is stuck.

    With --stage the verdict is on these stages and what they read, with --component alone the status is the
    components' own. With --watch it is that of the last look, and JSON is one line for each.

    Example: dataops probe --stage bronze.readings --watch --every 10

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, or wrong use or settings, 130 interrupted.
    """
    from dataops_core.cli import probing

    asked = probing.Asked(pipelines or [], stages or [], components or [])
    return probing.probe(context.obj, asked, watch=watch, every=every, as_json=output is ListOutput.JSON)


@app.command()
def why(
    context: TyperContext,
    pipeline: PipelineArgument,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How to write it.")] = ListOutput.TABLE,
) -> int:
    """Say why a pipeline is as it is: the verdict, and all that is known of the stage or component to blame.

    Where it is stuck, since when, the evidence, what is affected, the remedy, and what is wrong besides.

    Example: dataops why boreal-bridge

    Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, or wrong use or settings, 130 interrupted.
    """
    from dataops_core.cli import probing

    return probing.why(context.obj, pipeline, as_json=output is ListOutput.JSON)


@app.command(cls=StatementCommand)
def sql(
    context: TyperContext,
    statement: Annotated[
        str | None, typer.Argument(metavar="STATEMENT", help="One statement; - reads it from standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the statement from a file.")
    ] = None,
    output: Annotated[
        RowOutput, typer.Option("--output", "-o", help="How to write rows; csv-safe has no formulas.")
    ] = RowOutput.TABLE,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Cancel the statement after that time.")
    ] = None,
    component: TrinoOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Run one statement in Trino and write its rows as they come.

    What changes something wants to be confirmed, and is audited. A statement may begin with a comment: "-- all".

    Example: dataops sql -o csv "SELECT * FROM bronze.readings LIMIT 5"

    Exit codes: 0 done, 1 the statement failed, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
    130 interrupted; the statement is then cancelled in the server.
    """
    from dataops_core.cli import querying

    return querying.sql(
        context.obj,
        component,
        read_statement(statement, file),
        output=output.value,
        timeout=timeout,
        confirmed=confirm or ("yes" if yes else None),
    )


@app.command()
def record(
    context: TyperContext,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Record into this file; else the context's own.")
    ] = None,
) -> int:
    """Look at all stages again and again, and keep each look, until ctrl+c.

    What is kept is bounded by age and size, see [recorder] in the settings. One process records into a file at a time.

    Example: dataops record

    Exit codes: 0 stopped by ctrl+c or a signal, 1 the file cannot be written, 2 wrong use or settings, or somebody
    records into it already.
    """
    from dataops_core.cli import recording

    return recording.record(context.obj, file)


@app.command()
def report(
    context: TyperContext,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="From when on: 2h, 30m or 3d ago, 03:12, or 2026-01-05T03:12, in UTC.")
    ] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Up to when; the end if not given.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="A recording; else the context's own.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also copy that part of the recording into a file, for dataops-tui --replay."
        ),
    ] = None,
    output: Annotated[ReportOutput, typer.Option("--output", "-o", help="How to write it.")] = ReportOutput.MARKDOWN,
) -> int:
    """Say what happened: each incident with its changes, verdicts, evidence, and how old the data was.

    With --file, times of the past are counted from the end of that recording, and no settings are needed.

    Example: dataops report --since 2h -o json

    Exit codes: 0 done, 2 wrong use or settings, or there is no recording of that time.
    """
    from dataops_core.cli import recording

    return recording.report(context.obj, file, since, until, save=save, as_json=output is ReportOutput.JSON)


@app.command()
def canary(
    context: TyperContext,
    pipeline: PipelineArgument,
    timeout: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="How long to look for it; else as in the settings.")
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How to write it.")] = ListOutput.TABLE,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Send a marked record through a pipeline, and time it at each hop until Trino answers with it.

    It writes a record, so it wants to be confirmed, and is audited. What it is, and where it is looked for, is in the
    settings: [pipelines.NAME.canary].

    Example: dataops canary boreal-bridge --yes

    Exit codes: 0 each hop has seen it in time, 1 it has arrived, but a hop was late or was skipped, 2 wrong use or
    settings or refused, 3 no connection, so that it is not known, 4 it has not arrived in time, 130 interrupted.
    """
    from dataops_core.cli import canarying

    return canarying.canary(
        context.obj,
        pipeline,
        timeout=timeout,
        as_json=output is ListOutput.JSON,
        confirmed=confirm or ("yes" if yes else None),
    )


@app.command()
def doctor(
    context: TyperContext,
    components: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMPONENT", help="All if none named.", autocompletion=_named("component")),
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How to write it.")] = ListOutput.TABLE,
) -> int:
    """Try each connection layer by layer, say which layer fails, and the mend.

    Layers: the settings' secrets and files, name, TCP, TLS, protocol, authentication, permission, the addresses that
    Kafka's brokers name, and the object of each stage. Nothing is changed.
    Exit codes: 0 all is well, or will be a while, 1 something fails, 2 wrong use or settings, 130 interrupted.
    Example: dataops --context prod doctor kafka
    """
    from dataops_core.cli import doctoring

    return doctoring.doctor(context.obj, components or [], as_json=output is ListOutput.JSON)


@kafka_app.command("topics")
def kafka_topics(
    context: TyperContext,
    wanted: Annotated[
        str | None, typer.Option("--filter", metavar="REGEX", help="Only topics in whose name it is found.")
    ] = None,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List topics: partitions, replicas, what is not in sync, records, and when the newest one came.

    Example: dataops kafka topics --filter '^orders'

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import kafka

    return kafka.list_topics(context.obj, component, wanted, output.value)


@kafka_app.command("groups")
def kafka_groups(
    context: TyperContext,
    group: Annotated[str | None, typer.Argument(metavar="GROUP", help="All if none named.")] = None,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List consumer groups with their lag; of one that is named, each partition that it has committed to.

    Example: dataops kafka groups billing -o json

    Exit codes: 0 done, 1 no such group, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import kafka

    if group is None:
        return kafka.list_groups(context.obj, component, output.value)
    return kafka.show_group(context.obj, component, group, output.value)


@kafka_app.command("peek")
def kafka_peek(
    context: TyperContext,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.")],
    partition: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only this partition.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="An offset, 2h, 30m or 3d ago, an ISO time, beginning, end, or tail N of each partition.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Records; 10 if not given, without end with --follow.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records, until ctrl+c.")] = False,
    component: KafkaOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """Read a topic's records, decoded: JSON, Avro by the schema registry, text or hex. Nothing is committed.

    Without --from these are the newest records of all partitions, by time, and with --follow those that come from now
    on; else the first ones from there, as they come. Long keys and values are cut off, and size says how long they are.

    Example: dataops kafka peek orders --from 2h --limit 5

    Exit codes: 0 done, 1 no such topic or partition, 2 wrong use or settings, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.cli import kafka

    return kafka.peek(
        context.obj, component, topic, partition=partition, start=start, limit=limit, follow=follow, output=output.value
    )


@tables_app.command("list")
def tables_list(context: TyperContext, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE) -> int:
    """List the tables of all catalogs.

    Example: dataops tables list -o csv

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import tables

    return tables.list_tables(context.obj, component, output.value)


@tables_app.command("health")
def tables_health(
    context: TyperContext,
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="catalog.namespace.table; all if none.")] = None,
    component: CatalogOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """Say of tables what is wrong, with their files, snapshots and upkeep: the checks of a pipeline's tables.

    Health is ok, unknown, or the severity of the worst finding. A table that is no stage of a pipeline is measured by
    the usual thresholds. What is found does not change the exit code.

    Example: dataops tables health lake.bronze.readings -o json

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import tables

    return tables.health(context.obj, component, table, output.value)


@tables_app.command("snapshots")
def tables_snapshots(
    context: TyperContext, table: TableArgument, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE
) -> int:
    """List the snapshots that a table keeps, newest first: what each changed, what points to it, and who made it.

    Example: dataops tables snapshots lake.bronze.readings

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import tables

    return tables.snapshots(context.obj, component, table, output.value)


@tables_app.command("files")
def tables_files(
    context: TyperContext, table: TableArgument, component: CatalogOption = None, output: RowsOption = RowOutput.TABLE
) -> int:
    """Count the data files of a table's current snapshot by size; the last row has those larger than all.

    Example: dataops tables files bronze.readings

    Exit codes: 0 done, 1 no such table, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import tables

    return tables.files(context.obj, component, table, output.value)


@dag_app.command("list")
def dag_list(context: TyperContext, component: AirflowOption = None, output: RowsOption = RowOutput.TABLE) -> int:
    """List all DAGs.

    Example: dataops dag list -o json

    Exit codes: 0 done, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import dags

    return dags.list_dags(context.obj, component, output.value)


@dag_app.command("runs")
def dag_runs(
    context: TyperContext,
    dag_id: DagArgument,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Runs.")] = 20,
    component: AirflowOption = None,
    output: RowsOption = RowOutput.TABLE,
) -> int:
    """List the newest runs of a DAG, newest first.

    Example: dataops dag runs conform_readings --limit 5

    Exit codes: 0 done, 1 no such DAG, 2 wrong use or settings, 3 no connection, 4 timed out, 130 interrupted.
    """
    from dataops_core.cli import dags

    return dags.list_runs(context.obj, component, dag_id, limit, output.value)


@dag_app.command("logs")
def dag_logs(
    context: TyperContext,
    dag_id: DagArgument,
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The run; dataops dag runs lists them.")],
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="The task; task[3] of a mapped one.")],
    number: Annotated[int | None, typer.Option("--try", min=1, metavar="N", help="The newest if not given.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the log ends.")] = False,
    component: AirflowOption = None,
) -> int:
    """Write the log of a task, with the tracebacks that Airflow keeps beside it.

    Example: dataops dag logs conform_readings manual__2026-01-05T03:00:00 conform --try 1

    Exit codes: 0 done, 1 no such DAG, run, task or log, 2 wrong use or settings, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.cli import dags

    return dags.write_log(context.obj, component, dag_id, run_id, task_id, number, follow=follow)


@dag_app.command("pause")
def dag_pause(
    context: TyperContext,
    dag_id: DagArgument,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Pause a DAG: its schedule makes no further runs.

    It wants to be confirmed, and is audited.

    Example: dataops dag pause conform_readings --yes

    Exit codes: 0 done, 1 no such DAG, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.cli import dags

    return dags.set_paused(context.obj, component, dag_id, paused=True, confirmed=confirm or ("yes" if yes else None))


@dag_app.command("unpause")
def dag_unpause(
    context: TyperContext,
    dag_id: DagArgument,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Let a paused DAG go on.

    It wants to be confirmed, and is audited.

    Example: dataops dag unpause conform_readings --yes

    Exit codes: 0 done, 1 no such DAG, 2 wrong use or settings or refused, 3 no connection, 4 timed out,
    130 interrupted.
    """
    from dataops_core.cli import dags

    return dags.set_paused(context.obj, component, dag_id, paused=False, confirmed=confirm or ("yes" if yes else None))


@dag_app.command("trigger")
def dag_trigger(
    context: TyperContext,
    dag_id: DagArgument,
    conf: Annotated[str | None, typer.Option(metavar="JSON", help="The run's parameters, a JSON object.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait.")] = 3600.0,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Trigger a run of a DAG and write its run id.

    It wants to be confirmed, and is audited.

    Example: dataops dag trigger conform_readings --wait --yes

    Exit codes: 0 triggered (with --wait: the run succeeded), 1 no such DAG or the run failed, 2 wrong use or settings
    or refused, 3 no connection, 4 timed out, 130 interrupted; the run itself goes on.
    """
    from dataops_core.actions import parse_conf
    from dataops_core.cli import dags

    return dags.trigger(
        context.obj,
        component,
        dag_id,
        parse_conf(conf or ""),
        wait=timeout if wait else None,
        confirmed=confirm or ("yes" if yes else None),
    )


@dag_app.command("backfill")
def dag_backfill(
    context: TyperContext,
    dag_id: Annotated[str, typer.Argument(metavar="DAG_ID", help="The DAG; it needs a schedule by time.")],
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First date, in UTC without a zone.")],
    end: Annotated[str, typer.Option("--to", metavar="DATE", help="Last date.")],
    again: Annotated[
        str, typer.Option(metavar="RUNS", help="Also dates that have a run: none, failed or completed ones.")
    ] = "none",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only write the dates that would run.")] = False,
    component: AirflowOption = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Run a DAG for a time that has passed, and write the dates and the backfill's id.

    It wants to be confirmed, and is audited.

    Example: dataops dag backfill assess_shipments --from 2026-01-01 --to 2026-01-07 --dry-run

    Exit codes: 0 done, 1 no such DAG or Airflow refuses it, 2 wrong use or settings or refused, 3 no connection,
    4 timed out, 130 interrupted.
    """
    from dataops_core.actions import Backfill
    from dataops_core.cli import dags

    wanted = Backfill.of(dag_id, start, end, again)
    return dags.backfill(context.obj, component, wanted, dry_run=dry_run, confirmed=confirm or ("yes" if yes else None))


@monitoring_app.command("verify")
def monitoring_verify(
    context: TyperContext,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="The central Prometheus, without /api; else the context's.")
    ] = None,
    alertmanager: Annotated[
        str | None, typer.Option(metavar="URL", help="The central Alertmanager; else the context's.")
    ] = None,
    components: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="The Prometheus or Alertmanager component, where the context has several; may be given again.",
            autocompletion=_named("component", "prometheus", "alertmanager"),
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A bearer token for the addresses that are given.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The authority of their certificates, in PEM form.")
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="The exporter's job; else like .*dataops.*, as the rules have it."),
    ] = None,
    left_out: Annotated[
        list[str] | None,
        typer.Option("--left-out", metavar="NAME", help="A rule that is left out on purpose; may be given again."),
    ] = None,
    send_test_alert: Annotated[
        bool, typer.Option("--send-test-alert", help="Send the alert DataopsTest to Alertmanager, and look for it.")
    ] = False,
    severity: Annotated[
        AlertSeverity, typer.Option(help="Of the test alert; the shipped routes lead info to nobody.")
    ] = AlertSeverity.INFO,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="A label of the test alert; may be given again."),
    ] = None,
    receiver: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the test alert has to be led; else any receiver will do.")
    ] = None,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How to write it.")] = ListOutput.TABLE,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Look whether a central Prometheus has the exporter and its rules, and whether its alerts get through.

    Asks Prometheus and Alertmanager only, and needs no settings where --url is given. What a platform does not tell is
    unknown. A test alert may call somebody: it wants to be confirmed, is audited, and ends by itself after 5 minutes.

    Example: dataops monitoring verify --url https://prometheus.example.com --job dataops-exporter

    Exit codes: 0 all that was tried is well, or only has a warning, 1 something fails, 2 wrong use or settings or
    refused, 3 something is not known, 130 interrupted.
    """
    from dataops_core.cli import monitoring

    confirmed = confirm or ("yes" if yes else None)
    return monitoring.verify_arrival(
        context.obj,
        monitoring.Addresses(url, alertmanager, token_file, ca_file, components or ()),
        monitoring.Expected(job, left_out or [], receiver),
        monitoring.Sending(severity.value, label or [], confirmed) if send_test_alert else None,
        as_json=output is ListOutput.JSON,
    )


@config_app.command("validate")
def config_validate(context: TyperContext) -> int:
    """Check the settings, and name all that is wrong with them.

    Example: dataops --config dataops.toml config validate

    Exit codes: 0 valid, 1 not valid, 2 wrong use or no settings file.
    """
    from dataops_core.cli import settings

    return settings.validate(context.obj)


@config_app.command("show")
def config_show(context: TyperContext) -> int:
    """Write the settings in effect as TOML, with where each comes from; secrets are masked.

    Example: dataops config show

    Exit codes: 0 done, 2 wrong use or settings.
    """
    from dataops_core.cli import settings

    return settings.show(context.obj)


@config_app.command("init")
def config_init(
    context: TyperContext,
    kafka: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Kafka's bootstrap servers.")] = None,
    airflow: Annotated[str | None, typer.Option(metavar="URL", help="Airflow's API server.")] = None,
    airflow_user: Annotated[
        str | None, typer.Option(metavar="NAME", help="User of Airflow; the password is $AIRFLOW_PASSWORD.")
    ] = None,
    trino: Annotated[str | None, typer.Option(metavar="URL", help="Trino's coordinator.")] = None,
    catalog: Annotated[
        list[str] | None, typer.Option(metavar="NAME=URL", help="An Iceberg REST catalog; may be repeated.")
    ] = None,
    checkpoint: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="A Spark query's checkpoint; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; else standard output.")
    ] = None,
) -> int:
    """Propose settings for a live stack: look at all components, and link what they say hangs together.

    Without an address, the components of the settings are asked, with their credentials, and only pipelines are
    written. Links come from groups' commits, checkpoints, the tables' commits and the assets that DAGs declare, never
    from names; what is not known is said in remarks. Nothing is changed, and no file overwritten.
    Exit codes: 0 done, 1 no such checkpoint, 2 wrong use or settings, 3 a checkpoint cannot be read, 130 interrupted.
    Example: dataops config init --kafka localhost:9092 --catalog lake=http://localhost:8181 -o dataops.toml
    """
    from dataops_core.cli import proposing

    addresses = {"kafka": kafka, "airflow": airflow, "airflow_user": airflow_user, "trino": trino}
    return proposing.init(context.obj, addresses, catalog or [], checkpoint or [], output)


@config_app.command("schema")
def config_schema() -> int:
    """Write the JSON Schema of the settings file, by which an editor completes and checks it.

    Exit codes: 0 done, 2 wrong use.
    Example: dataops config schema > dataops.schema.json
    """
    from dataops_core.cli import proposing

    return proposing.schema()


@audit_app.command("verify")
def audit_verify(
    context: TyperContext,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Audit file; your own if not given.")] = None,
    head: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Hash of a line, from a syslog; it has to be in the file.")
    ] = None,
) -> int:
    """Check that no line of the audit file was changed, removed or inserted.

    Each line has to follow the one before it, the file has to end as its head file has it, and with audit.hmac_key in
    the settings each line has to be signed.

    Example: dataops audit verify

    Exit codes: 0 no change found, 1 a change found, 2 wrong use or no such file.
    """
    from dataops_core.cli import auditing

    return auditing.verify(context.obj, file, None if head is None else head.strip().lower())


if __name__ == "__main__":
    sys.exit(main())
