"""The statements of `statements.txt`, by section."""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).with_name("statements.txt")


def statements() -> dict[str, list[str]]:
    """Return the statements of each section."""
    found: dict[str, list[str]] = {}
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = found.setdefault(line[3:], [])
        elif line and not line.startswith("#"):
            section.append(json.loads(line) if line.startswith('"') else line)
    return found
