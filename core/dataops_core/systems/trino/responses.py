"""Read the responses of Trino's REST API as typed values. A wrong value is unknown, or an error if required."""

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

if TYPE_CHECKING:  # the console imports these types before the SDK is loaded
    import requests
    from trino.client import TrinoStatus

MAX_STAGES = 1_000
"""Maximum number of stages of a query."""
MAX_SECONDS = 1e10
"""Maximum duration, about 300 years; a longer one is an invalid response."""
LITERAL = 100_000
"""Maximum characters of an error body in the driver's text that are parsed."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrinoInfo:
    """A coordinator.

    Attributes:
        starting: Whether it is still starting.
        uptime: In Trino's format, such as `3.25m`.
    """

    version: str
    starting: bool
    uptime: str


@dataclass(frozen=True, slots=True)
class StageProgress:
    """One stage of a running query.

    Attributes:
        number: Trino's number of the stage; 0 returns the result.
        depth: Distance from the stage that returns the result.
        state: As Trino reports it.
        splits_done: Completed splits.
        splits_total: Known splits.
        rows: Processed rows.
        bytes: Processed bytes.
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
    """The progress of a query.

    Attributes:
        state: As Trino reports it: QUEUED, PLANNING, RUNNING, FINISHED, FAILED …
        splits_done: Completed splits.
        splits_total: Known splits.
        rows: Processed rows.
        bytes: Processed bytes.
        elapsed: Seconds since it was submitted, by Trino's clock.
        queued: Seconds in the queue.
        cpu: Seconds of CPU time.
        peak_memory: Peak memory in bytes.
        stages: Its stages, starting with the one that returns the result, each before the stages that it reads.
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
    """A query in Trino, of any user.

    Attributes:
        state: As Trino reports it.
        source: The program that sent it; empty if unknown.
        statement: Its text; Trino truncates long ones in a list.
        resource_group: Such as `global.adhoc`; empty before it is assigned.
        created: Time of submission.
        elapsed: Seconds from submission until now or its end.
        queued: Seconds in the queue.
        cpu: Seconds of CPU time.
        splits_done: Completed splits.
        splits_total: Known splits.
        rows: Rows read.
        bytes: Bytes read.
        memory: Current memory in bytes.
        blocked: Trino's reasons why all of its splits wait; empty if some can run.
        error: Trino's error name, such as `EXCEEDED_TIME_LIMIT`; empty if it has not failed.
        error_type: `USER_ERROR`, `INTERNAL_ERROR`, `INSUFFICIENT_RESOURCES` or `EXTERNAL`.
        unreadable: Why it cannot be read; `None` if it can be read.
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
        """Whether it has ended."""
        return self.state in ("FINISHED", "FAILED")

    def why_waiting(self, others: Iterable[ServerQuery]) -> str:
        """Return why it does not run; empty if it runs or has ended."""
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
    """Return completed and known splits, such as `3/8`."""
    return f"{count(of.splits_done)}/{count(of.splits_total)}"


def read_info(answer: object) -> TrinoInfo:
    """Return the coordinator from `/v1/info`; raise Malformed."""
    fields = Fields(answer)
    return TrinoInfo(
        version=fields.require_inner("nodeVersion").require_text("version"),
        starting=fields.require_flag("starting"),
        uptime=fields.text("uptime") or "",
    )


def read_progress(stats: object) -> QueryProgress | None:
    """Return the progress from a statement's statistics, or `None` if they are missing or not an object."""
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
    """Return the nodes of the cluster from rows of `node_id, coordinator, state`; raise Malformed."""
    nodes = [Fields({"node_id": row[0], "coordinator": row[1], "state": row[2]}) for row in rows]
    return tuple(Node(n.require_text("node_id"), n.require_flag("coordinator"), n.require_text("state")) for n in nodes)


def read_commits(rows: Iterable[tuple[object, ...]]) -> tuple[tuple[datetime, str | None, str], ...]:
    """Return time, stamp and snapshot id of commits from rows; raise Malformed for another type."""
    results = []
    for at, stamp, snapshot_id in rows:
        if not isinstance(at, datetime) or not isinstance(stamp, str | None) or not isinstance(snapshot_id, str):
            raise Malformed("has a commit whose time, stamp or id is of another type")
        results.append((as_utc(at), stamp, snapshot_id))
    return tuple(results)


def read_queries(answer: object) -> tuple[ServerQuery, ...]:
    """Return the queries from `/v1/query`, newest first; raise Malformed if it is not a list, or none is readable."""
    if not isinstance(answer, list):
        raise Malformed("is not a list")
    queries = [_query_or_why(item, number) for number, item in enumerate(answer, 1)]
    if queries and all(query.unreadable for query in queries):
        raise Malformed(f"has no readable query: the first {str(queries[0].unreadable).removeprefix('it ')}")
    return tuple(sorted(queries, key=lambda q: (q.created or _NEVER, q.query_id), reverse=True))


def read_detail(answer: object) -> QueryDetail:
    """Return a query from `/v1/query/ID`; raise Malformed."""
    fields = Fields(answer)
    return QueryDetail(_query(fields), fields.require_text("query"), fields.inner("failureInfo").text("message") or "")


def read_failure(error: object) -> str:
    """Return the error name and message of a failed statement, in one line."""
    fields = Fields(error) if isinstance(error, Mapping) else Fields({})
    name = fields.text("errorName") or "an error without a name"
    return f"{line(name)}: {line(fields.text('message') or 'Trino gives no reason')}"


def read_http_error(error: Exception) -> tuple[int, bytes | str]:
    """Return status and body of a response from the driver's text `error 500: b'...'`."""
    match = re.fullmatch(r"error (\d{3})(?:: (.*))?", str(error), re.DOTALL)
    if match is None:
        return 0, str(error)
    text = match[2] or ""
    try:
        body = literal_eval(text) if text.startswith(("b'", 'b"')) and len(text) <= LITERAL else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        body = text
    return int(match[1]), body if isinstance(body, bytes) else text


def read_status(process: Callable[[requests.Response], TrinoStatus], response: requests.Response) -> TrinoStatus:
    """Return the driver's status of a response; raise Malformed for types that Trino does not send."""
    check_json(response.content)  # the driver parses it without bounds
    status = process(response)
    fields = Fields(vars(status))
    fields.require_text("id")
    fields.require_inner("stats")
    if isinstance(status.rows, dict):
        raise Malformed("holds spooled segments, which were not requested")
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
    """Yield the stages, each before the stages that it reads."""
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
    """Return a query; an unreadable one has the reason."""
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
    result = fields.number(name)
    return result / 1000 if result is not None and 0 <= result <= 1000 * MAX_SECONDS else None


def _quantity(text: str | None, units: Mapping[str, float]) -> float | None:
    """Return a number from Trino's text with a unit, such as `3.25m` or `12.5kB`, or `None` for another text."""
    match = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?) ?([a-zA-Z]+)", text or "", re.ASCII)
    if match is None or match[2] not in units:
        return None
    return float(match[1]) * units[match[2]]


def _seconds(text: str | None) -> float | None:
    units = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    result = _quantity(text, units)
    return result if result is not None and result <= MAX_SECONDS else None


def _bytes(text: str | None) -> int | None:
    units = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50, "EB": 2**60}
    result = _quantity(text, units)
    return round(result) if result is not None and result <= MAX_COUNT else None
