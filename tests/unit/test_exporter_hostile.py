"""The exporter beside clients that are slow, silent, guess passwords, or speak no HTTP."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import bcrypt
import pytest
from tests.unit.test_exporter_web import BLOCK, CA, MUTUAL, TLS, basic, folder, serving, trusting, write

from dataops_exporter import server
from dataops_exporter.access import AT_ONCE, Access, Doorkeeper
from dataops_exporter.server import Server
from dataops_exporter.web import Guard, WebConfigFile

pytestmark = pytest.mark.programs

__all__ = ["folder"]
WITHIN = 20.0
"""Seconds that nothing here comes near, on a busy machine too."""


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


ALICE = hashed("wonder")


class Slow:
    """Connections that say something, and then one byte now and then or nothing."""

    def __init__(self, port: int, number: int, first: bytes = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: ") -> None:
        self.connections: list[socket.socket] = []
        for _ in range(number):
            connection = socket.create_connection(("127.0.0.1", port), WITHIN)
            connection.settimeout(WITHIN)
            connection.sendall(first)
            self.connections.append(connection)

    def drip(self) -> None:
        for connection in self.connections:
            with suppress(OSError):  # it is closed already
                connection.sendall(b"a")

    def closed(self) -> int:
        """Return how many the server has closed."""
        number = 0
        for connection in self.connections:
            connection.setblocking(False)
            try:
                number += connection.recv(1000) == b""
            except BlockingIOError:
                pass
            except OSError:
                number += 1
        return number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            connection.close()


def raw(port: int, request: bytes) -> bytes:
    """Return all that is answered to some bytes."""
    with socket.create_connection(("127.0.0.1", port), WITHIN) as connection:
        connection.settimeout(WITHIN)
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    "first",
    [b"", b"G", b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"],
    ids=["silent", "request line", "headers", "body"],
)
def test_slow_connections_hold_up_nobody(folder: Path, first: bytes) -> None:
    with (
        serving(folder, f"basic_auth_users: {{alice: {ALICE}}}\n") as running,
        Slow(running.server.server_port, 200, first) as slow,
    ):
        for _ in range(5):
            slow.drip()
            began = time.monotonic()
            assert running.status("/-/healthy") == 200
            assert running.status(authorization=basic("alice", "wonder")) == 200
            assert time.monotonic() - began < WITHIN


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n"])
def test_handshakes_that_never_end_hold_up_nobody(folder: Path, first: bytes) -> None:
    with serving(folder, TLS) as running, Slow(running.server.server_port, 200, first):
        for _ in range(3):
            assert running.status(context=trusting(CA)) == 200


@pytest.mark.parametrize(
    "first", [b"", b"GET / HTTP/1.1\r\nX: ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n"]
)
def test_a_request_has_to_come_within_its_deadline_however_it_drips(
    folder: Path, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_WITHIN", 1.0)
    with serving(folder, "") as running, Slow(running.server.server_port, 20, first) as slow:
        deadline = time.monotonic() + WITHIN
        while slow.closed() < 20:
            assert time.monotonic() < deadline
            slow.drip()
            time.sleep(0.1)


def test_one_connection_more_than_there_may_be_ends_that_which_has_waited_longest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 50)
    with serving(folder, "") as running, Slow(running.server.server_port, 200) as slow:
        assert running.status("/-/healthy") == 200
        assert running.status() == 200
        assert slow.closed() >= 150
        assert [connection.fileno() for connection in slow.connections]


def test_requests_that_hang_leave_the_health_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody is asked for credentials, so that anybody can have pipelines probed."""
    go_on = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        if environ["PATH_INFO"] in ("/probe", "/metrics"):
            go_on.wait(WITHIN)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"whole"]

    running = Server("127.0.0.1", 0, app, WebConfigFile(None))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    port = running.server_port
    try:
        with Slow(port, 100, b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n") as slow:
            deadline = time.monotonic() + WITHIN
            while not slow.closed():
                assert time.monotonic() < deadline, "those beyond what may wait get 503"
                time.sleep(0.1)
            assert raw(port, b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
            assert raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"whole"), "probes take no page's thread"
            go_on.set()
    finally:
        go_on.set()
        running.stop(5)


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "WRITTEN_WITHIN", 0.5)

    def app(_environ: object, start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * 50_000_000]

    running = Server("127.0.0.1", 0, app, WebConfigFile(None))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        with socket.create_connection(("127.0.0.1", running.server_port), WITHIN) as connection:
            connection.settimeout(WITHIN)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(2)
            got = 0
            try:
                while piece := connection.recv(1 << 20):
                    got += len(piece)
            except ConnectionError:
                pass
            assert got < 50_000_000
    finally:
        running.stop(1)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /-/healthy HTTP/1.0\r\n\r\n", b"200"),
        (b"HEAD /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b""),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /%00%1b[31m HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (b"GET /" + b"../" * 50 + b"etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
    ],
)
def test_what_is_no_request_gets_an_answer_or_none_and_leaves_no_line(
    folder: Path, capfd: pytest.CaptureFixture[str], request_: bytes, status: bytes
) -> None:
    with serving(folder, "") as running:
        answer = raw(running.server.server_port, request_)
        assert answer[:9] in (b"HTTP/1.1 ", b"")
        assert answer[9:12] == status
        assert b"Tornado" not in answer
        assert running.status("/-/healthy") == 200
    assert capfd.readouterr().err == ""


