"""The home screen and the stage screen, driven by keys, at both sizes."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.console.conftest import SIZES, Console, FakeMonitor, make_console, settings, trino_down, well
from tests.orders import CHAIN, now, stuck
from tests.screen import shown, until_shown
from tests.settings import RULES, THRESHOLDS

from dataops_core.errors import ConfigError
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import Sample
from dataops_core.times import show_times_in
from dataops_tui.app import DataopsApp
from dataops_tui.dialogs.command import CommandPrompt
from dataops_tui.dialogs.confirm import TriggerDialog
from dataops_tui.navigation import DESTINATIONS
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.stage import StageScreen
from dataops_tui.widgets.words import Words


@pytest.mark.parametrize("size", SIZES)
async def test_every_stage_is_on_the_screen_with_its_state_in_words(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        text = shown(console.app)
    for stage in CHAIN.stages:
        assert stage.name in text
    assert text.count("● caught up") == len(CHAIN.stages)
    assert "● ok" in text
    assert "data age 1m 4" in text


async def test_times_are_in_the_zone_of_the_settings(console: Console) -> None:
    """Columns show local times, the top line their offset, and sentences both."""
    show_times_in("Asia/Kolkata")
    try:
        async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
            snapshot = stuck()
            console.monitor.push(snapshot)
            await pilot.pause()
            text = shown(console.app)
    finally:
        show_times_in("utc")
    first, *rest = text.split("\n")
    assert first.endswith("+05:30")
    since = snapshot.pipeline("p").stage("land").since
    assert since is not None
    local = f"{since.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M:%S}"
    row = next(line for line in rest if "■ stuck" in line)
    assert local in row
    assert f"{local} +05:30" not in row
    assert re.search(rf"land is stuck since .*{local} \+05:30", text)


@pytest.mark.parametrize("size", SIZES)
async def test_the_stuck_stage_is_named_and_the_others_are_affected_not_blamed(
    console: Console, size: tuple[int, int]
) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.pause()
        text = shown(console.app)
    assert "land is stuck since" in text
    assert text.count("■ stuck") == 1
    assert "12,345" in text
    assert text.count("↳ affected") == 4
    assert text.count("● caught up") == 1
    assert re.search("2m +2m", text), "the data age stands beside the hop lag"
    assert "$ start land" in text
    assert "● ok" not in text


async def test_the_trend_ends_with_what_is_newest(console: Console) -> None:
    at = now()
    snapshot = well()
    (pipeline,) = snapshot.pipelines
    samples = tuple(
        Sample(at - timedelta(seconds=100 - 5 * n), 60.0 if n == 19 else 0.0, lag_records=None, position=None)
        for n in range(20)
    )
    stages = (replace(pipeline.stages[0], samples=samples), *pipeline.stages[1:])
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(replace(snapshot, pipelines=(replace(pipeline, stages=stages),)))
        await pilot.pause()
        (line,) = (line for line in shown(console.app).splitlines() if "▁" in line)
    assert "▁▁▁█ " in line


def pane(console: Console) -> str:
    """Return what is shown about the stage under the cursor."""
    return str(console.app.screen.query_one("#because", Words).visual)


@pytest.mark.parametrize("size", SIZES)
async def test_the_culprit_is_selected_first_and_the_pane_is_about_the_selected_stage(
    console: Console, size: tuple[int, int]
) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.pause()
        assert pane(console).startswith("land  no progress")
        assert "evidence  lag" in pane(console)
        assert "affected  bronze, conform, silver, view" in pane(console)
        await pilot.press("up")
        assert pane(console).startswith("orders  newest record")
        assert "12,345" not in pane(console)
        console.monitor.push(stuck())
        await pilot.pause()
        assert pane(console).startswith("orders  "), "the cursor stays where the user has moved it"
        await pilot.press("down", "down")
        assert pane(console).startswith("bronze  ")
        assert "waits for land" in pane(console)
        assert "affected" not in pane(console)
        assert "$ start land" in shown(console.app), "the remedy stands with the verdict"


async def test_the_cursor_goes_to_the_culprit_as_soon_as_there_is_one(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        assert pane(console).startswith("orders  ")
        console.monitor.push(stuck())
        await pilot.pause()
        assert pane(console).startswith("land  ")


async def test_the_culprit_is_found_in_a_sorted_table_and_the_pane_is_of_the_row_under_the_cursor(
    console: Console,
) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        await pilot.press("s", "s", "S")  # by name, the last one first
        console.monitor.push(stuck())
        await pilot.pause()
        screen = console.app.screen
        assert isinstance(screen, PipelinesScreen)
        assert screen.selected is not None
        assert pane(console).startswith(f"{screen.selected.name}  ")


async def test_a_component_that_is_down_leads_to_the_first_stage_that_it_hits(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(trino_down())
        await pilot.pause()
        assert pane(console).startswith("view  ")
        assert "remedy    Restore trino" in shown(console.app)


async def test_while_nothing_is_probed_the_pipeline_is_starting_without_blame(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(evaluate(None, [], {"p": CHAIN}, now(), "test", RULES, THRESHOLDS))
        await pilot.pause()
        text = shown(console.app)
    assert "… starting  0 of 6 stages probed" in text
    assert text.count("… starting") == len(CHAIN.stages) + 2, "each stage, the verdict and the first line"
    for word in ("unknown", "evidence", "affected", "remedy   "):
        assert word not in text


async def test_before_the_first_snapshot_nothing_is_called_well(console: Console) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.pause()
        text = shown(console.app)
    assert "Probing 6 stages for the first time" in text
    assert "●" not in text


async def test_the_screen_is_there_before_anything_is_connected(console: Console) -> None:
    hold = threading.Event()

    def watch() -> FakeMonitor:
        hold.wait(30)
        return console.monitor

    app = DataopsApp(settings(), None, watch, console.app.policy)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        assert "Probing 6 stages for the first time" in shown(app)
        await pilot.press("colon", *"dags", "enter")
        await until_shown(app, lambda text: "still connecting" in text, "that it connects")
        await pilot.press("ctrl+r", "escape")
        hold.set()
        console.monitor.push(well())
        await until_shown(app, lambda text: "● caught up" in text, "the stages")
    assert console.monitor.stopped


async def test_a_console_that_cannot_connect_says_why(console: Console) -> None:
    def watch() -> FakeMonitor:
        raise ConfigError("contexts.test.kafka: the environment variable X is not set")

    app = DataopsApp(settings(), None, watch, console.app.policy)
    async with app.run_test(size=(100, 30), notifications=True):
        await until_shown(app, lambda text: "variable X is not set" in text, "why")


async def test_what_does_not_answer_is_unknown_and_the_rest_goes_on(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(trino_down())
        await pilot.pause()
        text = shown(console.app)
    assert "? unknown" in text
    assert "trino ✖ unavailable" in text
    assert "kafka ● up" in text
    assert text.count("● caught up") == len(CHAIN.stages) - 1


async def test_an_old_snapshot_is_called_stale(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(replace(well(), taken_at=now() - timedelta(seconds=400)))
        await pilot.pause()
        assert "STALE: last refresh 6m 4" in shown(console.app)


async def test_the_first_line_says_what_may_be_done(console: Console) -> None:
    for context, word in (
        ({}, "read-write"),
        ({"read_only": True}, "read-only"),
        ({"production": True}, "PRODUCT"),
    ):
        other = make_console(console.audit.parent, settings(**context))
        async with other.app.run_test(size=(80, 24), notifications=True) as pilot:
            await pilot.pause()
            assert word in shown(other.app).splitlines()[0]


async def test_the_cursor_stays_on_its_stage_when_a_new_snapshot_comes(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        await pilot.press("j", "j", "down", "k")
        screen = console.app.screen
        assert isinstance(screen, PipelinesScreen)
        assert screen.selected is not None
        assert screen.selected.name == "bronze"
        console.monitor.push(stuck())
        await pilot.pause()
        assert screen.selected.name == "bronze"
        await pilot.press("G")
        assert screen.selected.name == "view"
        await pilot.press("g")
        assert screen.selected.name == "orders"


async def test_the_filter_shows_what_matches_and_a_wrong_pattern_changes_nothing(console: Console) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.pause()
        await pilot.press("slash", *"STUCK|silver", "enter")
        text = shown(console.app)
        assert "■ stuck" in text
        assert "↳ affected  silver" in text
        assert "conform" not in text.split("land is stuck")[1].split("affected  bronze")[0]
        await pilot.press("slash", *"(", "enter")
        text = await until_shown(
            console.app, lambda text: '"(" is not a valid regular expression: missing )' in text, "what is wrong"
        )
        assert "■ stuck" in text, "as before"
        await pilot.press("escape")
        text = shown(console.app)
        assert "conform" in text.split("land is stuck")[1].split("affected  bronze")[0]
        await pilot.press("j")
        assert "filter" not in shown(console.app).lower().replace("/ filter", "")


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_stage_and_escape_leads_back(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(console.app.screen, StageScreen)
        text = shown(console.app)
        assert "p / land" in text
        assert "■ stuck" in text
        assert "lag (records)" in text
        assert "12,345" in text
        await pilot.press("escape")
        assert isinstance(console.app.screen, PipelinesScreen)


async def test_the_stage_screen_says_what_is_not_known_and_how_old_the_rest_is(console: Console) -> None:
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        console.monitor.push(trino_down())
        await pilot.press("G", "enter")
        await pilot.pause()
        text = shown(console.app)
    assert "? unknown" in text
    assert "Connection refused" in text


async def test_t_triggers_the_stage_s_dag_once_it_is_confirmed(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        await pilot.press("j", "j", "j", "t")
        assert isinstance(console.app.screen, TriggerDialog)
        await pilot.press("enter")  # the focus is on Cancel: one key too many triggers nothing
        assert isinstance(console.app.screen, PipelinesScreen)
        assert console.airflow.triggered == []
        await pilot.press("t", "shift+tab", "enter")
        await pilot.pause(0.2)
        assert console.airflow.triggered == [("conform", {})]
        assert console.monitor.refreshed == 1


async def test_t_without_a_dag_says_so(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        await pilot.press("t")
        await pilot.pause()
        assert "no DAG selected" in shown(console.app)


async def test_c_copies_the_remedy(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.press("c")
        assert console.app.clipboard == ""
        console.monitor.push(stuck())
        await pilot.press("c")
        assert console.app.clipboard == "start land"


async def test_ctrl_r_looks_again(console: Console) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("ctrl+r")
        assert console.monitor.refreshed == 1


async def test_q_leaves_and_stops_watching(console: Console) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("q")
    assert console.monitor.stopped
    assert console.app.return_code == 0


@pytest.mark.parametrize("size", SIZES)
async def test_the_help_lists_the_keys_that_work_here(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("question_mark")
        text = shown(console.app)
        assert "Active keys" in text
        assert "Show all values of the stage" in text
        await pilot.press("end")
        text = await until_shown(console.app, lambda text: "Screens" in text, "the screens")
        assert all(f":{name} " in text for name in (*DESTINATIONS, "sql"))
        await pilot.press("question_mark")
        assert "Active keys" not in shown(console.app)


@pytest.mark.parametrize(
    ("typed", "there"),
    [
        ("dags", "newest runs of"),
        ("sql", "F5 runs the statement"),
        ("stage land", "p / land"),
        ("pipeline p", "land is stuck"),
        ("help", "Active keys"),
        ("refresh", "refreshing"),
    ],
)
async def test_a_command_leads_there(console: Console, typed: str, there: str) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.press("colon", *("space" if c == " " else c for c in typed), "enter")
        await pilot.pause(0.3)
        assert there in shown(console.app)


async def test_a_command_is_completed(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        console.app.learn("DAG", ["conform", "hourly"])  # as the list of DAGs does
        await pilot.press("colon", *"trig", "tab", "enter")
        assert isinstance(console.app.screen, TriggerDialog)
        await pilot.press("escape", "colon", *"qu", "escape")
        assert console.app.is_running
        await pilot.press("colon", "down", "enter")
        await pilot.pause()
        assert console.app.current_mode == "dags"


@pytest.mark.parametrize(("typed", "said"), [("frob x", "no such command"), ("stage nope", 'no such stage: "nope"')])
async def test_a_wrong_command_is_said(console: Console, typed: str, said: str) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("colon")
        assert isinstance(console.app.screen, CommandPrompt)
        await pilot.press(*("space" if c == " " else c for c in typed), "enter")
        await pilot.pause()
        assert said in shown(console.app)
