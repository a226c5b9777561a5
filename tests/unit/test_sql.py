"""What the SQL editor rests on: statements, completion, results on disk, statistics, export, plans, history."""

from __future__ import annotations

import csv
import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataops_core.errors import BadAnswer, ClientError, Unreachable
from dataops_core.sql import library, results
from dataops_core.sql.completion import FUNCTIONS, Listing, Name, complete
from dataops_core.sql.export import ExportRefused, export, export_path
from dataops_core.sql.library import History, LibraryFailed, Ran, SavedQueries
from dataops_core.sql.names import KEPT, Names
from dataops_core.sql.plan import PlanNode, explain, read_plan
from dataops_core.sql.results import CACHED, CHUNK_ROWS, Result, SpillFailed
from dataops_core.sql.scan import Kind, quoted, scan, statement_at, statements, unquoted
from dataops_core.sql.statistics import column_statistics

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
BODY = "f() RETURNS int BEGIN IF true THEN SET x = CASE WHEN x = 2 THEN 1 END; END IF; RETURN x; END"
COLUMNS = (("id", "bigint"), ("name", "varchar"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# --- statements ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ;; -- nothing\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;\n-- a; b\nSELECT ';' /* ; */ ; ", ["SELECT 1", "SELECT ';'"]),
        ("SELECT \"a;b\"; SELECT 'it''s; so'", ['SELECT "a;b"', "SELECT 'it''s; so'"]),
        ("SELECT 'open; SELECT 2", ["SELECT 'open; SELECT 2"]),
        ("SELECT 1 /* open; SELECT 2", ["SELECT 1"]),
        (
            "CREATE FUNCTION f() RETURNS int RETURN 1; SELECT 2",
            ["CREATE FUNCTION f() RETURNS int RETURN 1", "SELECT 2"],
        ),
        (
            f"CREATE OR REPLACE FUNCTION {BODY}; SELECT 2",
            [f"CREATE OR REPLACE FUNCTION {BODY}", "SELECT 2"],
        ),
        ("SELECT CASE WHEN a THEN 1; SELECT 2", ["SELECT CASE WHEN a THEN 1", "SELECT 2"]),
    ],
)
def test_statements_are_cut_where_trino_would(text: str, found: list[str]) -> None:
    assert [statement.text for statement in statements(text)] == found
    assert all(text[s.start : s.end] == s.text for s in statements(text))


def test_the_statement_under_the_cursor() -> None:
    text = "SELECT 1;\n\nSELECT 2 ;  -- so\nSELECT 3"
    chosen = [statement_at(text, offset) for offset in range(len(text) + 1)]
    assert all(chosen)
    numbers = "".join(statement.text[-1] for statement in chosen if statement)
    assert numbers == "1" * 10 + "2" * 19 + "3" * (len(text) + 1 - 29)
    assert statement_at(" ", 0) is None


def test_pieces_cover_all_that_is_not_blank_even_where_nothing_makes_sense() -> None:
    text = "SELECT é, \"q\"\"x\", 1.5e3, 'a''b' # ? ; -- c\n/* d"
    pieces = scan(text)
    assert "".join(piece.text for piece in pieces).replace(" ", "") == "".join(text.split()).replace("--c", "--c")
    assert [p.kind for p in pieces if p.kind not in (Kind.OTHER, Kind.WORD)] == [
        Kind.QUOTED,
        Kind.NUMBER,
        Kind.STRING,
        Kind.END,
        Kind.COMMENT,
        Kind.COMMENT,
    ]


@pytest.mark.parametrize("name", ["plain", "Odd Name", "select", 'quo"te', "ünïcode"])
def test_a_name_is_written_so_that_it_is_read_as_itself(name: str) -> None:
    assert unquoted(quoted(name)) == name.lower()
    assert (quoted(name) == name) == (name == "plain")


# --- completion ----------------------------------------------------------------------------------------------


def listing(*names: str, about: str = "") -> Listing:
    return Listing(tuple(Name(name, about) for name in names), NOW)


