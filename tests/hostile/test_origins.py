"""Credentials go to the configured origin only: redirects and addresses that a server supplies are refused."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.hostile.clients import (
    QUESTIONS,
    SECRET,
    SERVER_TLS,
    airflow,
    catalog,
    catalog_oauth,
    over_tls,
    trino,
    web,
)

from dataops_core.errors import BadAnswer, ClientError, ConfigError, DataopsError
from dataops_core.systems.kafka import schema_registry
from dataops_core.systems.prometheus.client import PrometheusClient
from dataops_core.transport.origin import Origin, OriginRule

pytestmark = pytest.mark.filterwarnings("ignore:.*OAuth2:DeprecationWarning")  # PyIceberg's, of its own default
STATUSES = (301, 302, 303, 307, 308)
TIMEOUT = 30.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine answer late: these tests are about where a client goes."""
    monkeypatch.setattr(schema_registry, "PATIENCE", TIMEOUT)


Answer = Callable[[str, str], tuple[int, dict[str, str], Any]]
"""By method and path: status, headers, and what JSON the body is."""


class Witness:
    """Listens on another origin and keeps every byte that anybody sends there."""

    def __init__(self, host: str) -> None:
        self.seen = bytearray()
        self.connections = 0
        self._server = socket.create_server((host, 0))
        self.origin = f"{host}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(1)
                try:
                    self.seen += connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                except OSError:
                    pass

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Server:
    """Answers each request by a function of it, and keeps what it was asked."""

    def __init__(self, answer: Answer, *, tls: bool = False) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, self.headers.get("Authorization")))
                status, headers, body = answer(self.command, self.path)
                raw = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {
                    "Content-Length": str(len(raw)),
                    "Content-Type": "application/json",
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 - the base class names them so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = SERVER_TLS.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer, *, tls: bool = False) -> Server:
        servers.append(Server(answer, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Witness]:
    found = Witness("127.0.0.1")
    yield found
    found.close()


@pytest.fixture(params=["127.0.0.1", "127.0.0.2"], ids=["other port", "other host"])
def witness(request: pytest.FixtureRequest) -> Iterator[Witness]:
    found = Witness(request.param)
    yield found
    found.close()


def refused(ask: Callable[[], object], own: str, other: str) -> None:
    """Assert that an address is refused in one line that names both origins and no secret."""
    with pytest.raises(ClientError) as caught:
        ask()
    text = str(caught.value)
    assert isinstance(caught.value, BadAnswer)
    assert "\n" not in text
    assert SECRET not in text
    assert own in text
    assert other in text


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_redirect_to_another_origin_is_refused(name: str, serve: Callable[..., Server], elsewhere: Witness) -> None:
    witness = elsewhere
    answers: list[tuple[int, dict[str, str], Any]] = []
    server = serve(lambda *_: answers[0], tls=over_tls(name))
    for status in STATUSES:
        for scheme in ("http", "https"):
            other = f"{scheme}://{witness.origin}"
            answers[:] = [(status, {"Location": f"{other}/x"}, {})]
            refused(lambda: QUESTIONS[name](server.url, TIMEOUT), server.url, f"({status}) to {other}")
    assert witness.connections == 0


@pytest.mark.parametrize(
    "location",
    ["https://{host}/x", "//127.0.0.2:1/x", "http://u:p@127.0.0.2:1/x", "ftp://h/x", "http://[::1/"],
)
def test_a_redirect_to_another_scheme_and_an_odd_location_are_refused(
    location: str, serve: Callable[..., Server]
) -> None:
    server = serve(lambda *_: (302, {"Location": location.format(host=urlsplit(server.url).netloc)}, {}))
    with pytest.raises(BadAnswer) as caught:
        PrometheusClient(web(server.url), TIMEOUT).version()
    assert "\n" not in str(caught.value)
    assert "u:p" not in str(caught.value)
    assert len(server.asked) == 1


def test_a_redirect_within_the_origin_is_followed_for_a_question(serve: Callable[..., Server]) -> None:
    answer = {"status": "success", "data": {"version": "3.0"}}
    server = serve(lambda _, path: (200, {}, answer) if path == "/there" else (307, {"Location": "/there"}, {}))
    assert PrometheusClient(web(server.url), TIMEOUT).version() == "3.0"
    assert len({authorisation for *_, authorisation in server.asked}) == 1


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_redirect_loop_is_named(name: str, serve: Callable[..., Server]) -> None:
    server = serve(lambda *_: (302, {"Location": "/there"}, {}), tls=over_tls(name))
    with pytest.raises(DataopsError) as caught:
        QUESTIONS[name](server.url, TIMEOUT)
    told = "redirects in a loop: more than 10" if len(server.asked) > 1 else "is not followed"
    assert told in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("alertmanager post", "airflow trigger", "airflow token", "airflow 2 clear", "trino kill", "trino query"),
        "oauth token",
    ],
)
def test_a_redirect_within_the_origin_is_not_followed_for_what_changes_something(
    name: str, serve: Callable[..., Server]
) -> None:
    for status in STATUSES:
        answer = status, {"Location": "/there"}, {}
        server = serve(lambda *_, answer=answer: answer, tls=over_tls(name))
        refused(lambda url=server.url: QUESTIONS[name](url, TIMEOUT), server.url, "not followed")  # type: ignore[misc]
        assert [path for _, path, _ in server.asked if path == "/there"] == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_trinos_next_address_elsewhere_is_refused(scheme: str, serve: Callable[..., Server], witness: Witness) -> None:
    other = f"{scheme}://{witness.origin}"
    answer = {"id": "q", "infoUri": f"{other}/ui", "nextUri": f"{other}/v1/statement/q/1", "stats": {"state": "QUEUED"}}
    server = serve(lambda *_: (200, {}, answer), tls=True)
    refused(lambda: trino(server.url, TIMEOUT).fetch("SELECT 1", TIMEOUT), server.url, other)
    assert witness.connections == 0


