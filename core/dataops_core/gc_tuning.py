"""Tune Python's cyclic garbage collection (GC) for every program of this project."""

from __future__ import annotations

import gc
import time

PROBE_THRESHOLDS = (50_000, 10, 20)
"""Thresholds for probes; Python's are (700, 10, 10). A probe run of a large cluster creates hundreds of thousands of
objects that live until it ends. With Python's thresholds, the GC took half of its CPU time."""
CONSOLE_THRESHOLDS = (5_000, 5, 1_000)
"""Thresholds for the console; Python's are (700, 10, 10). A full collection stops the console: with 10,000 partitions
on the screen, for 0.3 to 0.5 s every 3 s. With these thresholds, a full collection starts by itself only if the user
presses keys for minutes without a pause."""
WORTHWHILE = 20
"""Collections of the middle generation after which a full collection is worth its time."""
IDLE_SECONDS = 2.0
"""Seconds without a key press after which the user counts as idle."""


def tune_for_probes() -> None:
    """Collect less often, and exclude the modules that are imported so far."""
    gc.set_threshold(*PROBE_THRESHOLDS)
    gc.freeze()


def tune_for_console() -> None:
    """Leave full collections to an `IdleCollector`."""
    gc.set_threshold(*CONSOLE_THRESHOLDS)


def exclude_modules() -> None:
    """Exclude all current objects from later collections: call it after imports, because modules live until exit."""
    gc.freeze()


class IdleCollector:
    """Runs full collections while the user presses no key."""

    def __init__(self) -> None:
        self._pressed = 0.0

    def pressed(self) -> None:
        """Record that a key was pressed or the mouse moved."""
        self._pressed = time.monotonic()

    def collect(self) -> None:
        """Run a full collection if it is worthwhile and the user is idle."""
        if gc.get_count()[2] >= WORTHWHILE and time.monotonic() - self._pressed >= IDLE_SECONDS:
            gc.collect()