KNOWN = {
    (): listing("lake", "tpch"),
    ("lake",): listing("gold", "silver"),
    ("lake", "gold"): listing("shipments", "Odd Table"),
    ("lake", "silver"): listing("readings"),
    ("lake", "gold", "shipments"): listing("shipment_id", "lot", "Group", about="varchar"),
    ("lake", "silver", "readings"): listing("at", "lot", about="bigint"),
    FUNCTIONS: listing("count", "contains"),
}


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("SELECT * FROM |", ["shipments", '"Odd Table"', "gold", "lake"], ["count", "lot"]),
        ("SELECT * FROM sh|", ["shipments"], ["gold"]),
        ("SELECT * FROM lake.|", ["gold", "silver"], ["shipments", "lake"]),
        ("SELECT * FROM silver.|", ["readings"], ["gold"]),
        ("SELECT * FROM lake.silver.|", ["readings"], ["shipments"]),
        ("SELECT * FROM shipments, |", ["shipments"], ["lot"]),
        ("SELECT | FROM shipments", ["shipment_id", "lot", '"Group"', "count", "shipments"], ["readings"]),
        ("SELECT lo| FROM shipments", ["lot"], ["shipment_id"]),
        ("SELECT s.| FROM shipments s", ["shipment_id", "lot"], ["count", "lake"]),
        ("SELECT r.l| FROM shipments s JOIN lake.silver.readings AS r ON true", ["lot"], ["shipment_id", "at"]),
        ("SELECT 1 FROM shipments WHERE |", ["lot"], []),
        ("WITH recent AS (SELECT 1) SELECT * FROM re|", ["recent"], ["shipments"]),
        ("INSERT INTO |", ["shipments"], ["count"]),
        ("USE |", ["lake", "gold"], ["shipments"]),
        ("SELECT 'FROM |", [], ["shipments"]),
        ("SELECT 1 -- FROM |", [], ["shipments"]),
        ("SELECT a, b, count(DISTINCT lo| FROM shipments", ["lot"], []),
        ("SELECT 12|", [], ["count"]),
    ],
)
def test_what_may_follow(text: str, wanted: list[str], unwanted: list[str]) -> None:
    at = text.index("|")
    found = complete(text.replace("|", ""), at, KNOWN, "lake", "gold")
    texts = [candidate.text for candidate in found.candidates]
    assert [name for name in wanted if name not in texts] == []
    assert [name for name in unwanted if name in texts] == []


def test_columns_come_before_functions_and_keywords_and_what_begins_so_before_what_holds_it() -> None:
    texts = [c.text for c in complete("SELECT O FROM shipments", 8, KNOWN, "lake", "gold").candidates]
    assert texts.index("lot") > texts.index("ON")
    assert texts.index("lot") < texts.index("count") < texts.index("FOLLOWING")


def test_what_is_not_known_is_asked_for_and_nothing_is_offered_for_it() -> None:
    found = complete("SELECT * FROM lake.gold.", 24, {}, None, None)
    assert found.candidates == ()
    assert found.needs == (("lake", "gold"),)
    assert complete("SELECT x.", 9, {}, "lake", "gold").needs == (("x",), ("lake", "x"))


class FakeTrino:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failure: ClientError | None = None

    def fetch(self, statement: str, within: float) -> list[tuple[Any, ...]]:
        self.asked.append(statement)
        if self.failure is not None:
            raise self.failure
        if statement == "SHOW FUNCTIONS":
            return [("abs", "bigint", "bigint"), ("abs", "double", "double"), ("now", "timestamp", "")]
        return [("a", "bigint", "", ""), ("b", "varchar", "", "")]


