"""Whether there is a web browser that opens a window of its own."""

from __future__ import annotations

import os
import sys


def has_window() -> bool:
    """Return whether a browser can be started without taking the terminal away from the console."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
