"""OAuth 2 client credentials: what is sent to the token endpoint, how long a token is used, and what a failure says."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.json_server import JsonServer, serving
from tests.ports import free_port
from tests.settings import ContextSettings

from dataops_core.config import OauthSettings, SecretSource
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, Unreachable
from dataops_core.systems.clients import Clients
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings
from dataops_core.transport.oauth import OauthToken

SECRET = "S3C/R3T +%"


class Server:
    """Issues the tokens `t1`, `t2`, …; its Trino accepts those in `valid`."""

    def __init__(self, http: JsonServer) -> None:
        self.url = http.url
        self.status = 200
        self.answer: Any = {"token_type": "Bearer", "expires_in": 1000}
        self.valid: set[str] = {"t1", "t2", "t3"}
        self.forms: list[dict[str, list[str]]] = []
        self.users: list[str | None] = []
        self.asked: list[str] = []
        http.answers.update({"GET /v1/query": self._queries, "POST /token": self._issue})

    def _queries(self, headers: Mapping[str, str], _: bytes) -> tuple[int, Any]:
        token = headers["Authorization"].removeprefix("Bearer ")
        self.asked.append(token)
        return (200, []) if token in self.valid else (401, {})

    def _issue(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        self.forms.append(parse_qs(body.decode()))
        basic = headers.get("Authorization")
        self.users.append(basic and base64.b64decode(basic.removeprefix("Basic ")).decode())
        issued = self.status == 200 and isinstance(self.answer, dict)
        return self.status, {"access_token": f"t{len(self.forms)}", **self.answer} if issued else self.answer

    def settings(self, **more: Any) -> OauthSettings:
        given = {"token_url": f"{self.url}/token", "client_id": "us:er", "client_secret": SECRET, **more}
        return OauthSettings.model_validate(given)

    def token(self, **more: Any) -> OauthToken:
        return OauthToken(self.settings(**more), "eu.oauth", 10)

    def trino(self) -> TrinoClient:
        return TrinoClient(TrinoSettings(url=self.url, oauth=self.settings()), 10, "eu")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({}) as http:
        yield Server(http)


def jwt(**claims: object) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), "s"])


def test_the_client_authenticates_as_the_rfc_says(server: Server) -> None:
    assert server.token(scope="a b", audience="api://trino").current() == "t1"
    assert server.forms == [{"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["api://trino"]}]
    assert server.users == ["us%3Aer:S3C%2FR3T+%2B%25"], "both are form-encoded (RFC 6749, 2.3.1)"
    server.token().current()
    assert server.forms[-1] == {"grant_type": ["client_credentials"]}


def test_the_secret_is_sent_in_the_body_if_the_settings_say_so(server: Server) -> None:
    assert server.token(token_endpoint_auth_method="client_secret_post").current() == "t1"
    sent = {"grant_type": ["client_credentials"], "client_id": ["us:er"], "client_secret": [SECRET]}
    assert server.forms == [sent]
    assert server.users == [None], "two methods in one request are not allowed (RFC 6749, 2.3)"


def test_a_token_is_used_until_shortly_before_its_expiry(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    token = server.token()
    assert [token.current(), token.current()] == ["t1", "t1"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 790)
    assert token.current() == "t1"
    monkeypatch.setattr(time, "monotonic", lambda: now + 810)
    assert token.current() == "t2"


@pytest.mark.parametrize(("issued", "seconds"), [("opaque", 0.8 * 300), (jwt(exp=2_000_000_000), 0.8 * 1000)])
def test_a_token_without_expires_in(
    server: Server, monkeypatch: pytest.MonkeyPatch, issued: str, seconds: float
) -> None:
    server.answer = {"access_token": issued}
    now = time.monotonic()
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000 - 1000)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    token = server.token()
    for after, fetched in ((0, 1), (seconds - 1, 1), (seconds + 1, 2)):
        monkeypatch.setattr(time, "monotonic", lambda after=after: now + after)
        assert token.current() == issued
        assert len(server.forms) == fetched


def test_a_rejected_token_is_renewed_once(server: Server) -> None:
    client = server.trino()
    assert client.queries() == ()
    server.valid = {"t2"}
    assert client.queries() == ()
    assert client.queries() == ()
    assert server.asked == ["t1", "t1", "t2", "t2"]
    server.valid = set()
    with pytest.raises(AuthenticationFailed, match="rejected our credentials"):
        client.queries()
    assert server.asked[4:] == ["t2", "t3"]


def test_threads_share_a_token(server: Server) -> None:
    token = server.token()
    threads = [threading.Thread(target=token.current) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.forms) == 1


@pytest.mark.parametrize(
    ("status", "answer", "error", "said"),
    [
        (401, {"error": "invalid_client", "error_description": SECRET}, AuthenticationFailed, "(401): invalid_client"),
        (400, {"error": "invalid_scope"}, AuthenticationFailed, "(400): invalid_scope: check eu.oauth.scope"),
        (401, {"error": SECRET}, AuthenticationFailed, "rejected our credentials (401)"),
        (400, {"error": SECRET}, BadAnswer, "HTTP 400"),
        (500, SECRET, BadAnswer, "HTTP 500"),
        (200, ["x"], BadAnswer, "the response is not an object"),
        (200, {"access_token": f"a\r\nX: {SECRET}"}, BadAnswer, "not a bearer token"),
        (200, {"access_token": None}, BadAnswer, "access_token"),
        (200, {"token_type": "mac"}, BadAnswer, "token_type other than Bearer"),
        (200, {"expires_in": 0}, BadAnswer, "has expired"),
    ],
)
def test_a_failure_is_one_line_without_a_secret(
    server: Server, status: int, answer: Any, error: type[ClientError], said: str
) -> None:
    server.status, server.answer = status, answer
    with pytest.raises(error) as caught:
        server.trino().queries()
    text = str(caught.value)
    assert text.startswith(f"oauth {server.url}/token: ")
    assert said in text
    assert caught.value.hint
    assert "\n" not in text
    assert "S3C" not in text
    assert server.asked == []


def test_an_unreachable_endpoint_and_an_unreadable_secret(server: Server, tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(Unreachable, match=rf"oauth http://127\.0\.0\.1:{port}/t.*: check eu\.oauth\.token_url"):
        server.token(token_url=f"http://127.0.0.1:{port}/t").current()
    with pytest.raises(AuthenticationFailed, match=r"eu\.oauth\.client_secret: cannot read"):
        server.token(client_secret=SecretSource(file=str(tmp_path / "none"))).current()


def test_a_renewal_that_fails_does_not_use_the_rejected_token(server: Server) -> None:
    client = server.trino()
    client.queries()
    server.valid, server.status = set(), 503
    with pytest.raises(BadAnswer, match=r"oauth .*HTTP 503"):
        client.queries()
    server.valid, server.status = {"t3"}, 200
    assert client.queries() == ()
    assert server.asked == ["t1", "t1", "t3"]


def test_an_error_names_the_component_of_the_settings(server: Server) -> None:
    server.status, server.answer = 401, {"error": "invalid_client"}
    oauth = {"token_url": f"{server.url}/token", "client_id": "us:er", "client_secret": SECRET}
    eu = {"system": "trino", "url": server.url, "oauth": oauth}
    context = ContextSettings.model_validate({"components": {"eu": eu}})
    with pytest.raises(AuthenticationFailed) as caught:
        Clients(context).need("trino", "eu").queries()
    assert (
        caught.value.hint == "check eu.oauth.client_id, eu.oauth.client_secret and eu.oauth.token_endpoint_auth_method"
    )
