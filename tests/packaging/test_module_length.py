"""No module is longer than 400 lines: one that grows beyond is split by what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[2]
MOST = 400
"""Lines of a module."""


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [
        path for part in ("core", "exporter", "tui", "pipeline", "deploy") for path in (ROOT / part).rglob("*.py")
    ]
    assert len(modules) > 200
    long = {str(path.relative_to(ROOT)) for path in modules if len(path.read_text().splitlines()) > MOST}
    assert long == set()
