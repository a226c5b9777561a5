"""Messages from background work to the app. Handlers change state; background work only posts these."""

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
    from dataops_tui.time_travel import History, Move, Past
    from dataops_tui.watching import Watching
    from dataops_tui.widgets.log_view import Line


@dataclass
class Connected(Message):
    """What watches that context has been made, and has begun."""

    monitor: Watching
    context: str


@dataclass
class SnapshotArrived(Message):
    """The monitor has folded a new health snapshot."""

    snapshot: HealthSnapshot

    def can_replace(self, message: Message) -> bool:
        """Only the newest one counts, so that a busy console does not work off old ones."""
        return isinstance(message, SnapshotArrived)


@dataclass
class HistoryRead(Message):
    """What is recorded is known.

    Attributes:
        history: `None` where it cannot be read.
        move: Where to go in it.
        error: Why it cannot be read, in one line.
    """

    history: History | None
    move: Move
    error: str | None = None


@dataclass
class MomentRead(Message):
    """A moment of the past has been read.

    Attributes:
        past: `None` where it cannot be read.
        error: Why not, in one line.
    """

    past: Past | None
    error: str | None = None


@dataclass
class WorkFailed(Message):
    """Something that was asked for did not come.

    Attributes:
        what: What was being done, e.g. `loading the DAGs`.
        error: Why not, in one line.
    """

    what: str
    error: str


@dataclass
class ParamsLoaded(Message):
    """The parameters that a DAG declares."""

    params: tuple[Param, ...]


@dataclass
class BackfillPlanned(Message):
    """Airflow has said which dates a backfill would run."""

    airflow: AirflowClient
    wanted: Backfill
    dates: tuple[datetime, ...]


@dataclass
class LogGrown(Message):
    """A part of a log has been read; `token` asks for the next part, and is `None` at the end."""

    started: bool
    lines: list[Line]
    token: str | None
    at: datetime


@dataclass
class DagFound(Message):
    """Airflow has the DAG whose name was typed on that screen."""

    dag_id: str
    screen: Screen[Any]


@dataclass
class DagTriggered(Message):
    """Airflow has taken the order for a run."""

    run: DagRun


@dataclass
class Fetched(Message):
    """What a screen has asked for is there.

    Attributes:
        source: The context and the component that it belongs to.
        value: What it is; each screen knows its own.
        at: When it was there.
        rows: The rows of it, as they were made in the background.
        filling: Which filling of the table they were made for.
    """

    source: tuple[str, str | None]
    value: Any
    at: datetime
    rows: Any = None
    filling: int = 0


@dataclass
class RecordsArrived(Message):
    """Some records of the peek with that number.

    Attributes:
        records: Those that are wanted.
        read: How many were read for them.
    """

    peek: int
    records: tuple[Record, ...]
    read: int


@dataclass
class Changed(Message):
    """An action has been done.

    Attributes:
        what: What was done, in one line.
    """

    what: str
