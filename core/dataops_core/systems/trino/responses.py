"""What Trino's REST API answers, as typed values: a wrong one is unknown if it is shown, an error if it is needed."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataops_core.bounded import Malformed, check_json
from dataops_core.reasons import line
from dataops_core.transport.fields import MAX_COUNT, Fields, as_utc
from dataops_core.units import count

if TYPE_CHECKING:  # the console reads these types before the SDK is there
    import requests
    from trino.client import TrinoStatus

MAX_STAGES = 1_000
"""Stages of a query that are shown."""
MAX_SECONDS = 1e10
"""Three centuries: a longer duration is a defect of the server."""
LITERAL = 100_000
"""Characters of an error's body, as the driver writes it, that are read."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrinoInfo:
    """A coordinator.

    Attributes:
        starting: Whether it has not finished to start.
        uptime: As Trino writes it, e.g. `3.25m`.
    """

    version: str
    starting: bool
    uptime: str


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage of a query that runs.

    Attributes:
        number: Trino's number of the stage; 0 gives the result.
        depth: How many stages lie between it and the result.
        state: Trino's word.
        splits_done: Splits that are complete.
        splits_total: Splits that are known.
        rows: Rows that were processed.
        bytes: Bytes that were processed.
        cpu: Seconds of CPU time.
    """

    number: str
    depth: int
    state: str
    splits_done: int | None
    splits_total: int | None
    rows: int | None
    bytes: int | None
    cpu: float | None


@dataclass(frozen=True, slots=True)
class QueryProgress:
    """How far a query is.

    Attributes:
        state: Trino's word: QUEUED, PLANNING, RUNNING, FINISHED, FAILED …
        splits_done: Splits that are complete.
        splits_total: Splits that are known.
        rows: Rows that were processed.
        bytes: Bytes that were processed.
        elapsed: Seconds since it was submitted, by Trino's clock.
        queued: Seconds that it waited in the queue.
        cpu: Seconds of CPU time.
        peak_memory: Bytes of memory that it held at most.
        stages: Its stages, the one that gives the result first, each before those that it reads from.
    """

    state: str
    splits_done: int | None
    splits_total: int | None
    rows: int | None
    bytes: int | None
    elapsed: float | None
    queued: float | None
    cpu: float | None = None
    peak_memory: int | None = None
    stages: tuple[StageProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """A query that Trino knows of, whoever has sent it.

    Attributes:
        query_id: Trino's id.
        state: Trino's word.
        user: Who runs it.
        source: The program that has sent it; empty if it does not say.
        statement: Its text; Trino cuts long ones short in a list.
        resource_group: Where it queues and runs, e.g. `global.adhoc`; empty if it is in none yet.
        created: When it was submitted.
        elapsed: Seconds since then, until its end.
        queued: Seconds that it waited in the queue.
        cpu: Seconds of CPU time.
        splits_done: Splits that are complete.
        splits_total: Splits that are known.
        rows: Rows that were read.
        bytes: Bytes that were read.
        memory: Bytes that it holds now.
        blocked: What all of its splits wait for, in Trino's words; empty if some of them can go on.
        error: Trino's name of the error, where it has failed, e.g. `EXCEEDED_TIME_LIMIT`.
        error_type: Who is to blame for it: `USER_ERROR`, `INTERNAL_ERROR`, `INSUFFICIENT_RESOURCES`, `EXTERNAL`.
        unreadable: Why it cannot be read; `None` if it can.
    """

    query_id: str
    state: str
    user: str
    source: str
    statement: str
    resource_group: str
    created: datetime | None
    elapsed: float | None
    queued: float | None
    cpu: float | None
    splits_done: int | None
    splits_total: int | None
    rows: int | None
    bytes: int | None
    memory: int | None
    blocked: tuple[str, ...]
    error: str
    error_type: str
    unreadable: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in ("FINISHED", "FAILED")

    def why_waiting(self, others: Iterable[ServerQuery]) -> str:
        """Return why it does not run, in words; empty if it does, or is over."""
        if self.state == "QUEUED":
            group = [q for q in others if q.resource_group == self.resource_group and q.query_id != self.query_id]
            running = sum(not q.ended and q.state != "QUEUED" for q in group)
            before = sum(q.state == "QUEUED" and _is_before(q, self) for q in group)
            return f"queued in {self.resource_group or 'no group yet'}: {running} run, {before} wait before it"
        if self.state == "WAITING_FOR_RESOURCES":
            return "waiting for enough workers"
        if self.blocked:
            return "blocked: " + ", ".join(word.lower().replace("_", " ") for word in self.blocked)
        return ""


def _is_before(one: ServerQuery, other: ServerQuery) -> bool:
    return one.created is not None and other.created is not None and one.created < other.created


@dataclass(frozen=True, slots=True)
class QueryDetail:
    """One query in full; `failure` is Trino's message, empty if it has not failed."""

    query: ServerQuery
    statement: str
    failure: str


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster.

    Attributes:
        state: `active`, `inactive`, `shutting_down` …
    """

    node_id: str
    coordinator: bool
    state: str


def splits(of: StageProgress | QueryProgress | ServerQuery) -> str:
    """Return how many of the known splits are complete, e.g. `3/8`."""
    return f"{count(of.splits_done)}/{count(of.splits_total)}"


def read_info(found: object) -> TrinoInfo:
    """Return what `/v1/info` answers; raises Malformed."""
    fields = Fields(found)
    return TrinoInfo(
        version=fields.require_inner("nodeVersion").require_text("version"),
        starting=fields.require_flag("starting"),
        uptime=fields.text("uptime") or "",
    )


def read_progress(stats: object) -> QueryProgress | None:
    """Return what the statistics of a statement say; `None` if there are none yet, or they are not an object."""
    if not isinstance(stats, Mapping) or not stats:
        return None
    fields = Fields(stats)
    return QueryProgress(
        state=fields.text("state") or "",
        splits_done=fields.count("completedSplits"),
        splits_total=fields.count("totalSplits"),
        rows=fields.count("processedRows"),
        bytes=fields.count("processedBytes"),
        elapsed=_millis(fields, "elapsedTimeMillis"),
        queued=_millis(fields, "queuedTimeMillis"),
        cpu=_millis(fields, "cpuTimeMillis"),
        peak_memory=fields.count("peakMemoryBytes"),
        stages=tuple(_stages(fields.inner("rootStage"))),
    )


def read_nodes(rows: Iterable[tuple[object, ...]]) -> tuple[Node, ...]:
    """Return the nodes of the cluster from rows of `node_id, coordinator, state`; raises Malformed."""
    nodes = [Fields({"node_id": row[0], "coordinator": row[1], "state": row[2]}) for row in rows]
    return tuple(Node(n.require_text("node_id"), n.require_flag("coordinator"), n.require_text("state")) for n in nodes)


def read_commits(rows: Iterable[tuple[object, ...]]) -> tuple[tuple[datetime, str | None, str], ...]:
    """Return time, stamp and id of commits from rows of these; raises Malformed where a type is another."""
    found = []
    for at, stamp, snapshot_id in rows:
        if not isinstance(at, datetime) or not isinstance(stamp, str | None) or not isinstance(snapshot_id, str):
            raise Malformed("has a commit whose time, stamp or id is of another type")
        found.append((as_utc(at), stamp, snapshot_id))
    return tuple(found)


def read_queries(found: object) -> tuple[ServerQuery, ...]:
    """Return the queries of `/v1/query`, newest first; raises Malformed where it is no list, or none can be read."""
    if not isinstance(found, list):
        raise Malformed("is not a list")
    queries = [_query_or_why(item, number) for number, item in enumerate(found, 1)]
    if queries and all(query.unreadable for query in queries):
        raise Malformed(f"has no query that can be read: the first {str(queries[0].unreadable).removeprefix('it ')}")
    return tuple(sorted(queries, key=lambda q: (q.created or _NEVER, q.query_id), reverse=True))


def read_detail(found: object) -> QueryDetail:
    """Return a query of `/v1/query/ID`; raises Malformed."""
    fields = Fields(found)
    return QueryDetail(_query(fields), fields.require_text("query"), fields.inner("failureInfo").text("message") or "")


def read_failure(error: object) -> str:
    """Return what a statement failed with, in one line, from the error of an answer."""
    fields = Fields(error) if isinstance(error, Mapping) else Fields({})
    name = fields.text("errorName") or "an error without a name"
    return f"{line(name)}: {line(fields.text('message') or 'Trino gives no reason')}"


def read_http_error(error: Exception) -> tuple[int, bytes | str]:
    """Return status and body of an answer, which the driver puts into a text: `error 500: b'...'`."""
    found = re.fullmatch(r"error (\d{3})(?:: (.*))?", str(error), re.DOTALL)
    if found is None:
        return 0, str(error)
    text = found[2] or ""
    try:
        body = literal_eval(text) if text.startswith(("b'", 'b"')) and len(text) <= LITERAL else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        body = text
    return int(found[1]), body if isinstance(body, bytes) else text


def read_status(process: Callable[[requests.Response], TrinoStatus], response: requests.Response) -> TrinoStatus:
    """Return what the driver makes of an answer to a statement; raises Malformed where its types are not Trino's."""
    check_json(response.content)  # the driver reads it without bounds
    status = process(response)
    fields = Fields(vars(status))
    fields.require_text("id")
    fields.require_inner("stats")
    if isinstance(status.rows, dict):
        raise Malformed("holds spooled segments, which were not asked for")
    fields.require_list("rows")
    for name in ("next_uri", "update_type"):
        if getattr(status, name) is not None:
            fields.require_text(name)
    if status.columns is not None:
        for column in fields.require_objects("columns"):
            column.require_text("name")
            column.require_text("type")
    status.update_count = fields.count("update_count")
    return status


