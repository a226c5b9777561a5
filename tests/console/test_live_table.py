"""The table of lists: with many rows it costs what they are, not their square."""

from __future__ import annotations

import pytest
from rich.style import Style
from rich.text import Text
from tests.screen import shown
from textual.app import App, ComposeResult
from textual.widgets import DataTable

from dataops_tui.widgets.live_table import LiveTable

ROWS = 300
HEADINGS = ("NAME", "STATE", "AGE")


class Lists(App[None]):
    def compose(self) -> ComposeResult:
        yield LiveTable()


def rows(age: int) -> dict[str, list[Text]]:
    return {f"q-{n:03}": [Text(f"q-{n:03}"), Text("running"), Text(f"{age} s ago")] for n in range(ROWS)}


async def test_columns_fit_their_cells_at_a_cost_that_grows_as_the_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    width = LiveTable._width

    def counted(self: LiveTable, cell: Text) -> int:
        measured.append(cell)
        return width(self, cell)

    monkeypatch.setattr(LiveTable, "_width", counted)
    rendered = []
    monkeypatch.setattr("textual.widgets._data_table.measure", lambda *measured: rendered.append(measured) or 4)
    app = Lists()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(LiveTable)
        for age, widest in ((1234, 10), (5, 7), (6, 7), (12345, 11)):
            measured.clear()
            table.show(HEADINGS, rows(age))
            await pilot.pause()
            assert [column.content_width for column in table.ordered_columns] == [5, 7, widest]
            assert len(measured) <= (ROWS + 1) * len(HEADINGS)
            assert len(rendered) <= len(HEADINGS), "no cell is rendered for its width"
        changed = rows(12345)
        changed["q-007"] = [Text("q-007"), Text("等待 long"), Text("9 s ago")]
        table.show(HEADINGS, changed)
        await pilot.pause()
        assert [column.content_width for column in table.ordered_columns] == [5, 9, 11], "wide characters"


async def test_rows_drawn_before_the_table_is_idle_are_whole() -> None:
    app = Lists()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(LiveTable)
        table.show(HEADINGS, {"q": [Text("q"), Text("running"), Text("1 s ago")]})
        await pilot.pause()
        table.show(HEADINGS, {"r": [Text("q-the-long-one"), Text("running"), Text("1 s ago")]})
        table.render_line(1)  # as a screen does that is drawn meanwhile; the table keeps what it has drawn
        await pilot.pause()
        assert "q-the-long-one" in table.render_line(1).text
        table.show(HEADINGS, {})
        assert [column.content_width for column in table.ordered_columns] == [4, 5, 3], "an empty list"


async def test_of_rows_that_change_only_the_cells_that_differ_are_drawn_anew() -> None:
    app = Lists()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(LiveTable)
        table.show(HEADINGS, rows(1))
        await pilot.pause()
        for line in range(24):
            table.render_line(line)
        drawn = set(table._cell_render_cache.keys())
        changed = rows(1)
        changed["q-003"] = [Text("q-003"), Text("stopped"), Text("1 s ago")]
        table.show(HEADINGS, changed)
        assert len({key[:2] for key in drawn - set(table._cell_render_cache.keys())}) == 1
        await pilot.pause()
        assert [line for line in range(24) if "stopped" in table.render_line(line).text] == [4]


@pytest.mark.parametrize(
    "cell",
    [
        Text("plain"),
        Text("red", "bold red"),
        Text("right", "reverse", justify="right"),
        Text.assemble(("● ", "green"), ("mixed", "underline"), style="dim"),
        Text("等待 a wide text that is cut off", "green"),
    ],
)
@pytest.mark.parametrize("width", [9, 40])
@pytest.mark.parametrize("cursor", [False, True])
async def test_a_cell_is_drawn_as_textual_draws_it(cell: Text, width: int, cursor: bool) -> None:
    app = Lists()
    async with app.run_test(size=(80, 24)):
        table = app.query_one(LiveTable)
        table.show(("NAME",), {"a": [cell]})
        styled = (0, 0, Style(color="white", bgcolor="blue"), width, cursor, False)
        drawn = [(letter, str(part.style)) for part in table._render_cell(*styled)[0] for letter in part.text]
        table._clear_caches()
        textuals = DataTable._render_cell(table, *styled)[0]
        assert drawn == [(letter, str(part.style)) for part in textuals for letter in part.text]


async def test_rows_that_are_added_at_once_are_the_rows_of_a_table_that_got_them_one_by_one() -> None:
    class Both(App[None]):
        def compose(self) -> ComposeResult:
            yield LiveTable()
            yield DataTable(cursor_type="row")

    app = Both()
    async with app.run_test(size=(80, 24)) as pilot:
        ours, theirs = app.query_one(LiveTable), app.query("DataTable").exclude("LiveTable").only_one(DataTable)
        ours.show(HEADINGS, rows(1))  # and others afterwards
        await pilot.pause()
        given = dict(reversed(rows(2).items()))
        ours.show(HEADINGS, given)
        theirs.add_columns(*HEADINGS)
        for key, cells in given.items():
            theirs.add_row(*cells, key=key)
        await pilot.pause()
        assert [row.key.value for row in ours.ordered_rows] == list(given)
        assert [(row.key.value, row.height) for row in ours.ordered_rows] == [
            (row.key.value, row.height) for row in theirs.ordered_rows
        ]
        assert [ours.get_row_at(n) for n in range(ROWS)] == [theirs.get_row_at(n) for n in range(ROWS)]
        assert (ours.virtual_size.height, ours.row_count) == (theirs.virtual_size.height, theirs.row_count)
        ours.move_cursor(row=ROWS - 1)
        await pilot.pause()
        assert ours.cursor_key == "q-000"
        assert "q-000" in ours.render_line(ours.size.height - 1).text


@pytest.mark.parametrize("letter", ["x", "\u5bbd"])
async def test_a_long_name_leaves_room_for_the_other_columns_and_keeps_its_end(letter: str) -> None:
    app = Lists()
    async with app.run_test(size=(80, 10)) as pilot:
        table = app.query_one(LiveTable)
        long = f"head-{letter * 248}-tail"
        names = {name: [Text(name), Text("7"), Text("last " * 9)] for name in (long, "short")}
        table.show(("TOPIC", "LAG", "WHY"), names)
        await pilot.pause()
        line = shown(app).splitlines()[1]
        assert line.startswith(f" head-{letter}")
        assert "…" in line
        assert f"{letter}-tail" in line.split("7    last")[0]
        await pilot.resize_terminal(400, 10)
        await pilot.pause()
        shows = shown(app).splitlines()[1]
        assert "-tail" in shows.split("7    last last")[0]
        assert ("…" in shows) == (letter != "x"), "all of it where there is room"
        table.show(("TOPIC", "LAG", "WHY"), {"short": names["short"]})
        await pilot.resize_terminal(80, 10)
        await pilot.pause()
        assert shown(app).splitlines()[1].startswith(" short  7    last")
