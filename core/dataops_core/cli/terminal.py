"""Standard output is data, standard error is narration."""

from __future__ import annotations

import os
import re
import sys
from enum import IntEnum

import typer

from dataops_core.error_log import INTERNAL_ERROR
from dataops_core.errors import ClientError, DataopsError, NotFound, QueryFailed, TimedOut

OUTPUT_CLOSED = 141
"""What a shell reports of a program that wrote into a closed pipe."""


_CONTROL = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Characters that steer a terminal; not tabs and line ends, which the forms have themselves."""


class Exit(IntEnum):
    """Exit codes of all commands but `probe`, whose codes are the status of the pipelines."""

    OK = 0
    FAILED = 1
    """The statement, the run or the check failed."""
    USAGE = 2
    """Wrong use or settings, or the gate refused."""
    CONNECTION = 3
    """A component cannot be reached, or does not answer as it should."""
    TIMED_OUT = 4
    INTERNAL = INTERNAL_ERROR
    INTERRUPTED = 130


def exit_code(error: DataopsError) -> Exit:
    """Return the exit code that an error ends a command with."""
    if isinstance(error, TimedOut):
        return Exit.TIMED_OUT
    if isinstance(error, QueryFailed | NotFound):
        return Exit.FAILED
    if isinstance(error, ClientError):
        return Exit.CONNECTION
    return Exit.USAGE


def write(text: str) -> None:
    """Write data; ends the command in silence where nobody reads it any more."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, which must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OUTPUT_CLOSED) from None


def write_foreign(text: str) -> None:
    """Write text that others wrote: a terminal gets its control characters escaped, a pipe or a file all as it is."""
    if sys.stdout.isatty():
        text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    write(text)


def say(line: str) -> None:
    """Write a line of narration."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def can_ask() -> bool:
    """Whether there is someone to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_word(question: str, word: str) -> str | None:
    """Ask on standard error for a word, and return what was typed."""
    say(question)
    try:
        typed: str = typer.prompt(f'Type "{word}" to go on', default="", show_default=False, err=True)
    except typer.Abort:
        return None
    return typed.strip()
