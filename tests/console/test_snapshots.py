"""Screens as they stand in `snapshots/`, from a recording of fixed times; and that each theme can be read.

`DATAOPS_WRITE_SNAPSHOTS=1 pytest tests/console/test_snapshots.py` writes them anew; look at the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.console.conftest import SIZES
from tests.console.test_time_travel import STUCK_AT, recording
from tests.orders import T0
from tests.screen import shown, strips, until_shown
from tests.unit.test_recorder import looks
from textual.color import Color

from dataops_core.config import ConsoleSettings
from dataops_core.recorder.recording import Recording
from dataops_tui.app import DataopsApp
from dataops_tui.replay import Replay, settings_of
from dataops_tui.themes import THEMES

FOLDER = Path(__file__).parent / "snapshots"
CONTRAST = {"dark": 3.0, "light": 3.0, "high-contrast": 4.5}
"""Least contrast between a letter and what is behind it (WCAG: 3 for large text, 4.5 for any)."""
FAINT = 1.6
"""Least contrast of what is faint by intent, and repeated elsewhere."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    path = tmp_path_factory.mktemp("recorded") / "r.sqlite"
    with recording(path) as recorder:
        for snapshot in looks(80, T0):
            recorder.write(snapshot)  # type: ignore[attr-defined]
    return Recording(path)


def replaying(recorded: Recording, **console: object) -> DataopsApp:
    settings = settings_of(recorded)
    settings = settings.model_copy(update={"console": ConsoleSettings.model_validate(console)})
    return DataopsApp(settings, recorded.context, lambda: Replay(recorded))


async def go_to_the_trouble(app: DataopsApp, pilot: object) -> None:
    await until_shown(app, lambda text: "REPLAY" in text, "the recording")
    await pilot.press("right_curly_bracket")  # type: ignore[attr-defined]
    while app.shown_past is None or app.shown_past.index < STUCK_AT:
        await pilot.press("right_square_bracket")  # type: ignore[attr-defined]
        await pilot.pause()  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
async def test_screens_are_as_they_were(recorded: Recording, size: tuple[int, int]) -> None:
    app = replaying(recorded)
    ways = {
        "pipelines": ([], "is stuck"),
        "stage": (["g", "j", "enter"], "lag (records)"),
        "alerts": (["escape", "f2", *"alerts", "enter"], "land/stuck"),
        "xray": (["f2", *"xray", "enter"], "└─ view"),
        "help": (["f1"], "Active keys"),
    }
    wrong = []
    async with app.run_test(size=size, notifications=False) as pilot:
        await go_to_the_trouble(app, pilot)
        for name, (keys, mark) in ways.items():
            await pilot.press(*keys)
            await until_shown(app, lambda text, mark=mark: mark in text, name)  # type: ignore[misc]
            await pilot.pause()
            app.screen.refresh()  # what is below a dialog is there too when a test reads it first
            wrong += compare(f"{name}-{size[0]}x{size[1]}", shown(app))
    assert not wrong, "\n".join(wrong)


def compare(name: str, text: str) -> list[str]:
    path = FOLDER / f"{name}.txt"
    if os.environ.get("DATAOPS_WRITE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    before = path.read_text() if path.exists() else "(there is none)"
    return [] if before == text + "\n" else [f"--- {path.name} was", before, "--- and is", text]


@pytest.mark.parametrize("theme", [theme.name for theme in THEMES])
async def test_each_theme_can_be_read(recorded: Recording, theme: str) -> None:
    app = replaying(recorded, theme=theme)
    async with app.run_test(size=(160, 48), notifications=False) as pilot:
        await go_to_the_trouble(app, pilot)
        await until_shown(app, lambda text: "is stuck" in text, "the pipeline")
        for keys in ([], ["f2", *"alerts", "enter"], ["f2", *"xray", "enter"]):
            await pilot.press(*keys)
            await pilot.pause()
            faint = [
                (text, ratio) for text, ratio, dim in contrasts(app) if ratio < (FAINT if dim else CONTRAST[theme])
            ]
            assert faint == []


def luminance(color: Color) -> float:
    """Return the relative luminance, as WCAG has it."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrasts(app: DataopsApp) -> list[tuple[str, float, bool]]:
    """Return each text on the screen with its contrast, and whether it is faint by intent."""
    found = []
    for strip in strips(app):
        for segment in strip:
            style = segment.style
            if style is None or not any(c.isalnum() for c in segment.text) or not (style.color and style.bgcolor):
                continue
            front, behind = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
            if style.reverse:
                front, behind = behind, front
            lights = sorted((luminance(front), luminance(behind)))
            found.append((segment.text.strip(), (lights[1] + 0.05) / (lights[0] + 0.05), bool(style.dim)))
    assert found
    return found