def test_names_are_fetched_once_and_anew_when_they_are_old() -> None:
    names, trino = Names(), FakeTrino()
    place = ("lake", "gold", 'q"x')
    assert names.claim([place], NOW) == (place,)
    assert names.claim([place], NOW) == (), "somebody fetches it already"
    found = names.load(trino, place)  # type: ignore[arg-type]
    assert trino.asked == ['SHOW COLUMNS FROM lake.gold."q""x"']
    assert [(name.text, name.about) for name in found.names] == [("a", "bigint"), ("b", "varchar")]
    assert names.claim([place], found.at + KEPT) == ()
    assert names.claim([place], found.at + KEPT + timedelta(seconds=1)) == (place,)
    trino.failure = Unreachable("trino: cannot be reached")
    again = names.load(trino, place)  # type: ignore[arg-type]
    assert again.error == "trino: cannot be reached"
    assert again.names == found.names, "what was known before stays"


def test_functions_are_listed_once_with_how_many_more_forms_they_have() -> None:
    found = Names().load(FakeTrino(), FUNCTIONS)  # type: ignore[arg-type]
    assert [(name.text, name.about) for name in found.names] == [
        ("abs", "(bigint) bigint +1"),
        ("now", "() timestamp"),
    ]


# --- results -------------------------------------------------------------------------------------------------


def filled(rows: int, **limits: int) -> Result:
    result = Result(COLUMNS, limits.get("max_rows", 10_000_000), limits.get("max_bytes", 1 << 40))
    for start in range(0, rows, 700):
        result.append([(n, f"name {n}") for n in range(start, min(rows, start + 700))])
    return result


def test_each_row_is_found_again() -> None:
    result = filled(3 * CHUNK_ROWS + 17)
    assert len(result) == 3 * CHUNK_ROWS + 17
    for index in (0, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS + 3, len(result) - 1):
        assert result.row(index) == (index, f"name {index}")
    assert [row[0] for chunk in result.chunks() for row in chunk] == list(range(len(result)))
    for index in (-1, len(result)):
        with pytest.raises(IndexError):
            result.row(index)


def test_values_of_all_types_come_back_as_they_were() -> None:
    row = (None, "", "é\x00", Decimal("1.50"), NOW, date(2013, 1, 1), b"\x00", [1, None], {"k": 2.5}, (1, "x"))
    result = Result([("c", "varchar")] * len(row), 10_000, 1 << 30)
    result.append([row] * (CHUNK_ROWS + 1))
    assert result.row(0) == result.row(CHUNK_ROWS) == row


def test_rows_that_come_after_it_was_closed_are_not_kept_and_the_reader_ends() -> None:
    result = Result(COLUMNS, 10_000, 1 << 30)
    result.append([(n, "x") for n in range(300)])
    result.close()
    room: list[bool] = []
    reader = threading.Thread(target=lambda: room.append(result.append([(0, "x")] * CHUNK_ROWS)), daemon=True)
    reader.start()
    reader.join(10)
    assert room == [False]
    assert len(result) == 0


def test_more_rows_than_are_kept_are_left_out_and_that_is_said() -> None:
    result = Result(COLUMNS, 1000, 1 << 30)
    assert result.append([(n, "x") for n in range(600)])
    assert result.append([(n, "x") for n in range(400)]), "exactly as many as are kept are not too many"
    assert not result.full
    assert not result.append([(0, "x")])
    assert result.full
    assert len(result) == 1000


def test_rows_that_fill_the_disk_s_share_are_stopped() -> None:
    result = Result(COLUMNS, 1 << 40, 10_000)
    noise = [(n, os.urandom(50).hex()) for n in range(CHUNK_ROWS)]
    assert not result.append(noise)
    assert result.full


@pytest.mark.programs
def test_memory_does_not_grow_with_the_rows() -> None:
    rows = [(n, "x" * 100) for n in range(CHUNK_ROWS)]
    chunk = 500 * CHUNK_ROWS  # bytes; a row of these, read back, is well under 500
    bound = (CACHED + 4) * chunk
    tracemalloc.start()
    try:
        result = Result(COLUMNS, 10_000_000, 1 << 40)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(400):
            result.append(list(rows))
        for index in range(0, len(result), CHUNK_ROWS // 2):
            result.row(index)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(result) == 400 * CHUNK_ROWS
    assert grown < bound, f"{grown:,} bytes for {len(result):,} rows"


def test_wide_rows_make_smaller_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "CHUNK_BYTES", 10_000)
    result = Result(COLUMNS, 10_000, 1 << 30)
    result.append([(n, f"{n:01000}") for n in range(CHUNK_ROWS)])
    sizes = [len(chunk) for chunk in result.chunks()]
    assert max(sizes) <= 10
    assert [result.row(n)[0] for n in range(CHUNK_ROWS)] == list(range(CHUNK_ROWS))


