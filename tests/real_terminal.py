"""A program in a real pseudo terminal, and what it has left switched on in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pyte

ON_BY_DEFAULT = {7, 25}
"""Private modes that are on in a fresh terminal: line wrap and the cursor."""
_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_QUERIES = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[?2048$p": b"\x1b[?2048;2$y"}
"""What a modern terminal answers: it knows synchronised output and resize reports."""
_LAST = b"\x1b]0;the last output\x07"
"""A title that the terminal gets after all that the program has written."""


class RealTerminal:
    """Runs a program; it is killed at the end.

    Args:
        argv: The program.
        env: Further environment variables.
        size: Lines and columns.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, size: tuple[int, int] = (30, 120)
    ) -> None:
        self._argv, self._env, self._size = argv, env or {}, size
        self.screen = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        """Everything that the program has written."""
        self._lock = threading.Lock()
        self.garbled = ""
        """What the terminal could not understand."""

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *self._size, 0, 0))
        self.attributes = termios.tcgetattr(slave)
        self._slave = slave  # held open: else the last output is lost when the program ends
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **self._env}

        # a session's leader gets a signal when the terminal closes; it would inherit what a shell's `&` has ignored
        leads = ["setsid", "--ctty", "env", "--default-signal", *self._argv]
        self.process = subprocess.Popen(leads, stdin=slave, stdout=slave, stderr=slave, env=env)
        self._closing, self._closed = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)
        self.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self._closing not in select.select([self._master, self._closing], [], [])[0]:
                chunk = os.read(self._master, 1 << 16)
                if not chunk:
                    return
                with self._lock:
                    self.raw += chunk
                    try:
                        self._stream.feed(chunk)
                    except (TypeError, ValueError, IndexError) as error:  # pyte knows no sequence like that
                        self.garbled = f"{error}: {self.raw[-len(chunk) - 200 :]!r}"
                        self._stream = pyte.ByteStream(self.screen)
                for asked, answer in _QUERIES.items():
                    if asked in chunk:
                        os.write(self._master, answer)

    def close(self) -> None:
        """Close the terminal, as a window that is closed or a connection that breaks."""
        if self._closed < 0:
            return
        os.write(self._closed, b"x")
        self._reader.join(30)  # else it may read from another terminal, which gets the number of this one's descriptor
        for descriptor in (self._slave, self._master, self._closing, self._closed):
            os.close(descriptor)
        self._closed = -1

    def resize(self, lines: int, columns: int) -> None:
        """Make the window larger or smaller."""
        with self._lock:
            self.screen.resize(lines, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, good: Callable[[str], Any], what: str, within: float = 90) -> str:
        """Wait until the screen shows something."""
        deadline = time.monotonic() + within
        while not good(text := self.text):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"not on the screen: {what} (exit code {self.process.poll()})\n{text}")
            time.sleep(0.1)
        return text

    def exit_code(self, within: float = 60) -> int:
        """Wait for the program to end."""
        code = self.process.wait(within)
        os.write(self._slave, _LAST)
        deadline = time.monotonic() + within
        while _LAST not in self.raw:
            assert time.monotonic() < deadline, "the terminal's last output was not read"
            time.sleep(0.01)
        return code

    def left_on(self) -> set[int]:
        """Return the private modes that are not as in a fresh terminal."""
        modes: dict[int, bool] = {}
        for numbers, what in _MODE.findall(self.raw):
            modes |= dict.fromkeys((int(n) for n in numbers.split(b";")), what == b"h")
        return {mode for mode, on in modes.items() if on != (mode in ON_BY_DEFAULT)}

    def restored(self) -> str:
        """Return what is not as it was before the program; empty if all is."""
        problems = [f"mode {mode} is left" for mode in sorted(self.left_on())]
        if self.raw.count(b"\x1b[>") > self.raw.count(b"\x1b[<u"):
            problems.append("the keyboard protocol is left on")
        if termios.tcgetattr(self._slave) != self.attributes:
            problems.append("the line discipline is left changed")
        return ", ".join(problems)
