"""The pictures in the docs: one of each place (`make screenshots` draws them)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.screenshots import FOLDER, SHOTS

from dataops_tui.navigation import DESTINATIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_there_is_a_picture_of_each_place_and_none_that_nobody_draws() -> None:
    assert SHOTS.keys() >= DESTINATIONS.keys()
    assert {path.stem for path in FOLDER.iterdir()} == SHOTS.keys()


def test_the_docs_show_pictures_that_are_drawn() -> None:
    named = [
        name for page in DOCS.glob("*.md") for name in re.findall(r"images/console/([\w-]+)\.svg", page.read_text())
    ]
    assert named
    assert set(named) <= SHOTS.keys()