def test_nothing_is_left_behind_and_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = filled(2 * CHUNK_ROWS)
    assert list((tmp_path / "cache" / "dataops").iterdir()) == []
    result.close()
    assert len(result) == 0
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SpillFailed, match="cannot be stored"):
        Result(COLUMNS, 10, 10)


# --- statistics ----------------------------------------------------------------------------------------------


def test_statistics_of_what_was_fetched() -> None:
    rows = [(n, None if n % 4 == 0 else f"name {n % 10}", [n]) for n in range(200)]
    seen: list[int] = []
    number, text, parts = column_statistics(
        (*COLUMNS, ("parts", "array(bigint)")), [rows[:150], rows[150:]], seen.append
    )
    assert seen == [150, 200]
    assert (number.rows, number.nulls, number.distinct, number.exact) == (200, 0, 200, True)
    assert (number.smallest, number.largest) == (0, 199)
    assert (text.nulls, text.distinct) == (50, 10)
    assert (text.smallest, text.largest, text.length) == ("name 0", "name 9", 6)
    assert parts.distinct == 200


@pytest.mark.programs
def test_many_different_values_are_estimated_within_a_few_per_cent() -> None:
    (column,) = column_statistics(
        (("id", "bigint"),), ([(n,) for n in range(s, s + 500)] for s in range(0, 50_000, 250))
    )
    assert not column.exact
    assert abs(column.distinct - 50_250) / 50_250 < 0.1


def test_values_without_an_order_have_no_smallest() -> None:
    (column, nan) = column_statistics(
        (("m", "map(varchar, bigint)"), ("x", "double")), [[({"a": 1}, float("nan")), ({"b": 2}, 1.5), (None, 0.5)]]
    )
    assert (column.smallest, column.largest, column.distinct, column.nulls) == (None, None, 2, 1)
    assert (nan.smallest, nan.largest) == (0.5, 1.5)


# --- export --------------------------------------------------------------------------------------------------

TYPED = (
    ("n", "bigint"),
    ("n", "decimal(5,2)"),
    ("at", "timestamp(6) with time zone"),
    ("day", "date"),
    ("raw", "varbinary"),
    ("parts", "array(bigint)"),
    ("text", "varchar(10)"),
)
TYPED_ROWS = [
    (1, Decimal("1.50"), NOW, date(2013, 1, 1), b"\x01", [1, 2], 'a "b",\nc'),
    (None, None, None, None, None, None, None),
]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    assert export(path, TYPED, iter([TYPED_ROWS])) == 2
    table = pq.read_table(path)
    assert table.schema.names == ["n", "n_2", "at", "day", "raw", "parts", "text"]
    assert table.schema.field("n_2").type == pa.decimal128(5, 2)
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")
    first, second = table.to_pylist()
    assert tuple(first.values()) == (*TYPED_ROWS[0][:5], "[1, 2]", TYPED_ROWS[0][6])
    assert set(second.values()) == {None}


