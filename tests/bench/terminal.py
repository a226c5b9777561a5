"""A program in a terminal of its own, whose keys and frames are timed.

    with Terminal(["dataops-tui", "--replay"]) as terminal:
        shown_at = terminal.until(shows("Quit"))
        seconds = terminal.press(b"?", shows("Active keys"))

What the program writes is stamped with the time as it is read, and put on the emulated screen only once the program is
quiet, so that the emulator's own work is in no figure. A frame ends with the mark of synchronised output (DEC private
mode 2026), which the terminal says that it knows.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Self

import pyte

COLUMNS, LINES = 160, 48
QUIET = 0.03
"""Seconds without a byte after which a program is taken to have drawn what it was about to draw."""
LONGEST = 1.0
"""Seconds after which what has come is looked at although the program goes on writing."""
SYNC_ASKED, SYNC_KNOWN = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
FRAME_BEGIN, FRAME_END = b"\x1b[?2026h", b"\x1b[?2026l"

Good = Callable[[pyte.Screen], bool]


class NotShown(Exception):
    """A program did not show in time what it was to show."""


def text_of(screen: pyte.Screen) -> str:
    """Return the text on a screen."""
    return "\n".join(line.rstrip() for line in screen.display)


@cache
def words(text: str) -> re.Pattern[str]:
    """Return a pattern of a text that matches whatever the widths of the columns are between its words."""
    return re.compile(" +".join(map(re.escape, text.split())))


def shows(*texts: str) -> Good:
    """Return a function that returns whether all these texts are on a screen."""
    return lambda screen: all(words(text).search(text_of(screen)) for text in texts)


def lacks(text: str) -> Good:
    """Return a function that returns whether a text is not on a screen."""
    return lambda screen: not words(text).search(text_of(screen))


class Terminal:
    """Runs a program; it is killed at the end.

    Args:
        argv: The program.
        env: Further environment variables.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self._argv, self._env = argv, env or {}
        self._unfinished = b""
        self._frames: deque[tuple[float, bytes]] = deque()

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **self._env}
        self.began = time.perf_counter()
        """When it was started."""
        self.process = subprocess.Popen(
            self._argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(30)
        os.close(self._master)

    def until(self, good: Good, within: float = 60.0) -> float:
        """Return the time at which a frame was there that is good; raises NotShown."""
        deadline = time.perf_counter() + within
        while True:
            while self._frames:
                stamp, frame = self._frames.popleft()
                self._stream.feed(frame)
                if good(self.screen):
                    return stamp
            if time.perf_counter() > deadline or not self._read(deadline):
                raise NotShown(f"{' '.join(self._argv)} shows after {within:.0f} s:\n{text_of(self.screen)}")

    def press(self, keys: bytes, good: Good, within: float = 20.0) -> float:
        """Return the seconds from the writing of keys to the end of the frame that is good; raises NotShown."""
        self.settle()
        if good(self.screen):
            raise NotShown(f"{keys!r} changes nothing, what it does is there already:\n{text_of(self.screen)}")
        began = time.perf_counter()
        self.write(keys)
        return self.until(good, within) - began

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def settle(self) -> None:
        """Take in what the program still draws."""
        self._read(0.0)
        while self._frames:
            self._stream.feed(self._frames.popleft()[1])

    def _read(self, deadline: float) -> bool:
        """Wait for the program to draw, and until it is quiet again; tells whether it still runs."""
        wait, longest = max(QUIET, deadline - time.perf_counter()), None
        while select.select([self._master], [], [], wait)[0]:
            try:
                chunk = os.read(self._master, 1 << 16)
            except OSError:  # how a pseudo terminal says that nobody is at its other end
                return False
            now = time.perf_counter()
            self._take(now, chunk)
            wait, longest = QUIET, longest or now + LONGEST
            if now > longest:
                break
        return True

    def _take(self, stamp: float, chunk: bytes) -> None:
        if SYNC_ASKED in chunk:
            self.write(SYNC_KNOWN)
        *frames, self._unfinished = (self._unfinished + chunk).split(FRAME_END)
        self._frames.extend((stamp, frame) for frame in frames)
        if FRAME_BEGIN not in self._unfinished:  # not a frame, but what stands between two, or before any
            self._frames.append((stamp, self._unfinished))
            self._unfinished = b""
