"""What Airflow's REST API answers in the form of v2, as typed values; a wrong item says why and hides no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import TypeVar

from dataops_core.bounded import Malformed
from dataops_core.reasons import line
from dataops_core.transport.fields import Fields

T = TypeVar("T")

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
TRACE = 100_000
"""Characters of a trace that are kept: its end names the error."""
_NAMES = 200
"""Characters of a name that cannot be read in full."""


@dataclass(frozen=True, slots=True)
class AirflowHealth:
    """What Airflow says of itself.

    Attributes:
        parts: Status by part (`metadatabase`, `scheduler`, `dag_processor`, `triggerer`); a part that does not run has
            no status and is left out.
        heartbeats: Newest heartbeat of each part, if Airflow reports one.
    """

    parts: Mapping[str, str]
    heartbeats: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def unhealthy(self) -> tuple[str, ...]:
        """The parts that are not healthy."""
        return tuple(part for part, status in self.parts.items() if status != "healthy")


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a DAG.

    Attributes:
        state: `queued`, `running`, `success` or `failed`.
        data_interval_end: End of the data that it covers, where it covers an interval.
        unreadable: Why it cannot be read; `None` where it can.
    """

    dag_id: str
    run_id: str
    state: str
    run_type: str
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG.

    Attributes:
        schedule: Its schedule in words, where it has one.
        import_errors: Whether its file fails to load at present.
        file: Its file, as in Airflow's import errors: relative to its bundle.
        next_run_after: When the schedule's next run is to be made; `None` where no time is set.
        unreadable: Why it cannot be read; `None` where it can.
    """

    dag_id: str
    paused: bool
    schedule: str | None
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    import_errors: bool
    file: str | None = None
    next_run_after: datetime | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class DagAsset:
    """An asset, as DAGs declare what they read and write.

    Attributes:
        writers: DAGs with a task that has it as an outlet.
        readers: DAGs that it starts, or with a task that has it as an inlet.
    """

    name: str
    uri: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A DAG file that fails to load.

    Attributes:
        file: Its path, relative to its bundle.
        reason: The first line of the error's message.
        at: When it failed last.
        trace: The end of the trace.
    """

    file: str
    reason: str
    at: datetime | None
    trace: str = field(default="", repr=False)

    def names(self, dag_id: str) -> bool:
        """Return whether the trace names a DAG."""
        return re.search(rf"(?<![\w.-]){re.escape(dag_id)}(?![\w.-])", self.trace) is not None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of task slots.

    Attributes:
        slots: How many it has; -1 for no limit.
        open: Slots that are free.
        waiting: Tasks that wait for one; a queued task has one already.
        unreadable: Why its numbers are unknown; `None` where they are known.
    """

    name: str
    slots: int | None
    open: int | None
    waiting: int | None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveTask:
    """A task that runs or is about to.

    Attributes:
        state: `running`, `queued` or `scheduled`.
        started_at: `None` unless it runs.
    """

    dag_id: str
    run_id: str
    task_id: str
    state: str
    pool: str
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class DagState:
    """A DAG with its newest runs, newest first."""

    dag: Dag
    runs: tuple[DagRun, ...]


def read_health(answer: object) -> AirflowHealth:
    """Return what `/monitor/health` answers; raises Malformed."""
    fields = Fields(answer)
    for part in ("metadatabase", "scheduler"):
        fields.require_inner(part).require_text("status")
    there = {part: info for part in PARTS if (info := fields.inner(part)).text("status")}
    beats = {part: info.time(f"latest_{part}_heartbeat") for part, info in there.items()}
    return AirflowHealth(
        {part: info.text("status") or "" for part, info in there.items()},
        {part: at for part, at in beats.items() if at is not None},
    )


def read_items(
    answer: object, name: str, key: str, read: Callable[[Fields], T], instead: Callable[[str, str], T], offset: int = 0
) -> tuple[list[T], int]:
    """Return the items of a page and how many items there are on all pages; raises Malformed where it is no page.

    Args:
        answer: The answer.
        name: Its field that has the items.
        key: The field of an item that names it.
        read: Reads one item; raises Malformed.
        instead: Returns an item that cannot be read, from its name and why.
        offset: Items of the pages before.
    """
    page = Fields(answer)
    items: list[T] = []
    for number, item in enumerate(page.require_list(name), offset + 1):
        try:
            items.append(read(Fields(item)))
        except Malformed as error:
            named = item.get(key) if isinstance(item, Mapping) else None
            items.append(instead(named[:_NAMES] if isinstance(named, str) and named else f"#{number}", f"it {error}"))
    return items, page.require_count("total_entries")


def read_page(answer: object, name: str, read: Callable[[Fields], T]) -> tuple[list[T], int]:
    """Return the items of a page and how many items there are on all pages; raises Malformed."""
    page = Fields(answer)
    return [read(item) for item in page.require_objects(name)], page.require_count("total_entries")


def read_all(answer: object, name: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
    """Return the items of a page; raises Malformed where one of them cannot be read."""
    return tuple(read(item) for item in Fields(answer).require_objects(name))


def read_dag(fields: Fields) -> Dag:
    """Return a DAG; raises Malformed."""
    return Dag(
        dag_id=fields.require_text("dag_id"),
        paused=fields.require_flag("is_paused"),
        schedule=fields.text("timetable_summary"),
        owners=fields.texts("owners"),
        tags=tuple(name for tag in fields.objects("tags") if (name := tag.text("name")) is not None),
        import_errors=bool(fields.flag("has_import_errors")),
        file=fields.text("relative_fileloc"),
        next_run_after=fields.time("next_dagrun_run_after"),
    )


def unreadable_dag(dag_id: str, why: str) -> Dag:
    """Return a DAG that cannot be read."""
    return Dag(dag_id, paused=False, schedule=None, owners=(), tags=(), import_errors=False, unreadable=why)


def read_run(fields: Fields) -> DagRun:
    """Return a run; raises Malformed."""
    return DagRun(
        dag_id=fields.require_text("dag_id"),
        run_id=fields.require_text("dag_run_id"),
        state=fields.require_text("state"),
        run_type=fields.text("run_type") or "",
        queued_at=fields.time("queued_at"),
        started_at=fields.time("start_date"),
        ended_at=fields.time("end_date"),
        data_interval_start=fields.time("data_interval_start"),
        data_interval_end=fields.time("data_interval_end"),
    )


def unreadable_run(dag_id: str, run_id: str, why: str) -> DagRun:
    """Return a run that cannot be read."""
    return DagRun(dag_id, run_id, "unknown", "", None, None, None, None, None, unreadable=why)


def read_asset(fields: Fields) -> DagAsset:
    """Return an asset; raises Malformed."""
    by = {name: {item.require_text("dag_id") for item in fields.objects(name)} for name in _DAGS_OF_ASSET}
    readers = by["scheduled_dags"] | by["consuming_tasks"]
    return DagAsset(
        fields.require_text("name"),
        fields.require_text("uri"),
        tuple(sorted(by["producing_tasks"])),
        tuple(sorted(readers)),
    )


_DAGS_OF_ASSET = ("producing_tasks", "scheduled_dags", "consuming_tasks")


def read_pool(fields: Fields) -> Pool:
    """Return a pool; raises Malformed."""
    slots, free = fields.number("slots"), fields.number("open_slots")
    if slots is None or free is None:
        raise Malformed("has a pool without a number of slots")
    return Pool(fields.require_text("name"), int(slots), int(free), fields.require_count("scheduled_slots"))


def unreadable_pool(name: str, why: str) -> Pool:
    """Return a pool that cannot be read."""
    return Pool(name, None, None, None, unreadable=why)


def read_active_task(fields: Fields) -> ActiveTask:
    """Return a task that runs or is about to; raises Malformed."""
    return ActiveTask(
        fields.require_text("dag_id"),
        fields.require_text("dag_run_id"),
        fields.require_text("task_id"),
        fields.require_text("state"),
        fields.require_text("pool"),
        fields.time("start_date"),
    )


def read_failed_file(fields: Fields) -> FailedFile:
    """Return a DAG file that fails to load; raises Malformed."""
    trace = fields.text("stack_trace") or ""
    return FailedFile(fields.require_text("filename"), _reason(trace), fields.time("timestamp"), trace[-TRACE:])


def read_token(answer: object) -> str:
    """Return the token that `/auth/token` issues; raises Malformed."""
    return Fields(answer).require_text("access_token")


def _reason(trace: str) -> str:
    """Return the first line of the message in a trace: the one that names the exception, after the last frame."""
    lines = [text for text in trace[-TRACE:].splitlines() if text.strip()]
    starts = [number for number, text in enumerate(lines) if text.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else []
    result = next((text for text in after if not text[0].isspace()), lines[-1] if lines else "")
    return line(result) if result else "no trace"


def not_loaded(dag_id: str, failed: Sequence[FailedFile]) -> tuple[str, str]:
    """Return that a DAG is in a file that fails to load, or may be, and what to do about it."""
    own = next((f for f in failed if PurePosixPath(f.file).stem == dag_id or f.names(dag_id)), None)
    if own is not None:
        return f"its file {own.file} fails to load: {own.reason}", f"Fix {own.file}."
    named = ", ".join(f"{f.file} ({f.reason})" for f in failed[:3])
    more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
    return f"it may be in a file that fails to load: {named}{more}", f"Fix the file of {dag_id}, or correct its name."
