"""The program `dataops`: its commands, and the set-up and exit of its process.

Each command is in the module of its name. It imports its dependencies when it runs, so that `--help` is fast.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import typer.main

from dataops_core.cli import audit, config, connect, dag, kafka, monitoring, tables
from dataops_core.cli.canary import canary
from dataops_core.cli.doctor import doctor
from dataops_core.cli.invocation import Invocation, TyperContext
from dataops_core.cli.options import HELP, names_of
from dataops_core.cli.probe import probe
from dataops_core.cli.record import record
from dataops_core.cli.report import report
from dataops_core.cli.sql import sql
from dataops_core.cli.statement import StatementCommand
from dataops_core.cli.terminal import OUTPUT_ERRORS, Exit, occupy_descriptors, output_failed, say, write
from dataops_core.cli.why import why
from dataops_core.error_log import catch_unexpected, log_error
from dataops_core.errors import DataopsError
from dataops_core.gc_tuning import tune_for_probes
from dataops_core.narration import guard_stderr
from dataops_core.plain import visible_lines
from dataops_core.process_exit import end_process

app = typer.Typer(name="dataops", rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=HELP)
app.command()(probe)
app.command()(why)
app.command(cls=StatementCommand)(sql)
app.command()(record)
app.command()(report)
app.command()(canary)
app.command()(doctor)
app.add_typer(kafka.app, name="kafka")
app.add_typer(connect.app, name="connect")
app.add_typer(tables.app, name="tables")
app.add_typer(dag.app, name="dag")
app.add_typer(monitoring.app, name="monitoring")
app.add_typer(config.app, name="config")
app.add_typer(audit.app, name="audit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; an error is one line on standard error."""
    invocation = Invocation()
    try:
        code = _called(arguments, invocation)
    except typer.TyperException as error:
        say(f"{invocation.program}: {error.format_message()} (see {invocation.program} --help)")
        return invocation.exit_code(Exit.USAGE)
    except DataopsError as error:
        say(f"dataops: {error}")
        return invocation.exit_code_of(error)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: no command prints a traceback
        say(f"dataops: {log_error(error, invocation.program)}")
        return invocation.exit_code(Exit.INTERNAL)
    return code if isinstance(code, int) else Exit.OK


@functools.cache
def command() -> Callable[..., object]:
    """Return the whole tree of commands. `app()` would read every signature again at each call."""
    return typer.main.get_command(app)


def _called(arguments: Sequence[str] | None, invocation: Invocation) -> object:
    try:
        return command()(arguments, standalone_mode=False, obj=invocation, prog_name="dataops")
    except OSError as error:
        if error.errno in OUTPUT_ERRORS and error.filename is None:  # Typer writes the help itself
            raise output_failed(error) from error
        raise


def run() -> NoReturn:
    """Run the command line, and exit the process with its exit code."""
    occupy_descriptors()
    guard_stderr()
    tune_for_probes()
    for number in (signal.SIGTERM, signal.SIGHUP):  # like ctrl+c, which cancels a running statement in the server
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    with catch_unexpected(lambda line: say(f"dataops: {line}")):
        end_process(main())


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
        typer.Option(
            metavar="FILE",
            help="Settings file. Default: $DATAOPS_CONFIG, else ./dataops.toml, else the user's file.",
        ),
    ] = None,
    context_name: Annotated[
        str | None,
        typer.Option(
            "--context",
            metavar="NAME",
            help="Context to use. Default: the default context of the settings.",
            autocompletion=names_of("context"),
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback shows the version
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


if __name__ == "__main__":
    run()
