"""One deadline holds for a request and one for a listing, and an answer has a largest size."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable

import pytest
from tests.airflow_server import DAG
from tests.hostile import clients
from tests.hostile.server import Server, Talk

from dataops_core.errors import BadAnswer, ClientError, TimedOut
from dataops_core.systems.prometheus.client import PrometheusClient
from dataops_core.transport import deadlines
from dataops_core.transport.deadlines import Deadline, TooLarge

TIMEOUT = 0.6
SLACK = 10.0
"""Seconds more than the deadline on a busy machine; without the deadline these tests have no end."""
pytestmark = pytest.mark.filterwarnings("ignore:.*OAuth2:DeprecationWarning")


def version(url: str, timeout: float) -> object:
    return PrometheusClient(clients.web(url), timeout).version()


def fails(
    ask: Callable[[str, float], object], misbehave: Callable[[Talk], None], error: type[ClientError], text: str
) -> None:
    """Assert that a question fails so, in time."""
    with Server(misbehave, later=True) as server:
        began = time.monotonic()
        with pytest.raises(error, match=text):
            ask(server.url, TIMEOUT)
        assert time.monotonic() - began < deadlines.LISTING * TIMEOUT + SLACK
        assert server.faults == []


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda talk: talk.silence(),
        lambda talk: talk.drip(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000),
        lambda talk: talk.forever(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
        lambda talk: (talk.head(length=1000), talk.drip(b" " * 1000)),
        lambda talk: (talk.head("Transfer-Encoding: chunked"), talk.forever(b"1\r\n \r\n", 0.02)),
        lambda talk: (talk.head("Content-Encoding: gzip"), talk.forever(gzip.compress(b""), 0.02)),
    ],
    ids=["silence", "headers", "continue", "body", "chunks", "gzip of nothing"],
)
def test_what_drips_ends_at_the_deadline(misbehave: Callable[[Talk], None]) -> None:
    fails(version, misbehave, TimedOut, r"no response within 600ms")


@pytest.mark.parametrize("path", ["/v1/oauth/tokens", "/auth/token"])
def test_a_login_has_the_deadline_too(path: str) -> None:
    def misbehave(talk: Talk) -> None:
        talk.silence() if talk.path == path else talk.reply(talk.good())

    ask = clients.QUESTIONS["catalog oauth" if "oauth" in path else "airflow token"]
    with Server(misbehave) as server, pytest.raises(TimedOut, match="within"):
        ask(server.url, TIMEOUT)


@pytest.mark.parametrize(
    ("misbehave", "text"),
    [
        (lambda talk: talk.forever(b"HTTP/1.1 100 Continue\r\n\r\n"), "headers are larger than 256 KiB"),
        (lambda talk: (talk.send(b"HTTP/1.1 200 OK\r\n"), talk.forever(b"X: y\r\n")), "100 headers|256 KiB"),
        (lambda talk: (talk.head(), talk.forever(b" " * 2**20)), "body is larger than 32 MiB"),
        (lambda talk: (talk.head(length=600 * 2**20), talk.forever(b" " * 2**20)), "body is larger than 32 MiB"),
        (
            lambda talk: talk.reply(gzip.compress(b" " * (33 * 2**20)), "Content-Encoding: gzip"),
            "body is larger than 32 MiB",
        ),
    ],
    ids=["continue", "headers", "endless body", "600 MB", "gzip"],
)
def test_what_is_too_large_is_refused(misbehave: Callable[[Talk], None], text: str) -> None:
    with Server(misbehave) as server, pytest.raises(BadAnswer, match=text):
        version(server.url, 60.0)


def _dags(talk: Talk, dag_id: str) -> None:
    talk.reply(json.dumps({"dags": [{**DAG, "dag_id": dag_id}], "total_entries": 10**9}).encode())


def test_a_listing_without_an_end_ends() -> None:
    ask = clients.QUESTIONS["airflow dags"]
    fails(ask, lambda talk: _dags(talk, "the same"), BadAnswer, "repeats an entry")
    fails(ask, lambda talk: _dags(talk, str(talk.number)), TimedOut, r"its responses do not end within 1\.8s")


def test_pages_of_namespaces_without_an_end_end() -> None:
    def misbehave(talk: Talk) -> None:
        talk.reply(json.dumps({"namespaces": [["a"]], "next-page-token": "again"}).encode())

    fails(clients.QUESTIONS["catalog ping"], misbehave, TimedOut, "its responses do not end")


def test_a_query_without_an_end_is_asked_for_no_longer() -> None:
    def misbehave(talk: Talk) -> None:
        stats = {"state": "RUNNING"}
        answer = {"id": "q", "infoUri": "x", "nextUri": f"{talk.base}/v1/statement/1", "stats": stats}
        talk.reply(json.dumps(answer).encode(), status="500 No" if talk.method == "DELETE" else "200 OK")

    with Server(misbehave, tls=clients.SERVER_TLS) as server:
        with pytest.raises(TimedOut, match="did not finish within"):
            clients.trino(server.url, TIMEOUT).fetch("SELECT 1", TIMEOUT)
        time.sleep(5)
        asked = len(server.asked)
        time.sleep(0.5)
        assert len(server.asked) == asked


def test_redirects_have_one_deadline_together() -> None:
    def misbehave(talk: Talk) -> None:
        time.sleep(0.25)
        talk.reply(b"", "Location: /again", status="302 Found")

    fails(version, misbehave, TimedOut, "no response")


def test_the_nearer_deadline_holds() -> None:
    with deadlines.within(100) as outer, deadlines.within(0) as inner:
        assert inner.passed
        assert not outer.passed
        assert deadlines.of_request(50).passed
    with deadlines.within(0), deadlines.within(100) as inner:
        assert inner.passed
    assert not Deadline(1).passed


def test_bytes_are_counted_in_all_deadlines() -> None:
    with deadlines.within(100, 10), deadlines.within(100, 1000) as inner:
        inner.receive(10)
        with pytest.raises(TooLarge):
            inner.receive(1)
