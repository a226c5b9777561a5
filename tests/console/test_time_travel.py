"""Back and forth in time by keys, and a recording without any service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.console.conftest import SIZES, Console, settings, well
from tests.orders import now
from tests.screen import shown, until_shown
from tests.unit.test_recorder import looks, record
from textual.pilot import Pilot

from dataops_core.actions import ActionPolicy
from dataops_core.health.model import HealthSnapshot
from dataops_core.recorder.recording import Recording
from dataops_tui.app import DataopsApp
from dataops_tui.replay import Replay, settings_of
from dataops_tui.widgets.time_line import TimeLine

STUCK_AT = 44
"""The look in which `land` is first called stuck; in the 60th it is well again, and the last one is the 79th."""


@pytest.fixture
def past(console: Console, tmp_path: Path) -> list[HealthSnapshot]:
    """Record what was, up to a moment ago."""
    taken = list(looks(80, now() - timedelta(seconds=5 * 80)))
    console.monitor.recorded = tmp_path / "r.sqlite"
    with recording(console.monitor.recorded) as recorder:
        for snapshot in taken:
            recorder.write(snapshot)
    return taken


@contextmanager
def recording(path: Path) -> Iterator[object]:
    recorder = record(path)
    yield recorder
    recorder.close()


def at(snapshot: HealthSnapshot) -> str:
    return f"PAUSED at {snapshot.taken_at:%H:%M:%SZ}"


async def paused(console: Console, snapshot: HealthSnapshot) -> str:
    return await until_shown(console.app, lambda text: at(snapshot) in text, at(snapshot))


async def live(console: Console, pilot: Pilot[None]) -> None:
    console.monitor.push(well())
    await until_shown(console.app, lambda text: "LIVE" in text.splitlines()[0], "live")
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_the_keys_go_back_and_forth_and_it_is_plain_when_it_is(
    console: Console, past: list[HealthSnapshot], size: tuple[int, int]
) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await live(console, pilot)
        assert not console.app.screen.query_one(TimeLine).display
        await pilot.press("left_square_bracket")
        first_line = (await paused(console, past[79])).splitlines()[0]
        assert "LIVE" not in first_line
        assert "ago)" in first_line
        await pilot.press("left_square_bracket", "left_square_bracket")
        await paused(console, past[77])
        await pilot.press("right_square_bracket")
        await paused(console, past[78])
        await pilot.press("left_curly_bracket")
        text = await paused(console, past[60])
        assert "land stuck → caught up" in text
        await pilot.press("left_curly_bracket")
        text = await paused(console, past[STUCK_AT])
        assert "land is stuck" in text
        assert "land caught up → stuck" in text
        assert "┃" in text
        await pilot.press("right_curly_bracket")
        await paused(console, past[60])
        console.monitor.push(well())
        await pilot.pause()
        assert at(past[60]) in shown(console.app), "what arrives meanwhile waits"
        await pilot.press("escape")
        text = await until_shown(console.app, lambda text: "LIVE" in text.splitlines()[0], "live again")
        assert "PAUSED" not in text
        assert "┃" not in text


async def test_forward_from_the_newest_look_it_is_live_again(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        await paused(console, past[79])
        await pilot.press("right_square_bracket")
        await until_shown(console.app, lambda text: "LIVE" in text.splitlines()[0], "live again")
        await pilot.press("right_square_bracket")
        await until_shown(console.app, lambda text: "the console is live: [ goes back in time" in text, "the notice")


async def test_before_the_first_look_there_is_nothing(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press(*["left_curly_bracket"] * 3)
        await pilot.press("left_curly_bracket")
        for _ in range(4):
            await pilot.pause(0.1)
            await pilot.press("left_curly_bracket")
        await paused(console, past[0])
        await pilot.press("left_square_bracket")
        text = await until_shown(console.app, lambda text: "this is the beginning of the recording" in text, "so")
        assert at(past[0]) in text


async def test_ages_are_those_of_the_moment(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        text = await paused(console, past[79])
        assert text.count("0s ago") >= 6, "each stage was seen right then"


async def test_a_stage_is_looked_at_in_the_past_too(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        await paused(console, past[79])
        await pilot.press("left_curly_bracket", "left_curly_bracket")
        await paused(console, past[STUCK_AT])
        await pilot.press("enter")
        text = await until_shown(console.app, lambda text: "p / land" in text, "the stage")
        assert "■ stuck" in text
        assert at(past[STUCK_AT]) in text
        await pilot.press("right_curly_bracket")
        text = await paused(console, past[60])
        assert "● caught up" in text
        await pilot.press("escape")
        await until_shown(console.app, lambda text: "p / land" not in text, "home")
        assert at(past[60]) in shown(console.app), "back is not yet back to now"


async def test_in_the_past_nothing_can_be_changed(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        await paused(console, past[79])
        assert "read-only" in shown(console.app)
        await pilot.press("j", "j", "j", "t")
        await until_shown(console.app, lambda text: "the console shows the past" in text, "the refusal")
        assert console.airflow.triggered == []
        (line,) = console.audit.read_text().splitlines()
        assert json.loads(line)["outcome"] == "refused"
        assert json.loads(line)["reason"].endswith("press Esc to go back to live")
        await pilot.press("escape")
        await until_shown(console.app, lambda text: "LIVE" in text.splitlines()[0], "live again")
        assert console.app.policy.confirmation() == "yes"


async def test_what_does_not_follow_says_that_it_is_live(console: Console, past: list[HealthSnapshot]) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        await paused(console, past[79])
        await pilot.press("colon", *"dags", "enter")
        text = await until_shown(console.app, lambda text: "LIVE HERE" in text, "so")
        assert at(past[79]) in text.splitlines()[0]


async def test_where_nothing_is_recorded_is_said(console: Console) -> None:
    console.monitor.not_recorded = "process 7 already records into r.sqlite"
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await live(console, pilot)
        await until_shown(console.app, lambda text: "not recording: process 7 already records" in text, "why not")
        await pilot.press("left_square_bracket")
        text = await until_shown(console.app, lambda text: "nothing is recorded" in text, "the notice")
        assert "LIVE" in text.splitlines()[0]


async def test_a_recording_that_breaks_under_way_leaves_it_where_it_was(
    console: Console, past: list[HealthSnapshot]
) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await live(console, pilot)
        await pilot.press("left_square_bracket")
        await paused(console, past[79])
        assert console.monitor.recorded is not None
        console.monitor.recorded.write_bytes(b"x" * 10_000)
        await pilot.press("left_square_bracket")
        text = await until_shown(console.app, lambda text: "is not a recording" in text, "the notice")
        assert at(past[79]) in text


@pytest.mark.parametrize("size", SIZES)
async def test_a_recording_is_replayed_without_any_service(tmp_path: Path, size: tuple[int, int]) -> None:
    taken = list(looks(80))
    with recording(tmp_path / "r.sqlite") as recorder:
        for snapshot in taken:
            recorder.write(snapshot)
    tape = Recording(tmp_path / "r.sqlite")
    chosen = settings_of(tape)
    policy = ActionPolicy("test", chosen.contexts["test"], audit_path=tmp_path / "audit.jsonl")
    app = DataopsApp(chosen, None, lambda: Replay(tape), policy)
    async with app.run_test(size=size, notifications=True) as pilot:
        text = await until_shown(app, lambda text: "REPLAY 2026-01-05 03:00:00Z" in text, "the first moment")
        assert "(1/80)" in text.splitlines()[0]
        await pilot.press("right_curly_bracket")
        await until_shown(app, lambda text: f"({STUCK_AT + 1}/80)" in text, "the first change")
        assert "land is stuck" in shown(app)
        await pilot.press("escape")
        await until_shown(app, lambda text: "only the recording is available" in text, "the notice")
        assert "REPLAY" in shown(app)
        await pilot.press("j", "j", "t")
        await until_shown(app, lambda text: "not available in a replay" in text, "the refusal")
        await pilot.press("right_curly_bracket", "right_curly_bracket", "right_square_bracket")
        await until_shown(app, lambda text: "this is the end of the recording" in text, "the end")
        await pilot.press("q")
    assert app.return_code == 0


def test_the_settings_of_a_replay_allow_nothing(tmp_path: Path) -> None:
    with recording(tmp_path / "r.sqlite") as recorder:
        recorder.write(next(looks(1)))
    made = settings_of(Recording(tmp_path / "r.sqlite"))
    assert made.contexts["test"].read_only
    assert made.pipelines["p"].title == settings().pipelines["p"].title
