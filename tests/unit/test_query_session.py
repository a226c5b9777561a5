"""The life cycle of a query: what runs, what is kept, how it ends, and that nothing stays behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dataops_core.actions import SqlRisk
from dataops_core.actions.sql import assess_sql
from dataops_core.errors import ActionRefused, QueryFailed, TimedOut, Unreachable
from dataops_core.sql.results import CHUNK_ROWS, Result
from dataops_core.sql.scan import statements
from dataops_core.systems.trino.responses import QueryProgress
from dataops_tui import query_session
from dataops_tui.query_session import Outcome, QueryEnd, QuerySession, ReadEnd

COLUMNS = (("id", "bigint"), ("name", "varchar"))
PLAN = '{"0": {"name": "Output", "descriptor": {}, "estimates": [{"outputRowCount": 10.0, "cpuCost": 0.0}]}}'


@dataclass
class Query:
    """A query in a server; `on_batch` is called before each batch, e.g. to cancel meanwhile."""

    rows: int = 3
    columns: tuple[tuple[str, str], ...] = COLUMNS
    query_id: str | None = "q_1"
    update_type: str | None = None
    update_count: int | None = None
    row: tuple[Any, ...] | None = None
    error: Exception | None = None
    cancel_error: Exception | None = None
    on_batch: Callable[[], object] = lambda: None
    state: str = "RUNNING"
    cancelled: bool = False
    cancels: int = 0
    read: int = 0
    closed: bool = False
    progressed: bool = True

    def batches(self) -> Generator[list[tuple[Any, ...]]]:
        try:
            for at in range(0, self.rows, 500):
                self.on_batch()
                batch = [self.row or (n, f"name {n}") for n in range(at, min(self.rows, at + 500))]
                self.read += len(batch)
                yield batch
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True

    def progress(self) -> QueryProgress | None:
        return QueryProgress(self.state, 3, 8, 1000, 0, 1.5, 7.0) if self.progressed else None

    def cancel(self) -> None:
        self.cancelled = True
        self.cancels += 1
        if self.cancel_error is not None:
            raise self.cancel_error

    def stop(self) -> None:
        self.cancel()
        if not self.closed:
            raise TimedOut("the query q_1 may still run in the server")


@dataclass
class Tab:
    """A session, and what its owner does with it."""

    session: QuerySession = field(default_factory=QuerySession)
    results: list[Result] = field(default_factory=list)

    def begin(self, text: str) -> int:
        """Start the next statement of a text, or of those that wait."""
        if not self.session.has_next:
            self.session.queue(statements(text))
        return self.session.start(self.session.next().text)

    def read(self, query: Query, number: int) -> ReadEnd:
        def on_result(number: int, result: Result) -> None:
            self.results.append(result)
            self.session.take(number, result)

        return self.session.run(number, lambda: query, on_result)

    def run(self, query: Query, text: str = "SELECT 1") -> QueryEnd:
        end = self.session.end(self.read(query, self.begin(text)))
        assert end is not None
        return end


@pytest.fixture(autouse=True)
def _spill_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def tab() -> Tab:
    return Tab()


def test_a_query_that_finishes_keeps_its_rows(tab: Tab) -> None:
    end = tab.run(Query(1200), "SELECT * FROM t")
    assert (end.outcome, end.rows, end.statement, end.truncated) == (Outcome.FINISHED, 1200, "SELECT * FROM t", False)
    assert end.text == "1,200 rows in 1.5s  q_1"
    assert tab.session.result is not None
    assert tab.session.result.row(1199) == (1199, "name 1199")
    assert not tab.session.busy


def test_a_query_without_rows_keeps_its_columns(tab: Tab) -> None:
    assert tab.run(Query(0)).text == "0 rows in 1.5s  q_1"
    assert tab.session.result is not None
    assert tab.session.result.columns == COLUMNS


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (Query(0, columns=(), update_type="DELETE", update_count=7), "DELETE, 7 rows in 1.5s  q_1"),
        (Query(0, columns=(), update_type="CREATE TABLE", progressed=False), "CREATE TABLE  q_1"),
        (Query(0, columns=(), query_id=None), "done in 1.5s"),
    ],
)
def test_a_change_says_what_it_did(tab: Tab, query: Query, text: str) -> None:
    assert tab.run(query).text == text
    assert tab.session.result is None


def test_the_next_query_closes_the_rows_of_the_previous_one(tab: Tab) -> None:
    tab.run(Query(1200))
    tab.run(Query(1))
    assert [len(result) for result in tab.results] == [0, 1]


def test_a_query_with_too_many_rows_is_stopped_in_the_server(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_session, "MAX_ROWS", 1200)
    query = Query(100_000)
    end = tab.run(query)
    assert (end.outcome, end.rows, end.truncated) == (Outcome.FINISHED, 1200, True)
    assert end.text == "TRUNCATED: the first 1,200 rows; the query was stopped there  q_1"
    assert (query.cancels, query.read, query.closed) == (1, 1500, True)


def test_a_query_with_too_many_bytes_is_stopped_in_the_server(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_session, "MAX_BYTES", 1)
    query = Query(100_000)
    assert tab.run(query).truncated
    assert query.cancelled
    assert query.read == CHUNK_ROWS


@pytest.mark.parametrize(
    ("cancel_error", "text"),
    [
        (None, "set XDG_CACHE_HOME to a folder with free space  q_1"),
        (Unreachable("trino: connection refused"), "may still run in the server: trino: connection refused  q_1"),
    ],
)
def test_rows_that_cannot_be_spilled_fail_the_query_and_cancel_it(
    tab: Tab, monkeypatch: pytest.MonkeyPatch, cancel_error: Exception | None, text: str
) -> None:
    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("dataops_core.sql.results.os.pwrite", no_space)
    query = Query(100_000, cancel_error=cancel_error)
    end = tab.run(query)
    assert (end.outcome, end.truncated) == (Outcome.FAILED, False)
    assert end.text.startswith("the rows cannot be stored on disk: no space left on device")
    assert end.text.endswith(text)
    assert (query.cancels, query.closed) == (1, True)


def test_a_query_that_fails_says_why_and_keeps_what_has_come(tab: Tab) -> None:
    end = tab.run(Query(700, error=QueryFailed("EXCEEDED_TIME_LIMIT: the query ran longer than 1 min")))
    assert (end.outcome, end.rows) == (Outcome.FAILED, 700)
    assert end.text == "EXCEEDED_TIME_LIMIT: the query ran longer than 1 min  q_1"
    assert not tab.session.busy


def test_a_refused_statement_leaves_nothing_to_cancel(tab: Tab) -> None:
    def refuse() -> Query:
        raise ActionRefused("the context is read-only")

    with pytest.raises(ActionRefused):
        tab.session.run(tab.begin("DELETE FROM t; SELECT 1"), refuse, lambda *_: None)
    assert tab.session.cancel() is None
    tab.session.leave_off()
    assert not tab.session.busy
    assert not tab.session.has_next


def test_a_query_that_is_cancelled_reads_no_further(tab: Tab) -> None:
    query = Query(100_000)

    def cancel() -> None:
        if query.read == 1000:
            stop = tab.session.cancel()
            assert stop is not None
            with pytest.raises(TimedOut, match="may still run"):  # the owner reports a statement that is left behind
                stop()

    query.on_batch = cancel
    end = tab.run(query, "SELECT 1; SELECT 2")
    assert (end.outcome, end.rows, end.text) == (Outcome.CANCELLED, 1500, "cancelled after 1,500 rows  q_1")
    assert query.read == 1500
    assert not tab.session.has_next


def test_nothing_is_cancelled_before_the_query_is_submitted(tab: Tab) -> None:
    tab.begin("SELECT 1; SELECT 2")
    assert tab.session.cancel() is None
    assert tab.session.busy
    assert tab.session.has_next


def test_statements_run_in_order_up_to_the_first_that_fails(tab: Tab) -> None:
    assert tab.run(Query(1), "SELECT 1; SELECT 2; SELECT 3").text == "1 rows in 1.5s  (1 of 3)  q_1"
    assert tab.session.has_next
    end = tab.run(Query(0, error=QueryFailed("DIVISION_BY_ZERO")))
    assert (end.statement, end.outcome) == ("SELECT 2", Outcome.FAILED)
    assert not tab.session.has_next


def test_what_another_query_left_is_not_taken(tab: Tab) -> None:
    late = tab.begin("SELECT 1")
    tab.session.leave_off()
    tab.begin("SELECT 2")
    result = Result(COLUMNS, 10, 10_000)
    result.append([(1, "a")])
    assert not tab.session.take(late, result)
    assert len(result) == 0, "its rows are given back"
    assert tab.session.end(ReadEnd(late)) is None
    assert tab.session.busy
    tab.session.waits(late, "it is queued behind 3 queries")
    assert tab.session.why == ""


def test_a_session_that_is_closed_cancels_its_query_and_gives_the_rows_back(tab: Tab) -> None:
    query = Query(100_000)

    def close() -> None:
        if query.read == 1000:
            assert tab.session.close() == query.stop

    query.on_batch = close
    tab.read(query, tab.begin("SELECT 1"))
    assert query.cancelled
    assert query.read == 1500
    assert [len(result) for result in tab.results] == [0]


def test_a_session_that_is_closed_while_it_submits_reads_nothing(tab: Tab) -> None:
    query, number = Query(), tab.begin("SELECT 1")

    def submit() -> Query:
        assert tab.session.close() is None
        return query

    assert tab.session.run(number, submit, lambda *_: pytest.fail("there are rows")) == ReadEnd(number)
    assert query.read == 0


def test_a_session_that_has_ended_has_nothing_to_cancel(tab: Tab) -> None:
    tab.run(Query())
    assert tab.session.close() is None


def test_progress_names_rows_splits_and_why_it_waits(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    session = tab.session
    number = tab.begin("SELECT 1")
    assert session.progress() is None
    session.query = query = Query(state="QUEUED")
    progress = session.progress()
    assert progress is not None
    assert session.asks_why() is None, "not at once"
    monkeypatch.setattr(query_session, "ASK_WHY_EVERY", -1.0)
    assert session.asks_why() == (number, "q_1")
    session.waits(number, "it is queued behind 3 queries")
    text = "queued  3/8 splits  1,000 rows, 0 B read  2s  (queued for 7s)  it is queued behind 3 queries"
    assert session.progress_text(progress) == text
    result = Result(COLUMNS, 10, 10_000)
    result.append([(1, "a")])
    assert session.take(number, result)
    assert "1 rows here" in session.progress_text(progress)
    assert session.asks_why() is None, "it has rows"
    query.cancel()
    assert session.progress() is None


def test_a_plan_is_read_from_the_rows(tab: Tab) -> None:
    assert tab.run(Query(1, (("Query Plan", "varchar"),), row=(PLAN,))).text.startswith("plan, ")
    assert tab.session.shows_plan
    tab.run(Query(1, (("Query Plan", "varchar"),), row=("{",)))
    assert tab.session.plan is None, "the rows stay as they are"


def test_a_statement_that_does_not_parse_goes_on_only_when_it_is_run_again(tab: Tab) -> None:
    wrong = "SELECT * FORM t"
    found = assess_sql(wrong)
    tab.session.queue(statements(f"{wrong}; SELECT 2"))
    tab.session.next()
    assert not tab.session.accepts(wrong, found, confirmable=True)
    assert not tab.session.busy
    assert not tab.session.has_next
    assert tab.session.accepts(wrong, found, confirmable=True)
    assert not tab.session.accepts(wrong, found, confirmable=False), "a read-only context offers no confirmation"
    assert tab.session.accepts("SELECT 1", assess_sql("SELECT 1"), confirmable=False)


@pytest.mark.parametrize(("statement", "risk"), [("CREATE TABLE t (a int)", SqlRisk.DDL), ("SELECT 1", SqlRisk.READ)])
def test_a_change_of_tables_makes_the_names_stale(tab: Tab, statement: str, risk: SqlRisk) -> None:
    tab.session.accepts(statement, assess_sql(statement), confirmable=True)
    assert tab.session.changed_names == (risk is SqlRisk.DDL)
