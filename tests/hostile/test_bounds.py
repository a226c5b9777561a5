"""Deep and large texts end in one typed error, in every reader of outside text."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.hostile.clients import QUESTIONS, SERVER_TLS, over_tls

from dataops_core import bounded
from dataops_core.actions import audit, params
from dataops_core.bounded import Malformed, load_toml, load_yaml, loads
from dataops_core.errors import BadAnswer, ClientError, ConfigError
from dataops_core.sql.library import History, SavedQueries
from dataops_core.sql.plan import read_plan
from dataops_core.systems.airflow import sdk
from dataops_core.systems.kafka.schema_registry import Schema, SchemaRegistry
from dataops_core.systems.registry import load_settings
from dataops_core.systems.spark.checkpoint import read_checkpoint
from dataops_core.transport.credentials import web_token
from dataops_exporter.web import load as load_web

DEEP = [
    "[" * 60_000,
    "[" * 60_000 + "]" * 60_000,
    '{"a":' * 60_000 + "1" + "}" * 60_000,
    '[{"a":' * 30_000 + "1" + "}]" * 30_000,
    '{"content":' + "[" * 1_000 + "]" * 1_000 + "}",
    '{"id":' + "[" * 1_000 + "]" * 1_000 + "}",
]


@pytest.mark.parametrize("text", DEEP)
@pytest.mark.parametrize("form", [str, str.encode, lambda text: bytearray(text.encode())])
def test_deep_json_is_refused(text: str, form: Callable[[str], Any]) -> None:
    with pytest.raises(Malformed, match=r"deeper than 200 levels|not JSON"):
        loads(form(text))


def test_json_is_read_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, "ä\x00", {"b": [[[[]]]]}], "big": 2**80, "neg": -1}
    assert loads(json.dumps(value)) == value
    assert loads("[" * 200 + "]" * 200) is not None


@pytest.mark.parametrize(
    ("text", "limits", "why"),
    [
        ("[" * 11 + "]" * 11, {"depth": 10}, "deeper than 10"),
        ('"' + "x" * 100 + '"', {"size": 50}, "larger than 50"),
        ("[" + ",".join(["[]"] * 3_000_000) + "]", {}, "more than 5,000,000 values"),
        ("1" * 100_000, {}, "not JSON"),
        ("", {}, "not JSON"),
        ("nul", {}, "not JSON"),
        ("[1,]", {}, "not JSON"),
        ("1 2", {}, "not JSON"),
        (b"\xff\xfe", {}, "not JSON"),
        (r'"\ud800"', {}, "not JSON"),
    ],
)
def test_what_is_too_large_or_not_json_is_refused(text: str, limits: dict[str, int], why: str) -> None:
    with pytest.raises(Malformed, match=why):
        loads(text, **limits)


@pytest.mark.parametrize(
    "text",
    [
        "a=" + "[" * 60_000,
        "a=" + "[" * 100 + "]" * 100,
        "a=" + "{a=" * 5_000,
        "[" * 60_000,
        "a." * 100_000 + "a = 1",
        "x = {b." + "a." * 100_000 + "a = 1}",
        '"a=b".' * 60 + "a = 1",
        "x" * (bounded.LINE + 1),
    ],
)
def test_deep_toml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        load_toml(text)
    path = tmp_path / "dataops.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_settings(path)
    assert "\n" not in str(raised.value)


def test_an_endless_file_of_settings_is_refused() -> None:
    with pytest.raises(ConfigError, match="larger"):
        load_settings(Path("/dev/zero"))


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 60_000,
        "a: " + "{a: " * 60_000,
        "- " * 60_000,
        "? " * 60_000,
        "\n".join(" " * number + "a:" for number in range(1_200)),
        "a: " + "[" * 60 + "]" * 60,
        "&a [" * 60_000,
    ],
)
def test_deep_yaml_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        load_yaml(text, lambda _: None)
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_web(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", DEEP)
def test_files_of_ours_that_somebody_made_deep(text: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(text + "\n")
    assert History(path).newest() == ()
    assert audit.AuditLog(path).verify().problem == "line 1 is not an audit entry"
    assert audit.AuditLog(path).read(10).entries == ()
    assert params.kinds({"type": "object"}) == ("object",)
    with pytest.raises(BadAnswer):
        read_plan(text)
    with pytest.raises(ValueError, match="token"):
        web_token("a." + base64.urlsafe_b64encode(text.encode()).decode() + ".b")


def test_a_history_of_other_types_is_left_out(tmp_path: Path) -> None:
    good = {"at": "2026-01-05T00:00:00+00:00", "context": "c", "statement": "SELECT 1", "outcome": "finished"}
    good |= {"rows": 1, "seconds": 0.1}
    lines = [good, {**good, "at": "x"}, {**good, "rows": "many"}, {**good, "statement": None}, [], None, {}, "x"]
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [ran.statement for ran in History(path).newest()] == ["SELECT 1"]


def test_a_saved_query_that_is_endless_is_an_error(tmp_path: Path) -> None:
    from dataops_core.errors import DataopsError

    (tmp_path / "endless.sql").symlink_to("/dev/zero")
    with pytest.raises(DataopsError, match="larger"):
        SavedQueries(tmp_path).all()


@pytest.mark.parametrize(
    "text",
    [
        # fragments that read from each other, and steps each one deeper than the last
        json.dumps(
            {
                str(n): {"name": "RemoteSource", "descriptor": {"sourceFragmentIds": f"[{n + 1}]"}, "children": []}
                for n in range(5_000)
            }
        ),
        "Fragment 0 [X]\n" + "\n".join(" " * n + "└─ Step" for n in range(5_000)),
    ],
)
def test_a_plan_that_is_deep_is_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_plan(text)


def test_a_checkpoint_with_a_deep_file(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_text(DEEP[0])
    with pytest.raises(BadAnswer):
        read_checkpoint(str(tmp_path))
    (tmp_path / "metadata").write_text('{"id":"x"}')
    for name in ("offsets", "commits"):
        (tmp_path / name).mkdir()
    for number, lines in enumerate((["v1", DEEP[0], "{}"], ["v1", "{}", DEEP[2]])):
        (tmp_path / f"offsets/{number}").write_text("\n".join(lines))
        with pytest.raises(BadAnswer):
            read_checkpoint(str(tmp_path))


def test_the_sdk_of_airflow_reads_nothing_deep() -> None:
    client = sdk.ApiClient(sdk.Configuration(host="http://x"))
    for kind in (None, "application/json", "application/problem+json"):
        with pytest.raises(Malformed):
            client.deserialize(DEEP[0], "object", kind)


@contextmanager
def serving(body: bytes, encoding: str | None = None, *, tls: bool) -> Iterator[str]:
    """Run a server that answers everything with that body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = SERVER_TLS.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


WITHOUT_ANSWER = {"trino kill", "alertmanager post", "airflow pause"}
"""Questions whose answer is not read as JSON, or that any object answers."""


@pytest.mark.filterwarnings("ignore:.*OAuth2:DeprecationWarning")
@pytest.mark.parametrize("question", [name for name in QUESTIONS if name not in WITHOUT_ANSWER])
def test_every_client_refuses_a_deep_answer(question: str) -> None:
    for body, encoding in ((DEEP[0].encode(), None), (gzip.compress(DEEP[2].encode()), "gzip")):
        with serving(body, encoding, tls=over_tls(question)) as url, pytest.raises(ClientError) as raised:
            QUESTIONS[question](url, 10.0)
        assert "\n" not in str(raised.value)
        assert isinstance(raised.value, BadAnswer), raised.value


def test_a_record_of_a_schema_that_is_deep() -> None:
    registry = SchemaRegistry.__new__(SchemaRegistry)
    for data in DEEP:
        with pytest.raises(BadAnswer):
            registry._text(Schema("JSON", "{}"), 1, data.encode())