def _stages(root: Fields) -> Iterator[StageProgress]:
    """Yield the stages, each before those that it reads from."""
    waiting = [(root, 0)] if root else []
    for _ in range(MAX_STAGES):
        if not waiting:
            return
        stage, depth = waiting.pop()
        yield StageProgress(
            number=stage.text("stageId") or "",
            depth=depth,
            state=stage.text("state") or "",
            splits_done=stage.count("completedSplits"),
            splits_total=stage.count("totalSplits"),
            rows=stage.count("processedRows"),
            bytes=stage.count("processedBytes"),
            cpu=_millis(stage, "cpuTimeMillis"),
        )
        waiting += [(inner, depth + 1) for inner in reversed([*stage.objects("subStages")])]


def _query_or_why(item: object, number: int) -> ServerQuery:
    """Return a query; one that cannot be read says why."""
    try:
        return _query(Fields(item))
    except Malformed as error:
        query_id = Fields(item).text("queryId") if isinstance(item, Mapping) else None
        return replace(_UNREAD, query_id=query_id or f"#{number}", unreadable=f"it {error}")


_UNREAD = ServerQuery(
    query_id="",
    state="",
    user="",
    source="",
    statement="",
    resource_group="",
    created=None,
    elapsed=None,
    queued=None,
    cpu=None,
    splits_done=None,
    splits_total=None,
    rows=None,
    bytes=None,
    memory=None,
    blocked=(),
    error="",
    error_type="",
)


