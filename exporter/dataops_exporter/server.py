"""The HTTP side: metrics, health, readiness and a page that links to them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from socket import AF_INET, AF_INET6
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from dataops_core.errors import ConfigError
from dataops_exporter.collector import Latest, SnapshotCollector

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

LANDING_PAGE = b"""<!doctype html>
<html lang="en"><title>DataOps exporter</title>
<h1>DataOps exporter</h1>
<p><a href="/metrics">/metrics</a> <a href="/-/healthy">/-/healthy</a> <a href="/-/ready">/-/ready</a></p>
</html>
"""
PLAIN = "text/plain; charset=utf-8"


def application(latest: Latest) -> Application:
    """Return the WSGI application."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(latest))
    metrics_app = make_wsgi_app(registry)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return metrics_app(environ, start_response)  # type: ignore[no-any-return] # it is not annotated
        status, content_type, body = _page(path, environ["REQUEST_METHOD"], latest)
        start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return app


def _page(path: str, method: str, latest: Latest) -> tuple[str, str, bytes]:
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", PLAIN, b"only GET and HEAD\n"
    match path:
        case "/":
            return "200 OK", "text/html; charset=utf-8", LANDING_PAGE
        case "/-/healthy":
            return "200 OK", PLAIN, b"healthy\n"
        case "/-/ready":
            reason = latest.why_not_ready()
            if reason is not None:
                return "503 Service Unavailable", PLAIN, f"{reason}\n".encode()
            return "200 OK", PLAIN, b"ready\n"
        case _:
            return "404 Not Found", PLAIN, b"no such page; metrics are at /metrics\n"


class _Handler(WSGIRequestHandler):
    timeout = 30
    """Seconds after which a client that sends nothing loses its thread."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a scrape each few seconds is no news."""


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, see `server_port`.
        app: What to serve.

    Raises:
        ConfigError: The address is in use or not to be had.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, app: Application) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            hint = "choose another one with --port" if error.errno == errno.EADDRINUSE else None
            raise ConfigError(
                f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}", hint=hint
            ) from error
        self.set_app(app)
