"""The HTTP server: Tornado reads and writes, daemon threads create responses, and no client delays another."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.wsgi import WSGIContainer

from dataops_core.error_log import log_error
from dataops_core.errors import ConfigError
from dataops_core.narration import narrate
from dataops_exporter.access import OPEN, Access, Doorkeeper
from dataops_exporter.web import WebConfigFile
from dataops_exporter.workers import Busy, Workers

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Response = tuple[int, str, list[tuple[str, str]], bytes]

ACCESS = "dataops.access"
"""Key of the WSGI environment with the result of the request's credentials."""
REQUEST_WITHIN = 5.0
"""Maximum seconds for the TLS handshake and all headers, and again for a body."""
WRITTEN_WITHIN = 30.0
"""Maximum seconds for a client to read its response."""
MAX_HEADER = 16_384
MAX_BODY = 65_536
MAX_CONNECTIONS = 512
"""Maximum number of connections. A further one closes the connection that has waited longest without a request."""
SPARE_FILES = 200
"""Open files that are reserved for everything but connections."""
PAGES_AT_ONCE = 4
PROBES_AT_ONCE = 8
WAITING = 64
"""Maximum number of requests that wait for a thread; further ones get 503."""
BUSY: Response = (503, "Service Unavailable", [("Content-Type", "text/plain; charset=utf-8")], b"too many requests\n")
BROKEN: Response = (400, "Bad Request", [("Content-Type", "text/plain; charset=utf-8")], b"invalid request\n")


def say(line: str) -> None:
    """Write one line to stderr."""
    narrate(f"dataops-exporter: {line}")


class Server:
    """The HTTP server of a WSGI application.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for a free port, see `server_port`.
        app: The WSGI application.
        web: TLS and access.

    Raises:
        ConfigError: The address is in use or not available.
    """

    def __init__(self, host: str, port: int, app: Application, web: WebConfigFile) -> None:
        self._app = app
        self._web = web
        self._stop: Callable[[float], None] | None = None
        self._stopped = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (host, port), family=family, backlog=128, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
            )
        except OSError as error:
            hint = "choose another one with --port" if error.errno == errno.EADDRINUSE else None
            raise ConfigError(
                f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}", hint=hint
            ) from error
        self._socket.setblocking(False)
        self.server_port: int = self._socket.getsockname()[1]

    def serve_forever(self) -> None:
        """Serve in this thread until `stop`."""
        try:
            asyncio.run(self._serve())
        finally:
            self._stopped.set()

    def stop(self, within: float) -> None:
        """Stop accepting requests, and wait for the running ones.

        Args:
            within: Seconds after which running requests are aborted.
        """
        if self._stop is None:  # it has not started
            self._socket.close()
            return
        with suppress(RuntimeError):  # it has ended
            self._stop(within)
        self._stopped.wait(within + 5.0)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_loop_failed)
        _quiet_logs()
        stopping: asyncio.Future[float] = loop.create_future()

        def stop(within: float) -> None:
            loop.call_soon_threadsafe(_set, stopping, within)

        self._stop = stop
        if self._socket.fileno() < 0:  # it was stopped before it started
            return
        http = _Http(_Front(self._app, self._web), self._web)
        http.add_sockets([self._socket])
        within = await stopping
        http.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(http.until_answered(), within)
        http.close_all()


class _Front(WSGIContainer):
    """Checks the credentials of requests, then calls the application in a thread."""

    def __init__(self, app: Application, web: WebConfigFile) -> None:
        super().__init__(app)
        self._doorkeeper = Doorkeeper(web)
        self._pages = Workers("page", at_once=PAGES_AT_ONCE, waiting=WAITING)
        self._probes = Workers("probe", at_once=PROBES_AT_ONCE, waiting=WAITING)

    async def respond(self, request: HTTPServerRequest) -> Response:
        """Return the response to a request."""
        try:
            environ = self.environ(request)
        except ValueError:  # a port of `Host` that is not a number
            return BROKEN
        path = environ["PATH_INFO"]
        try:
            if path in OPEN:  # it only reads a few variables, and must respond under any load
                return self._call(environ)
            environ[ACCESS] = await self._doorkeeper.check(request.headers.get("Authorization", ""))
            workers = self._probes if path == "/probe" and environ[ACCESS] is Access.ADMITTED else self._pages
            return await workers.run(lambda: self._call(environ))
        except Busy:
            return BUSY

    def _call(self, environ: Environ) -> Response:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            started.append((status, headers))
            return lambda _: None

        body = b"".join(self.wsgi_application(environ, start_response))
        ((status, headers),) = started
        code, _, reason = status.partition(" ")
        return int(code), reason, headers, body


