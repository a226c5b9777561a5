"""Each parser of outside data, with a right answer and what may be done with what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.hostile.answers import ANSWERS, DBT_RUN, LOG_V1
from tests.trino_server import listed

from dataops_core.actions.params import expected, parse_param
from dataops_core.bounded import Malformed
from dataops_core.errors import ActionRefused, DataopsError
from dataops_core.health.text import ago
from dataops_core.plain import visible
from dataops_core.systems.airflow import responses as airflow
from dataops_core.systems.airflow import rest_v1, runs
from dataops_core.systems.connect import responses as connect
from dataops_core.systems.dbt import responses as dbt
from dataops_core.systems.dbt import runs as dbt_runs
from dataops_core.systems.delta import log as delta
from dataops_core.systems.flink import responses as flink
from dataops_core.systems.kafka.schema_registry import read_schema
from dataops_core.systems.prometheus import responses as prometheus
from dataops_core.systems.spark import applications
from dataops_core.systems.spark import ui as spark_ui
from dataops_core.systems.trino import responses as trino
from dataops_core.systems.trino.probe import _load
from dataops_core.transport.fields import Fields
from dataops_core.transport.oauth import read_token
from dataops_core.units import count, duration

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


def _sample_post(path: str) -> Any:
    return ANSWERS[f"POST {path}"]


def _items(name: str, key: str, read: Callable[[Fields], Any], instead: Callable[[str, str], Any]) -> Any:
    return lambda found: airflow.read_items(found, name, key, read, instead)


def _v1(path: str, read: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return what reads an answer of Airflow 2 for a path of v2."""
    return lambda found: read(rest_v1.endpoint(path).answer(found))


def _log(found: Any) -> None:
    for each in runs.read_log(found).lines:
        visible(each.text)
        visible("\n".join(each.traceback))


def _params(found: Any) -> None:
    for param in runs.read_params(found):
        visible(expected(param.schema))
        for typed in ("", "5", "x"):
            with suppress(ActionRefused):
                parse_param(param.name, typed, param.schema)


DECLARED = {
    "type": ["string", "null"], "enum": ["a", 1], "format": "date", "minLength": 1, "maxLength": 9,
    "pattern": "^[a-z]+$", "minimum": 1, "maximum": 2, "exclusiveMinimum": 0, "exclusiveMaximum": 3,
}  # fmt: skip
LOG = {
    "content": [
        {"timestamp": "2026-01-05T03:00:00Z", "level": "info", "event": "e", "error_detail": [
            {"frames": [{"filename": "f", "lineno": 1, "name": "n"}], "exc_type": "E", "exc_value": "v"}
        ]},
        "text",
    ],
    "continuation_token": "t",
}  # fmt: skip
_data = prometheus.read_data
_DBT = Path(__file__).parents[1] / "unit" / "data" / "dbt" / "build"


def _artifact(name: str) -> Any:
    """Return an artifact of dbt with one result."""
    found = json.loads((_DBT / f"{name}.json").read_text())
    return {**found, "results": found["results"][:1]}


def _ranges(found: Any) -> None:
    ranges = flink.read_ranges(found).values()
    flink.watermark(each.least for each in ranges)


def _connectors(found: Any) -> None:
    for connector in connect.read_connectors(found):
        visible(connector.first_cause or "")
        connector.of_state("FAILED")


