"""From a DAG to its runs, its tasks and their logs; pausing, clearing, and the form for a run's parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.console.conftest import SIZES, Console, make_console, settings
from tests.console.test_dags import open_dags
from tests.orders import now
from tests.screen import shown, type_at_once, until_shown
from textual.widgets import Input, Select

from dataops_core.errors import BadAnswer, ClientError, NotFound
from dataops_core.systems.airflow import runs as airflow_runs
from dataops_core.systems.airflow.runs import LogLine, LogPart, Param, TaskInstance
from dataops_tui.dialogs.confirm import ConfirmDialog, TriggerDialog
from dataops_tui.screens.dags import RunsScreen
from dataops_tui.screens.tasks import LogScreen, TasksScreen
from dataops_tui.widgets import log_view


class FakeRuns:
    """Stands in for the functions of `airflow_runs`."""

    def __init__(self) -> None:
        self.paused: list[tuple[str, bool]] = []
        self.backfills: list[dict[str, str]] = []
        self.dates: tuple[datetime, ...] = ()
        self.cleared: list[tuple[str, str, list[str]]] = []
        self.tokens: list[str | None] = []
        self.parts: list[LogPart] = []
        self.failure: ClientError | None = None
        self.waiting: tuple[TaskInstance, ...] = ()
        self.declared: tuple[Param, ...] = ()

    def params(self, client: object, dag_id: str) -> tuple[Param, ...]:
        if self.failure is not None:
            raise self.failure
        return self.declared

    def task_instances(self, client: object, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
        queued = now() - timedelta(seconds=100)
        done = TaskInstance(
            "extract", -1, "success", "BashOperator", 1, 0, queued, queued + timedelta(seconds=10), now()
        )
        return (
            done,
            replace(done, task_id="load", map_index=3, state="failed", tries=2, max_tries=2),
            replace(done, task_id="report", state="upstream_failed", queued_at=None, started_at=None, ended_at=None),
            *self.waiting,
        )

    def log(self, client: object, dag_id: str, run_id: str, task: TaskInstance, token: str | None) -> LogPart:
        self.tokens.append(token)
        if self.failure is not None:
            raise self.failure
        return self.parts.pop(0)

    def set_paused(self, client: object, dag_id: str, *, paused: bool) -> None:
        if self.failure is not None:
            raise self.failure
        self.paused.append((dag_id, paused))

    def backfill_dates(self, client: object, body: Mapping[str, str]) -> tuple[datetime, ...]:
        if self.failure is not None:
            raise self.failure
        return self.dates

    def backfill(self, client: object, body: Mapping[str, str]) -> int:
        self.backfills.append(dict(body))
        return 7

    def clear_failed(self, client: object, dag_id: str, run_id: str, tasks: Sequence[TaskInstance] = ()) -> int:
        self.cleared.append((dag_id, run_id, [task.key for task in tasks]))
        return 2


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> FakeRuns:
    fake = FakeRuns()
    for name in ("params", "task_instances", "log", "set_paused", "clear_failed", "backfill", "backfill_dates"):
        monkeypatch.setattr(airflow_runs, name, getattr(fake, name))
    return fake


def line(text: str, level: str | None = "info", **more: Any) -> LogLine:
    return LogLine(now(), level, text, more)


def outcomes(console: Console) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in console.audit.read_text().splitlines()]
    return [(line["action"], line["outcome"]) for line in lines]


async def open_run(console: Console, pilot: Any) -> None:
    await open_dags(console, pilot)
    await pilot.press("j", "enter")
    await until_shown(console.app, lambda text: "run__3" in text and "assess" not in text, "the runs")
    assert isinstance(console.app.screen, RunsScreen)
    await pilot.press("enter")
    await until_shown(console.app, lambda text: "load[3]" in text, "the tasks")
    assert isinstance(console.app.screen, TasksScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_from_the_dag_to_the_log_that_grows(console: Console, runs: FakeRuns, size: tuple[int, int]) -> None:
    trace = {
        "exc_type": "ValueError",
        "exc_value": "no such town",
        "frames": [{"filename": "a.py", "lineno": 7, "name": "f"}],
    }
    runs.parts = [
        LogPart((line("first\x1b[31m"), line("[bold]second")), "t1"),
        LogPart((line("it broke", "error", error_detail=[trace]),), None),
    ]
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await open_run(console, pilot)
        text = shown(console.app)
        assert "✖ failed" in text
        assert "2 of 3" in text
        assert "✖ upstream failed" in text
        assert ("░" in text) == (size[0] > 100), "the time line needs room"
        await pilot.press("j", "l")
        assert isinstance(console.app.screen, LogScreen)
        text = await until_shown(console.app, lambda text: "end of log" in text, "the log to its end")
        assert runs.tokens == [None, "t1"]
        for part in (
            "INFO first␛[31m",
            "[bold]second",
            "ERROR it broke",
            "a.py:7 in f",
            "ValueError: no such town",
        ):
            assert part in text
        await pilot.press("c")
        assert "no such town" in console.app.clipboard
        await pilot.press("g", "G", "f", "escape", "escape", "escape")
        await pilot.pause()
        assert console.app.current_mode == "dags"
        await until_shown(console.app, lambda text: "newest runs of conform" in text, "the DAGs")


async def test_a_long_log_is_there_from_its_first_line_and_is_searched(console: Console, runs: FakeRuns) -> None:
    lines = [line(f"row {n}") for n in range(30_000)]
    lines[7], lines[20_000] = line("town (a) is " + "long " * 60), line("town (b)", "error")
    runs.parts = [LogPart(tuple(lines), "t1"), LogPart(tuple(line(f"late {n}") for n in range(11)), None)]
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("j", "l")
        text = await until_shown(
            console.app, lambda text: "end of log" in text and "late 10" in text, "the log to its end"
        )
        assert "30,011 lines" in text
        await pilot.press("g")
        await until_shown(console.app, lambda text: "row 0" in text and "row 8" in text, "the first line")
        await pilot.press("slash", *"town (")
        await until_shown(console.app, lambda text: "is not a valid regular expression" in text, "what is wrong")
        await pilot.press("backspace", "backspace", *" .[ab]", "enter")
        await until_shown(console.app, lambda text: "1 of 2 lines that" in text and "town (a)" in text, "the first")
        await pilot.press("n")
        await until_shown(console.app, lambda text: "2 of 2 lines that" in text and "town (b)" in text, "the next")
        await pilot.press("n", "N", "N")
        await until_shown(console.app, lambda text: "1 of 2 lines" in text and "town (a)" in text, "round the end")
        await pilot.resize_terminal(60, 30)
        await pilot.press("slash", *"nowhere", "enter")
        await until_shown(console.app, lambda text: "no line matches" in text, "that there is none")
        await pilot.press("c")
        assert console.app.clipboard.count("\n") == 30_010


async def test_a_search_in_a_log_has_all_that_was_typed_at_once(console: Console, runs: FakeRuns) -> None:
    runs.parts = [LogPart((line("town one"), line("town two")), None)]
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("j", "l")
        await until_shown(console.app, lambda text: "end of log" in text, "the log's end")
        type_at_once(console.app, "/", *"town tw", "enter")
        await until_shown(console.app, lambda text: "of 1 lines that match" in text, "the line")


async def test_of_a_log_that_is_too_long_it_is_said_what_is_missing(
    console: Console, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_view, "MAX_CHARACTERS", 20_000)
    runs.parts = [LogPart(tuple(line(f"row {n:06}") for n in range(at, at + 500)), "t") for at in (0, 500)]
    runs.parts.append(LogPart((line("last"),), None))
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("j", "l")
        text = await until_shown(console.app, lambda text: "end of log" in text and " last" in text, "the log's end")
        view = console.app.screen.query_one(log_view.LogView)
        assert view.missing + len(view.lines) == 1001
        assert view.missing > 100
        assert f"the first {view.missing} lines are missing" in text


async def test_a_log_that_cannot_be_had_is_said(console: Console, runs: FakeRuns) -> None:
    runs.failure = NotFound("airflow http://airflow: TaskInstance not found")
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "TaskInstance not found" in text, "why there is none")


async def test_a_task_that_has_not_started_has_no_log_yet(console: Console, runs: FakeRuns) -> None:
    runs.waiting = (TaskInstance("later", -1, "queued", "BashOperator", 0, 0, now(), None, None),)
    runs.failure = NotFound("airflow http://airflow: TaskInstance not found")
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("G", "l")
        text = await until_shown(console.app, lambda text: "no log yet" in text, "that it waits")
        assert "not found" not in text
        runs.failure, runs.parts = None, [LogPart((line("here it goes"),), None)]
        text = await until_shown(console.app, lambda text: "end of log" in text, "the log once it has started")
        assert "here it goes" in text
        assert "no log yet" not in text


async def test_dags_are_paused_together_once_it_is_confirmed(console: Console, runs: FakeRuns) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("j", "space", "space", "p")
        assert isinstance(console.app.screen, ConfirmDialog)
        text = shown(console.app)
        assert 'PATCH http://airflow/api/v2/dags/conform {"is_paused": true}' in text
        assert "and 1 more" not in text
        await pilot.press("escape")
        assert runs.paused == []
        await pilot.press("g", "p")
        assert '"is_paused": false' in shown(console.app), "the one under the cursor is paused"
        await pilot.press("shift+tab", "enter")
        await until_shown(console.app, lambda text: "unpaused assess" in text, "that it goes on")
    assert runs.paused == [("assess", False)]
    assert outcomes(console) == [("unpause_dag", "allowed"), ("unpause_dag", "done")]


async def test_a_backfill_shows_its_runs_before_it_is_confirmed(console: Console, runs: FakeRuns) -> None:
    runs.dates = tuple(datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 13))
    async with console.app.run_test(size=(120, 36), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("b")
        await until_shown(console.app, lambda text: "first..last date" in text, "the question")
        line = console.app.screen.query_one(Input)
        line.value = "2026-01-12"
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "type the first and the last date" in text, "what is wrong")
        line.value = "2026-01-01..2026-01-12 failed"
        await pilot.press("enter")
        text = await until_shown(
            console.app, lambda text: "POST http://airflow/api/v2/backfills" in text, "the preview"
        )
        assert "12 runs" in text
        assert "2026-01-10T00:00:00" in text
        assert "and 2 more" in text
        assert runs.backfills == []
        await pilot.press("shift+tab", "enter")
        await until_shown(console.app, lambda text: "backfill 7 of" in text, "that it was done")
    (sent,) = runs.backfills
    assert (sent["from_date"], sent["reprocess_behavior"]) == ("2026-01-01T00:00:00+00:00", "failed")
    assert outcomes(console) == [("backfill_dag", "allowed"), ("backfill_dag", "done")]


async def test_a_backfill_of_nothing_asks_nothing(console: Console, runs: FakeRuns) -> None:
    async with console.app.run_test(size=(120, 36), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("b", "enter")
        await until_shown(console.app, lambda text: "no runs to backfill" in text, "that there is nothing to run")
        runs.failure = BadAnswer("it has no schedule")
        await pilot.press("b", "enter")
        await until_shown(console.app, lambda text: "planning the backfill" in text, "why not")
    assert runs.backfills == []


async def test_failed_tasks_run_again_once_it_is_confirmed(console: Console, runs: FakeRuns) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_run(console, pilot)
        await pilot.press("j", "space", "x")
        assert '"task_ids": [["load", 3]]' in " ".join(shown(console.app).replace("│", "").split())
        await pilot.press("shift+tab", "enter")
        await until_shown(console.app, lambda text: "2 tasks of run__1 cleared" in text, "that it was done")
        await pilot.press("escape", "G", "x", "shift+tab", "enter")
        await until_shown(console.app, lambda text: "2 tasks cleared in run__3" in text, "that it was done")
    assert runs.cleared == [("conform", "run__1", ["load[3]"]), ("conform", "run__3", [])]
    assert outcomes(console) == [("clear_tasks", "allowed"), ("clear_tasks", "done")] * 2


async def test_a_read_only_context_changes_nothing_and_writes_that_down(console: Console, runs: FakeRuns) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(other, pilot)
        await pilot.press("p")
        await until_shown(other.app, lambda text: "unpausing assess changes" in text, "the refusal")
    assert runs.paused == []
    assert outcomes(other) == [("unpause_dag", "refused")]


async def test_what_airflow_refuses_is_said_and_audited(console: Console, runs: FakeRuns) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        runs.failure = BadAnswer("airflow http://airflow: 409: busy")
        await pilot.press("p", "shift+tab", "enter")
        await until_shown(console.app, lambda text: "409: busy" in text, "the failure")
    assert outcomes(console) == [("unpause_dag", "allowed"), ("unpause_dag", "failed")]


@pytest.mark.parametrize("size", SIZES)
async def test_the_form_is_drawn_from_the_dag_s_parameters(
    console: Console, runs: FakeRuns, size: tuple[int, int]
) -> None:
    runs.declared = (
        Param("day", "2013-07-01", {"type": "string", "format": "date"}, "the day to conform"),
        Param("limit", 5, {"type": ["integer", "null"], "minimum": 1}),
        Param("mode", "fast", {"enum": ["fast", "full"]}),
        Param("dry", False, {"type": "boolean"}),
    )
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("j", "t")
        await until_shown(console.app, lambda text: "the day to conform" in text, "the form")
        dialog = console.app.screen
        assert isinstance(dialog, TriggerDialog)
        dialog.query_one("#param-0", Input).value = "2013-02-30"
        await pilot.press("shift+tab")
        dialog.query_one("#go").focus()
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "day is not a date, e.g. 2013-07-01" in text, "what is wrong")
        while dialog.query_one("#go").has_class("-active"):
            await pilot.pause(0.05)
        dialog.query_one("#param-0", Input).value = "2013-02-28"
        dialog.query_one("#param-1", Input).value = ""
        dialog.query_one("#param-2", Select).value = "full"
        await pilot.pause()
        dialog.query_one("#go").focus()
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "run__0 is queued" in text, "the run")
    assert console.airflow.triggered == [
        ("conform", {"day": "2013-02-28", "limit": None, "mode": "full", "dry": False})
    ]


async def test_parameters_that_cannot_be_had_are_typed_as_json(console: Console, runs: FakeRuns) -> None:
    runs.failure = NotFound("airflow http://airflow: no DAG conform")
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_dags(console, pilot)
        await pilot.press("j", "t")
        await until_shown(console.app, lambda text: "as JSON: airflow http://airflow: no DAG conform" in text, "why")
        assert console.app.screen.query_one("#conf").display
