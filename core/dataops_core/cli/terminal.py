"""Standard output is data, standard error is narration."""

from __future__ import annotations

import json
import os
import sys
from enum import IntEnum

import typer

from dataops_core.error_log import INTERNAL_ERROR
from dataops_core.errors import ClientError, DataopsError, NotFound, QueryFailed, TimedOut
from dataops_core.narration import narrate
from dataops_core.plain import escaped, visible, visible_lines

OUTPUT_CLOSED = 141
"""What a shell reports of a program that wrote into a closed pipe."""


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
    """Write text for people: its control characters are shown as symbols, also in a pipe or a file."""
    _put(visible_lines(text))


def write_exact(text: str) -> None:
    """Write a machine format: a pipe or a file gets it exactly, a terminal with its control characters escaped."""
    _put(escaped(text) if sys.stdout.isatty() else text)


def write_json(value: object, *, indent: int | None = 2) -> None:
    """Write a JSON document."""
    write_exact(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def write_rendered(text: str) -> None:
    """Write what `dataops_core.cli.printing` has rendered, whose styles are control sequences."""
    _put(text)


def _put(text: str) -> None:
    """Write to standard output; ends the command in silence where its reader is gone."""
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # half of a surrogate pair, or a terminal that has no UTF-8
            coding = sys.stdout.encoding
            sys.stdout.write(text.encode(coding, "backslashreplace").decode(coding))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at its end, which must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OUTPUT_CLOSED) from None


def say(line: str) -> None:
    """Write a line of narration."""
    narrate(line)


def can_ask() -> bool:
    """Whether there is someone to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_word(question: str, word: str) -> str | None:
    """Ask on standard error for a word, and return what was typed."""
    say(question)
    try:
        typed: str = typer.prompt(f'Type "{visible(word)}" to go on', default="", show_default=False, err=True)
    except typer.Abort:
        return None
    return typed.strip()
