"""A web server that answers as Airflow's API does, with what a test gives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.settings import AirflowSettings

AT = "2026-01-05T03:00:00Z"


def instance(task_id: str, state: str | None, **more: Any) -> dict[str, Any]:
    return {
        "id": "01999999-0000-7000-8000-000000000000",
        "task_id": task_id, "dag_id": "d", "dag_run_id": "r", "map_index": -1, "logical_date": None,
        "run_after": AT, "start_date": None, "end_date": None, "duration": None, "state": state, "try_number": 1,
        "max_tries": 2, "task_display_name": task_id, "dag_display_name": "d", "hostname": None, "unixname": None,
        "pool": "default_pool", "pool_slots": 1, "queue": None, "priority_weight": 1, "operator": "BashOperator",
        "operator_name": "BashOperator", "queued_when": None, "scheduled_when": None, "pid": None, "executor": None,
        "executor_config": "{}", "note": None, "rendered_map_index": None, "rendered_fields": {}, "trigger": None,
        "triggerer_job": None, "dag_version": None, **more,
    }  # fmt: skip


DAG = {
    "dag_id": "d", "dag_display_name": "d", "is_paused": False, "is_stale": False, "timetable_summary": None,
    "timetable_description": None, "timetable_partitioned": False, "timetable_periodic": False, "description": None,
    "fileloc": "d.py", "relative_fileloc": "d.py", "bundle_name": None, "bundle_version": None, "file_token": "x",
    "has_task_concurrency_limits": False, "has_import_errors": False, "max_active_tasks": 1, "max_active_runs": 1,
    "max_consecutive_failed_dag_runs": 0, "owners": [], "tags": [], "concurrency": 1, "catchup": False,
    "allowed_run_types": None, "is_backfillable": True, "is_favorite": False, "active_runs_count": 0,
    "render_template_as_native_obj": False, "dag_run_timeout": None, "asset_expression": None, "doc_md": None,
    "start_date": None, "end_date": None, "is_paused_upon_creation": None, "timezone": "UTC", "last_expired": None,
    "last_parsed": None, "last_parsed_time": None, "last_parse_duration": None, "default_args": {},
    "latest_dag_version": None,
    "template_search_path": None, "next_dagrun_logical_date": None, "next_dagrun_data_interval_start": None,
    "next_dagrun_data_interval_end": None, "next_dagrun_run_after": None, "owner_links": None,
    "rerun_with_latest_version": None,
}  # fmt: skip


PAGE = b"<!DOCTYPE html><html><head><title>Airflow 404</title></head></html>"


class Airflow:
    """Answers by path, and remembers what it was asked; an answer is JSON, or a status with JSON or a page.

    Args:
        api: The path of its API; a path elsewhere is missing as a page, and not as an answer of the API.
    """

    def __init__(self, api: str = "/") -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.api = api
        self.redirect: str | None = None
        self.answers: dict[tuple[str, str], Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = parse_qs(url.query)
                outer.headers.append(dict(self.headers))
                outer.asked.append((self.command, url.path, query, json.loads(body) if body else None))
                if outer.redirect is not None:
                    self.send_response(302)
                    self.send_header("Location", outer.redirect)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                found = outer.answers.get((self.command, url.path))
                found = found(query) if callable(found) else found
                status, found = found if isinstance(found, tuple) else (404 if found is None else 200, found)
                self.send_response(status)
                if found is None:
                    found = {"detail": "not found"} if url.path.startswith(outer.api) else PAGE
                raw = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_header("Content-Type", "text/html" if isinstance(found, bytes) else "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the base class names them so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = AirflowClient(AirflowSettings(url=self.url, token="t"), 10)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
