"""The DAGs screen: what Airflow says, how old that is, and triggering."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest
from tests.console.conftest import SIZES, Console, FakeAirflow, make_console, settings, well
from tests.screen import FREEZE, heartbeat, shown, until_shown
from tests.settings import Settings

from dataops_core.errors import NotFound, Unreachable
from dataops_core.systems.clients import Clients
from dataops_tui.dialogs.confirm import TriggerDialog


async def open_dags(console: Console, pilot) -> None:
    await pilot.press("colon", *"dags", "enter")
    await until_shown(console.app, lambda text: "newest runs of" in text, "the DAGs")


@pytest.mark.parametrize("size", SIZES)
async def test_dags_and_runs_are_shown_and_text_from_outside_steers_nothing(
    console: Console, size: tuple[int, int]
) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await open_dags(console, pilot)
        text = shown(console.app)
        assert "‖ paused" in text
        assert "● active" in text
        assert "✖ import errors" in text
        assert "[bold]odd␛[31m" in text
        assert re.search(r"updated \ds ago", text)
        await pilot.press("j")
        runs = ("run__1", "run__2", "run__3")
        text = await until_shown(console.app, lambda text: all(run in text for run in runs), "the DAG's runs")
        assert "newest runs of conform" in text
        assert "run__4" not in text


async def test_an_airflow_that_is_down_is_said_with_the_age_of_what_is_shown(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        console.airflow.failure = Unreachable("airflow http://airflow: cannot be reached: Connection refused")
        await pilot.press("colon", *"pipelines", "enter", "colon", *"dags", "enter")
        text = await until_shown(console.app, lambda text: "cannot be reached" in text, "the failure")
        assert "conform" in text
        assert "updated" in text.split("Connection refused")[1]


async def test_an_airflow_that_hangs_freezes_nothing(console: Console) -> None:
    console.airflow.hold = threading.Event()
    try:
        async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
            await pilot.press("colon", *"dags", "enter")
            await until_shown(console.app, lambda text: "loading" in text, "that it loads")
            console.monitor.push(well())
            await pilot.press("escape")
            await until_shown(console.app, lambda text: "● caught up" in text, "the pipelines")
            await pilot.press("q")
        assert max(gaps) < FREEZE
    finally:
        console.airflow.hold.set()


async def test_a_run_is_triggered_with_its_parameters_and_audited(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("j", "t")
        dialog = console.app.screen
        assert isinstance(dialog, TriggerDialog)
        assert "POST http://airflow/api/v2/dags/conform/dagRuns" in shown(console.app)
        conf = dialog.query_one("#conf")
        conf.text = "{nonsense"
        await pilot.click("#go")
        await pilot.pause()
        assert console.app.screen is dialog
        assert "JSON" in shown(console.app)
        conf.text = '{"full": true}'
        while dialog.query_one("#go").has_class("-active"):  # Textual ignores a key while a button shows its last press
            await pilot.pause(0.05)
        dialog.set_focus(conf)
        await pilot.press("tab", "enter")
        await until_shown(console.app, lambda text: "run__0 is queued" in text, "the run")
    assert console.airflow.triggered == [("conform", {"full": True})]
    lines = [json.loads(line) for line in console.audit.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["allowed", "done"]
    assert lines[-1]["conf"] == {"full": True}


async def test_production_asks_for_the_context_s_name(console: Console) -> None:
    other = make_console(console.audit.parent, settings(production=True))
    async with other.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(other, pilot)
        await pilot.press("j", "t", *"yes", "enter")
        await pilot.pause()
        assert 'type "test" to confirm' in shown(other.app)
        assert other.airflow.triggered == []
        await pilot.press(*["backspace"] * 3, *"test", "enter")
        await until_shown(other.app, lambda text: "run__0 is queued" in text, "the run")
    assert other.airflow.triggered == [("conform", {})]


async def test_a_read_only_context_refuses(console: Console) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(other, pilot)
        await pilot.press("j", "t")
        await until_shown(other.app, lambda text: "read-only" in text.split("newest runs")[1], "the refusal")
    assert other.airflow.triggered == []
    assert other.audit.exists()


async def test_a_trigger_that_fails_is_said(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        console.airflow.failure = NotFound("airflow http://airflow: no DAG conform")
        await pilot.press("j", "t", "shift+tab", "enter")
        await until_shown(console.app, lambda text: "no DAG conform" in text, "the failure")


async def test_the_filter_narrows_the_dags(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("slash", *"^conf", "enter")
        text = shown(console.app)
        assert "● active" in text
        assert "‖ paused" not in text


async def test_a_stage_s_dag_is_triggered_in_its_own_airflow(tmp_path: Path) -> None:
    raw = settings().model_dump(exclude_unset=True, by_alias=True)
    raw["contexts"]["test"]["components"] = {"hourly": {"system": "airflow", "url": "http://hourly"}}
    (conform,) = (stage for stage in raw["pipelines"]["p"]["stages"] if stage["name"] == "conform")
    conform["on"] = "hourly"
    console = make_console(tmp_path, Settings.model_validate(raw))
    hourly = FakeAirflow("http://hourly")
    console.monitor.clients = Clients(airflow=console.airflow, hourly=hourly)
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        console.monitor.push(well())
        await until_shown(console.app, lambda text: "● caught up" in text, "the pipelines")
        await pilot.press("colon", *"stage", "space", *"conform", "enter")
        await until_shown(console.app, lambda text: "pipelines / p / conform" in text, "the stage")
        await pilot.press("t")
        await until_shown(console.app, lambda text: "http://hourly" in text, "the form, with the address")
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "run__0 is queued" in text, "the run")
    assert hourly.triggered == [("conform", {})]
    assert console.airflow.triggered == []
