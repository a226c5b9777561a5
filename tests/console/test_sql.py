"""The SQL screen: rows, progress, cancelling, completion, plans, history, export, and what needs a confirmation."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.text import Text
from tests.console.conftest import SIZES, Console, FakeQuery, FakeTrino, make_console, settings
from tests.screen import FREEZE, heartbeat, shown, strips, type_at_once, until_shown

from dataops_core.errors import QueryFailed, Unreachable
from dataops_core.systems.clients import Clients
from dataops_tui import query_session
from dataops_tui.dialogs.confirm import ConfirmDialog
from dataops_tui.dialogs.pick import Choice, PickDialog
from dataops_tui.screens.sql import SqlScreen
from dataops_tui.widgets.sql_editor import Completions, SqlEditor

SHOW_TABLES = "SHOW TABLES FROM lake.gold"
SHOW_COLUMNS = "SHOW COLUMNS FROM lake.gold.shipments"
PLAN = {
    "0": {
        "name": "Output",
        "descriptor": {"columnNames": "[n]"},
        "estimates": [{"outputRowCount": 10.0, "cpuCost": 0.0}],
        "details": ["n := count"],
        "children": [
            {
                "name": "Aggregate",
                "descriptor": {"type": "FINAL"},
                "estimates": [{"outputRowCount": 10.0, "cpuCost": 10.0}],
                "children": [{"name": "RemoteSource", "descriptor": {"sourceFragmentIds": "[1]"}, "children": []}],
            }
        ],
    },
    "1": {
        "name": "TableScan",
        "descriptor": {"table": "lake:gold.shipments"},
        "estimates": [{"outputRowCount": 5000.0, "cpuCost": 990.0}],
        "children": [],
    },
}


def keys(text: str) -> list[str]:
    return ["space" if c == " " else "full_stop" if c == "." else "underscore" if c == "_" else c for c in text]


async def open_sql(console: Console, pilot, text: str = "") -> SqlScreen:
    await pilot.press("colon", *"sql", "enter")
    await until_shown(console.app, lambda text: "F5 runs the statement" in text, "the screen")
    screen = console.app.screen
    assert isinstance(screen, SqlScreen)
    if text:
        screen.pane.editor.text = text
    return screen


def behind(console: Console, text: str) -> object:
    """Return the colour behind a text."""
    for strip in strips(console.app):
        for segment in strip:
            if text in segment.text and segment.style is not None:
                return segment.style.bgcolor
    pytest.fail(f"not on the screen: {text}")


async def run(console: Console, pilot, statement: str) -> SqlScreen:
    screen = await open_sql(console, pilot, statement)
    await pilot.press("f5")
    await pilot.pause()
    return screen


async def test_what_is_typed_right_after_f6_is_for_the_rows(console: Console) -> None:
    console.trino.next = FakeQuery([(1, "alpha")])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await run(console, pilot, "SELECT * FROM t")
        await until_shown(console.app, lambda text: "1 rows" in text, "the row")
        type_at_once(console.app, "f6", "i")
        await until_shown(console.app, lambda text: "DISTINCT" in text, "what the columns hold")
        assert screen.pane.editor.text == "SELECT * FROM t"


async def test_one_sees_which_row_the_cursor_is_on(console: Console) -> None:
    console.trino.next = FakeQuery([(1, "alpha"), (2, "beta"), (3, "gamma")])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30)) as pilot:
        await run(console, pilot, "SELECT * FROM t")
        await until_shown(console.app, lambda text: "3 rows" in text, "the rows")
        await pilot.press("f6", "down")
        await until_shown(
            console.app,
            lambda _: behind(console, "alpha") == behind(console, "gamma") != behind(console, "beta"),
            "the cursor on the second row",
        )


@pytest.mark.parametrize("size", SIZES)
async def test_rows_are_shown_as_they_are(console: Console, size: tuple[int, int]) -> None:
    when = datetime(2013, 7, 1, 12, tzinfo=UTC)
    console.trino.next = FakeQuery(
        [(1, "a\x1b[31mred", None, when), (2, "[bold]b[/]", Decimal("1.50"), when)],
        (("id", "bigint"), ("name", "varchar"), ("price", "decimal(4,2)"), ("at", "timestamp(6)")),
    )
    console.trino.next.go.set()
    async with console.app.run_test(size=size, notifications=True) as pilot:
        await run(console, pilot, "SELECT * FROM t;")
        text = await until_shown(console.app, lambda text: "2 rows" in text and "[bold]" in text, "the rows")
    assert console.trino.asked == ["SELECT * FROM t"]
    assert "a␛[31mred" in text
    assert "[bold]b[/]" in text
    assert "NULL" in text
    assert "1.50" in text
    assert "decimal(4,2)" in text
    assert "q_1" in text


async def test_null_is_told_from_empty_text_and_from_a_text_that_says_null(console: Console) -> None:
    console.trino.next = FakeQuery([(1, None), (2, ""), (3, "NULL")])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1")
        text = await until_shown(console.app, lambda text: "3 rows" in text, "the rows")
    cells = [line.split() for line in text.splitlines()]
    assert [row[2] for row in cells if len(row) == 3 and row[0] == row[1]] == ["NULL", '""', '"NULL"']


async def test_bytes_that_are_text_are_shown_as_it_and_others_in_hex(console: Console) -> None:
    payloads = [b'{"logger_id": "L-1"}', b"\xff\x00", b"a\x1bb", b""]
    console.trino.next = FakeQuery(list(enumerate(payloads, 1)), (("id", "bigint"), ("payload", "varbinary")))
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1")
        text = await until_shown(console.app, lambda text: "4 rows" in text, "the rows")
        await pilot.press("f6", "enter")
        row = await until_shown(console.app, lambda text: "(varbinary)" in text, "the row in full")
    assert '{"logger_id": "L-1"}' in row
    cells = [line.split(maxsplit=2)[2].rstrip() for line in text.splitlines() if re.match(r"\s*(\d) +\1 ", line)]
    assert cells == ['{"logger_id": "L-1"}', "ff00", "a␛b", '""']


async def test_no_rows_still_show_the_columns(console: Console) -> None:
    console.trino.next = FakeQuery([])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1 WHERE false")
        text = await until_shown(
            console.app, lambda text: " 0 rows in" in text and "varchar" in text, "that there are none"
        )
    assert "id" in text
    assert "varchar" in text


async def test_progress_is_shown_and_ctrl_c_cancels_in_the_server(console: Console) -> None:
    console.trino.next = FakeQuery([(n, "x") for n in range(10)])
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
        await run(console, pilot, "SELECT * FROM big")
        text = await until_shown(console.app, lambda text: "running  3/8 splits" in text, "the progress")
        assert "SPLITS" in text, "the stages"
        await pilot.press("f5")
        await pilot.pause()
        assert len(console.trino.asked) == 1, "one query at a time"
        await pilot.press("ctrl+c")
        await until_shown(console.app, lambda text: "cancelled after" in text, "that it is cancelled")
    assert console.trino.next.cancelled
    assert max(gaps) < FREEZE


async def test_a_long_result_is_cut_off_and_that_is_said(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_session, "MAX_ROWS", 5000)
    console.trino.next = FakeQuery([(n, f"name {n}") for n in range(7000)])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
        screen = await run(console, pilot, "SELECT * FROM big")
        await until_shown(console.app, lambda text: "TRUNCATED: the first 5,000 rows" in text, "that it is cut off")
        assert screen.pane.table.row_count == 5000
        await pilot.press("f6", "G")
        await until_shown(console.app, lambda text: "name 4999" in text, "the last row")
        await pilot.press("g")
        await until_shown(console.app, lambda text: "name 3\n" in text, "the first rows")
        await pilot.press("pagedown", "j", "enter")
        await until_shown(console.app, lambda text: "(varchar)" in text, "a row in full")
    assert console.trino.next.cancelled
    assert max(gaps) < FREEZE


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


async def test_the_statement_under_the_cursor_is_run_or_the_selection_or_all(console: Console) -> None:
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot, "SELECT 1;\nSELECT ';' ;\nSELECT 3")
        editor = screen.pane.editor
        editor.move_cursor((1, 3))
        await pilot.press("f5")
        await until_shown(console.app, lambda text: "1 rows in" in text, "the rows")
        assert console.trino.asked == ["SELECT ';'"]
        editor.move_cursor((2, 0))
        editor.move_cursor((2, 8), select=True)
        await pilot.press("f5")
        await until_shown(
            console.app, lambda _: len(console.trino.asked) == 2 and not screen.pane.session.busy, "the next"
        )
        assert console.trino.asked[1] == "SELECT 3"
        await pilot.press("f8")
        await until_shown(console.app, lambda text: "(3 of 3)" in text, "all of them")
    assert console.trino.asked[2:] == ["SELECT 1", "SELECT ';'", "SELECT 3"]


async def test_running_all_stops_at_the_first_that_fails(console: Console) -> None:
    console.trino.next = FakeQuery([], failure=QueryFailed("SYNTAX_ERROR: line 1:1"))
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot, "SELECT 1; SELECT 2")
        await pilot.press("f8")
        await until_shown(console.app, lambda text: "SYNTAX_ERROR" in text, "the failure")
        assert not screen.pane.session.busy
    assert console.trino.asked == ["SELECT 1"]


async def test_a_change_needs_a_confirmation(console: Console) -> None:
    console.trino.next = FakeQuery([], columns=(), update_type="DELETE", update_count=7)
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "DELETE FROM t")
        await until_shown(console.app, lambda _: isinstance(console.app.screen, ConfirmDialog), "the question")
        await pilot.press("escape")
        assert console.trino.asked == []
        await pilot.press("f5")
        await until_shown(console.app, lambda _: isinstance(console.app.screen, ConfirmDialog), "the question again")
        await pilot.pause()
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "DELETE, 7 rows" in text, "what it did")
    assert console.trino.asked == ["DELETE FROM t"]


async def test_a_read_only_context_refuses_a_change(console: Console) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(other, pilot, "DELETE FROM t; SELECT 1")
        await pilot.press("f8")
        await until_shown(other.app, lambda text: "is read-only" in text, "the refusal")
        assert not screen.pane.session.busy
    assert other.trino.asked == []


async def test_a_statement_that_does_not_parse_says_where_and_runs_only_when_it_is_run_again(console: Console) -> None:
    console.trino.next.go.set()
    problem = 'the statement does not parse: line 3, column 3: unexpected "FORM"; did you mean FROM?'
    async with console.app.run_test(size=(160, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot, "SELECT 1;\nSELECT *\n  FORM t")
        screen.pane.editor.move_cursor((1, 0))
        await pilot.press("f5")
        text = await until_shown(console.app, lambda text: problem in text, "what is wrong")
        assert "Run it again to confirm it" in text
        assert screen.pane.editor.cursor_location == (2, 2)
        assert not screen.pane.session.busy
        assert console.app.screen is screen
        await pilot.press("f9")
        await until_shown(
            console.app, lambda text: problem in text and not screen.pane.session.busy, "the same of its plan"
        )
        screen.pane.editor.move_cursor((1, 0))
        await pilot.press("f5", "f5")
        await until_shown(console.app, lambda text: "does not parse (line 2" in text, "the question")
        assert isinstance(console.app.screen, ConfirmDialog)
        await pilot.click("#go")
        await until_shown(console.app, lambda text: "1 rows" in text, "the rows")
    assert console.trino.asked == ["SELECT *\n  FORM t"]


async def test_a_read_only_context_offers_no_run_of_what_does_not_parse(console: Console) -> None:
    other = make_console(console.audit.parent, settings(read_only=True))
    async with other.app.run_test(size=(160, 30), notifications=True) as pilot:
        screen = await open_sql(other, pilot, "SELECT * FORM t; SELECT 1")
        for _ in range(2):
            await pilot.press("f8")
            text = await until_shown(other.app, lambda text: "does not parse: line 1, column 10" in text, "where")
            assert "again" not in text
            assert not screen.pane.session.busy
    assert other.trino.asked == []


async def test_a_statement_can_be_given_with_the_command(console: Console) -> None:
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await pilot.press("f2", *keys("sql SELECT 1"), "enter")
        await until_shown(console.app, lambda text: "1 rows" in text, "the rows")
        await pilot.press("f10")
        await until_shown(console.app, lambda _: console.app.current_mode == "pipelines", "the pipelines")
    assert console.trino.asked == ["SELECT 1"]


async def test_a_statement_that_is_put_in_leaves_what_was_typed_alone(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot, "SELECT 'mine'")
        screen.put("SELECT * FROM t FOR VERSION AS OF 7", run=False)
        await until_shown(console.app, lambda text: "AS OF 7" in text, "the statement")
        assert len(screen.query(SqlEditor)) == 2
        await pilot.press("ctrl+pageup")
        await until_shown(console.app, lambda text: "SELECT 'mine'" in text, "the first tab")
        await pilot.press("alt+w")
        await until_shown(console.app, lambda text: "AS OF 7" in text, "the other tab")
        await until_shown(console.app, lambda _: len(screen.query(SqlEditor)) == 1, "that tab alone")
        await pilot.press("ctrl+t")
        await until_shown(console.app, lambda text: "a statement, e.g." in text, "a new tab")
    assert console.trino.asked == []


async def test_a_tab_that_is_closed_cancels_its_query(console: Console) -> None:
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await run(console, pilot, "SELECT * FROM big")
        await until_shown(console.app, lambda text: "running  3/8" in text, "the progress")
        await pilot.press("ctrl+t")
        await until_shown(console.app, lambda text: "a statement, e.g." in text, "a new tab")
        await pilot.press("ctrl+pageup", "alt+w")
        await until_shown(console.app, lambda _: console.trino.next.cancelled, "that it is cancelled")
        assert len(screen.query(SqlEditor)) == 1


async def test_completion_fetches_names_once_and_takes_the_marked_one(console: Console) -> None:
    console.trino.names = {
        SHOW_TABLES: [("shipments",), ("readings",)],
        SHOW_COLUMNS: [("shipment_id", "varchar", "", ""), ("Odd", "bigint", "", "")],
    }
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot)
        await pilot.press(*keys("select * from sh"))
        text = await until_shown(console.app, lambda text: "t shipments" in text, "the table")
        assert "names loaded" in text
        await pilot.press("tab")
        assert screen.pane.editor.text == "select * from shipments"
        await pilot.press(*keys(" s where s."))
        text = await until_shown(console.app, lambda text: "c shipment_id" in text, "the columns")
        assert '"Odd"' in text
        await pilot.press("down", "enter")
        assert screen.pane.editor.text.startswith("select * from shipments s where s.")
        assert screen.pane.editor.text.endswith(("shipment_id", '"Odd"'))
        assert not screen.query_one(Completions).display
    assert console.trino.fetched.count(SHOW_TABLES) == 1
    assert console.trino.asked == []


async def test_names_that_do_not_come_hold_nobody_up_and_say_why(console: Console) -> None:
    console.trino.hold = threading.Event()
    console.trino.failure = Unreachable("trino http://trino: cannot be reached: Connection refused")
    try:
        async with console.app.run_test(size=(120, 30), notifications=True) as pilot, heartbeat() as gaps:
            screen = await open_sql(console, pilot)
            await pilot.press(*keys("select * from "), "ctrl+@")
            await until_shown(console.app, lambda text: "loading" in text, "that names are loaded")
            await pilot.press(*"abc")
            assert screen.pane.editor.text.endswith("from abc")
            await pilot.press("ctrl+@")
            console.trino.hold.set()
            await until_shown(console.app, lambda text: "Connection" in text, "the failure")
            await pilot.press("escape")
            assert console.app.screen is screen, "Escape closed what was offered, not the screen"
        assert max(gaps) < FREEZE
    finally:
        console.trino.hold.set()


async def test_a_plan_is_a_tree_with_its_costly_steps_marked(console: Console) -> None:
    console.trino.next = FakeQuery([(json.dumps(PLAN),)], (("Query Plan", "varchar"),))
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_sql(console, pilot, "SELECT count(*) FROM shipments")
        await pilot.press("f9")
        text = await until_shown(console.app, lambda text: "TableScan" in text, "the plan")
        costly = [line for line in text.splitlines() if "costly" in line]
        assert len(costly) == 1
        assert "TableScan" in costly[0]
        assert "99%" in costly[0]
        assert "5,000 rows" in costly[0]
        await pilot.press("f6", "n", "enter")
        await until_shown(console.app, lambda text: "lake:gold.shipments" in text and "fragment 1" in text, "the step")
        await pilot.press("escape", "a")
        await until_shown(console.app, lambda _: len(console.trino.asked) == 2, "that it is measured")
    explained, measured = console.trino.asked
    assert explained == "EXPLAIN (TYPE DISTRIBUTED, FORMAT JSON) SELECT count(*) FROM shipments"
    assert measured == "EXPLAIN ANALYZE SELECT count(*) FROM shipments"


async def test_measuring_a_change_needs_a_confirmation_as_the_change_does(console: Console) -> None:
    console.trino.next = FakeQuery([(json.dumps(PLAN),)], (("Query Plan", "varchar"),))
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await open_sql(console, pilot, "DELETE FROM shipments")
        await pilot.press("f9")
        await until_shown(console.app, lambda text: "TableScan" in text, "the plan")
        await pilot.press("f6", "a")
        await until_shown(console.app, lambda _: isinstance(console.app.screen, ConfirmDialog), "the question")
    assert len(console.trino.asked) == 1


async def test_history_is_searched_and_shows_no_secret(console: Console, tmp_path: Path) -> None:
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await run(console, pilot, "SELECT 'one'")
        await until_shown(console.app, lambda text: "1 rows in" in text, "the rows")
        screen.pane.editor.text = "SELECT 'x' AS password"
        await pilot.press("f5")
        await until_shown(
            console.app, lambda _: len(console.trino.asked) == 2 and not screen.pane.session.busy, "the rows"
        )
        await pilot.press("f4")
        text = await until_shown(console.app, lambda text: "Query history" in text, "the history")
        assert "SELECT '***' AS password" in text
        assert "'x'" not in text.split("Query history")[1]
        await pilot.press(*"one", "enter")
        await until_shown(console.app, lambda _: console.app.screen is screen, "the editor")
        await until_shown(console.app, lambda text: "SELECT 'one'" in text, "the statement")
    history = (tmp_path / "state" / "dataops" / "sql-history.jsonl").read_text()
    assert "'x'" not in history


async def test_an_event_of_a_list_that_was_narrowed_meanwhile_is_ignored(console: Console) -> None:
    dialog = PickDialog("Pick", [Choice(Text(name), f"SELECT '{name}'") for name in ("one", "two")], "none")
    async with console.app.run_test(size=(120, 40), notifications=True) as pilot:
        await console.app.push_screen(dialog)
        await until_shown(console.app, lambda text: "SELECT 'one'" in text, "the first text")
        dialog.action_mark(1)  # its event is handled after the next line
        dialog._narrow("three")
        await pilot.pause()
        assert "SELECT" not in await until_shown(console.app, lambda text: "no matches" in text, "the empty list")
        dialog._narrow("two")
        await until_shown(console.app, lambda text: "SELECT 'two'" in text, "the second text")


async def test_a_text_is_saved_found_again_and_replaced_only_when_asked_twice(console: Console, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "worst.sql").write_text("-- Which is worst?\nSELECT 1\n")
    trino = {"url": "http://trino", "saved_queries": [str(shipped)]}
    other = make_console(tmp_path, settings(trino=trino))
    async with other.app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await open_sql(other, pilot, "SELECT 2")
        await pilot.press("ctrl+s", *"mine", "enter")
        await until_shown(other.app, lambda text: "saved as" in text, "that it is saved")
        screen.pane.editor.text = "SELECT 3"
        await pilot.press("ctrl+s", *"mine", "enter")
        await until_shown(other.app, lambda text: "exists already" in text, "the warning")
        await pilot.press("enter")
        await until_shown(other.app, lambda _: other.app.screen is screen, "that it is saved")
        await pilot.press("f3")
        text = await until_shown(other.app, lambda text: "Which is worst?" in text, "the shipped one")
        assert "mine" in text
        await pilot.press(*"mine", "enter")
        await until_shown(other.app, lambda text: "SELECT 3" in text, "the saved one")
    assert (tmp_path / "data" / "dataops" / "queries" / "mine.sql").read_text() == "SELECT 3\n"


async def test_rows_are_exported_and_nothing_is_overwritten_unasked(console: Console, tmp_path: Path) -> None:
    console.trino.next = FakeQuery([(1, "a"), (2, None)])
    console.trino.next.go.set()
    path = tmp_path / "out.parquet"
    path.write_text("precious")
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1")
        await until_shown(console.app, lambda text: "2 rows" in text, "the rows")
        await pilot.press("f6", "e")
        await until_shown(console.app, lambda text: "Export 2 rows" in text, "the question")
        line = console.app.screen.query_one("Input")
        line.value = str(tmp_path / "out.xlsx")
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "file extension: use one of .csv" in text, "the refusal")
        line.value = str(path)
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "exists already" in text, "the warning")
        assert path.read_text() == "precious"
        await pilot.press("enter")
        await until_shown(console.app, lambda text: "exported 2 rows to" in text, "that it is done")
    assert pq.read_table(path).to_pylist() == [{"id": 1, "name": "a"}, {"id": 2, "name": None}]


async def test_columns_are_described_from_what_was_fetched(console: Console) -> None:
    console.trino.next = FakeQuery([(n, None if n % 2 else f"name {n % 8}") for n in range(1000)])
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1")
        await until_shown(console.app, lambda text: "1,000 rows" in text, "the rows")
        await pilot.press("f6", "i")
        text = await until_shown(console.app, lambda text: "DISTINCT" in text, "the statistics")
    assert "500 (50%)" in text
    assert "999" in text
    assert "name 6" in text


async def test_figures_of_columns_stand_also_beside_long_values(console: Console) -> None:
    kind = ("timestamp(6) with time zone", "2013-07-02T13:48:12.123456+00:00")
    names = [(f"a_name_of_some_length_{n}", kind[0]) for n in range(2)]
    console.trino.next = FakeQuery(
        [tuple(kind[1] if n % 2 else None for _ in names) for n in range(1000)], tuple(names)
    )
    console.trino.next.go.set()
    async with console.app.run_test(size=(80, 24), notifications=True) as pilot:
        await run(console, pilot, "SELECT 1")
        await until_shown(console.app, lambda text: "1,000 rows" in text, "the rows")
        await pilot.press("f6", "i")
        text = await until_shown(console.app, lambda text: "DISTINCT" in text, "the statistics")
    assert text.count("500 (50%)") == 2


async def test_what_is_typed_is_coloured(console: Console) -> None:
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await open_sql(console, pilot, "SELECT 'a\nb' -- c")
        first, second = (screen.pane.editor.get_line(line) for line in (0, 1))
        assert [str(span.style) for span in first.spans] == ["bold cyan", "green"]
        assert [(span.start, span.end) for span in second.spans] == [(0, 2), (3, 7)]
        assert "SELECT" in shown(console.app)


async def test_the_completions_close_when_the_statement_runs(console: Console) -> None:
    console.trino.names = {SHOW_TABLES: [("shipments",)], SHOW_COLUMNS: [("lot", "varchar", "", "")]}
    console.trino.next.go.set()
    async with console.app.run_test(size=(120, 30)) as pilot:
        screen = await open_sql(console, pilot)
        type_at_once(console.app, *"SELECT lo")
        popup = screen.pane.query_one(Completions)
        await until_shown(console.app, lambda _: popup.display, "the completions")
        type_at_once(console.app, "f5")
        await until_shown(console.app, lambda text: "1 rows" in text, "the row")
        assert not popup.display
        type_at_once(console.app, "f2", *"sql SELECT sh FROM sh", "enter")
        await until_shown(console.app, lambda _: len(console.trino.asked) == 2, "the other statement")
        await until_shown(console.app, lambda text: "1 rows" in text, "its row")
        await pilot.pause()
        assert not screen.pane.query_one(Completions).display, "a statement that a command brings asks for none"


async def test_statements_that_wait_do_not_run_in_another_trino(tmp_path: Path) -> None:
    etl = {"system": "trino", "url": "http://etl"}
    console, other = make_console(tmp_path, settings(components={"etl": etl})), FakeTrino("http://etl")
    console.monitor.clients = Clients(trino=console.trino, etl=other)
    async with console.app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await open_sql(console, pilot)
        screen.pane.editor.text = "SELECT 1; SELECT 2"
        screen.pane.run_all()
        await until_shown(console.app, lambda _: console.trino.asked == ["SELECT 1"], "the first statement")
        console.app.run_command("component etl")
        await until_shown(console.app, lambda text: "sql on etl" in text, "the other Trino")
        console.trino.next.go.set()
        await until_shown(console.app, lambda text: "switched to another Trino" in text, "why the second did not run")
        assert not screen.pane.session.busy
    assert console.trino.asked == ["SELECT 1"]
    assert other.asked == []
