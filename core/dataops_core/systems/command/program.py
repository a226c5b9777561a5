"""Run a program: no shell, a deadline that ends its whole process group, and a bounded output."""

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
"""Variables of our environment that the program gets, besides `LC_…`; the others may be secrets."""
SECRET_FROM = 4
"""Characters from which on the value of a variable is masked in what is shown of the program."""
_PIECE = 1 << 16
_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended.

    Attributes:
        code: Its exit code; negative for the signal that ended it.
        output: What it wrote, its errors left out.
        errors: What it wrote as errors.
        duration: Seconds that it ran.
    """

    code: int
    output: bytes
    errors: bytes
    duration: float


def run(
    command: Sequence[str], *, folder: str | None, environment: Mapping[str, str], deadline: float, most_bytes: int
) -> Done:
    """Run a program and return what it wrote.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        environment: Its further variables.
        deadline: Seconds after which it is killed, with all processes of its group.
        most_bytes: Bytes that it may write.

    Raises:
        ConfigError: It cannot be started.
        TimedOut: It has not ended, or a child of it still holds its output.
        BadAnswer: It writes too much.
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
    pieces = {"output": bytearray(), "errors": bytearray()}
    with selectors.DefaultSelector() as selector:
        for key, pipe in (("output", process.stdout), ("errors", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, key)
        while selector.get_map():
            ready = selector.select(end.left)
            if end.passed:
                raise _late(name, end)
            for found, _ in ready:
                piece = os.read(found.fd, _PIECE)
                if not piece:
                    selector.unregister(found.fileobj)
                pieces[found.data] += piece
            if sum(map(len, pieces.values())) > most_bytes:
                raise BadAnswer(f"command {name}: writes more than {most_bytes:,} bytes")
    return bytes(pieces["output"]), bytes(pieces["errors"])


def _wait(pid: int, name: str, end: Deadline) -> None:
    """Wait for the end of a process that is not reaped yet, so that its group's number stays its own."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if end.passed:
            raise _late(name, end)
        time.sleep(_POLL)


def _late(name: str, end: Deadline) -> TimedOut:
    return TimedOut(f"command {name}: did not end within {duration(end.seconds, precise=True)}, and was killed")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its group, and reap it."""
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses a group of zombies
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
