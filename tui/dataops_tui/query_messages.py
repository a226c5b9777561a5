"""Messages from work on queries to its screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from dataops_core.sql.results import Result
from dataops_core.sql.scan import Statement
from dataops_core.sql.statistics import ColumnStatistics

if TYPE_CHECKING:
    from dataops_core.actions.sql import Classification
    from dataops_core.systems.trino.responses import QueryDetail
    from dataops_tui.query_session import ReadEnd


@dataclass
class Classified(Message):
    """What a statement that is to run may do."""

    statement: Statement
    classification: Classification


@dataclass
class ResultBegan(Message):
    """The first rows of the query with that number are there; more are put into the same result as they come."""

    query: int
    result: Result


@dataclass
class QueryRead(Message):
    """The rows of a query have been read to their end."""

    end: ReadEnd


@dataclass
class WhyQueued(Message):
    """Why the query with that number waits, in words."""

    query: int
    reason: str


class NamesLoaded(Message):
    """Trino has told names that it was asked for, or failed to."""

    def can_replace(self, message: Message) -> bool:
        """One is enough."""
        return isinstance(message, NamesLoaded)


@dataclass
class ExportProgress(Message):
    """How many rows are written to a file; `done` once it is whole."""

    path: str
    rows: int
    done: bool = False

    def can_replace(self, message: Message) -> bool:
        """Only the newest one counts."""
        return isinstance(message, ExportProgress)


@dataclass
class StatisticsReady(Message):
    """The statistics of a result's columns."""

    columns: tuple[ColumnStatistics, ...]


@dataclass
class QueryDetailLoaded(Message):
    """One query in full; `edit` opens it in the SQL screen."""

    detail: QueryDetail
    edit: bool