@pytest.mark.parametrize(
    "next_uri",
    ["https://{host}/1", "HTTP://LOCALHOST:1/1", "http://{host}@127.0.0.2:1/1", "/v1/statement", "", "x", 5, [], {}],
)
def test_odd_next_addresses_of_trino_are_one_line(next_uri: Any, serve: Callable[..., Server]) -> None:
    def answer(*_: str) -> tuple[int, dict[str, str], Any]:
        address = next_uri.format(host=urlsplit(server.url).netloc) if isinstance(next_uri, str) else next_uri
        return 200, {}, {"id": "q", "infoUri": "x", "nextUri": address, "stats": {"state": "QUEUED"}}

    server = serve(answer, tls=True)
    with pytest.raises(ClientError) as caught:
        trino(server.url, TIMEOUT).fetch("SELECT 1", 2.0)  # an address within the origin never ends
    assert "\n" not in str(caught.value)


def test_spooled_results_of_trino_elsewhere_are_not_fetched(serve: Callable[..., Server], witness: Witness) -> None:
    column = {"name": "a", "type": "bigint", "typeSignature": {"rawType": "bigint", "arguments": []}}
    sizes = {"uncompressedSize": "1", "segmentSize": "1"}
    address = f"http://{witness.origin}/s"
    segment = {"type": "spooled", "uri": address, "ackUri": address, "metadata": sizes, "headers": {}}
    first = {"id": "q", "infoUri": "x", "stats": {"state": "RUNNING"}}

    def answer(method: str, _path: str) -> tuple[int, dict[str, str], Any]:
        if method == "POST":
            return 200, {}, {**first, "nextUri": f"{server.url}/1"}
        return 200, {}, {**first, "columns": [column], "data": {"encoding": "json", "segments": [segment]}}

    server = serve(answer, tls=True)
    with pytest.raises(BadAnswer, match="spooled"):
        trino(server.url, TIMEOUT).fetch("SELECT 1", TIMEOUT)
    assert witness.connections == 0


def config(key: str, **properties: Any) -> Answer:
    """Return a catalog's answers: its config offers the properties as defaults or overrides."""

    def answer(_method: str, path: str) -> tuple[int, dict[str, str], Any]:
        if path.startswith("/v1/config"):
            return 200, {}, {"defaults": {}, "overrides": {}, key: properties}
        if path.startswith("/v1/oauth"):
            return 200, {}, {"access_token": SECRET, "token_type": "bearer"}
        return 200, {}, {"namespaces": []}

    return answer


@pytest.mark.parametrize("name", ["uri", "oauth2-server-uri"])
@pytest.mark.parametrize("make", [catalog, catalog_oauth], ids=["token", "credential"])
def test_a_catalog_that_names_another_address_is_refused(
    make: Any, name: str, serve: Callable[..., Server], witness: Witness
) -> None:
    other = f"http://{witness.origin}"
    server = serve(config("overrides", **{name: f"{other}/x"}))
    refused(lambda: make(server.url, TIMEOUT).ping(), server.url, other)
    assert witness.connections == 0


def test_a_catalog_may_name_its_own_address_and_a_prefix(serve: Callable[..., Server]) -> None:
    def answer(method: str, path: str) -> tuple[int, dict[str, str], Any]:
        return config("overrides", uri=f"{server.url}/", prefix="p")(method, path)

    server = serve(answer)
    assert catalog_oauth(server.url, TIMEOUT).ping() == 0
    assert server.asked[-1][1] == "/v1/p/namespaces"