def test_csv_and_json_hold_the_same(tmp_path: Path) -> None:
    export(tmp_path / "out.csv", TYPED, iter([TYPED_ROWS]))
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[1] == ["1", "1.50", NOW.isoformat(), "2013-01-01", "01", "[1, 2]", 'a "b",\nc']
    export(tmp_path / "out.json", TYPED, iter([TYPED_ROWS]))
    assert json.loads((tmp_path / "out.json").read_text())[0]["parts"] == [1, 2]
    export(tmp_path / "out.jsonl", TYPED, iter([TYPED_ROWS]))
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
    assert export(tmp_path / "none.parquet", TYPED, iter([])) == 0
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_nothing_is_overwritten_unasked_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("precious")
    with pytest.raises(ExportRefused, match="already exists"):
        export(path, COLUMNS, iter([[(1, "a")]]))
    assert path.read_text() == "precious"
    export(path, COLUMNS, iter([[(1, "a")]]), overwrite=True)
    assert "precious" not in path.read_text()

    def broken() -> Iterator[list[tuple[Any, ...]]]:
        yield [(1, "a")]
        raise SpillFailed("the disk is full")

    with pytest.raises(SpillFailed):
        export(tmp_path / "half.csv", COLUMNS, broken())
    with pytest.raises(ExportRefused, match="Parquet cannot hold"):
        export(tmp_path / "odd.parquet", (("n", "bigint"),), iter([[("not a number",)]]))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["out.csv"]


@pytest.mark.parametrize(
    "typed", ["out", "out.xlsx", "no/such/folder/out.csv", "", "~nobody-of-that-name/x.csv", "x" * 300 + ".csv"]
)
def test_a_file_that_cannot_be_is_refused(typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportRefused):
        export_path(typed)


def test_a_folder_that_may_not_be_looked_into_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", denied)
    with pytest.raises(ExportRefused, match="permission denied"):
        export_path("x.csv")


# --- plans ---------------------------------------------------------------------------------------------------

MEASURED = """\
Trino version: 476
Queued: 376.91us, Analysis: 6.93ms, Planning: 4.25ms, Execution: 85.66ms
Fragment 1 [SINGLE]
    CPU: 2.76ms, Scheduled: 3.06ms, Blocked 109.36ms (Input: 56.74ms, Output: 0.00ns), Input: 2 rows (18B)
    Output layout: [count]
    Output partitioning: SINGLE []
    Aggregate[type = FINAL]
    │   Layout: [count:bigint]
    │   Estimates: {rows: 1 (9B), cpu: 0, memory: 9B, network: 0B}
    │   CPU: 1.00ms (10.00%), Scheduled: 1.00ms (2.63%), Blocked: 0.00ns (0.00%), Output: 1 row (9B)
    │   count := count(count_0)
    └─ LocalExchange[partitioning = SINGLE]
       │   Layout: [count_0:bigint]
       │   CPU: 0.00ns (0.00%), Scheduled: 0.00ns (0.00%), Blocked: 1.00ms (1.00%), Output: 2 rows (18B)
       └─ RemoteSource[sourceFragmentIds = [2]]
              Layout: [count_0:bigint]
              CPU: 0.00ns (0.00%), Scheduled: 0.00ns (0.00%), Blocked: 1.00ms (1.00%), Output: 2 rows (18B)
Fragment 2 [SOURCE]
    CPU: 27.00ms, Scheduled: 30.00ms, Blocked 0.00ns (Input: 0.00ns, Output: 0.00ns), Input: 15000 rows (0B)
    Output layout: [count_0]
    Output partitioning: SINGLE []
    Aggregate[type = PARTIAL]
    │   CPU: 2.00ms (20.00%), Scheduled: 2.00ms (2.63%), Blocked: 0.00ns (0.00%), Output: 2 rows (18B)
    └─ TableScan[table = tpch:tiny:orders]
           Layout: []
           CPU: 7.00ms (70.00%), Scheduled: 9.00ms (90.00%), Blocked: 0.00ns (0.00%), Output: 15,000 rows (0B)
           tpch:orderstatus
               :: [[F], [O], [P]]
"""


def shape(node: PlanNode) -> list[Any]:
    return [node.name, *(shape(child) for child in node.children)]


def test_a_measured_plan_is_one_tree_over_its_fragments() -> None:
    plan = read_plan(MEASURED)
    assert plan.measured
    assert plan.summary.startswith("Queued: 376.91us")
    assert shape(plan.root) == [
        "Aggregate",
        ["LocalExchange", ["RemoteSource", ["Aggregate", ["TableScan"]]]],
    ]
    scan = list(plan.root.walk())[-1]
    assert (scan.about, scan.rows, scan.share, scan.cpu) == ("table = tpch:tiny:orders", 15000, 0.7, "7.00ms")
    assert (scan.fragment, scan.costly) == ("2", True)
    assert [node.costly for node in plan.root.walk()] == [False, False, False, True, True]


