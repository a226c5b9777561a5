"""When the console looks for garbage: while nobody presses a key, because it stands still meanwhile.

With 10,000 partitions on the screen a full look took 0.3 to 0.5 s, and Python took one every 3 s.
"""

from __future__ import annotations

import gc
import time

THRESHOLDS = (5_000, 5, 1_000)
"""In place of Python's (700, 10, 10): a full look by itself only if keys are pressed for minutes without a rest."""
WORTH = 20
"""Looks through what is younger, after which a full one is worth its time."""
QUIET = 2.0
"""Seconds without a key after which the user is taken to be reading."""


class GarbageCollector:
    """Looks for garbage while nobody presses a key."""

    def __init__(self) -> None:
        self._pressed = 0.0

    def pressed(self) -> None:
        """Take note that a key was pressed, or the mouse moved."""
        self._pressed = time.monotonic()

    def look(self) -> None:
        """Look now, if it is worth it and nobody is typing."""
        if gc.get_count()[2] >= WORTH and time.monotonic() - self._pressed >= QUIET:
            gc.collect()
