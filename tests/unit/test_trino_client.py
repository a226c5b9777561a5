"""The Trino client against a server that speaks the protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from tests.trino_server import Script, TrinoServer, listed

from dataops_core.cli.sql import _Reader
from dataops_core.errors import BadAnswer, ClientError, NotFound, NoWorkers, QueryFailed, TimedOut
from dataops_core.systems.trino.client import TrinoClient
from dataops_core.systems.trino.responses import splits
from dataops_core.systems.trino.settings import TrinoSettings


@pytest.fixture
def server() -> Iterator[TrinoServer]:
    def pages() -> Iterator[list[list[int]]]:
        number = 0
        while True:
            yield [[number]]
            number += 1

    server = TrinoServer(lambda _: Script(pages=pages(), queued=1))
    yield server
    server.close()


@pytest.fixture
def client(server: TrinoServer) -> TrinoClient:
    return TrinoClient(TrinoSettings(url=server.url), 5.0)


def test_what_trino_runs_is_told_newest_first_in_base_units(server: TrinoServer, client: TrinoClient) -> None:
    failed = {"errorType": "EXTERNAL", "errorCode": {"name": "ICEBERG_CANNOT_OPEN_SPLIT", "code": 1}}
    blocked = {"fullyBlocked": True, "blockedReasons": ["WAITING_FOR_MEMORY"], "createTime": "2026-01-05T11:00:00.000Z"}
    server.others = [
        listed("q_failed", "FAILED", "SELECT 1", **failed),
        listed("q_blocked", "RUNNING", "SELECT 2", stats=blocked),
    ]
    newest, oldest = client.queries()
    assert (newest.query_id, newest.blocked, newest.error) == ("q_blocked", ("WAITING_FOR_MEMORY",), "")
    assert newest.created == datetime(2026, 1, 5, 11, tzinfo=UTC)
    assert (oldest.error, oldest.error_type) == ("ICEBERG_CANNOT_OPEN_SPLIT", "EXTERNAL")
    assert (oldest.elapsed, oldest.queued, oldest.cpu) == pytest.approx((90.0, 2.5, 0.7))
    assert (oldest.bytes, oldest.memory, oldest.resource_group) == (1_572_864, 2 * 2**30, "global.adhoc")


@pytest.mark.parametrize("error", [OverflowError("date value out of range"), RuntimeError("odd")])
def test_an_answer_that_cannot_be_read_is_no_empty_answer(
    client: TrinoClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Handle:
        def batches(self) -> Iterator[list[tuple[int]]]:
            with client.errors():
                raise error
            yield []

    monkeypatch.setattr(client, "query", lambda statement: Handle())
    with pytest.raises(ClientError):
        client.fetch("SELECT 1", 5)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("state", "workers", "kind", "message"),
    [
        ("WAITING_FOR_RESOURCES", False, NoWorkers, "it waits for workers"),
        ("WAITING_FOR_RESOURCES", True, TimedOut, "it waits for its catalog"),
        ("QUEUED", True, TimedOut, "it is queued"),
    ],
)
def test_a_query_that_waits_for_workers_is_told_from_one_that_waits_for_its_catalog_or_is_slow(
    state: str, workers: bool, kind: type[ClientError], message: str
) -> None:
    def script(statement: str) -> Script:
        return Script(queued=0 if workers and statement == "SELECT 1" else 1_000_000, waits=state)

    server = TrinoServer(script)
    with pytest.raises(TimedOut, match=f"did not finish within 2s, {message}") as raised:
        TrinoClient(TrinoSettings(url=server.url), 5.0).fetch("SELECT 1 FROM lake.s.o LIMIT 1", 2)
    server.close()
    assert type(raised.value) is kind
    assert sorted(server.cancelled) == (["q_1"] if workers else ["q_1", "q_2"])


def test_a_query_is_ended_with_a_message_and_what_cannot_be_ended_is_said(
    server: TrinoServer, client: TrinoClient
) -> None:
    server.others = [listed("q_1", "RUNNING", "SELECT 1"), listed("q_2", "FINISHED", "SELECT 2")]
    client.kill("q_1", "it blocks the maintenance")
    assert server.killed == [("q_1", "it blocks the maintenance")]
    with pytest.raises(QueryFailed):
        client.kill("q_2", "too late")
    with pytest.raises(NotFound):
        client.kill("q_3", "never heard of")


@pytest.mark.programs
def test_a_query_that_is_stopped_while_it_streams_is_cancelled_in_the_server(
    server: TrinoServer, client: TrinoClient
) -> None:
    handle = client.query("SELECT id FROM endless")
    first = threading.Event()
    failures: list[ClientError] = []

    def read() -> None:
        try:
            for rows in handle.batches():
                assert rows
                first.set()
        except ClientError as error:
            failures.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert first.wait(60)
    progress = handle.progress()
    assert progress is not None
    assert (progress.splits_done, progress.splits_total) == (3, 8)
    handle.stop()
    reader.join(60)
    assert not reader.is_alive()
    assert set(server.cancelled) == {"q_1"}


def test_who_reads_a_query_hears_of_what_nobody_foresaw() -> None:
    class Handle:
        def batches(self) -> Iterator[list[tuple[int]]]:
            yield [(1,)]
            raise RuntimeError("odd")

    rows = iter(_Reader(Handle(), None))  # type: ignore[arg-type]
    assert next(rows) == [(1,)]
    with pytest.raises(BadAnswer, match="RuntimeError: odd"):
        next(rows)


class OddStats(TrinoServer):
    """A server whose statistics and update type are of other types."""

    def _stats(self, query: object) -> dict[str, object]:
        leaf = {"stageId": 7, "completedSplits": "x", "subStages": "none"}
        return {
            "state": None,
            "completedSplits": "x",
            "processedBytes": 1e300,
            "elapsedTimeMillis": [],
            "rootStage": leaf,
        }


def test_odd_statistics_are_unknown_and_the_rows_are_there() -> None:
    server = OddStats(lambda _: Script(pages=[[[1], [2]]]))
    handle = TrinoClient(TrinoSettings(url=server.url), 5.0).query("SELECT id FROM t")
    assert [row for batch in handle.batches() for row in batch] == [(1,), (2,)]
    server.close()
    progress = handle.progress()
    assert progress is not None
    assert (progress.state, progress.splits_done, progress.bytes, progress.elapsed) == ("", None, None, None)
    assert splits(progress.stages[0]) == "-/-"


def test_rows_that_do_not_fit_the_columns_are_refused() -> None:
    for page in ([[1, 2]], [[]], [1], {"encoding": "json", "segments": []}):
        server = TrinoServer(lambda _, page=page: Script(pages=[page]))  # type: ignore[misc,list-item]
        with pytest.raises(BadAnswer):
            TrinoClient(TrinoSettings(url=server.url), 5.0).fetch("SELECT id FROM t", 5.0)
        server.close()


def read_all(client: TrinoClient, began: threading.Event, ended: threading.Event) -> None:
    with suppress(ClientError):
        for _ in client.query("SELECT n FROM endless").batches():
            began.set()
    ended.set()


@pytest.mark.programs
def test_closing_cancels_what_runs_and_starts_nothing_else(server: TrinoServer, client: TrinoClient) -> None:
    events = [(threading.Event(), threading.Event()) for _ in range(3)]
    for began, ended in events:
        threading.Thread(target=read_all, args=(client, began, ended), daemon=True).start()
        assert began.wait(30)
    assert len(client.running) == len(server.running) == 3
    assert client.close(10) == []
    assert all(ended.wait(30) for _, ended in events)
    assert not client.running
    assert server.running == []
    with pytest.raises(QueryFailed, match="being closed"):
        list(client.query("SELECT 1").batches())


@pytest.mark.programs
def test_closing_names_what_it_could_not_cancel(server: TrinoServer, client: TrinoClient) -> None:
    began, ended = threading.Event(), threading.Event()
    threading.Thread(target=read_all, args=(client, began, ended), daemon=True).start()
    assert began.wait(30)
    server.hang()
    assert client.close(0.5) == ["the query q_1 may still run in the server"]
    server.close()
    assert ended.wait(30)
