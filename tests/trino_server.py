"""A web server that speaks Trino's protocol from memory: what it answers is scripted by a test or a benchmark."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

Columns = tuple[tuple[str, str], ...]


@dataclass
class Script:
    """How one statement goes.

    Attributes:
        columns: Names and types.
        pages: Rows, an answer's worth at a time; already JSON where they are bytes.
        queued: Answers that say QUEUED before the first rows.
        waits: What `/v1/query` calls that; the answers themselves know QUEUED only.
        go: Rows come once it is set.
        error: Trino's error, instead of rows.
    """

    columns: Columns = (("id", "bigint"),)
    pages: Iterable[list[list[Any]] | bytes] = ()
    queued: int = 0
    waits: str = "QUEUED"
    go: threading.Event = field(default_factory=threading.Event)
    error: dict[str, Any] | None = None
    update_type: str | None = None

    def __post_init__(self) -> None:
        self.go.set()


@dataclass
class _Query:
    query_id: str
    statement: str
    script: Script
    pages: Iterator[list[list[Any]] | bytes]
    state: str = "QUEUED"
    polls: int = 0
    rows: int = 0


def _type(kind: str) -> dict[str, Any]:
    raw, _, inner = kind.partition("(")
    numbers = [{"kind": "LONG", "value": int(n)} for n in re.findall(r"\d+", inner)]
    if raw == "varchar" and not numbers:
        numbers = [{"kind": "LONG", "value": 2147483647}]
    return {"rawType": raw, "arguments": numbers}


class TrinoServer:
    """Listens on 127.0.0.1.

    Args:
        script: Gives each statement its script.
        port: Port; any free one where 0.
    """

    def __init__(self, script: Callable[[str], Script], port: int = 0) -> None:
        self.statements: list[str] = []
        self.cancelled: list[str] = []
        self.killed: list[tuple[str, str]] = []
        self.others: list[dict[str, Any]] = []
        """What `/v1/query` tells besides our own queries."""
        self._script = script
        self._numbers = count(1)
        self._queries: dict[str, _Query] = {}
        self._lock = threading.Lock()
        self._answers = threading.Event()
        self._answers.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                outer._get(self)

            def do_POST(self) -> None:
                outer._answer(self, outer._submit(self._body()))

            def do_DELETE(self) -> None:
                outer._cancel(self.path)
                outer._send(self, 204, b"")

            def do_PUT(self) -> None:
                outer._kill(self, self._body())

            def _body(self) -> str:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def running(self) -> list[str]:
        """The statements that have neither ended nor been cancelled."""
        return [q.statement for q in self._queries.values() if q.state not in ("FINISHED", "FAILED")]

    def hang(self) -> None:
        """Take every further request and answer none."""
        self._answers.clear()

    def close(self) -> None:
        self._answers.set()
        self._server.shutdown()
        self._server.server_close()

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        self._answers.wait()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        if path == "/v1/info":
            info = {"nodeVersion": {"version": "476"}, "starting": False, "uptime": "1.00m"}
            self._send(handler, 200, json.dumps(info).encode())
        elif path == "/v1/query":
            listed = [self._listed(query) for query in self._queries.values()] + self.others
            self._send(handler, 200, json.dumps(listed).encode())
        elif path.startswith("/v1/query/"):
            known = {q["queryId"]: q for q in self.others} | {i: self._listed(q) for i, q in self._queries.items()}
            found = known.get(path.rpartition("/")[2])
            self._send(handler, 200 if found else 410, json.dumps(found).encode())
        else:
            self._answer(handler, self._queries[path.split("/")[-2]])

    def _submit(self, statement: str) -> _Query:
        script = self._script(statement)
        query = _Query(f"q_{next(self._numbers)}", statement, script, iter(script.pages))
        with self._lock:
            self.statements.append(statement)
            self._queries[query.query_id] = query
        return query

    def _cancel(self, path: str) -> None:
        query = self._queries[path.split("/")[-2]]
        query.state = "FAILED"
        query.script.go.set()
        self.cancelled.append(query.query_id)

    def _kill(self, handler: BaseHTTPRequestHandler, message: str) -> None:
        query_id = handler.path.split("/")[-2]
        self.killed.append((query_id, message))
        for other in self.others:
            if other["queryId"] == query_id:
                ended = other["state"] in ("FINISHED", "FAILED")
                other["state"] = "FAILED"
                self._send(handler, 409 if ended else 202, b"")
                return
        self._send(handler, 410, b"")

    def _listed(self, query: _Query) -> dict[str, Any]:
        state = query.script.waits if query.state == "QUEUED" else query.state
        return listed(query.query_id, state, query.statement)

    def _answer(self, handler: BaseHTTPRequestHandler, query: _Query) -> None:
        query.polls += 1
        script = query.script
        answer: dict[str, Any] = {"id": query.query_id, "infoUri": f"{self.url}/ui/{query.query_id}"}
        data: bytes | None = None
        following = True
        if query.state == "FAILED":
            answer["error"] = {"message": "Query was canceled", "errorName": "USER_CANCELED", "errorCode": 1}
            answer["error"] |= {"errorType": "USER_ERROR", "failureInfo": {}}
            following = False
        elif query.polls > script.queued + 1:
            query.state = "RUNNING"
            if script.error is not None:
                answer["error"] = script.error
                query.state, following = "FAILED", False
            elif script.go.wait(0.2):
                page = next(query.pages, None)
                if script.columns:
                    answer["columns"] = [
                        {"name": name, "type": kind, "typeSignature": _type(kind)} for name, kind in script.columns
                    ]
                if page is None:
                    query.state, following = "FINISHED", False
                    if script.update_type:
                        answer["updateType"] = script.update_type
                else:
                    data = page if isinstance(page, bytes) else json.dumps(page).encode()
        if following:
            answer["nextUri"] = f"{self.url}/v1/statement/executing/{query.query_id}/{query.polls}"
        answer["stats"] = self._stats(query)
        body = json.dumps(answer).encode()
        if data is not None:
            body = body[:-1] + b', "data": ' + data + b"}"
        self._send(handler, 200, body)

    def _stats(self, query: _Query) -> dict[str, Any]:
        leaf = {"stageId": "1", "state": query.state, "completedSplits": 2, "totalSplits": 7, "processedRows": 900}
        root = {"stageId": "0", "state": query.state, "completedSplits": 1, "totalSplits": 1, "subStages": [leaf]}
        return {
            "state": query.state,
            "queued": query.state == "QUEUED",
            "completedSplits": 3,
            "totalSplits": 8,
            "processedRows": 1000,
            "processedBytes": 2_000_000,
            "elapsedTimeMillis": 1500,
            "queuedTimeMillis": 10,
            "cpuTimeMillis": 700,
            "peakMemoryBytes": 5_000_000,
            "rootStage": root,
        }


def listed(query_id: str, state: str, statement: str, **more: Any) -> dict[str, Any]:
    """Return a query as `/v1/query` tells of it."""
    stats = {
        "createTime": "2026-01-05T10:00:00.000Z",
        "elapsedTime": "1.50m",
        "queuedTime": "2.50s",
        "totalCpuTime": "700.00ms",
        "completedDrivers": 3,
        "totalDrivers": 8,
        "rawInputPositions": 1000,
        "rawInputDataSize": "1.5MB",
        "totalMemoryReservation": "2GB",
        "fullyBlocked": False,
        "blockedReasons": [],
    }
    return {
        "queryId": query_id,
        "state": state,
        "session": {"user": "ana", "source": "trino-cli"},
        "resourceGroupId": ["global", "adhoc"],
        "query": statement,
        "queryStats": stats | more.pop("stats", {}),
        **more,
    }