# Python closes a socket that was aborted before it was accepted only when it forgets it
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_clients_that_close_early_leave_no_line(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(folder, BLOCK + MUTUAL) as running:
        port = running.server.server_port
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for first in (b"", hello, b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x00\x02"):
            for abort in (False, True):
                with Slow(port, 10, first) as slow:
                    for connection in slow.connections if abort else ():
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for context in (trusting(CA), trusting(CA, client=CA)):
            with socket.create_connection(("127.0.0.1", port), WITHIN) as plain:
                try:
                    with context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted:
                        encrypted.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                        encrypted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except (ssl.SSLError, ConnectionError):
                    pass
        assert running.status(context=trusting(CA, client=CA)) == 200
        assert running.said == []
    assert capfd.readouterr().err == ""


def test_wrong_passwords_by_many_at_once_hold_up_no_right_one(folder: Path) -> None:
    """Each is another one, for a user that exists and one that does not, at the cost that htpasswd is told to take."""
    with serving(folder, f"basic_auth_users: {{alice: {hashed('wonder', 10)}}}\n") as running:
        assert running.status(authorization=basic("alice", "wonder")) == 200
        stop = threading.Event()
        wrong: Counter[int] = Counter()

        def guess(number: int) -> None:
            tried = 0
            while not stop.is_set():
                tried += 1
                wrong[running.status(authorization=basic(("alice", "bob")[number % 2], f"{number} {tried}"))] += 1

        with ThreadPoolExecutor(16) as pool:
            guessing = [pool.submit(guess, number) for number in range(16)]
            try:
                for _ in range(20):
                    began = time.monotonic()
                    assert running.status(authorization=basic("alice", "wonder")) == 200
                    assert running.status("/-/healthy") == 200
                    assert time.monotonic() - began < WITHIN
            finally:
                stop.set()
            for each in guessing:
                each.result()
        assert set(wrong) == {401, 429}, "some were checked, and most were not"
        assert wrong[429] > wrong[401]


class Checked:
    """A doorkeeper with one user and a clock that stands still, and what it has had hashed."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
        self.loop = asyncio.Runner()
        self.now = 0.0
        self.web = WebConfigFile(write(tmp_path, content))
        self.door = Doorkeeper(self.web, lambda: self.now)
        self.hashed: list[tuple[bytes, str]] = []
        self.cost = 1.0

        def has_hash(guard: Guard, password: bytes, known: str) -> bool:
            self.hashed.append((password, known))
            self.now += self.cost
            return bcrypt.checkpw(password, known.encode())

        monkeypatch.setattr(Guard, "has_hash", has_hash)

    def ask(self, *credentials: tuple[str, str]) -> list[Access]:
        async def asked() -> list[Access]:
            return list(await asyncio.gather(*(self.door.check(basic(*each)) for each in credentials)))

        return self.loop.run(asked())


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checked]:
    checked = Checked(tmp_path, monkeypatch, f"basic_auth_users: {{alice: {ALICE}}}\n")
    with checked.loop:
        yield checked


def test_a_right_password_is_hashed_once_and_kept_nowhere(checked: Checked) -> None:
    assert checked.ask(*[("alice", "wonder")] * 5) == [Access.ADMITTED] * 5
    assert checked.ask(("alice", "wonder")) == [Access.ADMITTED]
    assert len(checked.hashed) == 1, "also by those who come at the same time"
    kept = repr(vars(checked.door)) + repr([vars(each) for each in (checked.door._right, checked.door._wrong)])
    assert "wonder" not in kept
    assert base64.b64encode(b"alice:wonder").decode() not in kept


def test_a_wrong_password_that_comes_again_is_not_hashed_again(checked: Checked) -> None:
    for _ in range(50):
        assert checked.ask(("alice", "wrong")) == [Access.REFUSED]
    assert len(checked.hashed) == 1


def test_an_unknown_user_is_checked_like_a_known_one(checked: Checked) -> None:
    assert checked.ask(("nobody", "guess"), ("alice", "guess")) == [Access.REFUSED] * 2
    assert [known for _, known in checked.hashed] == [ALICE, ALICE]
    assert checked.ask(("nobody", "guess"), ("alice", "guess")) == [Access.REFUSED] * 2
    assert len(checked.hashed) == 2
    assert checked.ask(("nobody", "wonder")) == [Access.REFUSED], "the password of another user"


def test_unknown_users_take_the_times_of_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = {"slow": hashed("a", 6), "fast": hashed("b", 4)}
    content = "basic_auth_users:\n" + "".join(f"  {user}: {known}\n" for user, known in users.items())
    checked = Checked(tmp_path, monkeypatch, content)
    checked.cost = 0.0
    with checked.loop:
        for number in range(40):
            checked.ask((f"nobody {number}", "x"))
            checked.ask((f"nobody {number}", "y"))
    assert {known for _, known in checked.hashed} == set(users.values())
    ways = [{known for password, known in checked.hashed[n : n + 2]} for n in range(0, 80, 2)]
    assert all(len(found) == 1 for found in ways), "a name always takes the same time"


def test_failed_checks_have_a_budget_that_grows_again(checked: Checked) -> None:
    found = [checked.ask(("alice", f"guess {n}"))[0] for n in range(10)]
    assert found == [Access.REFUSED] * 3 + [Access.TOO_MANY] * 7, "two seconds of a core are saved up"
    assert checked.ask(("bob", "x")) == [Access.TOO_MANY], "whoever it is"
    checked.now += 4.1
    assert checked.ask(("alice", "guess a"), ("alice", "guess b")) == [Access.REFUSED, Access.REFUSED]
    assert checked.ask(("alice", "guess c")) == [Access.TOO_MANY]


def test_a_right_password_gets_in_at_its_second_try_while_others_guess(checked: Checked) -> None:
    for n in range(100):
        checked.ask(("alice", f"guess {n}"))
    assert checked.ask(("alice", "wonder")) == [Access.TOO_MANY]
    for n in range(100, 200):
        checked.ask(("alice", f"guess {n}"))
    assert checked.ask(("alice", "wonder")) == [Access.ADMITTED]
    for n in range(200, 300):
        assert checked.ask(("alice", f"guess {n}"), ("alice", "wonder"))[1] is Access.ADMITTED
    assert len(checked.hashed) < 10


def test_only_so_many_checks_wait_at_once(checked: Checked) -> None:
    checked.cost = 0.0
    found = Counter(checked.ask(*[("alice", f"guess {n}") for n in range(100)]))
    assert found == {Access.REFUSED: AT_ONCE, Access.TOO_MANY: 100 - AT_ONCE}


def test_what_was_remembered_is_void_once_the_hash_changes(checked: Checked, tmp_path: Path) -> None:
    assert checked.ask(("alice", "wonder"), ("bob", "builder")) == [Access.ADMITTED, Access.REFUSED]
    write(tmp_path, f"basic_auth_users: {{alice: {hashed('other')}, bob: {hashed('builder')}}}\n")
    checked.cost = 0.0
    checked.now += 100
    assert checked.ask(("alice", "wonder"), ("alice", "other"), ("bob", "builder")) == [
        Access.REFUSED,
        Access.ADMITTED,
        Access.ADMITTED,
    ]
    write(tmp_path, f"basic_auth_users: {{bob: {hashed('builder')}}}\n")
    assert checked.ask(("alice", "other")) == [Access.REFUSED]


def test_a_refusal_says_when_to_come_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_many(_door: Doorkeeper, _authorization: str) -> Access:
        return Access.TOO_MANY

    monkeypatch.setattr(Doorkeeper, "check", too_many)
    with serving(folder, f"basic_auth_users: {{alice: {ALICE}}}\n") as running:
        answer = raw(running.server.server_port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"\r\nRetry-After: 1\r\n" in answer
        assert running.status("/-/ready") == 503
