"""Textual's driver for a terminal that may go away at any time."""

from __future__ import annotations

import contextlib
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """Ends in order without its terminal too, and leaves no mode of the mouse behind."""

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401 - what LinuxDriver takes
        super().__init__(*args, **keywords)
        self._file: Any = _Output(self._file)

    def _disable_mouse_support(self) -> None:
        super()._disable_mouse_support()
        self.write("\x1b[?1016l")  # pixels, which Textual 8.2 switches on where it can, and never off


class _Output:
    """Standard error, without an error where nobody is at its other end: it would end the thread that writes.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a text if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        """Return the stream's descriptor."""
        return self._stream.fileno()
