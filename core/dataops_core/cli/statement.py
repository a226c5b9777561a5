"""Read the statement of `dataops sql` from the command line, standard input or a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.core import TyperCommand

from dataops_core.errors import ConfigError


class StatementCommand(TyperCommand):
    """A command whose argument is SQL, which may begin with a comment: `-- all orders`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # a base of Typer
        """Parse arguments; see `click.Command.parse_args`."""
        options = [param for param in self.params if param.param_type_name == "option"]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        valued = {name for option in options if not getattr(option, "is_flag", False) for name in option.opts}
        return super().parse_args(ctx, statement_last(args, names, valued))


def statement_last(arguments: Sequence[str], names: set[str], valued: set[str]) -> list[str]:
    """Return the arguments with a statement that begins with `--` moved after all options.

    Args:
        arguments: Arguments as typed.
        names: Options of the command.
        valued: Options of the command that take a value.
    """
    for at, argument in enumerate(arguments):
        if argument == "--":
            break
        first = argument.split(maxsplit=1)[0] if argument.strip() else ""
        is_statement = first != argument and first.startswith("--") and first.partition("=")[0] not in names
        if is_statement and (at == 0 or arguments[at - 1] not in valued):
            return [*arguments[:at], *arguments[at + 1 :], "--", argument]
    return list(arguments)


def read_statement(statement: str | None, file: Path | None) -> str:
    """Return the statement from its one source; raises ConfigError if there is no source, or more than one."""
    if (statement is None) == (file is None):
        raise ConfigError("exactly one statement is required", hint="type it, or - for standard input, or use --file")
    if file is not None:
        try:
            return _text(file.read_bytes(), str(file))
        except OSError as error:
            raise ConfigError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    if statement == "-":
        return _standard_input()
    try:
        str(statement).encode()
    except UnicodeEncodeError:
        raise ConfigError("the statement is not UTF-8") from None
    return str(statement)


def _standard_input() -> str:
    if sys.stdin is None:
        raise ConfigError("standard input is closed", hint="pipe the statement into it, or use --file")
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        return _text(buffer.read(), "standard input") if buffer is not None else sys.stdin.read()
    except (OSError, ValueError) as error:  # ValueError: closed
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"standard input: {why.lower()}") from error


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 at byte {error.start}") from None
