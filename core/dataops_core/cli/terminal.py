"""Standard output is data, standard error is narration."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from enum import IntEnum
from typing import TextIO

import typer

from dataops_core.error_log import INTERNAL_ERROR
from dataops_core.errors import ClientError, DataopsError, NotFound, QueryFailed, RequestRefused, TimedOut
from dataops_core.narration import narrate
from dataops_core.plain import encodable, escaped, visible, visible_lines

OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
"""Errors of a write to a full disk, a broken device or a closed descriptor."""
OUTPUT_CLOSED = 141
"""Exit code that a shell reports for a program that SIGPIPE killed."""


class Exit(IntEnum):
    """Exit codes of all commands except `probe` and `why`, whose exit code is a status."""

    OK = 0
    FAILED = 1
    """The statement, the run or the check failed."""
    USAGE = 2
    """Wrong use or settings, or the policy or the component refused."""
    CONNECTION = 3
    """A component is unavailable, or returns an invalid response."""
    TIMED_OUT = 4
    INTERNAL = INTERNAL_ERROR
    INTERRUPTED = 130


class OutputFailed(DataopsError):
    """Writing to standard output failed."""


def exit_code(error: DataopsError) -> Exit:
    """Return the exit code of a command that fails with this error."""
    if isinstance(error, TimedOut):
        return Exit.TIMED_OUT
    if isinstance(error, QueryFailed | NotFound | OutputFailed):
        return Exit.FAILED
    if isinstance(error, RequestRefused):
        return Exit.USAGE
    if isinstance(error, ClientError):
        return Exit.CONNECTION
    return Exit.USAGE


def write(text: str) -> None:
    """Write text for people, with control characters as symbols, also to a pipe or a file."""
    _put(visible_lines(text))


def write_exact(text: str) -> None:
    """Write a machine format: unchanged to a pipe or a file, with escaped control characters to a terminal."""
    _put(escaped(text) if sys.stdout is not None and sys.stdout.isatty() else text)


def write_json(value: object, *, indent: int | None = 2) -> None:
    """Write a JSON document."""
    from dataops_core.json_text import dumps

    write_exact(dumps(value, indent) + "\n")


def write_rendered(text: str) -> None:
    """Write text that `dataops_core.cli.printing` rendered; its styles are control sequences."""
    _put(text)


def _put(text: str) -> None:
    """Write to standard output; end the command silently if the reader has closed the pipe.

    Raises:
        OutputFailed: Standard output is closed, or its disk is full.
    """
    stream = sys.stdout
    if stream is None:
        raise OutputFailed("standard output is closed", hint="redirect it to a file, a pipe or /dev/null")
    try:
        stream.write(encodable(text, stream.encoding))
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
        raise typer.Exit(OUTPUT_CLOSED) from None
    except (OSError, ValueError) as error:  # ValueError: closed
        raise output_failed(error) from error


def output_failed(error: OSError | ValueError) -> OutputFailed:
    """Return the error for a failed write to standard output, and discard all further output."""
    if sys.stdout is not None:
        _discard(sys.stdout)
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return OutputFailed(f"standard output: {why.lower()}")


def _discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, because Python flushes it at exit, which must not fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def occupy_descriptors() -> None:
    """Open /dev/null for each standard stream that is closed, so that no file or socket gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number


def say(line: str) -> None:
    """Write a line to standard error."""
    narrate(line)


def can_ask() -> bool:
    """Return whether a user can answer a question."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def ask_word(question: str, word: str) -> str | None:
    """Ask for a word on standard error, and return the user's answer; `None` if aborted."""
    say(question)
    try:
        typed: str = typer.prompt(f'Type "{visible(word)}" to confirm', default="", show_default=False, err=True)
    except typer.Abort:
        return None
    return typed.strip()
