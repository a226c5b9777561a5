"""Shutdown of the console: cancel its statements in Trino, and restore the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from types import FrameType
from typing import Any, Protocol

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Signals that stop a program; the terminal sends SIGHUP when it closes."""
CANCELS_WITHIN = 3.0
"""Timeout in seconds for cancelling running statements."""
ENDS_WITHIN = 8.0
"""Seconds from a signal to a forced exit, in case something hangs, e.g. output to a closed terminal."""
RESTORE = (
    "\x1b[?2026l"  # synchronised output
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"  # mouse
    "\x1b[?2004l\x1b[?2048l\x1b[?1004l"  # bracketed paste, resize reports, focus reports
    "\x1b[<u"  # keyboard protocol
    "\x1b[?1049l\x1b[?7h\x1b[?25h"  # alternate screen, line wrap, cursor
)
"""Control sequences that undo all modes that Textual sets in a terminal."""


class Leavable(Protocol):
    """The app, as the shutdown uses it."""

    def leave(self, return_code: int) -> object:
        """Quit, from any thread."""

    def running_statements(self) -> int:
        """Return the number of statements that run in Trino."""

    def stop_statements(self, within: float) -> list[str]:
        """Cancel all running Trino statements; return one line per statement that may still run."""


class Departure:
    """Clean shutdown of the console on a signal or when the terminal closes.

    Args:
        app: The console.
        say: Prints a line on standard error.
    """

    def __init__(self, app: Leavable, say: Callable[[str], object]) -> None:
        self._app = app
        self._say = say
        self._attributes = _attributes()
        self._leaving = Event()
        self._ended = Event()

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Watch for signals and a closed terminal while the console runs; cancel statements when it ends."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # e.g. after nohup
                signal.signal(number, self._signalled)
        if sys.stdin.isatty():
            Thread(target=self._watch_terminal, args=(sys.stdin.fileno(),), name="terminal watch", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()
            self._cancel_statements()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _cancel_statements(self) -> None:
        running = self._app.running_statements()
        with contextlib.suppress(OSError, ValueError):  # the terminal may be closed
            if running:
                self._say(f"cancelling {running} statement{'s' if running > 1 else ''} in Trino")
            for line in self._app.stop_statements(CANCELS_WITHIN):
                self._say(line)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        # Python runs a signal handler only when the main thread executes bytecode, and the event loop may be blocked.
        Thread(target=self._leave, args=(number,), name="leaving", daemon=True).start()

    def _watch_terminal(self, descriptor: int) -> None:
        """Wait until the terminal is closed: a process outside its session receives no SIGHUP."""
        poll = select.poll()
        poll.register(descriptor, 0)
        with contextlib.suppress(OSError):
            poll.poll()
        if not self._ended.is_set():
            self._leave(signal.SIGHUP)

    def _leave(self, number: int) -> None:
        if self._leaving.is_set():
            return
        self._leaving.set()
        deadline = time.monotonic() + ENDS_WITHIN
        if _terminal_is_gone():
            _write_nowhere()
        self._app.leave(128 + number)
        self._app.stop_statements(CANCELS_WITHIN)  # in this thread: the event loop may be blocked
        if not self._ended.wait(max(0.0, deadline - time.monotonic())):
            restore_terminal(self._attributes)
            os._exit(128 + number)


def restore_terminal(attributes: list[Any] | None) -> None:
    """Restore the terminal's modes and attributes if Textual can no longer do so."""
    _write(RESTORE)
    if attributes is not None:
        with contextlib.suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.__stdin__.fileno(), termios.TCSANOW, attributes)  # type: ignore[union-attr]


def _attributes() -> list[Any] | None:
    try:
        return termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    except (termios.error, OSError, ValueError, AttributeError):
        return None


def _terminal_is_gone() -> bool:
    poll = select.poll()
    poll.register(0, 0)
    with contextlib.suppress(OSError):
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))
    return True


def _write_nowhere() -> None:
    """Redirect output to /dev/null: a write to a closed terminal would fail and break the clean shutdown."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        os.close(null)


def _write(sequence: str) -> None:
    """Write a control sequence to the terminal that Textual draws on: standard error."""
    stream = sys.__stderr__
    with contextlib.suppress(OSError, ValueError):
        if stream is not None and stream.isatty():
            os.write(stream.fileno(), sequence.encode())
