"""Messages from background work to the app. Only their handlers change the app's state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.screen import Screen

from dataops_core.health.model import HealthSnapshot

if TYPE_CHECKING:
    from dataops_core.actions import Backfill
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.airflow.responses import DagRun
    from dataops_core.systems.airflow.runs import Param
    from dataops_core.systems.kafka.records import Record
    from dataops_core.systems.kafka.subjects import SubjectSchema
    from dataops_tui.time_travel import History, Move, Past
    from dataops_tui.watching import Watching
    from dataops_tui.widgets.log_view import Line


@dataclass
class Connected(Message):
    """The monitor of that context has started."""

    monitor: Watching
    context: str


@dataclass
class SnapshotArrived(Message):
    """The monitor has published a new health snapshot."""

    snapshot: HealthSnapshot

    def can_replace(self, message: Message) -> bool:
        """Return True for the same type: a busy console handles only the newest one."""
        return isinstance(message, SnapshotArrived)


@dataclass
class HistoryRead(Message):
    """The list of recorded moments has been read.

    Attributes:
        history: `None` if it cannot be read.
        move: The move that the user asked for.
        error: Why it cannot be read, in one line.
    """

    history: History | None
    move: Move
    error: str | None = None


@dataclass
class MomentRead(Message):
    """A moment of the past has been read.

    Attributes:
        past: `None` if it cannot be read.
        error: Why it cannot be read, in one line.
    """

    past: Past | None
    error: str | None = None


@dataclass
class WorkFailed(Message):
    """Background work has failed.

    Attributes:
        what: The work, e.g. `loading the DAGs`.
        error: The error, in one line.
    """

    what: str
    error: str


@dataclass
class ParamsLoaded(Message):
    """The declared parameters of a DAG have been loaded."""

    params: tuple[Param, ...]


@dataclass
class BackfillPlanned(Message):
    """Airflow has returned the dates that a backfill would run."""

    airflow: AirflowClient
    wanted: Backfill
    dates: tuple[datetime, ...]


@dataclass
class LogGrown(Message):
    """A part of a log has been read; `token` requests the next part, and is `None` at the end."""

    started: bool
    lines: list[Line]
    token: str | None
    at: datetime


@dataclass
class DagChecked(Message):
    """Airflow has confirmed that the DAG exists whose name the user typed on that screen."""

    dag_id: str
    screen: Screen[Any]


@dataclass
class DagTriggered(Message):
    """Airflow has accepted a run."""

    run: DagRun


@dataclass
class Fetched(Message):
    """A screen's data has been fetched.

    Attributes:
        source: The context and the component of the data.
        value: The data, of the screen's type.
        at: Time of the fetch.
        rows: The table's rows, computed in the background.
        filling: Number of the table's filling that the rows were computed for.
    """

    source: tuple[str, str | None]
    value: Any
    at: datetime
    rows: Any = None
    filling: int = 0


@dataclass
class RecordsArrived(Message):
    """A batch of records of the peek with that number.

    Attributes:
        records: The records that match the filter.
        read: Number of records that were read, matching or not.
    """

    peek: int
    records: tuple[Record, ...]
    read: int


@dataclass
class SchemaLoaded(Message):
    """The newest schema of a subject has been loaded."""

    schema: SubjectSchema


@dataclass
class Changed(Message):
    """An action has been carried out.

    Attributes:
        what: The change, in one line.
    """

    what: str
