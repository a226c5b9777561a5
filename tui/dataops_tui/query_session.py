"""The life cycle of a tab's query: queued, classified, started, read, ended or cancelled. It draws nothing.

One thread owns a session. Only `run` is called in a background thread; the owner passes its return value to `end`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from dataops_core.actions import SqlRisk
from dataops_core.errors import BadAnswer, DataopsError
from dataops_core.sql.plan import Plan, read_plan
from dataops_core.sql.results import Result, SpillFailed
from dataops_core.systems.trino.responses import splits
from dataops_core.units import count, duration
from dataops_core.values import Columns
from dataops_tui import styled

if TYPE_CHECKING:
    from dataops_core.actions.sql import Classification
    from dataops_core.sql.scan import Statement
    from dataops_core.systems.trino.responses import QueryProgress

MAX_ROWS = 1_000_000
"""Maximum number of rows; a query with more is stopped and reported as truncated."""
MAX_BYTES = 2 << 30
"""Maximum size of the rows on disk in bytes, after compression; a query with more is stopped."""
REST = 0.002
"""Pause in seconds after each batch of rows, so that the event loop can draw and handle keys."""
ASK_WHY_EVERY = 2.0
"""Seconds between two requests for the reason why a query waits."""
PLAN_COLUMN = "Query Plan"
"""Trino's name of the one column of an EXPLAIN."""


class RunningQuery(Protocol):
    """The part of `dataops_core.systems.trino.client.QueryHandle` that a session uses."""

    @property
    def columns(self) -> Columns:
        """Names and types; set once `batches()` yields its first batch, or ends."""

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled here."""

    @property
    def query_id(self) -> str | None:
        """Trino's id; `None` before the query is submitted."""

    @property
    def update_type(self) -> str | None:
        """Kind of a statement without rows, e.g. `INSERT`."""

    @property
    def update_count(self) -> int | None:
        """Number of changed rows; `None` if Trino does not report it."""

    def batches(self) -> Generator[list[tuple[Any, ...]]]:
        """Run the statement and yield its rows in batches; raises DataopsError."""

    def progress(self) -> QueryProgress | None:
        """Return the progress; `None` before Trino's first report."""

    def cancel(self) -> None:
        """Send one cancel to the server; raises DataopsError."""

    def stop(self) -> None:
        """Cancel until the reader has ended; raises TimedOut if the query may still run in the server."""