TRACE = "org.apache.kafka.connect.errors.ConnectException: a\n\tat b.C(D.java:1)\nCaused by: java.io.IOException: e\n"
CONNECTOR = {
    "name": "c", "type": "sink", "connector": {"state": "RUNNING", "worker_id": "w:1"},
    "tasks": [{"id": 0, "state": "FAILED", "worker_id": "w:1", "trace": TRACE}],
}  # fmt: skip
SINK = {
    "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector", "iceberg.tables": "a.b, c.d",
    "errors.tolerance": "all", "consumer.override.group.id": "g",
}  # fmt: skip
SOURCE = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "slot.name": "s",
    "heartbeat.interval.ms": "2000", "topic.prefix": "shop", "topic.heartbeat.prefix": "beats",
}  # fmt: skip
WEB_TOKEN = "e30.eyJleHAiOjQwMDAwMDAwMDB9.s"
DBT_MANIFEST = json.loads((_DBT / "manifest.json").read_text())
DBT_MANIFEST["nodes"] = dict([*DBT_MANIFEST["nodes"].items()][3:5])
DELTA_ACTIONS = (
    {
        "commitInfo": {
            "timestamp": 1,
            "operation": "WRITE",
            "engineInfo": "x",
            "userMetadata": "{}",
            "key": "2026-01-05",
        }
    },
    {"add": {"path": "x", "dataChange": True}},
)
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
    "airflow health": Parser((_sample("/api/v2/monitor/health"),), airflow.read_health),
    "airflow dags": Parser(
        (_sample("/api/v2/dags"),), _items("dags", "dag_id", airflow.read_dag, airflow.unreadable_dag)
    ),
    "airflow runs": Parser(
        (_sample("/api/v2/dags/d/dagRuns"),),
        _items("dag_runs", "dag_run_id", airflow.read_run, partial(airflow.unreadable_run, "d")),
    ),
    "airflow pools": Parser(
        (_sample("/api/v2/pools"),), _items("pools", "name", airflow.read_pool, airflow.unreadable_pool)
    ),
    "airflow tasks": Parser(
        (_sample("/api/v2/dags/d/dagRuns/r/taskInstances"),),
        _items("task_instances", "task_id", runs.read_task, runs.unreadable_task),
    ),
    "airflow work": Parser(
        (_sample("/api/v2/dags/d/dagRuns/r/taskInstances"),),
        lambda found: airflow.read_all(found, "task_instances", airflow.read_active_task),
    ),
    "airflow assets": Parser(
        (_sample("/api/v2/assets"),), lambda found: airflow.read_page(found, "assets", airflow.read_asset)
    ),
    "airflow files": Parser(
        (_sample("/api/v2/importErrors"),),
        lambda found: airflow.read_all(found, "import_errors", airflow.read_failed_file),
    ),
    "airflow token": Parser((_sample_post("/auth/token"),), airflow.read_token),
    "airflow log": Parser((LOG,), _log),
    "airflow 2 dags": Parser(
        (_sample("/api/v1/dags"),), _v1("/dags", _items("dags", "dag_id", airflow.read_dag, airflow.unreadable_dag))
    ),
    "airflow 2 runs": Parser(
        (_sample("/api/v1/dags/d/dagRuns"),),
        _v1(
            "/dags/d/dagRuns",
            _items("dag_runs", "dag_run_id", airflow.read_run, partial(airflow.unreadable_run, "d")),
        ),
    ),
    "airflow 2 assets": Parser(
        (_sample("/api/v1/datasets"),),
        _v1("/assets", lambda found: airflow.read_page(found, "assets", airflow.read_asset)),
    ),
    "airflow 2 log": Parser((LOG_V1,), _v1("/dags/d/dagRuns/r/taskInstances/t/logs/1", _log)),
    "airflow params": Parser(
        ({"dag_id": "d", "params": {"n": {"value": 1, "schema": DECLARED, "description": "d"}, "plain": 5}},), _params
    ),
    "spark applications": Parser((_sample("/api/v1/applications"),), spark_ui.read_running),
    "spark executions": Parser(
        (_sample("/api/v1/applications/app-1/sql"),), lambda found: spark_ui.read_ended(found, "q")
    ),
    "spark history version": Parser((_sample("/api/v1/version"),), applications.read_version),
    "spark history runs": Parser((_sample("/api/v1/applications"),), applications.read_runs),
    "spark history jobs": Parser((_sample("/api/v1/applications/app-1/jobs"),), applications.read_jobs),
    "spark history queries": Parser((_sample("/api/v1/applications/app-1/sql"),), applications.read_queries),
    "spark history stages": Parser(
        (_sample("/api/v1/applications/app-1/stages"),), lambda found: applications.read_cause(found, {0})
    ),
    "spark execution": Parser((_sample("/api/v1/applications/app-1/sql/1"),), spark_ui.read_dropped),
    "connect version": Parser((_sample("/"),), connect.read_version),
    "connect connectors": Parser((_sample("/connectors"),), _connectors),
    "connect connector": Parser((CONNECTOR,), lambda found: connect.read_connector(Fields(found))),
    "connect topics": Parser((_sample("/connectors/c/topics"),), lambda found: connect.read_topics(found, "c")),
    "connect config": Parser((SINK, SOURCE), connect.read_config),
    "connect offsets": Parser((_sample("/connectors/c/offsets"),), connect.read_source_time),
    "oauth token": Parser((_sample_post("/oauth/token"), {"access_token": WEB_TOKEN}), read_token),
    "flink overview": Parser((_sample("/overview"),), flink.read_overview),
    "flink jobs": Parser((_sample("/jobs/overview"),), flink.read_jobs),
    "flink vertices": Parser((_sample("/jobs/j"),), flink.read_vertices),
    "flink checkpoints": Parser((_sample("/jobs/j/checkpoints"),), flink.read_checkpoints),
    "flink failures": Parser((_sample("/jobs/j/exceptions"),), flink.read_failures),
    "flink values": Parser((_sample("/jobs/j/metrics"),), flink.read_values),
    "flink names": Parser((_sample("/jobs/j/metrics"),), flink.read_names),
    "flink ranges": Parser((_sample("/jobs/j/vertices/v/subtasks/metrics"),), _ranges),
    "dbt results": Parser((_artifact("run_results"),), dbt.read_run_results),
    "dbt sources": Parser((_artifact("sources"),), dbt.read_sources),
    "dbt manifest": Parser((DBT_MANIFEST,), dbt.read_manifest),
    "dbt runs": Parser(({"data": [DBT_RUN]},), dbt_runs.read_runs),
    "dbt run": Parser(({"data": DBT_RUN},), dbt_runs.read_run),
    "delta commit": Parser(DELTA_ACTIONS, lambda found: delta.read_commit(_text(found), 1, None, 2**21, "key")),
    "delta checkpoint": Parser(({"version": 1, "size": 2},), lambda found: delta.read_checkpoint(_text(found))),
    "registry schema": Parser(
        ({"schema": "x", "schemaType": "AVRO", "references": [{"name": "n", "subject": "s", "version": 1}]},),
        read_schema,
    ),
}


def _rows(found: Any, width: int) -> list[tuple[Any, ...]]:
    """Return the rows of an answer as the client hands them over: each has as many values as there are columns."""
    rows = found if isinstance(found, list) else []
    return [tuple(row) for row in rows if isinstance(row, list) and len(row) == width]


def _text(found: Any) -> bytes:
    return json.dumps(found).encode()


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
