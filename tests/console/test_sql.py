"""The SQL screen: rows, progress, cancelling, and what needs a confirmation."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.console.conftest import SIZES, Console, FakeQuery, make_console, settings
from tests.screen import heartbeat, until_shown
from textual.widgets import DataTable, TextArea

from dataops_core.errors import QueryFailed
from dataops_tui.dialogs.confirm import ConfirmDialog


async def run(console: Console, pilot, statement: str) -> None:
    await pilot.press("colon", *"sql", "enter")
    await pilot.pause()
    console.app.screen.query_one(TextArea).text = statement
    await pilot.press("f5")
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_rows_are_shown_as_they_are(console: Console, size: tuple[int, int]) -> None:
    when = datetime(2013, 7, 1, 12, tzinfo=UTC)
    console.trino.next = FakeQuery(
        [(1, "a\x1b[31mred", None, when), (2, "[bold]b[/]", Decimal("1.50"), when)],
        (("id", "bigint"), ("name", "varchar"), ("price", "decimal(4,2)"), ("at", "timestamp(6) with time zone")),
    )
    console.trino.next.go.set()
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await run(console, pilot, "SELECT * FROM t;")
        text = await until_shown(console.app, lambda text: "2 rows" in text, "the rows")
    assert console.trino.asked == ["SELECT * FROM t"]
    assert "a\\x1b[31mred" in text
    assert "[bold]b[/]" in text
    assert "NULL" in text
    assert "1.50" in text
    assert "q_1" in text


async def test_no_rows_still_show_the_columns(console: Console) -> None:
    console.trino.next = FakeQuery([])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1 WHERE false")
        text = await until_shown(console.app, lambda text: "0 rows" in text, "that there are none")
    assert "id" in text
    assert "name" in text


async def test_progress_is_shown_and_ctrl_c_cancels_in_the_server(console: Console) -> None:
    console.trino.next = FakeQuery([(n, "x") for n in range(10)])
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
        await run(console, pilot, "SELECT * FROM big")
        await until_shown(console.app, lambda text: "running  3/8 splits" in text, "the progress")
        await pilot.press("f5")
        await pilot.pause()
        assert len(console.trino.asked) == 1, "one query at a time"
        await pilot.press("ctrl+c")
        await until_shown(console.app, lambda text: "cancelled after" in text, "that it is cancelled")
    assert console.trino.next.cancelled
    assert max(gaps) < 3


async def test_a_long_result_is_cut_off_and_that_is_said(console: Console) -> None:
    console.trino.next = FakeQuery([(n, "x") for n in range(7000)])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
        await run(console, pilot, "SELECT * FROM big")
        await until_shown(console.app, lambda text: "TRUNCATED: the first 5,000 rows" in text, "that it is cut off")
        assert console.app.screen.query_one("#rows", DataTable).row_count == 5000
    assert console.trino.next.cancelled
    assert max(gaps) < 3


async def test_a_failed_query_is_one_line(console: Console) -> None:
    console.trino.next = FakeQuery([], failure=QueryFailed("COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"))
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT x")
        await until_shown(console.app, lambda text: "COLUMN_NOT_FOUND" in text, "the failure")
        console.trino.next = FakeQuery([(1, "again")])
        console.trino.next.go.set()
        await pilot.press("f5")
        await until_shown(console.app, lambda text: "again" in text, "the next query's rows")


async def test_two_statements_are_refused(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1; DROP TABLE x")
        if isinstance(console.app.screen, ConfirmDialog):
            await pilot.click("#go")
        await until_shown(console.app, lambda text: "more than one statement" in text, "the refusal")
    assert console.trino.asked == []


async def test_a_change_needs_a_confirmation(console: Console) -> None:
    console.trino.next = FakeQuery([], columns=(), update_type="DELETE", update_count=7)
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "DELETE FROM t")
        assert isinstance(console.app.screen, ConfirmDialog)
        await pilot.press("escape")
        assert console.trino.asked == []
        await pilot.press("f5")
        await pilot.pause()
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "DELETE, 7 rows" in text, "what it did")
    assert console.trino.asked == ["DELETE FROM t"]


async def test_a_read_only_context_refuses_a_change(console: Console) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(other, pilot, "DELETE FROM t")
        await until_shown(other.app, lambda text: "is read-only" in text, "the refusal")
    assert other.trino.asked == []


async def test_a_statement_can_be_given_with_the_command(console: Console) -> None:
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f2", *("space" if c == " " else c for c in "sql SELECT 1"), "enter")
        await until_shown(console.app, lambda text: "1 rows" in text, "the rows")
        await pilot.press("escape")
        assert console.app.current_mode == "pipelines"
    assert console.trino.asked == ["SELECT 1"]
