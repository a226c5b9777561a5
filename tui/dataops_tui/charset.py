"""Whether the terminal shows more than ASCII, by the locale of whoever started the console."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""What Python itself sets as LC_CTYPE where the locale is C or POSIX (PEP 538)."""


def has_utf8(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the locale has UTF-8.

    Args:
        environment: The variables to go by; else those that the process was started with.
    """
    variables = _started_with() if environment is None else environment
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := variables.get(name))), "")
    return "utf8" in locale.lower().replace("-", "")


def _started_with() -> Mapping[str, str]:
    """Return the variables without what Python has set at its start, where the system keeps those."""
    if os.environ.get("LC_CTYPE") not in COERCED:
        return os.environ
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return os.environ
    before = {name: value for entry in entries for name, _, value in [os.fsdecode(entry).partition("=")]}
    return {**os.environ, "LC_CTYPE": before.get("LC_CTYPE", "")}
