"""Detection of a graphical web browser."""

from __future__ import annotations

import os
import sys


def has_window() -> bool:
    """Return whether a browser can open in a separate window, and not in the console's terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
