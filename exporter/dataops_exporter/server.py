"""The HTTP server: one thread per request, TLS where it is asked for, and an end that lets a scrape finish."""

from __future__ import annotations

import errno
import ssl
import sys
from collections.abc import Callable, Iterable
from socket import AF_INET, AF_INET6
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Condition
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from dataops_core.errors import ConfigError
from dataops_core.narration import narrate
from dataops_exporter.web import WebConfigFile

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

CLIENT_TIMEOUT = 30.0
"""Seconds after which a client that sends nothing loses its thread."""
MAX_CONNECTIONS = 64
"""Requests at one time."""
PLACE_WITHIN = 2.0
"""Seconds that a further one waits for its turn."""


def say(line: str) -> None:
    """Write one line of narration."""
    narrate(f"dataops-exporter: {line}")


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: a scrape each few seconds is no news."""


class Server(ThreadingMixIn, WSGIServer):
    """Serves an application until it is stopped.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, see `server_port`.
        app: What to serve.
        web: Whether over TLS.

    Raises:
        ConfigError: The address is in use or not to be had.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, app: Application, web: WebConfigFile) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._web = web
        self._places = BoundedSemaphore(MAX_CONNECTIONS)
        self._active = 0
        self._changed = Condition()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            hint = "choose another one with --port" if error.errno == errno.EADDRINUSE else None
            raise ConfigError(
                f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}", hint=hint
            ) from error
        self.set_app(app)

    def stop(self, within: float) -> None:
        """Take no further request, and let those that run finish.

        Args:
            within: Seconds after which those that still run are cut off.
        """
        self.shutdown()
        self.server_close()
        with self._changed:
            self._changed.wait_for(lambda: self._active == 0, within)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Start a thread for a request, once there is a place for it; a client that waits too long is let go."""
        if not self._places.acquire(timeout=PLACE_WITHIN):
            self.shutdown_request(request)
            return
        with self._changed:
            self._active += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Answer a request, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Answer a request; the handshake is made here, so that a client that is slow at it holds up no other."""
        context = self._web.current().tls
        if context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(CLIENT_TIMEOUT)
        with context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)
            _say_goodbye(encrypted)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as above
        """Say nothing of a client that went away or speaks no TLS, and one line of anything else."""
        error = sys.exception()
        if not isinstance(error, OSError):
            say(f"a request failed: {type(error).__name__}: {error}")


def _say_goodbye(encrypted: ssl.SSLSocket) -> None:
    """End the TLS session, so that the client sees that nothing was cut off."""
    try:
        encrypted.settimeout(1.0)
        encrypted.unwrap().close()
    except (OSError, ValueError):
        pass  # it has closed first
