"""Write to standard error, with control characters as symbols so that none takes effect in a terminal."""

from __future__ import annotations

import contextlib
import sys
from io import TextIOBase
from typing import TextIO

from dataops_core.plain import encodable, visible, visible_lines

_ERASE_LINE = "\r\x1b[K"


class _Guarded(TextIOBase):
    """A stream that applies `visible_lines` to all text, also of warnings, loggers and tracebacks."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # the base class has an attribute that cannot be set
        """Encoding of the wrapped stream."""
        return self.stream.encoding

    def write(self, text: str) -> int:
        """Write a text with control characters as symbols."""
        self.stream.write(visible_lines(text))
        return len(text)

    def writable(self) -> bool:
        """Return True."""
        return True

    def flush(self) -> None:
        """Flush the wrapped stream."""
        self.stream.flush()

    def isatty(self) -> bool:
        """Return whether the wrapped stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the wrapped stream."""
        return self.stream.fileno()


def guard_stderr() -> None:
    """Replace standard error with a stream that shows control characters as symbols."""
    if sys.stderr is not None and not isinstance(sys.stderr, _Guarded):
        sys.stderr = _Guarded(sys.stderr)


def narrate(line: str) -> None:
    """Write one line to standard error; ignore that it is closed or full."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(encodable(visible(line), sys.stderr.encoding), file=sys.stderr, flush=True)  # noqa: T201


def show_progress(line: str) -> None:
    """Replace the progress line on the terminal; an empty line erases it."""
    stream = sys.stderr.stream if isinstance(sys.stderr, _Guarded) else sys.stderr
    stream.write(_ERASE_LINE + visible(line))
    stream.flush()
