"""Clients against components that are down, hung, lying or refusing: one clear error of our own, in time."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dataops_core.config import SecretSource, WebSettings
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.systems.prometheus.alerts import AlertsClient
from dataops_core.systems.prometheus.responses import Alert
from dataops_core.systems.prometheus.settings import AlertsSettings
from dataops_core.systems.spark.checkpoint import Standing, State, read_checkpoint
from dataops_core.systems.spark.ui import SparkUi
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.settings import TrinoSettings

DEADLINE = 1.0
PATIENT = 30.0
"""Seconds for whom answers at once, on a machine that is busy with other things."""
ASK: dict[str, Callable[..., Any]] = {
    "airflow": lambda url, within=PATIENT: AirflowClient(AirflowSettings(url=url, token="t"), within).health(),
    "airflow dags": lambda url, within=PATIENT: AirflowClient(AirflowSettings(url=url, token="t"), within).dags(),
    "trino": lambda url, within=PATIENT: TrinoClient(TrinoSettings(url=url), within).info(),
    "trino query": lambda url, within=PATIENT: list(
        TrinoClient(TrinoSettings(url=url), within).query("SELECT 1").batches()
    ),
    "prometheus": lambda url, within=PATIENT: AlertsClient(
        "prometheus", AlertsSettings(url=url, token="t"), within
    ).alerts(),
    "alertmanager": lambda url, within=PATIENT: AlertsClient(
        "alertmanager", AlertsSettings(url=url, token="t"), within
    ).alerts(),
    "spark": lambda url, within=PATIENT: SparkUi(WebSettings(url=url, token="t"), within).late_rows(
        "q", datetime.now(UTC)
    ),
    "catalog": lambda url, within=PATIENT: CatalogClient(
        "lake", CatalogSettings(properties={"type": "rest", "uri": url}), within
    ).ping(),
}


class Answer:
    """A web server that gives one answer to everything, so many seconds after, over TLS if it is given a context."""

    def __init__(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        tls: ssl.SSLContext | None = None,
        after: float = 0.0,
    ) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                time.sleep(after)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the base class names them so

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answer() -> Iterator[Callable[..., Answer]]:
    made: list[Answer] = []

    def make(*arguments: Any) -> Answer:
        made.append(Answer(*arguments))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield int(listening.getsockname()[1])


def fails(ask: Callable[[], Any], kind: type[ClientError]) -> str:
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        ask()
    assert time.monotonic() - began < 20 * DEADLINE
    line = str(caught.value)
    assert line
    assert "\n" not in line
    assert "Traceback" not in line
    return line


@pytest.mark.parametrize("who", ASK)
def test_a_server_that_is_down_is_unreachable(who: str, closed_port: int) -> None:
    line = fails(lambda: ASK[who](f"http://127.0.0.1:{closed_port}"), Unreachable)
    assert "refused" in line
    assert str(closed_port) in line


@pytest.mark.programs
@pytest.mark.parametrize("who", ASK)
def test_a_server_that_hangs_times_out(who: str, silent_port: int) -> None:
    assert "no response within 1s" in fails(lambda: ASK[who](f"http://127.0.0.1:{silent_port}", DEADLINE), TimedOut)


@pytest.mark.programs
def test_an_answer_that_trickles_is_given_up_at_the_deadline() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            with suppress(OSError):
                for _ in range(1000):
                    self.wfile.write(b" ")
                    time.sleep(0.2)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        fails(lambda: ASK["prometheus"](f"http://127.0.0.1:{server.server_port}", DEADLINE), TimedOut)
    finally:
        server.shutdown()
        server.server_close()


def test_a_token_outranks_what_the_user_s_netrc_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[..., Answer]
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = answer(200, b'{"status": "success", "data": {"alerts": []}}')
    ASK["prometheus"](server.url)
    assert server.asked[0][1]["Authorization"] == "Bearer t"


@pytest.mark.parametrize("who", ASK)
@pytest.mark.parametrize(
    "body", [b"<html><body>Welcome</body></html>", b'{"truncated": ', b"[7]", b"null", b'{"other": "product"}']
)
def test_a_server_that_lies_gives_a_bad_answer(who: str, body: bytes, answer: Callable[..., Answer]) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    fails(lambda: ASK[who](answer(200, body, kind).url), BadAnswer)


@pytest.mark.parametrize("who", ASK)
def test_a_server_that_fails_gives_a_bad_answer(who: str, answer: Callable[..., Answer]) -> None:
    fails(lambda: ASK[who](answer(500, b"oops", "text/plain").url), BadAnswer)


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationFailed), (403, PermissionDenied)])
@pytest.mark.parametrize("who", ASK)
def test_who_we_are_and_what_we_may_do_are_told_apart(
    who: str, status: int, kind: type[ClientError], answer: Callable[..., Answer]
) -> None:
    body = json.dumps({"detail": "no", "error": {"message": "no", "type": "x", "code": status}}).encode()
    fails(lambda: ASK[who](answer(status, body).url), kind)


def test_airflow_s_token_is_read_anew_after_it_was_refused(tmp_path: Path, answer: Callable[..., Answer]) -> None:
    secret = tmp_path / "token"
    secret.write_text("first")
    server = answer(401, b'{"detail": "expired"}')
    client = AirflowClient(AirflowSettings(url=server.url, token=SecretSource(file=str(secret))), DEADLINE)
    fails(client.dags, AuthenticationFailed)
    secret.write_text("second")
    fails(client.dags, AuthenticationFailed)
    assert server.asked[0][1]["Authorization"] == "Bearer first"
    assert server.asked[-1][1]["Authorization"] == "Bearer second"


def test_airflow_s_health_leaves_out_parts_that_do_not_run(answer: Callable[..., Answer]) -> None:
    body = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "unhealthy", "latest_scheduler_heartbeat": "2026-01-05T03:00:00+00:00"},
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        "dag_processor": {"status": "healthy", "latest_dag_processor_heartbeat": None},
    }
    found = ASK["airflow"](answer(200, json.dumps(body).encode()).url)
    assert found.unhealthy == ("scheduler",)
    assert "triggerer" not in found.parts
    assert found.heartbeats == {"scheduler": datetime(2026, 1, 5, 3, tzinfo=UTC)}


@pytest.mark.programs
def test_kafka_that_is_down_is_told_apart_from_one_that_hangs(closed_port: int, silent_port: int) -> None:
    # The library tells of a refused connection in a thread of its own, which a busy machine may start late.
    down = KafkaClient(KafkaSettings(bootstrap_servers=f"127.0.0.1:{closed_port}"), 4 * DEADLINE)
    assert "no broker can be reached: Connection refused" in fails(lambda: down.topic("orders"), Unreachable)
    hung = KafkaClient(KafkaSettings(bootstrap_servers=f"127.0.0.1:{silent_port}"), DEADLINE)
    assert "no response within 1s" in fails(lambda: hung.topic("orders"), TimedOut)


def test_prometheus_and_alertmanager_tell_the_alerts_that_fire(answer: Callable[..., Answer]) -> None:
    labels = {"alertname": "Lag", "stage": "land"}
    firing = {
        "labels": labels,
        "annotations": {"summary": "late"},
        "state": "firing",
        "activeAt": "2026-01-05T03:00:00Z",
    }
    pending = {**firing, "state": "pending"}
    body = json.dumps({"status": "success", "data": {"alerts": [pending, firing]}}).encode()
    at = datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert ASK["prometheus"](answer(200, body).url) == (Alert("Lag", {"stage": "land"}, "late", at),)
    body = json.dumps([{"labels": labels, "annotations": {}, "startsAt": "2026-01-05T03:00:00Z"}]).encode()
    server = answer(200, body)
    assert ASK["alertmanager"](server.url) == (Alert("Lag", {"stage": "land"}, "", at),)
    path, headers = server.asked[0]
    assert "active=true" in path
    assert headers["Authorization"] == "Bearer t"


def checkpoint(folder: Path, planned: int, committed: int) -> Path:
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True)
    (folder / "metadata").write_text('{"id":"query-1"}')
    for number in range(planned + 1):
        lines = ["v1", '{"batchWatermarkMs":0}', json.dumps({"orders": {"0": 10 * (number + 1), "1": 5}})]
        (folder / "offsets" / str(number)).write_text("\n".join(lines))
    for number in range(committed + 1):
        (folder / "commits" / str(number)).write_text("v1\n{}")
    (folder / "offsets" / ".9.tmp.crc").touch()
    return folder


def test_a_checkpoint_tells_what_is_planned_and_what_is_committed(tmp_path: Path) -> None:
    found = read_checkpoint(str(checkpoint(tmp_path, planned=3, committed=2)))
    assert found.query_id == "query-1"
    assert found.planned is not None
    assert found.committed is not None
    assert (found.planned.number, found.committed.number) == (3, 2)
    assert found.committed.offsets == {"orders": {0: 30, 1: 5}}
    assert abs((found.committed.at - datetime.now(UTC)).total_seconds()) < 60


def test_a_watermark_that_stands_still_is_told_by_the_batches_that_brought_records(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, planned=5, committed=5)
    for number, (watermark, end) in enumerate([(100, 1), (200, 2), (900, 3), (900, 4), (900, 4), (900, 5)]):
        lines = ["v1", json.dumps({"batchWatermarkMs": watermark * 1000}), json.dumps({"orders": {"0": end}})]
        plan = folder / "offsets" / str(number)
        plan.write_text("\n".join(lines))
        os.utime(plan, (1000 + 60 * number, 1000 + 60 * number))
        os.utime(folder / "commits" / str(number), (1007 + 60 * number, 1007 + 60 * number))
    found = read_checkpoint(str(folder))
    assert found.planned is not None
    assert found.planned.watermark == datetime.fromtimestamp(900, UTC)
    assert found.standing == Standing(seconds=120.0, batches=2), "batches 3 and 5; batch 4 brought nothing"
    assert found.durations == (7.0,) * 6


def test_a_query_without_a_watermark_or_state_has_none(tmp_path: Path) -> None:
    found = read_checkpoint(str(checkpoint(tmp_path, planned=3, committed=2)))
    assert found.planned is not None
    assert (found.planned.watermark, found.standing, found.state) == (None, None, None)


def test_the_state_of_a_query_is_measured_on_disk(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, planned=0, committed=0)
    for partition, sizes in (("0", {"10": 100, "20": 400}), ("1", {"10": 50, "20": 200})):
        (folder / "state" / "0" / partition).mkdir(parents=True)
        for version, size in sizes.items():
            whole = folder / "state" / "0" / partition / f"{version}.snapshot"
            whole.write_bytes(b"x" * size)
            os.utime(whole, (1000 * int(version), 1000 * int(version)))
        (folder / "state" / "0" / partition / "21.delta").write_bytes(b"x" * 5)
    assert read_checkpoint(str(folder)).state == State(760, snapshot_bytes=600, snapshot_bytes_before=150, span=10_000)


def test_a_checkpoint_that_is_missing_empty_or_not_spark_s(tmp_path: Path) -> None:
    assert "no checkpoint" in fails(lambda: read_checkpoint(str(tmp_path / "none")), NotFound)
    (tmp_path / "metadata").write_text('{"id":"q"}')
    assert read_checkpoint(str(tmp_path)).planned is None
    (tmp_path / "metadata").write_text("nonsense")
    assert "is not a Spark" in fails(lambda: read_checkpoint(str(tmp_path)), BadAnswer)
    whole = checkpoint(tmp_path / "whole", planned=1, committed=1)
    (whole / "offsets" / "1").unlink()
    assert "offsets/1 is missing, although batch 1" in fails(lambda: read_checkpoint(str(whole)), BadAnswer)


def test_a_checkpoint_in_an_object_store_needs_who_opens_it() -> None:
    with pytest.raises(ConfigError, match=r"has no `store`"):
        read_checkpoint("s3://bucket/checkpoints/orders")
    lake = CatalogClient("lake", CatalogSettings(properties={"type": "rest", "uri": "http://127.0.0.1:1"}), DEADLINE)
    with pytest.raises(ConfigError, match=r"floppy://"):
        read_checkpoint("floppy://a/orders", lake)


@pytest.mark.programs
def test_an_object_store_that_is_away_hangs_or_refuses_is_told_apart(
    closed_port: int, silent_port: int, answer: Callable[..., Answer]
) -> None:
    def read(url: str) -> None:
        properties = {
            "type": "rest",
            "uri": "http://127.0.0.1:1",
            "s3.endpoint": url,
            "s3.access-key-id": "a-key",
            "s3.secret-access-key": "a-secret",
            "s3.region": "us-east-1",
        }
        read_checkpoint("s3://b/orders", CatalogClient("lake", CatalogSettings(properties=properties), DEADLINE))

    denied = answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "application/xml").url
    for url, kind in (
        (f"http://127.0.0.1:{closed_port}", Unreachable),
        (f"http://127.0.0.1:{silent_port}", TimedOut),
        (denied, PermissionDenied),
    ):
        line = fails(lambda url=url: read(url), kind)  # type: ignore[misc]
        assert line.startswith("checkpoint s3://b/orders: ")
        assert "a-secret" not in line
