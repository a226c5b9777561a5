"""Where the statement of `dataops sql` comes from: the command line, standard input or a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.core import TyperCommand

from dataops_core.errors import ConfigError


class StatementCommand(TyperCommand):
    """A command whose argument is SQL, which may begin with a comment: `-- all orders`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # Typer hides its base
        """Parse arguments; see `click.Command.parse_args`."""
        options = [param for param in self.params if param.param_type_name == "option"]
        names = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        valued = {name for option in options if not getattr(option, "is_flag", False) for name in option.opts}
        return super().parse_args(ctx, statement_last(args, names, valued))


def statement_last(arguments: Sequence[str], names: set[str], valued: set[str]) -> list[str]:
    """Return arguments with a statement that begins with `--` behind all options.

    Args:
        arguments: What was typed.
        names: Options of the command.
        valued: Those of them that the next argument is the value of.
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
    """Return the statement that was typed, piped or named; raises ConfigError if there is not exactly one source."""
    if (statement is None) == (file is None):
        raise ConfigError("give a statement, or - for standard input, or --file")
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
        raise ConfigError("standard input is closed", hint="pipe the statement into it, or name it with --file")
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        return _text(buffer.read(), "standard input") if buffer is not None else sys.stdin.read()
    except (OSError, ValueError) as error:  # ValueError: it was closed
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError(f"standard input: {why.lower()}") from error


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: not UTF-8 at byte {error.start}") from None