class Outcome(StrEnum):
    """Result of a statement, as the history stores it."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ReadEnd:
    """Result of reading a query's rows.

    Attributes:
        query: Number of the query.
        error: Why it failed; `None` on success.
        stopped: Whether it was cancelled in the server because the limit of rows was reached.
    """

    query: int
    error: str | None = None
    stopped: bool = False

    @property
    def truncated(self) -> bool:
        """Whether the query had more rows than the limit."""
        return self.stopped and self.error is None


@dataclass(frozen=True, slots=True)
class QueryEnd:
    """Summary of an ended statement.

    Attributes:
        text: One line for the user.
        truncated: Whether it was stopped because it has more rows than the limit.
        rows: Number of rows that were kept.
        seconds: Duration.
    """

    statement: str
    outcome: Outcome
    text: str
    truncated: bool
    rows: int
    seconds: float


class QuerySession:
    """Statements that run in order until one does not finish, and the rows of the last one."""

    def __init__(self) -> None:
        self.busy = False
        """Whether a statement is being classified, confirmed or run."""
        self.query: RunningQuery | None = None
        """`None` before the statement is submitted."""
        self.result: Result | None = None
        """`None` before the first rows."""
        self.plan: Plan | None = None
        """The plan that the rows contain."""
        self.why = ""
        """Why the query waits; empty if unknown."""
        self._number = 0
        self._statement = ""
        self._risk = SqlRisk.UNKNOWN
        self._unparsed = ""
        """The statement whose syntax error was shown last; running it again sends it anyway."""
        self._began = 0.0
        self._asked_why = 0.0
        self._waiting: deque[Statement] = deque()
        self._of = 0
        self._closed = False

    # --- before it runs --------------------------------------------------------------------------------------

    def queue(self, statements: Sequence[Statement]) -> None:
        """Set the statements to run."""
        self._waiting, self._of = deque(statements), len(statements)

    @property
    def has_next(self) -> bool:
        """Whether statements wait for the running one to finish."""
        return bool(self._waiting)

    def next(self) -> Statement:
        """Take the next statement, and mark the session as busy."""
        self.busy, self.query = True, None
        return self._waiting.popleft()

    def accepts(self, statement: str, result: Classification, *, confirmable: bool) -> bool:
        """Return whether a classified statement may run; otherwise drop all statements, as it has a syntax error.

        Args:
            statement: The statement.
            result: Its classification.
            confirmable: Whether the user can confirm it as a change. Running it a second time then sends it anyway.
        """
        self._risk = result.risk
        if result.problem is None or (confirmable and self._unparsed == statement):
            return True
        self._unparsed = statement
        self.leave_off()
        return False

    def leave_off(self) -> None:
        """Drop all waiting statements."""
        self.busy = False
        self._waiting.clear()

    def start(self, statement: str) -> int:
        """Drop the previous query and its rows; return the number of the new query."""
        self._number += 1
        self.busy, self.query, self._statement, self.why, self.plan = True, None, statement, "", None
        self._began = self._asked_why = time.monotonic()
        if self.result is not None:
            self.result.close()
            self.result = None
        return self._number

    # --- while it runs ---------------------------------------------------------------------------------------

    def run(
        self, number: int, submit: Callable[[], RunningQuery], on_result: Callable[[int, Result], object]
    ) -> ReadEnd:
        """Submit the statement and read all of its rows; call it in the background.

        Args:
            number: The number that `start` returned.
            submit: Returns the query; it may refuse the statement with a DataopsError.
            on_result: Called with the result once it has rows. Later rows are appended to it.

        Raises:
            DataopsError: `submit` refused the statement.
        """
        query = self.query = submit()
        if self._closed:
            return ReadEnd(number)
        result: Result | None = None
        batches = query.batches()
        try:
            for batch in batches:
                if result is None:
                    result = Result(query.columns, MAX_ROWS, MAX_BYTES)
                    on_result(number, result)
                if not result.append(batch):
                    query.cancel()  # while it is still being read; nothing would end it afterwards
                    break
                if query.cancelled:
                    break
                time.sleep(REST)
            if result is None and query.columns:
                on_result(number, Result(query.columns, MAX_ROWS, MAX_BYTES))
        except SpillFailed as error:
            return ReadEnd(number, error=f"{error}{_cancel(query)}", stopped=True)
        except DataopsError as error:
            return ReadEnd(number, error=str(error))
        finally:
            batches.close()
        return ReadEnd(number, stopped=result is not None and result.full)

    def take(self, number: int, result: Result) -> bool:
        """Keep the rows of the running query; close the rows of another query and return False."""
        if number != self._number or self._closed:
            result.close()
            return False
        self.result = result
        return True

    def progress(self) -> QueryProgress | None:
        """Return the progress of the query; `None` if it is unknown or the query was cancelled."""
        return self.query.progress() if self.query is not None and not self.query.cancelled else None

    def progress_text(self, progress: QueryProgress) -> str:
        """Return the status line of a running query."""
        line = f"{progress.state.lower()}  {splits(progress)} splits"
        line += f"  {count(progress.rows)} rows, {styled.size(progress.bytes)} read  {duration(progress.elapsed)}"
        if progress.state == "QUEUED":
            line += f"  (queued for {duration(progress.queued)})"
        if self.result is not None:
            line += f"  {count(len(self.result))} rows here"
        return line + (f"  {self.why}" if self.why else "")

    def asks_why(self) -> tuple[int, str] | None:
        """Return number and id of a query without rows every `ASK_WHY_EVERY` seconds, to request why it waits."""
        if self.result is not None or self.query is None or time.monotonic() - self._asked_why <= ASK_WHY_EVERY:
            return None
        self._asked_why = time.monotonic()
        return (self._number, self.query.query_id) if self.query.query_id is not None else None

    def waits(self, number: int, why: str) -> None:
        """Store why the query with that number waits."""
        if number == self._number:
            self.why = why

    def cancel(self) -> Callable[[], None] | None:
        """Drop waiting statements; return the function that cancels the query, or `None` during its submission."""
        if self.query is None:
            return None
        self._waiting.clear()
        return self.query.stop

    # --- afterwards ------------------------------------------------------------------------------------------

    def end(self, read: ReadEnd) -> QueryEnd | None:
        """End the running query; return `None` if `read` belongs to another query."""
        if read.query != self._number:
            return None
        self.busy = False
        cancelled = self.query is not None and self.query.cancelled and not read.stopped
        rows = len(self.result) if self.result is not None else 0
        if cancelled:
            outcome, text = Outcome.CANCELLED, f"cancelled after {count(rows)} rows{self._id()}"
        elif read.error is not None:
            outcome, text = Outcome.FAILED, read.error + self._id()
        else:
            self.plan = _plan_in(self.result)
            outcome = Outcome.FINISHED
            text = (
                f"TRUNCATED: the first {count(rows)} rows; the query was stopped there{self._id()}"
                if read.truncated
                else self._done_text(rows)
            )
        if outcome is not Outcome.FINISHED:
            self._waiting.clear()
        return QueryEnd(self._statement, outcome, text, read.truncated, rows, seconds=time.monotonic() - self._began)

    @property
    def changed_names(self) -> bool:
        """Whether the statement changes tables, views or grants."""
        return self._risk is SqlRisk.DDL

    @property
    def shows_plan(self) -> bool:
        """Whether there is an estimated plan, which is not measured yet."""
        return self.plan is not None and not self.plan.measured and not self.busy

    def close(self) -> Callable[[], None] | None:
        """Release the rows; return the function that cancels a running query, or `None`."""
        self._closed = True
        if self.result is not None:
            self.result.close()
        return self.query.stop if self.busy and self.query is not None else None

    def _done_text(self, rows: int) -> str:
        query = self.query
        progress = query.progress() if query else None
        took = f" in {duration(progress.elapsed, precise=True)}" if progress and progress.elapsed is not None else ""
        position = f"  ({self._of - len(self._waiting)} of {self._of})" if self._of > 1 else ""
        if self.plan is not None:
            return f"plan, {self.plan.summary or 'estimated; press a in the plan to run and measure it'}{position}"
        if query is not None and not query.columns:
            changed = f", {count(query.update_count)} rows" if query.update_count else ""
            return f"{query.update_type or 'done'}{changed}{took}{position}{self._id()}"
        return f"{count(rows)} rows{took}{position}{self._id()}"

    def _id(self) -> str:
        return f"  {self.query.query_id}" if self.query and self.query.query_id else ""


def _plan_in(result: Result | None) -> Plan | None:
    """Return the plan that the rows contain; `None` if they contain none, or one that cannot be parsed."""
    if result is None or [name for name, _ in result.columns] != [PLAN_COLUMN] or not len(result):
        return None
    try:
        return read_plan("\n".join(str(row[0]) for chunk in result.chunks() for row in chunk))
    except BadAnswer:
        return None  # the rows stay as Trino wrote them


def _cancel(query: RunningQuery) -> str:
    """Cancel a query in the server; return a suffix for the error message if that failed."""
    try:
        query.cancel()
    except DataopsError as error:
        return f"; the query may still run in the server: {error}"
    return ""
