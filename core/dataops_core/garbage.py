"""How often Python looks for garbage in programs that make a whole survey at once."""

from __future__ import annotations

import gc

SELDOM = (50_000, 10, 20)
"""Thresholds in place of Python's (700, 10, 10). A look at a large cluster makes some hundred thousand objects, none of
which is garbage before it has ended; looking through them again and again was half of its CPU."""


def look_seldom() -> None:
    """Look for garbage more seldom, and never again through what is there now: modules live for ever."""
    gc.set_threshold(*SELDOM)
    gc.freeze()
