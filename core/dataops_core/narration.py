"""Standard error of every program: one border that no control character from outside passes."""

from __future__ import annotations

import contextlib
import sys
from io import TextIOBase
from typing import TextIO

from dataops_core.plain import encodable, visible, visible_lines

_ERASE_LINE = "\r\x1b[K"


class _Guarded(TextIOBase):
    """A stream that writes text as `visible_lines`, whoever writes it: warnings, loggers, a traceback."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # the base class has an attribute that cannot be set
        """Encoding of the stream below."""
        return self.stream.encoding

    def write(self, text: str) -> int:
        """Write a text, whose control characters are symbols."""
        self.stream.write(visible_lines(text))
        return len(text)

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def flush(self) -> None:
        """Flush the stream below."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream below."""
        return self.stream.fileno()


def guard_stderr() -> None:
    """Let nothing that this process writes on standard error take effect in a terminal."""
    if sys.stderr is not None and not isinstance(sys.stderr, _Guarded):
        sys.stderr = _Guarded(sys.stderr)


def narrate(line: str) -> None:
    """Write one line to standard error; do nothing if that is closed or full."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(encodable(visible(line), sys.stderr.encoding), file=sys.stderr, flush=True)  # noqa: T201


def show_progress(line: str) -> None:
    """Write a line in place of the one before it; an empty one erases that. For a terminal only."""
    stream = sys.stderr.stream if isinstance(sys.stderr, _Guarded) else sys.stderr
    stream.write(_ERASE_LINE + visible(line))
    stream.flush()