class _Http(HTTPServer):
    """Tornado's server with reloaded TLS, a limit of connections, and one request per connection."""

    def initialize(self, front: _Front, web: WebConfigFile) -> None:  # type: ignore[override]
        """Initialize the server; Tornado calls it in place of `__init__`."""
        self._web = web
        self._front = front
        self._waiting: dict[IOStream, None] = {}
        self._answering: set[asyncio.Task[None]] = set()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = max(16, min(MAX_CONNECTIONS, limit - SPARE_FILES)) if limit > 0 else MAX_CONNECTIONS
        super().initialize(
            self._began,
            no_keep_alive=True,
            idle_connection_timeout=REQUEST_WITHIN,
            body_timeout=REQUEST_WITHIN,
            max_header_size=MAX_HEADER,
            max_body_size=MAX_BODY,
        )

    @property
    def ssl_options(self) -> ssl.SSLContext | None:
        """The current TLS context; Tornado reads it at each connection."""
        return self._web.current().tls

    @ssl_options.setter
    def ssl_options(self, _: object) -> None: ...

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Accept a connection; at the limit, close the one that has waited longest without a request."""
        if len(self._waiting) + len(self._answering) >= self._most:
            oldest = next(iter(self._waiting), stream)
            self._waiting.pop(oldest, None)
            oldest.close()
            if oldest is stream:
                return
        self._waiting[stream] = None
        super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:  # noqa: ANN401 - Tornado's own class
        """Remove a closed connection."""
        self._waiting.pop(server_conn.stream, None)
        super().on_close(server_conn)

    async def until_answered(self) -> None:
        """Wait until all running requests have their response."""
        while self._answering:
            await asyncio.wait(self._answering)

    def close_all(self) -> None:
        """Abort the remaining requests and connections."""
        for task in self._answering:
            task.cancel()
        for connection in list(self._connections):
            connection.stream.close()

    def _began(self, request: HTTPServerRequest) -> None:
        connection = cast("HTTP1Connection", request.connection)
        self._waiting.pop(connection.stream, None)
        task = asyncio.create_task(self._respond(request, connection))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _respond(self, request: HTTPServerRequest, connection: HTTP1Connection) -> None:
        stream = connection.stream
        try:
            code, reason, headers, body = await self._front.respond(request)
            sent = HTTPHeaders({"Date": formatdate(usegmt=True), "Content-Length": str(len(body))})
            for name, value in headers:
                sent[name] = value
            written = connection.write_headers(ResponseStartLine("HTTP/1.1", code, reason), sent, body)
            await asyncio.wait_for(written, WRITTEN_WITHIN)
            if isinstance(stream.socket, ssl.SSLSocket):
                with suppress(OSError, ValueError):  # the client closed first, or sends no close_notify
                    stream.socket.unwrap()
            connection.finish()
        except (StreamClosedError, TimeoutError):
            stream.close()
        except Exception as error:  # noqa: BLE001 - a bug in one request must not stop the others
            say(log_error(error, "a request"))
            stream.close()


class _Log(logging.Handler):
    """Logs bugs in one line, and ignores clients that disconnect or send invalid HTTP or TLS."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, OSError):
            say(log_error(error, "a connection"))


def _quiet_logs() -> None:
    log = logging.getLogger("tornado")
    if not log.handlers:
        log.addHandler(_Log(logging.ERROR))
        log.propagate = False


def _loop_failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if error is not None and not isinstance(error, OSError):
        say(log_error(error, "the HTTP server"))


def _set(future: asyncio.Future[float], value: float) -> None:
    if not future.done():
        future.set_result(value)
