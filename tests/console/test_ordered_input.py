"""Quick fingers: each key acts on the state after everything typed before it, and no letter acts by accident."""

from __future__ import annotations

from typing import Any

import pytest
from tests.console.conftest import Console, FakeQuery, well
from tests.console.test_dags import open_dags
from tests.console.test_shell import command
from tests.screen import shown, type_at_once, until_shown
from textual.events import Paste

from dataops_tui import keys, ordered_input
from dataops_tui.dialogs.command import CommandPrompt
from dataops_tui.dialogs.confirm import ConfirmDialog, TriggerDialog
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.sql import SqlScreen
from dataops_tui.screens.stage import StageScreen

WITHIN = 120.0
"""Seconds for a whole burst on a busy machine."""
pytestmark = pytest.mark.timeout(300)


async def open_sql(console: Console, pilot: Any) -> SqlScreen:
    await command(pilot, "sql")
    await until_shown(console.app, lambda _: isinstance(console.app.screen, SqlScreen), "the editor")
    assert isinstance(console.app.screen, SqlScreen)
    return console.app.screen


async def until(console: Console, good: Any, what: str) -> str:
    return await until_shown(console.app, lambda _: bool(good()), what, WITHIN)


def test_every_priority_binding_is_tried_below() -> None:
    tried = {"app.command", "app.leave", "home.filter", "list.filter", "command.complete"}
    tried |= {"sql.run", "sql.cancel", "sql.swap"}
    tried |= {"log.search"}  # test_runs.py
    assert {b.id for _, b in keys.bindings() if b.priority} == tried, "a new one needs a burst test of its own"


@pytest.mark.parametrize("key", ["f5", "ctrl+j"])
async def test_the_statement_that_is_run_is_the_whole_one(console: Console, key: str) -> None:
    console.trino.next.go.set()
    statement = "SELECT count(*) FROM lake.gold.shipment_exposure WHERE released"
    async with console.app.run_test(size=(120, 30)) as pilot:
        await open_sql(console, pilot)
        type_at_once(console.app, *statement, key)
        await until(console, lambda: console.trino.asked, "a statement that runs")
        assert console.trino.asked == [statement]


async def test_a_paste_comes_before_the_key_after_it(console: Console) -> None:
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30)) as pilot:
        await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT ")
        assert console.app._driver is not None
        pasted = Paste("1 FROM t")
        pasted.set_sender(console.app)
        console.app._driver.send_message(pasted)
        type_at_once(console.app, *" LIMIT 7", "f5")
        await until(console, lambda: console.trino.asked, "a statement that runs")
        assert console.trino.asked == ["SELECT 1 FROM t LIMIT 7"]


async def test_typing_goes_on_in_the_editor_after_the_rows(console: Console) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT", "f6", *"jk", "f6", *" 1")
        await until(console, lambda: screen.pane.editor.text == "SELECT 1", "the letters of the editor only")


async def test_the_cancel_key_after_a_run_key_cancels_that_query(console: Console) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT 1", "f5")
        await until(console, lambda: console.trino.asked, "a statement that runs")
        type_at_once(console.app, "ctrl+c")
        await until(console, lambda: console.trino.next.cancelled, "that it is cancelled")


async def test_a_completed_command_is_run(console: Console) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        type_at_once(console.app, ":", *"even", "tab", "enter")
        await until_shown(console.app, lambda text: "  events" in text[:120], "the events", WITHIN)


async def test_commands_filters_and_steps_in_one_burst(console: Console) -> None:
    """A whole sitting in one write: a command, its list, a filter, a step into a row, and a command from there."""
    async with console.app.run_test(size=(120, 30)) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        type_at_once(console.app, "/", *"view", "enter", "enter", ":", *"xray", "enter", ":", *"events", "enter")
        await until_shown(console.app, lambda text: "  events" in text[:120], "the last place", WITHIN)
        assert len(console.app.screen_stack) == 1
        assert not isinstance(console.app.screen, CommandPrompt)


async def test_leaving_comes_after_what_was_typed_before(console: Console) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT 1", "ctrl+q")
        await until(console, lambda: not console.app.is_running, "that it has ended")
        assert screen.pane.editor.text == "SELECT 1"


