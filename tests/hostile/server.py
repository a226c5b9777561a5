"""A web server that misbehaves in a chosen way, and otherwise answers as a well-behaved one does."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from tests.hostile import answers

BEAT = 0.02
"""Seconds between two pieces of what drips."""


@dataclass
class Talk:
    """One request, and the connection that it came by.

    Attributes:
        number: How many requests the server had before.
        elsewhere: `host:port` of another origin.
    """

    server: Server
    connection: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    number: int

    @property
    def base(self) -> str:
        """The server's own address."""
        return self.server.url

    @property
    def elsewhere(self) -> str:
        """`host:port` of another origin."""
        return self.server.elsewhere

    def good(self) -> bytes:
        """Return the body of a well-behaved answer; `{}` where there is none."""
        try:
            return answers.body(self.method, self.path, self.base)
        except KeyError:
            return b"{}"

    def send(self, data: bytes) -> None:
        """Send bytes; raises OSError where nobody listens any more."""
        self.connection.sendall(data)

    def head(self, *headers: str, status: str = "200 OK", length: int | None = None) -> None:
        """Send a status line and headers."""
        lines = [f"HTTP/1.1 {status}", "Connection: close", *headers]
        if not any(line.lower().startswith("content-type") for line in headers):
            lines.append("Content-Type: application/json")
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))

    def reply(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """Send a whole answer."""
        self.head(*headers, status=status, length=len(body))
        if self.method != "HEAD":
            self.send(body)

    def drip(self, data: bytes) -> None:
        """Send bytes one at a time, and then nothing."""
        for index in range(len(data)):
            self.send(data[index : index + 1])
            if self.server.stopped.wait(BEAT):
                return
        self.silence()

    def forever(self, piece: bytes, beat: float = 0.0) -> None:
        """Send the same again and again."""
        while not self.server.stopped.wait(beat):
            self.send(piece)

    def silence(self) -> None:
        """Send nothing, until the other side goes or the server stops."""
        self.connection.settimeout(None)
        while self.connection.recv(65536):
            pass

    def reset(self) -> None:
        """End the connection at once, and lose what is under way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Misbehaviour = Callable[[Talk], None]


@dataclass
class Server:
    """Listens on 127.0.0.1; misbehaves in each answer, or in those alone that follow a login.

    Attributes:
        misbehave: What it does.
        tls: TLS that it speaks; `None` for none.
        handshake: Whether it answers to TLS at all.
        later: Whether it behaves well in what is asked before the question itself.
        elsewhere: `host:port` of another origin.
        asked: Method, path and `Authorization` of each request.
    """

    misbehave: Misbehaviour
    tls: ssl.SSLContext | None = None
    handshake: bool = True
    later: bool = False
    elsewhere: str = "127.0.0.2:9"
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    """What went wrong in the server itself; empty unless a test here has a bug."""

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(10)
            if self.tls is not None:
                if not self.handshake:
                    Talk(self, connection, "", "", {}, 0).silence()
                    return
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            talk = self._read(connection)
            if talk is None:
                return
            before = urlsplit(talk.path).path in answers.LOGINS
            if self.later and before:
                talk.reply(talk.good())
            else:
                self.misbehave(talk)
        except (OSError, ssl.SSLError):
            pass
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.faults.append(error)
        finally:
            connection.close()

    def _read(self, connection: socket.socket) -> Talk | None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        left = int(headers.get("content-length", 0)) - len(body)
        while left > 0 and (piece := connection.recv(65536)):
            left -= len(piece)
        self.asked.append((method, path, headers.get("authorization")))
        return Talk(self, connection, method, path, headers, len(self.asked) - 1)


def well_behaved(talk: Talk) -> None:
    """Answer as it should."""
    talk.reply(talk.good())
