"""Run a program without a shell, with a deadline for its process group and a bounded output."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataops_core.errors import BadAnswer, ConfigError, TimedOut
from dataops_core.reasons import line
from dataops_core.redaction import MASK
from dataops_core.transport.deadlines import Deadline
from dataops_core.units import duration

INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LANGUAGE")
"""Environment variables that the program inherits, in addition to `LC_…`; others may be secrets."""
SECRET_FROM = 4
"""Minimum length of a variable's value that is masked in the program's output."""
_CHUNK = 1 << 16
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended.

    Attributes:
        code: Exit code; the negative number of a signal that ended it.
        output: Its standard output.
        errors: Its standard error.
        duration: Seconds.
    """

    code: int
    output: bytes
    errors: bytes
    duration: float


def run(
    command: Sequence[str], *, folder: str | None, environment: Mapping[str, str], deadline: float, most_bytes: int
) -> Done:
    """Run a program and return its output.

    Args:
        command: Program and arguments.
        folder: Working directory; `None`: that of this process.
        environment: Additional environment variables.
        deadline: Seconds after which it is killed, with its process group.
        most_bytes: Maximum size of its output.

    Raises:
        ConfigError: It cannot be started.
        TimedOut: It has not ended, or a child process keeps its output open.
        BadAnswer: Its output is too large.
    """
    inherited = {name: text for name, text in os.environ.items() if name in INHERITED or name.startswith("LC_")}
    name, began, end = Path(command[0]).name, time.monotonic(), Deadline(deadline)
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=inherited | dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else line(error)
        raise ConfigError(f"command {name}: cannot be started: {reason.lower()}", hint="correct `command`") from None
    try:
        output, errors = _read(process, name, end, most_bytes)
        _wait(process.pid, name, end)
    finally:
        _kill(process)
    return Done(process.returncode, output, errors, time.monotonic() - began)


def _read(process: subprocess.Popen[bytes], name: str, end: Deadline, most_bytes: int) -> tuple[bytes, bytes]:
    chunks = {"output": bytearray(), "errors": bytearray()}
    with selectors.DefaultSelector() as selector:
        for key, pipe in (("output", process.stdout), ("errors", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, key)
        while selector.get_map():
            ready = selector.select(end.left)
            if end.passed:
                raise _late(name, end)
            for result, _ in ready:
                chunk = os.read(result.fd, _CHUNK)
                if not chunk:
                    selector.unregister(result.fileobj)
                chunks[result.data] += chunk
            if sum(map(len, chunks.values())) > most_bytes:
                raise BadAnswer(f"command {name}: writes more than {most_bytes:,} bytes")
    return bytes(chunks["output"]), bytes(chunks["errors"])


def _wait(pid: int, name: str, end: Deadline) -> None:
    """Wait for the end of a process without reaping it, so that the id of its group is not reused."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if end.passed:
            raise _late(name, end)
        time.sleep(_POLL)


def _late(name: str, end: Deadline) -> TimedOut:
    return TimedOut(f"command {name}: did not end within {duration(end.seconds, precise=True)}, and was killed")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group, and reap it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS rejects a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def masked(text: str, environment: Mapping[str, str]) -> str:
    """Return a text without the values of environment variables."""
    for value in sorted(environment.values(), key=len, reverse=True):
        if len(value) >= SECRET_FROM:
            text = text.replace(value, MASK)
    return text
