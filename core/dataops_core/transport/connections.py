"""HTTP connections with one deadline for name resolution, connecting, TLS, sending, headers and body together.

A socket's timeout restarts with each byte, so a server that sends a byte from time to time would block forever.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import urllib3.connection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from dataops_core.transport.deadlines import Deadline, TooLarge

HEADER_BYTES = 256 * 2**10
"""Maximum bytes of a response's headers, including those of `100 Continue`."""
NO_LIMIT = 3600.0
"""Deadline in seconds of a connection without a `Watch`; none of our clients opens one."""


@dataclass
class Watch:
    """The limits of one request.

    Attributes:
        most_bytes: Maximum bytes of the body, both as sent and after decompression.
        in_headers: Whether the headers are not complete yet.
        opened: Readers of the connection, to close if the response is not read to its end.
    """

    deadline: Deadline
    most_bytes: int
    in_headers: bool = True
    opened: list[Any] = field(default_factory=list)
    _received: int = 0

    def receive(self, size: int) -> None:
        """Count received bytes; raises TooLarge above a limit."""
        self._received += size
        if self.in_headers and self._received > HEADER_BYTES:
            raise TooLarge(f"its headers are larger than {HEADER_BYTES // 2**10} KiB")
        if self._received > self.most_bytes + HEADER_BYTES:
            raise too_large(self.most_bytes)


def too_large(most_bytes: int) -> TooLarge:
    """Return the error for a body that is too large."""
    limit = f"{most_bytes / 2**20:g} MiB" if most_bytes >= 2**20 else f"{most_bytes:,} bytes"
    return TooLarge(f"its body is larger than {limit}")


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Apply limits to the requests of this thread."""
    token = _watch.set(watch)
    try:
        yield
    except BaseException:
        for reader in watch.opened:  # urllib3 leaves some of them open, with their sockets
            reader.close()
        raise
    finally:
        watch.opened.clear()  # readers refer to the watch
        _watch.reset(token)


def _current() -> Watch:
    return _watch.get() or Watch(Deadline(NO_LIMIT), 2**62)


class _WatchedReader(io.RawIOBase):
    """Reads a socket; each read waits at most until the deadline."""

    def __init__(self, sock: Any, watch: Watch) -> None:  # noqa: ANN401 - a socket, or TLS within TLS
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self.watch = watch

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as its base class
        self.watch.deadline.check()
        self._sock.settimeout(self.watch.deadline.left or 0.001)
        size: int | None = self._raw.readinto(buffer)
        self.watch.receive(size or 0)
        return size

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _Watched:
    """A socket for `http.client.HTTPResponse` to read from."""

    def __init__(self, sock: Any, watch: Watch) -> None:  # noqa: ANN401 - as above
        self._sock, self._watch = sock, watch

    def makefile(self, _mode: str) -> Any:  # noqa: ANN401 - a buffered reader
        reader = io.BufferedReader(_WatchedReader(self._sock, self._watch))
        self._watch.opened.append(reader)
        return reader


class WatchedResponse(http.client.HTTPResponse):
    """A response that is read within the limits of its request."""

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as its base class
        self._watch = _current()
        super().__init__(_Watched(sock, self._watch), *arguments, **options)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the status and the headers."""
        super().begin()
        self._watch.in_headers = False


class _Connecting:
    """Shared code of connections with and without TLS."""

    response_class = WatchedResponse
    _dns_host: str
    host: str
    port: int
    sock: socket.socket | None
    socket_options: Any
    source_address: tuple[str, int] | None

    def _new_conn(self) -> socket.socket:
        deadline = _current().deadline
        failure: OSError = OSError("it has no address")
        addresses = _addresses(self, self._dns_host, self.port, deadline)
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = None
            try:
                deadline.check()
                sock = socket.socket(family, kind, protocol)
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                # An address that does not respond leaves time for the next ones.
                sock.settimeout(deadline.left / (len(addresses) - tried) or 0.001)
                if self.source_address:
                    sock.bind(self.source_address)
                sock.connect(address)
                sock.settimeout(deadline.left or 0.001)
            except OSError as error:
                failure = error
                if sock is not None:
                    sock.close()
            else:
                return sock
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, "no connection within the deadline") from failure
        raise NewConnectionError(self, f"no connection: {failure}") from failure  # type: ignore[arg-type]

    def send(self, data: Any) -> None:  # noqa: ANN401 - as its base class
        if self.sock is not None:
            self.sock.settimeout(_current().deadline.left or 0.001)
        super().send(data)  # type: ignore[misc]


def _addresses(connection: Any, host: str, port: int, deadline: Deadline) -> list[Any]:  # noqa: ANN401 - for errors
    """Return the addresses of a host within the deadline; the system's timeout for names is longer."""
    host = host.strip("[]")
    results: list[Any] = []
    failed: list[OSError] = []

    def resolve() -> None:
        try:
            results.extend(
                socket.getaddrinfo(host, port, urllib3.util.connection.allowed_gai_family(), socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            failed.append(error if isinstance(error, OSError) else OSError("not a host name"))

    try:
        ipaddress.ip_address(host)
    except ValueError:
        resolving = Thread(target=resolve, name=f"resolve {host}", daemon=True)
        resolving.start()
        resolving.join(deadline.left)
        if resolving.is_alive():
            raise ConnectTimeoutError(connection, f"the name {host} was not resolved in time") from None
    else:
        resolve()
    if failed:
        error = failed[0] if isinstance(failed[0], socket.gaierror) else socket.gaierror(str(failed[0]))
        raise NameResolutionError(host, connection, error) from failed[0]
    return results


class WatchedConnection(_Connecting, urllib3.connection.HTTPConnection):  # type: ignore[misc]
    """A connection without TLS."""


class WatchedTlsConnection(_Connecting, urllib3.connection.HTTPSConnection):  # type: ignore[misc]
    """A connection with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = WatchedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = WatchedTlsConnection


POOLS: Mapping[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}
"""Pools of watched connections, by scheme."""
