"""A Textual driver for a terminal that may close at any time."""

from __future__ import annotations

import contextlib
from typing import IO, Any

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """A driver that also shuts down cleanly without its terminal, and resets all mouse modes."""

    def __init__(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401 - what LinuxDriver takes
        super().__init__(*args, **keywords)
        self._file: Any = _Output(self._file)

    def _disable_mouse_support(self) -> None:
        super()._disable_mouse_support()
        self.write("\x1b[?1016l")  # pixel mode, which Textual 8.2 enables but never disables


class _Output:
    """Standard error that ignores a closed terminal, as the error would end the writing thread."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a text; ignore a closed terminal."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush; ignore a closed terminal."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()
