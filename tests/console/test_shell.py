"""What all screens have in common: filter, sort, marks, copy, history, contexts, alerts, events, lineage, audit."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.console.conftest import SIZES, Console, FakeMonitor, make_console, settings, trino_down, well
from tests.console.test_dags import open_dags
from tests.orders import stuck
from tests.screen import shown, type_at_once, until_shown
from tests.settings import Settings
from textual.widgets import Input

from dataops_core import gc_tuning
from dataops_core.actions import ActionPolicy
from dataops_core.actions.audit import AuditLog
from dataops_core.errors import NotFound, TimedOut
from dataops_core.gc_tuning import IDLE_SECONDS, WORTHWHILE
from dataops_core.systems.airflow.runs import Param
from dataops_core.systems.clients import Clients
from dataops_tui.app import DataopsApp
from dataops_tui.background import in_background
from dataops_tui.base import TICK
from dataops_tui.messages import DagChecked
from dataops_tui.resource import Row, TableScreen
from dataops_tui.screens.alerts import AlertsScreen
from dataops_tui.screens.kafka import GroupScreen, TopicScreen
from dataops_tui.screens.stage import StageScreen
from dataops_tui.widgets.filter_line import FilterLine, filter_of
from dataops_tui.widgets.key_hints import KeyHints
from dataops_tui.widgets.live_table import LiveTable


async def command(pilot: Any, typed: str) -> None:
    names = {" ": "space", "@": "at"}
    await pilot.press("f2", *(names.get(c, c) for c in typed), "enter")
    await pilot.pause()


@pytest.mark.parametrize(
    ("typed", "good", "bad"),
    [
        ("", ["anything"], []),
        ("or.*s", ["orders"], ["billing"]),
        ("!^or", ["billing"], ["orders"]),
        ("~ods", ["orders"], ["billing"]),
        (r"x|\(", ["f(x)"], ["y"]),
        ("~O-s", ["or-ders"], ["s-o"]),
        ("!", ["anything"], []),
    ],
)
def test_what_a_filter_matches(typed: str, good: list[str], bad: list[str]) -> None:
    matches = filter_of(typed)
    assert all(matches(good))
    assert not any(matches(bad))


async def test_a_filter_that_is_wrong_says_so_and_the_one_before_stays(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("slash", *"conf")
        await until_shown(console.app, lambda text: "assess" not in text, "the filter")
        await pilot.press("(")
        text = await until_shown(console.app, lambda text: "is not a valid regular expression" in text, "what is wrong")
        assert '"conf(" is not a valid regular expression: missing ): conf(' in text
        assert "conform" in text
        assert "assess" not in text, "as before"
        await pilot.press("enter")
        assert isinstance(console.app.focused, Input), "it is not kept"
        await pilot.press("escape")
        await until_shown(console.app, lambda text: "assess" in text and "expression" not in text, "everything")


async def test_a_filter_that_would_backtrack_for_ever_is_through_at_once(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        screen = cast("TableScreen[object]", console.app.screen)
        screen._rows = {str(n): Row([f"{'a' * 200}!{n}", *[""] * 5]) for n in range(1000)}
        began = time.monotonic()
        type_at_once(console.app, "/", *"^(a+)+$")
        await until_shown(console.app, lambda text: "0 of 1000" in text, "that no matches")
        assert time.monotonic() - began < 10
        await pilot.press(*(["backspace"] * 7), *"x{999}y{999}")
        await until_shown(console.app, lambda text: "too large" in text, "why it is not used")


async def test_sort_mark_copy_and_raw(console: Console) -> None:
    def order(text: str) -> list[str]:
        body = text.splitlines()[2:5]
        return [name for line in body for name in ("assess", "conform", "odd") if name in line]

    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        assert order(shown(console.app)) == ["assess", "conform", "odd"]
        await pilot.press("s")
        assert "DAG ▲" in shown(console.app)
        assert order(shown(console.app))[0] == "odd", "a bracket stands before letters"
        await pilot.press("S")
        assert "DAG ▼" in shown(console.app)
        assert order(shown(console.app)) == ["conform", "assess", "odd"]
        await pilot.press("s", "s", "s", "s", "s", "s")
        assert "▲" not in shown(console.app)
        await pilot.click("#rows", offset=(2, 0))
        assert "DAG ▲" in shown(console.app)
        await pilot.press("g", "space", "space")
        assert shown(console.app).count("✓ ") == 2
        await pilot.press("c")
        assert console.app.clipboard == "[bold]odd\x1b[31m\nassess"
        await pilot.press("g", "space", "y")
        assert '"dag_id": "assess"' in shown(console.app)
        await pilot.press("j", "k", "c")
        assert json.loads(console.app.clipboard)["tags"] == ["boreal"]


async def test_the_browser_or_the_address(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(DataopsApp, "open_url", lambda app, url, new_tab=True: opened.append(url))
    monkeypatch.setattr("dataops_tui.app.has_window", lambda: False)
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("j", "o")
        await pilot.pause()
        assert "http://airflow/dags/conform" in shown(console.app)
        assert opened == []
        monkeypatch.setattr("dataops_tui.app.has_window", lambda: True)
        await pilot.press("o")
        assert opened == ["http://airflow/dags/conform"]


async def test_a_command_goes_to_another_context_and_back(console: Console) -> None:
    raw = settings().model_dump(exclude_unset=True, by_alias=True)
    raw["contexts"]["prod"] = {"production": True, "airflow": {"url": "http://other"}}
    raw["default_context"] = "test"
    monitors: dict[str, FakeMonitor] = {}

    def watch(context: str) -> FakeMonitor:
        monitors[context] = FakeMonitor(Clients())
        return monitors[context]

    app = DataopsApp(Settings.model_validate(raw), "test", lambda: watch("test"), console.app.policy, watch)
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        await until_shown(app, lambda text: "read-write" in text, "the first context")
        while app.monitor is None:
            await pilot.pause(0.02)
        monitors["test"].push(stuck())
        await until_shown(app, lambda text: "■ stuck" in text, "the pipeline of the first context")
        await command(pilot, "alerts @prod")
        text = await until_shown(app, lambda text: "PRODUCTION" in text, "the other context")
        assert app.current_mode == "alerts"
        assert "stuck" not in text
        while app.monitor is not monitors.get("prod"):
            await pilot.pause(0.02)
        assert monitors["test"].stopped
        monitors["test"].push(stuck())
        await pilot.pause()
        assert app.snapshot is None, "what the other context's monitor still says is not shown"
        await command(pilot, "context nowhere")
        assert "available: test, prod" in shown(app)
        await command(pilot, "context test")
        await until_shown(app, lambda text: "read-write" in text, "the first context again")


async def test_one_context_only_offers_no_other(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await command(pilot, "dags @prod")
        assert 'no such context: "prod"; available: test' in shown(console.app)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("trigger", "trigger needs a DAG: trigger DAG"),
        ("tri", "trigger needs a DAG: trigger DAG"),
        ("peek", "peek needs a topic: peek TOPIC"),
        ("stage", "stage needs a stage: stage STAGE"),
        ("sta", "stage needs a stage: stage STAGE"),
        ("pipeline", "pipeline needs a pipeline: pipeline PIPELINE"),
        ("context", "context needs a context: context CONTEXT"),
        ("theme", "theme needs a theme: theme THEME"),
        ("peek @test", "peek needs a topic"),
        ("nonsense @test", 'no such command: "nonsense"'),
        ("zzz", 'no such command: "zzz"'),
    ],
)
async def test_a_command_takes_no_object_that_was_not_typed(tmp_path: Path, typed: str, said: str) -> None:
    clients = Clients({})
    monitor = FakeMonitor(clients)
    app = DataopsApp(
        settings(),
        None,
        lambda: monitor,
        ActionPolicy("test", settings().contexts["test"], tmp_path / "a"),
        lambda _: monitor,
    )
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        app.learn("topic", ["orders"])
        await command(pilot, typed)
        await until_shown(app, lambda text: said in text, "what is missing")
        assert len(app.screen_stack) == 1
        assert app.current_mode == "pipelines"


async def test_a_completion_that_is_chosen_is_taken_and_a_typed_object_is_completed(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("f2", *"trigger", "down", "enter")
        await until_shown(console.app, lambda text: "Trigger conform in the context" in text, "the form")
        await pilot.press("escape")
        await command(pilot, "xra")
        await until_shown(console.app, lambda text: "  xray" in text[:120], "the place")
        await command(pilot, "sses")
        await until_shown(console.app, lambda text: "  dags / assess" in text[:120], "the runs of the DAG")


async def test_a_dag_that_airflow_does_not_have_opens_no_form(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def params(client: object, dag_id: str) -> tuple[Param, ...]:
        if dag_id == "nope":
            raise NotFound("airflow http://airflow: not found (404)")
        if dag_id == "late":
            raise TimedOut("airflow http://airflow: no response within 5s")
        return ()

    monkeypatch.setattr("dataops_core.systems.airflow.runs.params", params)
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(well())
        for dag_id, said in (("nope", 'no such DAG: "nope"'), ("late", "no response within 5s")):
            await command(pilot, f"trigger {dag_id}")
            await until_shown(console.app, lambda text, said=said: said in text, "why not")
            assert len(console.app.screen_stack) == 1
        await command(pilot, "trigger hourly")
        await until_shown(console.app, lambda text: "Trigger hourly in the context" in text, "the form")
        console.app.post_message(DagChecked("nope", console.app.screen_stack[0]))
        await until_shown(console.app, lambda text: "nope was not triggered: another screen" in text, "why not")


async def test_work_of_a_screen_that_is_closed_meanwhile_still_finds_the_console(console: Console) -> None:
    found: list[object] = []
    go, done = threading.Event(), threading.Event()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = TopicScreen("orders")
        await console.app.push_screen(screen)

        def work() -> None:
            go.wait(30)
            try:
                found.append(screen.console)
            finally:
                done.set()

        in_background(screen, "fetching", work)
        await console.app.pop_screen()
        await pilot.pause()
        go.set()
        assert await asyncio.to_thread(done.wait, 30)
    assert found == [console.app]


async def test_enter_that_is_pressed_three_times_opens_once(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(stuck())
        await pilot.pause()
        for place in ("pipelines", "dags", "alerts", "events"):
            await command(pilot, place)
            screen = cast("TableScreen[object]", console.app.screen)
            tables = list(screen.query(LiveTable))
            await until_shown(console.app, lambda _, tables=tables: any(t.row_count for t in tables), place)
            for _ in range(3):  # as where the key is handled before the screen that it opens is there
                screen.action_open()
            await pilot.pause()
            assert len(console.app.screen_stack) <= 2, place
            if len(console.app.screen_stack) > 1:
                await pilot.press("escape")
        await command(pilot, "stage land")
        await command(pilot, "stage land")
        assert [type(screen) for screen in console.app.screen_stack].count(StageScreen) == 1
        await command(pilot, "stage view")
        assert [type(screen) for screen in console.app.screen_stack].count(StageScreen) == 2


async def test_back_and_forward(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await command(pilot, "events")
        await command(pilot, "xray")
        await pilot.press("alt+left")
        await pilot.pause()
        assert console.app.current_mode == "events"
        await pilot.press("minus", "minus")
        await pilot.pause()
        assert console.app.current_mode == "pipelines"
        assert "no previous screen" in shown(console.app)
        await pilot.press("plus", "alt+right")
        await pilot.pause()
        assert console.app.current_mode == "xray"


async def test_a_name_with_a_blank_or_a_word_too_many_is_one_name(console: Console) -> None:
    async with console.app.run_test(size=SIZES[0], notifications=True) as pilot:
        for typed, screen in (("kafka orders 15m", TopicScreen), ("groups my group", GroupScreen)):
            await command(pilot, typed)
            await pilot.pause()
            assert isinstance(console.app.screen, screen)


@pytest.mark.parametrize("size", SIZES)
async def test_alerts_name_the_cause_with_its_evidence(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await command(pilot, "alerts")
        console.monitor.push(well())
        await until_shown(console.app, lambda text: "● no findings" in text, "that all is well")
        console.monitor.push(stuck())
        text = await until_shown(console.app, lambda text: "land/stuck" in text and "remedy" in text, "the alert")
        assert "✖ critical" in text
        await pilot.press("t")
        assert "no DAG selected" in shown(console.app)
        await pilot.press("enter")
        assert isinstance(console.app.screen, StageScreen)
        await pilot.press("escape")
        console.monitor.push(trino_down())
        text = await until_shown(console.app, lambda text: "trino/unreachable" in text, "the component")
        assert "land/stuck" not in text


@pytest.mark.parametrize("size", SIZES)
async def test_events_tell_each_change_and_why(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await command(pilot, "events")
        console.monitor.push(well())
        await until_shown(console.app, lambda text: "● ok" in text, "the first look")
        console.monitor.push(trino_down())
        text = await until_shown(console.app, lambda text: "unavailable" in text, "what changed")
        assert "caught up" in text
        assert "? unknown" in text
        assert re.search(r"trino +up +✖ unavailable", text)
        await pilot.press("slash", *"view", "space", *"caught", "enter")
        await until_shown(console.app, lambda text: "1 of" in text, "the stage's own line")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(console.app.screen, StageScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_xray_draws_who_reads_what(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await command(pilot, "xray")
        console.monitor.push(stuck())
        text = await until_shown(console.app, lambda text: "└─ orders" in text, "the tree")
        assert "   └─ land" in text
        assert "               └─ view" in text
        assert "■ stuck" in text
        await pilot.press("ctrl+z")
        assert "bronze" not in shown(console.app)
        await pilot.press("j", "enter")
        await pilot.pause()
        assert "p / land" in shown(console.app)


async def test_the_audit_viewer_shows_what_was_done_and_that_the_chain_is_whole(console: Console) -> None:
    AuditLog(console.audit).append({"context": "test", "outcome": "done", "action": "trigger_dag", "dag_id": "conform"})
    AuditLog(console.audit).append(
        {"context": "test", "outcome": "refused", "action": "run_sql", "statement": "DROP\nTABLE x"}
    )
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await command(pilot, "audit")
        text = await until_shown(console.app, lambda text: "chain of 2 lines is intact" in text, "the trail")
        assert text.index("DROP TABLE x") < text.index("trigger dag")
        await pilot.press("enter")
        assert '"action": "run_sql"' in shown(console.app)
        await pilot.press("escape")
        lines = console.audit.read_text().splitlines(keepends=True)
        console.audit.write_text(lines[0].replace("conform", "other") + lines[1])
        await command(pilot, "pipelines")
        await command(pilot, "audit")
        await until_shown(console.app, lambda text: "line 2 does not follow" in text, "that the chain is broken")


async def test_an_audit_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_said(console: Console) -> None:
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await command(pilot, "audit")
        await until_shown(console.app, lambda text: "chain of 0 lines is intact" in text, "that there is none yet")
    console.audit.mkdir()
    other = make_console(console.audit.parent)
    async with other.app.run_test(size=(80, 24), notifications=True) as pilot:
        await command(pilot, "audit")
        await until_shown(other.app, lambda text: "is a directory" in text, "why")


@pytest.mark.parametrize("typed", ["events", "even"])
async def test_what_is_typed_before_the_command_line_is_there_is_not_lost(console: Console, typed: str) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(well())
        await pilot.pause()
        type_at_once(console.app, ":", *typed, "enter")
        await until_shown(console.app, lambda text: "  events" in text[:120], "the events")


@pytest.mark.parametrize("place", ["pipelines", "events"])
async def test_what_is_typed_right_after_the_slash_is_part_of_the_filter(console: Console, place: str) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(well())
        await command(pilot, place)
        type_at_once(console.app, "/", *"copy/q")
        line = console.app.screen.query_one(FilterLine)
        await until_shown(console.app, lambda _: line.value == "copy/q", "the whole filter")


async def test_what_arrives_is_drawn_once_and_by_one_clock(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks: list[float] = []
    filled: list[str] = []
    every = AlertsScreen.set_interval
    monkeypatch.setattr(
        AlertsScreen, "set_interval", lambda *how, **more: (clocks.append(how[1]), every(*how, **more))[1]
    )
    fill = TableScreen.fill
    monkeypatch.setattr(TableScreen, "fill", lambda screen: (filled.append(screen.crumb()), fill(screen)))
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await command(pilot, "alerts")
        assert clocks.count(TICK) == 1
        filled.clear()
        console.monitor.push(stuck())
        await until_shown(console.app, lambda text: "land/stuck" in text, "the alert")
        assert filled == ["alerts"]
        await pilot.press("f2", "escape")
        await pilot.pause()
        assert filled == ["alerts", "alerts"], "once more when it is seen again"


@pytest.mark.parametrize(
    ("since", "young"),
    [(IDLE_SECONDS + 1, WORTHWHILE), (IDLE_SECONDS - 1, WORTHWHILE), (IDLE_SECONDS + 1, WORTHWHILE - 1)],
)
def test_full_collections_run_while_nobody_types(monkeypatch: pytest.MonkeyPatch, since: float, young: int) -> None:
    ran: list[str] = []
    clock = iter([100.0, 100.0 + since])
    monkeypatch.setattr(
        gc_tuning, "gc", SimpleNamespace(get_count=lambda: (0, 0, young), collect=lambda: ran.append(""))
    )
    monkeypatch.setattr(gc_tuning, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    collector = gc_tuning.IdleCollector()
    collector.pressed()
    collector.collect()
    assert bool(ran) == (since > IDLE_SECONDS and young >= WORTHWHILE)


async def test_a_click_on_a_key_presses_it(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        console.monitor.push(well())
        text = await until_shown(console.app, lambda text: "⏎ Stage" in text.splitlines()[-1], "the keys")
        last = text.splitlines()[-1]
        await pilot.click(KeyHints, offset=(last.index("? Help"), 0))
        await until_shown(console.app, lambda text: "Active keys" in text, "the help")
        await pilot.press("escape")
        await until_shown(console.app, lambda text: "Active keys" not in text, "that the help is closed")
        await pilot.click(KeyHints, offset=(len(last.rstrip()) + 1, 0))
        await pilot.pause()
        assert "Active keys" not in shown(console.app), "beside the keys there is nothing to press"
