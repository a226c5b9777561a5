"""`python -m dataops_local`: commands of the local stack."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dataops_local import class_cache
from dataops_local import fetch as downloads
from dataops_local.errors import LocalError
from dataops_local.layout import DEFAULT_PORT_BASE, DEFAULT_STATE, Layout
from dataops_local.stack import Stack

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)


@app.callback()
def common(
    context: typer.Context,
    state: Annotated[Path, typer.Option(help="Folder of the stack.", envvar="DATAOPS_STACK")] = DEFAULT_STATE,
    port_base: Annotated[
        int, typer.Option(help="First port; the others follow it.", min=1024, max=65000, envvar="DATAOPS_PORT_BASE")
    ] = DEFAULT_PORT_BASE,
) -> None:
    """Select the stack by its folder and ports."""
    context.obj = Stack(Layout(state.absolute(), port_base), console)


@app.command()
def fetch() -> None:
    """Download missing components, and save the Java classes of their programs for faster starts."""
    downloads.fetch(console.print)
    class_cache.build(console.print)


@app.command()
def up(
    context: typer.Context,
    without: Annotated[list[str] | None, typer.Option(help="A program to omit; repeatable.")] = None,
) -> None:
    """Start the stack in the background."""
    stack: Stack = context.obj
    if stack.supervisor.is_running():
        console.print(f"the stack in {stack.layout.state} is already running")
        return
    stack.up(without=without or ())
    console.print(f"up: dataops-tui --config {stack.layout.config}")


@app.command()
def down(context: typer.Context) -> None:
    """Stop the stack; its data stays."""
    stack: Stack = context.obj
    console.print("stopped" if stack.down() else "nothing was running")


@app.command()
def clean(context: typer.Context) -> None:
    """Stop the stack and remove its folder."""
    stack: Stack = context.obj
    stack.down()
    shutil.rmtree(stack.layout.state, ignore_errors=True)
    console.print(f"removed {stack.layout.state}")


@app.command()
def status(context: typer.Context) -> None:
    """Show the programs; exit code 1 unless all of them run."""
    table, all_run = context.obj.status()
    console.print(table)
    console.print(f"logs: {context.obj.layout.log_dir}", soft_wrap=True)
    raise typer.Exit(0 if all_run else 1)


@app.command()
def logs(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A program. Default: all.")] = None,
    lines: Annotated[int, typer.Option(help="Number of lines per program.")] = 20,
) -> None:
    """Show the end of the logs."""
    stack: Stack = context.obj
    results = sorted(stack.layout.log_dir.glob(f"{name or '*'}.log"))
    if not results:
        have = ", ".join(p.stem for p in sorted(stack.layout.log_dir.glob("*.log")))
        raise LocalError(f"no log of {name or 'any program'}; available: {have or 'none yet'}")
    for path in results:
        console.rule(path.stem, align="left")
        for line in path.read_text(errors="replace").splitlines()[-lines:]:
            console.print(line, markup=False)


@app.command()
def start(context: typer.Context, names: list[str]) -> None:
    """Start programs by name."""
    for name in _known(context.obj, names):
        started = context.obj.supervisor.start(name)
        console.print(f"started {name}" if started else f"{name} is already running")


@app.command()
def stop(context: typer.Context, names: list[str]) -> None:
    """Stop programs by name; the others keep running."""
    for name in _known(context.obj, names):
        context.obj.supervisor.stop(name)


@app.command()
def demo(context: typer.Context) -> None:
    """Start the stack and open the console on it; quitting the console stops the stack."""
    stack: Stack = context.obj
    attached = stack.supervisor.is_running()
    if not attached:
        stack.up(tied=True)
    try:
        program = Path(sys.executable).parent / "dataops-tui"
        code = subprocess.run([program, "--config", stack.layout.config], check=False).returncode
    finally:
        if attached:
            console.print("the stack was already up, so it stays up: `make down` stops it")
        else:
            stack.down()
    raise typer.Exit(code)


@app.command()
def incident(context: typer.Context, target: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Record a real incident: start the stack, stop land_readings for two minutes, and wait until it catches up."""
    from dataops_local.incident import record  # noqa: PLC0415 - only this command imports the recorder

    record(context.obj, target, console.print)


def _known(stack: Stack, names: list[str]) -> list[str]:
    states = stack.supervisor.states()
    if not states:
        raise LocalError(f"the stack in {stack.layout.state} is not running: start it with `make up`")
    unknown = [name for name in names if name not in states]
    if unknown:
        raise LocalError(f"no such program: {', '.join(unknown)}; available: {', '.join(states)}")
    return names


def main() -> None:
    """Run a command; print an error as one line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # run the `finally` blocks, which stop the stack
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        app()
    except LocalError as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
