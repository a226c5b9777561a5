"""Messages from background work on queries to the screen."""

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
    """A statement has been classified, before it runs."""

    statement: Statement
    classification: Classification


@dataclass
class ResultBegan(Message):
    """The query with that number has returned its first rows; later rows are appended to the same result."""

    query: int
    result: Result


@dataclass
class QueryRead(Message):
    """All rows of a query have been read."""

    end: ReadEnd


@dataclass
class WhyQueued(Message):
    """The reason why the query with that number waits."""

    query: int
    reason: str


class NamesLoaded(Message):
    """Trino has returned the requested names, or failed to."""

    def can_replace(self, message: Message) -> bool:
        """Return True for the same type: one message is enough."""
        return isinstance(message, NamesLoaded)


@dataclass
class ExportProgress(Message):
    """Number of rows that are written to a file; `done` once the file is complete."""

    path: str
    rows: int
    done: bool = False

    def can_replace(self, message: Message) -> bool:
        """Return True for the same type: only the newest one is needed."""
        return isinstance(message, ExportProgress)


@dataclass
class StatisticsReady(Message):
    """The statistics of a result's columns have been computed."""

    columns: tuple[ColumnStatistics, ...]


@dataclass
class QueryDetailLoaded(Message):
    """The details of a query have been loaded; `edit` opens its statement in the SQL screen."""

    detail: QueryDetail
    edit: bool