@pytest.mark.parametrize("times", [2, 3, 8])
async def test_enter_again_and_again_opens_a_stage_once(console: Console, times: int) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        type_at_once(console.app, *["enter"] * times)
        await until(console, lambda: isinstance(console.app.screen, StageScreen), "the stage")
        await pilot.pause()
        assert [type(screen) for screen in console.app.screen_stack] == [PipelinesScreen, StageScreen]


async def test_a_burst_is_slow_for_nobody_and_loses_nothing(console: Console) -> None:
    text = "-- " + "x" * 1500
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await open_sql(console, pilot)
        type_at_once(console.app, *text)
        await until(console, lambda: screen.pane.editor.text == text, "all of the text")


async def test_escape_by_habit_leaves_no_editor(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT 1", "escape", *"ts", "escape", "escape", *"q")
        await until(console, lambda: screen.pane.editor.text == "SELECT 1tsq", "what was typed on")
        await until_shown(
            console.app, lambda text: "f10 goes back to the pipelines" in text, "the key that leaves", WITHIN
        )
        type_at_once(console.app, "f6", "escape", *"!")
        await until(console, lambda: screen.pane.editor.text == "SELECT 1tsq!", "that Escape leads from the rows here")
        type_at_once(console.app, "f10")
        await until(console, lambda: isinstance(console.app.screen, PipelinesScreen), "the pipelines")


# --- letters right after a screen change ---------------------------------------------------------------------


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_input, "CALM", 300.0)


def test_every_key_that_acts_is_known() -> None:
    acts = {"trigger", "backfill", "clear", "kill", "quit", "analyze"}
    single = {b.id for _, b in keys.bindings() if b.action in acts and any(len(k) == 1 for k in b.key.split(","))}
    assert single <= keys.ACTING
    assert {b.id for _, b in keys.bindings()} >= keys.ACTING, "no binding of that id"


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("key", ["t", "b", "p", "q"])
async def test_a_letter_right_after_a_screen_change_starts_nothing(console: Console, key: str) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press(key)
        await pilot.pause()
        assert console.app.is_running
        assert len(console.app.screen_stack) == 1
        assert f"{key} was pressed right after the screen changed" in shown(console.app)
        console.app._changed_at -= 600
        await pilot.press(key)
        await until(console, lambda: not console.app.is_running or len(console.app.screen_stack) == 2, "the action")


@pytest.mark.usefixtures("calm")
async def test_moving_filtering_and_going_need_no_calm(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        type_at_once(console.app, "j", "s", "/", *"conf", "enter")
        await until_shown(console.app, lambda text: "1 of 3" in text, "the filter", WITHIN)
        type_at_once(console.app, ":", *"events", "enter")
        await until_shown(console.app, lambda text: "  events" in text[:120], "the events", WITHIN)


@pytest.mark.usefixtures("calm")
async def test_the_rest_of_a_filter_that_is_dropped_starts_nothing(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("slash")
        console.app._changed_at -= 600
        type_at_once(console.app, *"conf", "escape", *"bt")
        await until_shown(
            console.app, lambda text: "right after the screen changed" in text, "why nothing happens", WITHIN
        )
        assert len(console.app.screen_stack) == 1


@pytest.mark.usefixtures("calm")
async def test_letters_in_a_dialog_are_typed(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        type_at_once(console.app, ":", *"trigger conform", "enter")
        await until(console, lambda: isinstance(console.app.screen, TriggerDialog), "the form")


async def test_a_dialog_that_comes_late_takes_no_key_for_a_yes(console: Console) -> None:
    """What is typed on while a statement is looked at must not confirm it."""
    console.trino.next = FakeQuery([])
    async with console.app.run_test(size=(120, 30)) as pilot:
        await open_sql(console, pilot)
        type_at_once(console.app, *"DELETE FROM t", "f5")
        await until(console, lambda: isinstance(console.app.screen, ConfirmDialog), "the question")
        type_at_once(console.app, *"where id = 1", "enter")
        await until(console, lambda: isinstance(console.app.screen, SqlScreen), "the editor again")
        assert console.trino.asked == []
