"""Kerberos without a KDC: what is sent where, and what is wrong with the settings or this machine."""

from __future__ import annotations

import http.server
import re
import sys
import threading
import time
import types
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from tests.settings import ContextSettings

from dataops_core.config import KerberosSettings
from dataops_core.diagnostics.base import Status
from dataops_core.diagnostics.connection import Layer
from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import AuthenticationFailed, BadAnswer, ConfigError
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport.kerberos import KerberosTicket

INFO = b'{"nodeVersion": {"version": "999"}, "starting": false, "uptime": "1m"}'


class Server:
    """A Trino that answers each authenticated request with one status; `ahead` seconds by its clock."""

    def __init__(self) -> None:
        self.status, self.ahead, self.location, self.body = 200, 0.0, "", b"[]"
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["Authorization"]))
                public = self.path == "/v1/info"
                body = INFO if public else outer.body
                self.send_response_only(200 if public else outer.status)
                self.send_header("Date", formatdate(time.time() + outer.ahead, usegmt=True))
                self.send_header("Location", outer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def _tickets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is installed, and tickets without a KDC."""
    monkeypatch.setitem(sys.modules, "gssapi", types.ModuleType("gssapi"))
    monkeypatch.setattr(KerberosTicket, "current", lambda self: "dGlja2V0")


def client(url: str, **given: Any) -> TrinoClient:
    settings = TrinoSettings(url=url, kerberos=KerberosSettings.model_validate(given))
    return TrinoClient(settings, 5, "eu")


@pytest.mark.usefixtures("_tickets")
def test_each_request_has_a_ticket(server: Server) -> None:
    assert client(server.url).queries() == ()
    assert server.asked == [("/v1/query", "Negotiate dGlja2V0")]


@pytest.mark.usefixtures("_tickets")
@pytest.mark.parametrize(
    ("ahead", "hint"),
    [
        (0, r"check eu\.kerberos\.service_name, eu\.kerberos\.hostname and the keytab of the server"),
        (1200, r"synchronize the clocks: the server's is (20m|19m 5\ds) ahead"),
        (-1200, r"synchronize the clocks: the server's is 20m( \ds)? behind"),
    ],
)
def test_a_rejected_ticket(server: Server, ahead: float, hint: str) -> None:
    server.status, server.ahead = 401, ahead
    with pytest.raises(AuthenticationFailed) as caught:
        client(server.url).queries()
    assert caught.value.message == "kerberos trino/127.0.0.1: the server rejected our ticket (401)"
    assert re.fullmatch(hint, caught.value.hint or "")
    assert len(server.asked) == 1


@pytest.mark.usefixtures("_tickets")
@pytest.mark.parametrize("status", [403, 500])
def test_a_principal_of_another_user_is_not_green(server: Server, status: int) -> None:
    server.status = status
    server.body = (
        b"io.trino.spi.security.AccessDeniedException: Access Denied: User d@R cannot impersonate user dataops"
    )
    kerberos = KerberosSettings()
    (found,) = diagnose(ContextSettings(trino=TrinoSettings(url=server.url, kerberos=kerberos)), {}, 5.0)
    last = found.steps[-1]
    assert (last.name, last.status) == (Layer.AUTHENTICATION, Status.FAILED)
    assert last.detail == f"trino {server.url}: our credentials are those of user d@R, not of dataops"
    assert last.remedy == "correct trino.user, or set a user-mapping.pattern in Trino"


@pytest.mark.usefixtures("_tickets")
def test_a_ticket_does_not_go_to_another_origin(server: Server) -> None:
    other = Server()
    server.status, server.location = 302, f"{other.url}/v1/query"
    with pytest.raises(BadAnswer, match=r"redirect \(302\) to .* refused, credentials go only to"):
        client(server.url).queries()
    other.close()
    assert other.asked == []


@pytest.mark.parametrize("ask", [TrinoClient.queries, TrinoClient.sign_in, lambda c: c.fetch("SELECT 1", 5)])
def test_the_library_is_not_installed(server: Server, monkeypatch: pytest.MonkeyPatch, ask: Any) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigError) as caught:
        ask(client(server.url))
    assert str(caught.value).startswith("eu.kerberos: gssapi is not installed: pip install 'dataops-tui[kerberos]'")
    assert server.asked == []


def test_libkrb5_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "gssapi.py").write_text("raise ImportError('libgssapi_krb5.so.2: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "gssapi", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"^eu\.kerberos: libgssapi_krb5\.so\.2: cannot open.*libkrb5-dev$"):
        client("https://trino").sign_in()


@pytest.mark.usefixtures("_tickets")
def test_a_keytab_that_is_none(server: Server, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("BQIAAABB")
    (tmp_path / "empty").touch()
    for name, said in (
        ("none", "cannot read {}: No such file or directory"),
        (".", "cannot read {}: Is a directory"),
        ("text", "{} is not a keytab: export it with ktadd of kadmin"),
        ("empty", "{} is not a keytab"),
    ):
        path = str(tmp_path / name)
        with pytest.raises(ConfigError) as caught:
            client(server.url, keytab=path).queries()
        assert str(caught.value).startswith("eu.kerberos.keytab: " + said.format(path))
    (tmp_path / "keytab").write_bytes(b"\x05\x02")
    assert client(server.url, keytab=str(tmp_path / "keytab")).queries() == ()


@pytest.mark.usefixtures("_tickets")
def test_the_doctor_names_the_keytab(server: Server, tmp_path: Path) -> None:
    kerberos = KerberosSettings(keytab=str(tmp_path / "none"))
    (found,) = diagnose(ContextSettings(trino=TrinoSettings(url=server.url, kerberos=kerberos)), {}, 5.0)
    last = found.steps[-1]
    assert (last.name, last.status) == (Layer.SETTINGS, Status.FAILED)
    assert last.detail.startswith("trino.kerberos.keytab: cannot read ")