def test_an_estimated_plan_shares_its_cost_and_keeps_what_is_unknown_unknown() -> None:
    scan = {"name": "TableScan", "estimates": [{"outputRowCount": "NaN", "cpuCost": "NaN"}], "children": []}
    join = {"name": "InnerJoin", "estimates": [{"outputRowCount": 10, "cpuCost": 30.0}], "children": [scan, scan]}
    root = {
        "name": "Output",
        "descriptor": {"columnNames": "[a]"},
        "estimates": [{"cpuCost": 10.0}],
        "children": [join],
    }
    plan = read_plan(json.dumps(root))
    assert not plan.measured
    shares = [node.share for node in plan.root.walk()]
    assert shares == [0.25, 0.75, None, None]
    assert [node.rows for node in plan.root.walk()] == [None, 10, None, None]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"0": 5}', '{"0": {"children": []}}', "{", "Fragment 1 [X]\n"])
def test_a_plan_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_plan(text)


def test_a_statement_is_asked_for_its_plan() -> None:
    assert explain("SELECT 1") == "EXPLAIN (TYPE DISTRIBUTED, FORMAT JSON) SELECT 1"
    assert explain("SELECT 1", analyze=True) == "EXPLAIN ANALYZE SELECT 1"


# --- history and saved queries -------------------------------------------------------------------------------


def ran(statement: str, number: int = 0, context: str = "test") -> Ran:
    at = (NOW + timedelta(seconds=number)).isoformat()
    return Ran(at, context, statement, "finished", 1, 0.5)


def test_the_history_is_newest_first_each_once_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "MOST", 10)
    history = History(tmp_path / "state" / "history.jsonl")
    assert history.newest() == ()
    for number in range(40):
        history.add(ran(f"SELECT {number % 20}", number))
    history.add(ran("SELECT 'x' AS password", 41))
    history.add(ran("SELECT " + "1" * library.LONGEST, 42))
    statements = [entry.statement for entry in history.newest()]
    assert statements[:2] == ["SELECT '***' AS password", "SELECT 19"]
    assert len(statements) == len(set(statements)) <= 10
    path = tmp_path / "state" / "history.jsonl"
    assert len(path.read_text().splitlines()) <= 13
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_history_with_a_broken_line_is_read_all_the_same(tmp_path: Path) -> None:
    history = History(tmp_path / "h.jsonl")
    history.add(ran("SELECT 1"))
    with (tmp_path / "h.jsonl").open("a") as file:
        file.write('{"cut": \nnull\n{"at": 1}\n')
    assert [entry.statement for entry in history.newest()] == ["SELECT 1"]
    (tmp_path / "h.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(LibraryFailed):
        history.newest()


def test_saved_queries_are_files_and_one_s_own_wins(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "a.sql").write_text("-- Which one?\nSELECT 1")
    (shipped / "b.sql").write_text("SELECT 2")
    saved = SavedQueries(tmp_path / "own", (shipped, tmp_path / "none"))
    assert [(query.name, query.about) for query in saved.all()] == [("a", "Which one?"), ("b", "")]
    path = saved.save("b.sql", "SELECT 3")
    assert path == tmp_path / "own" / "b.sql"
    assert [query.statement for query in saved.all()] == ["-- Which one?\nSELECT 1", "SELECT 3\n"]
    with pytest.raises(LibraryFailed, match="already exists"):
        saved.save("b", "SELECT 4")
    saved.save("b", "SELECT 4", overwrite=True)
    assert path.read_text() == "SELECT 4\n"
    assert (shipped / "b.sql").read_text() == "SELECT 2"


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "x" * 200])
def test_a_name_that_leaves_the_folder_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(LibraryFailed, match="is not a valid query name"):
        SavedQueries(tmp_path).save(name, "SELECT 1")