def _query(fields: Fields) -> ServerQuery:
    session, stats = fields.inner("session"), fields.require_inner("queryStats")
    return ServerQuery(
        query_id=fields.require_text("queryId"),
        state=fields.require_text("state"),
        user=fields.text("sessionUser") or session.text("user") or "",
        source=fields.text("sessionSource") or session.text("source") or "",
        statement=fields.text("query") or fields.text("queryTextPreview") or "",
        resource_group=".".join(fields.texts("resourceGroupId")),
        created=stats.time("createTime"),
        elapsed=_seconds(stats.text("elapsedTime")),
        queued=_seconds(stats.text("queuedTime")),
        cpu=_seconds(stats.text("totalCpuTime")),
        splits_done=stats.count("completedDrivers"),
        splits_total=stats.count("totalDrivers"),
        rows=_first(stats.count("rawInputPositions"), stats.count("processedInputPositions")),
        bytes=_first(_bytes(stats.text("rawInputDataSize")), _bytes(stats.text("processedInputDataSize"))),
        memory=_bytes(stats.text("totalMemoryReservation")),
        blocked=stats.texts("blockedReasons") if stats.flag("fullyBlocked") else (),
        error=fields.inner("errorCode").text("name") or "",
        error_type=fields.text("errorType") or "",
    )


def _first(one: int | None, other: int | None) -> int | None:
    return one or other if one is not None else other


def _millis(fields: Fields, name: str) -> float | None:
    found = fields.number(name)
    return found / 1000 if found is not None and 0 <= found <= 1000 * MAX_SECONDS else None


def _quantity(text: str | None, units: Mapping[str, float]) -> float | None:
    """Return a number that Trino writes with its unit, e.g. `3.25m`, `12.5kB`; `None` if it is none."""
    found = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?) ?([a-zA-Z]+)", text or "", re.ASCII)
    if found is None or found[2] not in units:
        return None
    return float(found[1]) * units[found[2]]


def _seconds(text: str | None) -> float | None:
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    found = _quantity(text, units)
    return found if found is not None and found <= MAX_SECONDS else None


def _bytes(text: str | None) -> int | None:
    units = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50, "EB": 2**60}
    found = _quantity(text, units)
    return round(found) if found is not None and found <= MAX_COUNT else None
