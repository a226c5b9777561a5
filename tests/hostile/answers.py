"""What a well-behaved server answers to each question of `clients.QUESTIONS`, by method and path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.airflow_server import AT, DAG, instance

QUERY_ID = "20260105_000000_00000_aaaaa"
STATS = {
    "state": "FINISHED", "queued": False, "scheduled": True, "nodes": 1, "totalSplits": 1, "queuedSplits": 0,
    "runningSplits": 0, "completedSplits": 1, "cpuTimeMillis": 1, "wallTimeMillis": 1, "queuedTimeMillis": 1,
    "elapsedTimeMillis": 1, "processedRows": 1, "processedBytes": 1, "peakMemoryBytes": 1,
}  # fmt: skip
QUERY = {
    "queryId": QUERY_ID, "state": "RUNNING", "session": {"user": "u", "source": "s"}, "query": "SELECT 1",
    "resourceGroupId": ["global"], "queryStats": {
        "createTime": "2026-01-05T00:00:00.000Z", "elapsedTime": "1.00s", "queuedTime": "1.00ms",
        "totalCpuTime": "1.00s", "completedDrivers": 1, "totalDrivers": 2, "rawInputPositions": 1,
        "rawInputDataSize": "1MB", "totalMemoryReservation": "1kB", "fullyBlocked": False, "blockedReasons": [],
    },
}  # fmt: skip
RUN = {
    "dag_id": "d", "dag_run_id": "r", "dag_display_name": "d", "logical_date": AT, "queued_at": AT, "start_date": AT,
    "end_date": AT, "duration": 1.0, "data_interval_start": AT, "data_interval_end": AT, "run_after": AT,
    "last_scheduling_decision": None, "run_type": "manual", "state": "success", "triggered_by": "rest_api",
    "triggering_user_name": None, "conf": {}, "note": None, "dag_versions": [], "bundle_version": None,
    "partition_key": None,
}  # fmt: skip
POOL = {
    "name": "p", "slots": 1, "description": None, "include_deferred": False, "occupied_slots": 0, "running_slots": 0,
    "queued_slots": 0, "scheduled_slots": 0, "open_slots": 1, "deferred_slots": 0, "team_name": None,
}  # fmt: skip
ASSET = {
    "id": 1, "name": "a", "uri": "s3://a", "group": "g", "extra": {}, "created_at": AT, "updated_at": AT,
    "scheduled_dags": [], "producing_tasks": [], "consuming_tasks": [], "aliases": [], "watchers": [],
    "last_asset_event": None,
}  # fmt: skip
BROKEN_FILE = {
    "import_error_id": 1, "timestamp": AT, "filename": "d.py", "bundle_name": "b", "stack_trace": "x\nError: y",
}  # fmt: skip
DAG_V1 = {
    "dag_id": "d", "is_paused": False, "schedule_interval": {"__type": "TimeDelta", "days": 1, "seconds": 0},
    "timetable_description": None, "fileloc": "/dags/d.py", "has_import_errors": False, "owners": ["o"],
    "tags": [{"name": "t"}], "next_dagrun_create_after": AT,
}  # fmt: skip
RUN_V1 = {
    "dag_id": "d", "dag_run_id": "r", "state": "success", "run_type": "manual", "execution_date": AT,
    "logical_date": AT, "start_date": AT, "end_date": AT, "data_interval_start": AT, "data_interval_end": AT,
}  # fmt: skip
LOG_V1 = {
    "content": "[('h', '[2026-01-05T03:00:00.000+0000] {a.py:1} INFO - e\\nf')]",
    "continuation_token": "eyJlbmRfb2ZfbG9nIjp0cnVlfQ.s",
}
METADATA = {
    "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://lake/b",
    "last-sequence-number": 1, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
    "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
    "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
    "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "snapshots": [],
}  # fmt: skip
ALERT = {
    "labels": {"alertname": "A"}, "annotations": {"summary": "s"}, "startsAt": AT, "endsAt": AT, "updatedAt": AT,
    "fingerprint": "f", "receivers": [{"name": "r"}], "generatorURL": "",
    "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []},
}  # fmt: skip
CONNECTOR = {
    "name": "c", "connector": {"state": "RUNNING", "worker_id": "w"}, "type": "sink",
    "tasks": [{"id": 0, "state": "RUNNING", "worker_id": "w"}],
}  # fmt: skip
FLINK_JOB = {
    "jid": "j", "name": "j", "state": "RUNNING", "start-time": 1, "last-modification": 1,
    "tasks": {"running": 1, "finished": 0, "total": 1},
}  # fmt: skip
FLINK_CHECKPOINTS = {
    "counts": {"completed": 1, "failed": 1},
    "latest": {
        "completed": {
            "trigger_timestamp": 1, "latest_ack_timestamp": 2, "end_to_end_duration": 1, "state_size": 1,
        },
        "failed": {"failure_timestamp": 1, "failure_message": "m"},
    },
}  # fmt: skip
FLINK_METRICS = [
    {"id": "Source__s.pendingRecords", "min": 0.0, "max": 0.0, "sum": 0.0},
    {"id": "Source__s.currentOutputWatermark", "min": 1.0, "max": 2.0, "sum": 3.0},
]
DBT_RUN = {
    "id": 105, "status": 10, "created_at": AT, "started_at": AT, "finished_at": AT, "artifacts_saved": True,
    "status_message": None, "href": "https://dbt.example/runs/105/",
}  # fmt: skip
_DBT = Path(__file__).parents[1] / "unit" / "data" / "dbt" / "build"
DBT_FILES = {
    f"GET /api/v2/accounts/1/jobs/7/artifacts/{file.name}": json.loads(file.read_text()) for file in _DBT.iterdir()
}
FIRING = {"labels": {"alertname": "A"}, "annotations": {}, "state": "firing", "activeAt": AT, "value": "1"}


def _prometheus(data: Any) -> dict[str, Any]:
    return {"status": "success", "data": data}


ANSWERS: dict[str, Any] = {
    "GET /v1/info": {"nodeVersion": {"version": "476"}, "coordinator": True, "starting": False, "uptime": "1m"},
    "GET /v1/statement/executing/1": {
        "id": QUERY_ID, "infoUri": "http://127.0.0.1/ui", "stats": STATS, "data": [[1]], "warnings": [],
        "columns": [{"name": "a", "type": "bigint", "typeSignature": {"rawType": "bigint", "arguments": []}}],
    },
    "GET /v1/query": [QUERY],
    f"GET /v1/query/{QUERY_ID}": QUERY,
    f"PUT /v1/query/{QUERY_ID}/killed": None,
    "POST /auth/token": {"access_token": "issued"},
    "POST /oauth/token": {"access_token": "issued", "token_type": "Bearer", "expires_in": 60},
    "GET /api/v2/monitor/health": {
        "metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": AT},
        "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": AT},
        "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": AT},
    },
    "GET /api/v2/dags": {"dags": [DAG], "total_entries": 1},
    "GET /api/v2/assets": {"assets": [ASSET], "total_entries": 1},
    "GET /api/v2/dags/d": DAG,
    "PATCH /api/v2/dags/d": DAG,
    "GET /api/v2/dags/d/details": {**DAG, "params": {"n": {"value": 1, "schema": {}, "description": None}}},
    "GET /api/v2/dags/d/dagRuns": {"dag_runs": [RUN], "total_entries": 1},
    "POST /api/v2/dags/d/dagRuns": RUN,
    "GET /api/v2/pools": {"pools": [POOL], "total_entries": 1},
    "GET /api/v2/importErrors": {"import_errors": [BROKEN_FILE], "total_entries": 1},
    "GET /api/v2/dags/d/dagRuns/r/taskInstances": {"task_instances": [instance("t", "success")], "total_entries": 1},
    "GET /api/v2/dags/d/dagRuns/r/taskInstances/t/logs/1": {
        "content": [{"timestamp": AT, "level": "info", "event": "e"}], "continuation_token": None,
    },
    "GET /api/v1/health": {
        "metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": AT},
        "dag_processor": {"status": None, "latest_dag_processor_heartbeat": None},
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
    },
    "GET /api/v1/dags": {"dags": [DAG_V1], "total_entries": 1},
    "GET /api/v1/datasets": {
        "datasets": [{"uri": "s3://a", "consuming_dags": [{"dag_id": "d"}], "producing_tasks": [{"dag_id": "d"}]}],
        "total_entries": 1,
    },
    "GET /api/v1/dags/d": DAG_V1,
    "GET /api/v1/dags/d/details": {**DAG_V1, "params": {"n": {"value": 1, "schema": {}, "description": None}}},
    "GET /api/v1/dags/d/dagRuns": {"dag_runs": [RUN_V1], "total_entries": 1},
    "POST /api/v1/dags/d/dagRuns": RUN_V1,
    "POST /api/v1/dags/d/clearTaskInstances": {"task_instances": [{"dag_id": "d", "task_id": "t"}]},
    "GET /api/v1/dags/d/dagRuns/r/taskInstances/t/logs/1": LOG_V1,
    "GET /v1/config": {"defaults": {}, "overrides": {}},
    "POST /v1/oauth/tokens": {"access_token": "issued", "token_type": "bearer", "expires_in": 3600},
    "GET /v1/namespaces": {"namespaces": [["a"]]},
    "GET /v1/namespaces/a/tables/b": {"metadata-location": "s3://lake/b/m.json", "metadata": METADATA, "config": {}},
    "GET /api/v2/accounts/1/runs/": {"data": [DBT_RUN], "extra": {}, "status": {"code": 200, "is_success": True}},
    **DBT_FILES,
    "GET /api/v1/alerts": _prometheus({"alerts": [FIRING]}),
    "GET /api/v1/status/buildinfo": _prometheus({"version": "3.0"}),
    "GET /api/v1/query": _prometheus({"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1, "1"]}]}),
    "GET /api/v1/query_range": _prometheus(
        {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": [[1, "1"]]}]}
    ),
    "GET /api/v1/targets": _prometheus({"activeTargets": [{"labels": {"instance": "i"}, "lastError": "e"}]}),
    "GET /api/v1/rules": _prometheus({"groups": [{"rules": [{"name": "R", "health": "ok", "lastError": ""}]}]}),
    "GET /api/v1/alertmanagers": _prometheus({"activeAlertmanagers": [{"url": "http://a/api/v2/alerts"}]}),
    "GET /api/v2/alerts": [ALERT],
    "POST /api/v2/alerts": None,
    "GET /schemas/types": ["AVRO", "JSON"],
    "GET /schemas/ids/7": {"schema": '{"type": "string"}'},
    "GET /": {"version": "4.3.1", "kafka_cluster_id": "k"},
    "GET /connectors": {"c": {"status": CONNECTOR}},
    "GET /connectors/c/status": CONNECTOR,
    "GET /overview": {"flink-version": "2.2.1", "taskmanagers": 1, "slots-total": 1, "slots-available": 0},
    "GET /jobs/overview": {"jobs": [FLINK_JOB]},
    "GET /jobs/j": {"vertices": [{"id": "v", "name": "Source: s", "parallelism": 1}]},
    "GET /jobs/j/checkpoints": FLINK_CHECKPOINTS,
    "GET /jobs/j/exceptions": {"exceptionHistory": {"entries": [{"timestamp": 1, "stacktrace": "E: x"}]}},
    "GET /jobs/j/metrics": [{"id": "numRestarts", "value": "0"}],
    "GET /jobs/j/vertices/v/subtasks/metrics": FLINK_METRICS,
    "POST /connectors/c/restart": CONNECTOR,
    "PUT /connectors/c/pause": None,
    "GET /connectors/c/topics": {"c": {"topics": ["t"]}},
    "GET /connectors/c/config": {"connector.class": "a.B"},
    "GET /connectors/c/offsets": {"offsets": [{"partition": {}, "offset": {"ts_usec": 1}}]},
    "GET /status": {"state": "UP", "at": AT},
    "GET /api/v1/version": {"spark": "4.1.3"},
    "GET /api/v1/applications": [
        {"id": "app-1", "name": "a", "attempts": [{"completed": False, "startTimeEpoch": 1, "endTimeEpoch": -1}]},
    ],
    "GET /api/v1/applications/app-1/jobs": [{"jobId": 0, "name": "n", "status": "FAILED", "stageIds": [0]}],
    "GET /api/v1/applications/app-1/stages": [{"stageId": 0, "failureReason": "m"}],
    "GET /api/v1/applications/app-1/sql": [
        {"id": 1, "status": "COMPLETED", "description": "id = q\n", "submissionTime": "2026-01-05T00:00:00.000GMT",
         "duration": 1, "failedJobIds": []},
    ],
    "GET /api/v1/applications/app-1/sql/1": {
        "nodes": [{"metrics": [{"name": "number of rows which are dropped by watermark", "value": "1"}]}],
    },
}  # fmt: skip
"""By method and path; `None` for an answer without a body."""

LOGINS = ("/auth/token", "/v1/config", "/v1/oauth/tokens", "/v1/statement")
"""Paths that are asked before the question itself."""


def answer(method: str, path: str, base: str) -> Any:
    """Return what a well-behaved server answers; raises KeyError where nobody asks for that."""
    path = urlsplit(path).path
    if (method, path) == ("POST", "/v1/statement"):
        begun = {**STATS, "state": "QUEUED"}
        return {"id": QUERY_ID, "infoUri": f"{base}/ui", "nextUri": f"{base}/v1/statement/executing/1", "stats": begun}
    return ANSWERS[f"{method} {path}"]


def body(method: str, path: str, base: str) -> bytes:
    """Return the body of that answer."""
    found = answer(method, path, base)
    return b"" if found is None else json.dumps(found).encode()
