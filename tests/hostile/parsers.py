"""Each parser of outside data, with a right answer and what may be done with what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from tests.hostile.answers import ANSWERS
from tests.trino_server import listed

from dataops_core.errors import DataopsError
from dataops_core.health.text import ago, count, duration
from dataops_core.plain import visible
from dataops_core.systems.prometheus import answers as prometheus
from dataops_core.systems.trino import answers as trino
from dataops_core.systems.trino.probe import _load
from dataops_core.transport.bounded import Malformed

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
TYPED = (Malformed, DataopsError)
"""What a parser may raise: errors with one line."""


@dataclass(frozen=True)
class Parser:
    """A parser of JSON.

    Attributes:
        samples: Right answers.
        read: Reads an answer that has been parsed as JSON; raises one of `TYPED`.
    """

    samples: tuple[Any, ...]
    read: Callable[[Any], object]


STAGE = {"stageId": "1", "state": "RUNNING", "completedSplits": 2, "totalSplits": 7, "processedRows": 9}
STATS = {
    "state": "RUNNING",
    "completedSplits": 3,
    "totalSplits": 8,
    "processedRows": 1000,
    "processedBytes": 2_000_000,
    "elapsedTimeMillis": 1500,
    "queuedTimeMillis": 10,
    "cpuTimeMillis": 700,
    "peakMemoryBytes": 5_000_000,
    "rootStage": {**STAGE, "cpuTimeMillis": 7, "processedBytes": 5, "subStages": [STAGE, {**STAGE, "subStages": []}]},
}
FAILURE = {"message": "line 1:8: no such column", "errorName": "COLUMN_NOT_FOUND", "errorType": "USER_ERROR"}
QUERY = listed(
    "q_1",
    "FAILED",
    "SELECT 1",
    errorCode={"name": "EXCEEDED_TIME_LIMIT"},
    errorType="INSUFFICIENT_RESOURCES",
    failureInfo={"message": "too long"},
    stats={"fullyBlocked": True, "blockedReasons": ["WAITING_FOR_MEMORY"]},
)
WAITING = listed("q_2", "QUEUED", "SELECT 2", sessionUser="bo", sessionSource="cli", queryTextPreview="SELECT")
COLUMNS = [{"name": "id", "type": "bigint", "typeSignature": {"rawType": "bigint", "arguments": []}}]
STATEMENT = {
    "id": "q_1",
    "infoUri": "http://t/ui",
    "nextUri": "http://t/next",
    "columns": COLUMNS,
    "data": [[1], [2]],
    "stats": STATS,
    "updateType": "INSERT",
    "updateCount": 3,
    "warnings": [],
}


def _progress(found: Any) -> None:
    progress = trino.read_progress(found)
    if progress is None:
        return
    visible(progress.state.lower())
    for part in (progress, *progress.stages):
        trino.splits(part)
        count(part.rows)
        count(part.bytes)
        duration(part.cpu)
    duration(progress.elapsed)
    duration(progress.queued)


def _queries(found: Any) -> None:
    queries = trino.read_queries(found)
    _load(None, queries, NOW)
    for query in queries:
        query.why_waiting(queries)
        trino.splits(query)
        ago(query.created, NOW)
        for number in (query.elapsed, query.queued, query.cpu):
            duration(number)
        for number in (query.rows, query.bytes, query.memory):
            count(number)


def _statement(found: Any) -> None:
    """Read an answer to a statement as the driver reads it."""

    def process(_: Any) -> Any:
        if not isinstance(found, dict) or "id" not in found or "stats" not in found:
            raise Malformed("is not an answer to a statement")  # the driver itself raises KeyError
        names = {"next_uri": "nextUri", "update_type": "updateType", "update_count": "updateCount"}
        return SimpleNamespace(
            id=found["id"],
            stats=found["stats"],
            columns=found.get("columns"),
            rows=found.get("data") or [],
            **{name: found.get(key) for name, key in names.items()},
        )

    status = trino.read_status(process, SimpleNamespace(content=b"{}"))  # type: ignore[arg-type]
    assert isinstance(status.rows, list)
    _progress(status.stats)


def _sample(path: str) -> Any:
    return ANSWERS[f"GET {path}"]


_data = prometheus.read_data
PARSERS: dict[str, Parser] = {
    "trino info": Parser(({"nodeVersion": {"version": "476"}, "starting": False, "uptime": "1.00m"},), trino.read_info),
    "trino queries": Parser(([QUERY, WAITING],), _queries),
    "trino detail": Parser(({**QUERY, "failureInfo": {"message": "x"}},), trino.read_detail),
    "trino progress": Parser((STATS,), _progress),
    "trino statement": Parser((STATEMENT,), _statement),
    "trino failure": Parser((FAILURE,), trino.read_failure),
    "trino nodes": Parser(([["n1", True, "active"]],), lambda found: trino.read_nodes(_rows(found, 3))),
    "trino commits": Parser(
        ([["2026-01-05T10:00:00+00:00", "2026-01-05T10:00:00Z", "1"]],),
        lambda found: trino.read_commits([(_time(at), stamp, name) for at, stamp, name in _rows(found, 3)]),
    ),
    "prometheus alerts": Parser((_sample("/api/v1/alerts"),), lambda found: prometheus.read_firing(_data(found))),
    "prometheus version": Parser(
        (_sample("/api/v1/status/buildinfo"),), lambda found: prometheus.read_version(_data(found))
    ),
    "prometheus query": Parser((_sample("/api/v1/query"),), lambda found: prometheus.read_vector(_data(found))),
    "prometheus range": Parser((_sample("/api/v1/query_range"),), lambda found: prometheus.read_matrix(_data(found))),
    "prometheus targets": Parser(
        (_sample("/api/v1/targets"),), lambda found: prometheus.read_scrape_errors(_data(found))
    ),
    "prometheus rules": Parser((_sample("/api/v1/rules"),), lambda found: prometheus.read_rules(_data(found), {"R"})),
    "prometheus alertmanagers": Parser(
        (_sample("/api/v1/alertmanagers"),), lambda found: prometheus.read_alertmanagers(_data(found))
    ),
    "alertmanager alerts": Parser((_sample("/api/v2/alerts"),), prometheus.read_active),
    "alertmanager routed": Parser((_sample("/api/v2/alerts"),), prometheus.read_routed),
}


def _rows(found: Any, width: int) -> list[tuple[Any, ...]]:
    """Return the rows of an answer as the client hands them over: each has as many values as there are columns."""
    rows = found if isinstance(found, list) else []
    return [tuple(row) for row in rows if isinstance(row, list) and len(row) == width]


def _time(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value


def check(parser: Parser, found: Any) -> bool:
    """Let a parser read an answer; returns whether it could. Any error but a typed one, in one line, is a defect."""
    try:
        parser.read(found)
    except TYPED as error:
        text = str(error)
    else:
        return True
    assert text
    assert "\n" not in text, text
    return False
