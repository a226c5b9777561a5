"""A server that answers each request with JSON, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class JsonServer:
    """Answers by method and path: a body with status 200, a status and a body, or also headers.

    Each of them may be a function that takes the headers and the body of the request.

    Attributes:
        asked: Method, path and headers of each request.
    """

    answers: dict[str, Any]
    url: str = ""
    asked: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)


@contextmanager
def serving(answers: Mapping[str, Any]) -> Iterator[JsonServer]:
    """Serve answers by `METHOD path`, with the query of the path or without it; anything else is 404."""
    told = JsonServer(dict(answers))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            told.asked.append((self.command, self.path, dict(self.headers)))
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            bare = told.answers.get(f"{self.command} {self.path.partition('?')[0]}", (404, {"message": "not found"}))
            found = told.answers.get(f"{self.command} {self.path}", bare)
            found = found(self.headers, sent) if callable(found) else found
            status, body, *headers = found if isinstance(found, tuple) else (200, found)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            for name, value in headers[0].items() if headers else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the base class names them so

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
