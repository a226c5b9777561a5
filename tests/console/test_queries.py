"""The Queries screen: what Trino runs, why it waits, and ending it through the gate."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from tests.console.conftest import SIZES, Console, make_console, settings
from tests.orders import now, seconds
from tests.screen import shown, until_shown

from dataops_core.errors import Unreachable
from dataops_core.systems.trino.responses import ServerQuery
from dataops_tui.dialogs.confirm import ConfirmDialog
from dataops_tui.dialogs.text import TextDialog


def query(query_id: str, state: str = "RUNNING", **more: object) -> ServerQuery:
    made = ServerQuery(
        query_id,
        state,
        user="ana",
        source="trino-cli",
        statement="SELECT *\nFROM [bold]t\x1b[31m",
        resource_group="global.adhoc",
        created=now() - seconds(90),
        elapsed=90.0,
        queued=0.0,
        cpu=30.0,
        splits_done=3,
        splits_total=8,
        rows=1000,
        bytes=1_500_000,
        memory=2_000_000,
        blocked=(),
        error="",
        error_type="",
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def open_queries(console: Console, pilot) -> None:
    console.trino.running = (
        query("q_done", "FINISHED"),
        query("q_bad", "FAILED", error="COLUMN_NOT_FOUND"),
        query("q_waits", "QUEUED", created=now() - seconds(30)),
        query("q_memory", blocked=("WAITING_FOR_MEMORY",)),
        query("q_runs"),
    )
    await pilot.press("colon", *"queries", "enter")
    await until_shown(console.app, lambda text: "q_runs" in text, "the queries")


@pytest.mark.parametrize("size", SIZES)
async def test_queries_are_shown_with_why_they_wait(console: Console, size: tuple[int, int]) -> None:
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await open_queries(console, pilot)
        text = shown(console.app)
        if size[0] > 100:
            assert "queued in global.adhoc: 2 run, 0 wait before it" in text
            assert "blocked: waiting for memory" in text
            assert "COLUMN_NOT_FOUND" in text
        lines = [line for line in text.splitlines() if " q_" in line]
        assert "finished" in lines[-2]
        assert "failed" in lines[-1]
        await pilot.press("a")
        await until_shown(console.app, lambda text: "q_done" not in text, "only what goes on")
        assert re.search(r"updated \ds ago", shown(console.app))


async def test_a_filter_looks_at_the_whole_statement(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(console, pilot)
        console.trino.running = (*console.trino.running, query("q_long", statement="SELECT " + "x, " * 40 + "needle"))
        await until_shown(console.app, lambda text: "q_long" in text, "the long one")
        await pilot.press("slash", *"needle", "enter")
        text = await until_shown(console.app, lambda text: "q_runs" not in text, "only what matches")
        assert "q_long" in text
        assert "SELECT x, x" in text


async def test_a_query_is_shown_in_full_and_opened_in_the_editor_without_running_it(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(console, pilot)
        await pilot.press("G", "enter")
        text = await until_shown(console.app, lambda _: isinstance(console.app.screen, TextDialog), "the query")
        text = await until_shown(console.app, lambda text: "cannot be resolved" in text, "its failure")
        assert "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved" in text
        assert "FROM [bold]t␛[31m" in text
        await pilot.press("escape", "e")
        await until_shown(console.app, lambda _: console.app.current_mode == "sql", "the editor")
        await until_shown(console.app, lambda text: "FROM [bold]t" in text, "its statement")
    assert console.trino.asked == []


async def test_killing_is_previewed_confirmed_and_audited(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(console, pilot)
        await pilot.press("ctrl+k")
        await pilot.pause()
        assert isinstance(console.app.screen, ConfirmDialog)
        assert "PUT http://trino/v1/query/q_waits/killed" in shown(console.app)
        await pilot.press("escape")
        await pilot.pause()
        assert console.trino.killed == []
        await pilot.press("space", "space", "ctrl+k")
        await pilot.pause()
        calls = [line.strip(" │") for line in shown(console.app).splitlines() if "PUT" in line]
        assert calls == [f"PUT http://trino/v1/query/{query_id}/killed" for query_id in ("q_waits", "q_memory")]
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "killed q_waits, q_memory" in text, "that they are ended")
    assert [query_id for query_id, _ in console.trino.killed] == ["q_waits", "q_memory"]
    lines = [json.loads(line) for line in console.audit.read_text().splitlines()]
    assert [(line["action"], line["outcome"]) for line in lines] == [
        ("kill_query", "allowed"),
        ("kill_query", "done"),
    ] * 2


async def test_what_has_ended_is_not_killed(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(console, pilot)
        await pilot.press("G", "ctrl+k")
        await until_shown(console.app, lambda text: "no active query selected" in text, "that there is nothing")
    assert console.trino.killed == []


async def test_a_read_only_context_refuses_to_kill(console: Console) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(other, pilot)
        await pilot.press("ctrl+k")
        await until_shown(other.app, lambda text: "is read-only" in text, "the refusal")
    assert other.trino.killed == []
    assert json.loads(other.audit.read_text().splitlines()[-1])["outcome"] == "refused"


async def test_a_trino_that_is_down_is_said_with_the_age_of_what_is_shown(console: Console) -> None:
    async with console.app.run_test(size=(160, 48), notifications=True) as pilot:
        await open_queries(console, pilot)
        console.trino.failure = Unreachable("trino http://trino: cannot be reached: Connection refused")
        text = await until_shown(console.app, lambda text: "Connection refused" in text, "the failure")
        assert "q_runs" in text
