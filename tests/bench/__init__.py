"""Benchmarks: ratios within one run, so that a shared machine's mood cancels out. `make bench` runs all of them."""

import signal
import sys


def end_cleanly() -> None:
    """Let SIGTERM and SIGHUP end a benchmark as Ctrl-C does, so that it stops what it has started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
