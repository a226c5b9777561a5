"""Detection of UTF-8 support, by the locale of the process that started the console."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
"""Values of LC_CTYPE that Python itself sets if the locale is C or POSIX (PEP 538)."""


def has_utf8(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the locale uses UTF-8.

    Args:
        environment: Environment variables. Default: those of the process at its start.
    """
    variables = _started_with() if environment is None else environment
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := variables.get(name))), "")
    return "utf8" in locale.lower().replace("-", "")


def _started_with() -> Mapping[str, str]:
    """Return the environment variables without Python's own LC_CTYPE, if the system exposes the original ones."""
    if os.environ.get("LC_CTYPE") not in COERCED:
        return os.environ
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return os.environ
    before = {name: value for entry in entries for name, _, value in [os.fsdecode(entry).partition("=")]}
    return {**os.environ, "LC_CTYPE": before.get("LC_CTYPE", "")}