def test_an_oauth_server_that_the_settings_name_gets_the_secret_and_no_other_does(serve: Callable[..., Server]) -> None:
    tokens = serve(config("overrides"))
    server = serve(config("overrides"))
    make = catalog_oauth(server.url, TIMEOUT, **{"oauth2-server-uri": f"{tokens.url}/v1/oauth/tokens"})
    assert make.ping() == 0
    assert {path for _, path, _ in tokens.asked} == {"/v1/oauth/tokens"}
    assert not any(path.startswith("/v1/oauth") for _, path, _ in server.asked)


@pytest.mark.parametrize("key", ["defaults", "overrides"])
@pytest.mark.parametrize(
    "offered",
    [
        {"auth": {"type": "custom", "impl": "os.system", "custom": {"command": "touch {file}"}}},
        {"auth": {"type": "oauth2", "oauth2": {"client_id": "a", "client_secret": "b", "token_url": "http://127.0.0.2:1/"}}},
        {"ssl": {"cabundle": "/nowhere"}},
        {"rest.sigv4-enabled": "true"},
        {"header.Authorization": "Bearer theirs"},
        {"credential": "theirs:theirs"},
    ],
    ids=lambda offered: next(iter(offered)),
)  # fmt: skip
def test_a_catalog_cannot_load_code_or_change_who_we_are(
    offered: dict[str, Any], key: str, serve: Callable[..., Server], tmp_path: Any
) -> None:
    touched = tmp_path / "touched"
    offered = json.loads(json.dumps(offered).replace("{file}", str(touched)))
    server = serve(config(key, **offered))
    assert catalog(server.url, TIMEOUT).ping() == 0
    assert {authorisation for *_, authorisation in server.asked} == {f"Bearer {SECRET}"}
    assert not touched.exists()


def test_a_table_that_names_a_store_elsewhere_is_refused(serve: Callable[..., Server], witness: Witness) -> None:
    other = f"http://{witness.origin}"
    metadata = {
        "format-version": 2, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://lake/b",
        "last-sequence-number": 1, "last-updated-ms": 1, "last-column-id": 1, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": []}], "default-spec-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999, "default-sort-order-id": 0,
        "sort-orders": [{"order-id": 0, "fields": []}], "properties": {},
    }  # fmt: skip

    def answer(table: dict[str, Any]) -> Answer:
        return lambda method, path: (200, {}, table) if path.endswith("/b") else config("overrides")(method, path)

    def table(**properties: Any) -> dict[str, Any]:
        return {"metadata-location": "s3://lake/b/m.json", "metadata": metadata, "config": {}, **properties}

    offers = [
        table(config={"s3.endpoint": other}),
        table(metadata={**metadata, "properties": {"s3.endpoint": other}}),
        table(**{"storage-credentials": [{"prefix": "s3://lake", "config": {"s3.endpoint": other}}]}),
    ]
    for offer in offers:
        server = serve(answer(offer))
        refused(lambda url=server.url: catalog(url, TIMEOUT).table("a.b"), "http://127.0.0.1:9", other)  # type: ignore[misc]
    assert witness.connections == 0
    assert catalog(serve(answer(table())).url, TIMEOUT).table("a.b").snapshot_id is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h", "https://h:443"),
        ("http://h/a", "http://H:80/b?c"),
        ("https://u:p@h", "https://h"),
        ("http://[::1]", "http://[0:0:0:0:0:0:0:1]:80"),
    ],
)
def test_equal_origins(one: str, other: str) -> None:
    assert Origin.of(one) == Origin.of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("http://h", "https://h"), ("http://h", "http://h:81"), ("http://h", "http://h.evil"), ("http://h", "http://h@e")],
)
def test_other_origins(one: str, other: str) -> None:
    assert Origin.of(one) != Origin.of(other)


@pytest.mark.parametrize(
    "url", ["", "h", "h:80", "ftp://h", "http://", "http://h:x", "file:///etc/passwd", "http://[::1"]
)
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Origin.of(url)
    with pytest.raises(ConfigError):
        OriginRule("w", (url,))
    with pytest.raises(BadAnswer):
        OriginRule("w", ("http://h",)).check(url)


def test_airflows_token_stays_where_it_is_configured(serve: Callable[..., Server]) -> None:
    server = serve(lambda *_: (200, {}, {}))
    with pytest.raises(ClientError):
        airflow(server.url, TIMEOUT).dags()
    assert [authorisation for *_, authorisation in server.asked] == [f"Bearer {SECRET}"]
