"""The commands of topics, groups, records, tables, runs and logs, and pausing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from tests.airflow_server import AT, DAG, Airflow, instance
from tests.consumer_groups import consumer_group
from tests.lake import lake

from dataops_core.cli import app as cli
from dataops_core.cli import terminal
from dataops_core.errors import NotFound
from dataops_core.systems.clients import Clients
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka import cluster as kafka_cluster
from dataops_core.systems.kafka import records as kafka_peek
from dataops_core.systems.kafka.model import ConsumerGroup, GroupLag, Partition, Topic
from dataops_core.systems.kafka.records import Record
from dataops_core.systems.kafka.schema_registry import Decoded

pytestmark = pytest.mark.programs

AWAY = "127.0.0.1:1"
BEYOND = "committed beyond the end at 3: the topic was re-created or truncated"
NOTE = f"orders-1: {BEYOND}"
Dataops = Callable[..., int]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """Return the address of librdkafka's own stand-in for a broker, with records in a topic of four partitions."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "-", "log_level": 0})
    for number in range(20):
        value = json.dumps({"id": number, "note": "\x1b[31m\x9b"}, ensure_ascii=False)
        producer.produce("orders", value, f"k{number}", partition=number % 4, timestamp=1000 + number)
    producer.produce("mixed", b"plain", b"\x00\xff", partition=1, headers={"trace": b"t-1"}, timestamp=1)
    producer.produce("mixed", b"\x00\x01", None, partition=1, timestamp=2)
    producer.produce("mixed", None, b"gone", partition=1, timestamp=3)
    producer.flush(10)
    (first,) = producer.list_topics(timeout=10).brokers.values()
    yield f"{first.host}:{first.port}"
    del producer


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = Airflow()
    yield server
    server.close()


@pytest.fixture
def dataops(broker: str, airflow: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataops:
    """Return what runs a command in a context whose components up; `--context away` has none that does."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = tmp_path / "dataops.toml"
    config.write_text(
        f"""
default_context = "c"
probe_timeout = 5
[contexts.c]
kafka = {{ bootstrap_servers = "{broker}" }}
airflow = {{ url = "{airflow.url}", token = "hunter2" }}
catalogs.lake.properties = {{ type = "rest", uri = "http://{AWAY}" }}
[contexts.away]
kafka = {{ bootstrap_servers = "{AWAY}" }}
airflow = {{ url = "http://{AWAY}" }}
catalogs.lake.properties = {{ type = "rest", uri = "http://{AWAY}" }}
[contexts.bare.trino]
url = "http://{AWAY}"
[contexts.frozen]
read_only = true
airflow = {{ url = "{airflow.url}" }}
[pipelines.p]
context = "c"
stages = [
  {{ name = "shipments", kind = "iceberg_table", catalog = "lake", table = "gold.shipments", snapshots_max = 2 }},
]
"""
    )
    return lambda *arguments: cli.main(["--config", str(config), *arguments])


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogClient:
    """Have the catalog be one in a folder."""
    client = lake(tmp_path)
    monkeypatch.setattr(Clients, "_connect", lambda *_: client)
    return client


def odd(note: str | None) -> dict[str, str | None]:
    return {"note": note, "error": None}


def rows(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def one_line(capsys: Captured) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "hunter2" not in err
    return err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--context", "away", "kafka", "topics"], 3, "no broker can be reached"),
        (["--context", "away", "kafka", "peek", "orders"], 3, "no broker can be reached"),
        (["--context", "away", "tables", "list"], 3, "cannot be reached"),
        (["--context", "away", "tables", "health"], 3, "cannot be reached"),
        (["--context", "away", "tables", "snapshots", "a.b"], 3, "cannot be reached"),
        (["--context", "away", "dag", "runs", "d"], 3, "cannot be reached"),
        (["--context", "away", "dag", "logs", "d", "r", "t"], 3, "cannot be reached"),
        (["--context", "away", "dag", "pause", "d", "--yes"], 3, "cannot be reached"),
        (["--context", "bare", "kafka", "groups"], 2, "has no Kafka"),
        (["--context", "bare", "tables", "list"], 2, "has no Iceberg catalog"),
        (["--context", "bare", "dag", "runs", "d"], 2, "has no Airflow"),
        (["--context", "frozen", "dag", "unpause", "d", "--yes"], 2, "read-only"),
        (["kafka", "topics", "--filter", "["], 2, "is not a valid regular expression"),
        (["kafka", "topics", "-o", "xml"], 2, "xml"),
        (["kafka", "peek", "orders", "--from", "\x1b[31m"], 2, '"␛[31m" is not a start position'),
        (["kafka", "peek", "orders", "--limit", "0"], 2, "limit"),
        (["kafka", "peek", "orders", "--partition", "9"], 1, "has no partition 9"),
        (["tables", "files", "shipments"], 2, 'no catalog "shipments"'),
        (["dag", "runs", "nope"], 1, "not found"),
        (["dag", "logs", "d", "r", "t"], 1, "not found"),
        (["dag", "pause", "nope", "--yes"], 1, "not found"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    dataops: Dataops, capsys: Captured, arguments: list[str], code: int, said: str
) -> None:
    assert dataops(*arguments) == code
    assert said in one_line(capsys)


def test_topics_are_listed_and_filtered(dataops: Dataops, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataops("kafka", "topics", "--filter", "^ord", "-o", "jsonl") == 0
    (topic,) = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (topic["topic"], topic["partitions"], topic["records"], topic["offline"]) == ("orders", 4, 20, 0)
    parts = (Partition(0, 2, 7, None, 1, (1, 2), (1,)), Partition(1, 0, 0, None, -1, (1, 2, 3), ()))
    monkeypatch.setattr(kafka_cluster, "topics", lambda _: (Topic("t\x1b", parts),))
    assert dataops("kafka", "topics", "-o", "json") == 0
    (topic,) = rows(capsys)
    assert (topic["replicas"], topic["under_replicated"], topic["offline"], topic["records"]) == (3, 1, 1, 5)
    assert dataops("kafka", "topics") == 0
    assert "t␛" in capsys.readouterr().out


def test_groups_and_one_of_them_by_partition(
    dataops: Dataops, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    lags = (GroupLag("orders", 0, 5, 7, waits=61.25), GroupLag("orders", 1, 9, 3))
    groups = {"billing": consumer_group("billing", "STABLE", 2, lags), "idle": consumer_group("idle", "EMPTY", 0, ())}

    def group(client: object, name: str) -> ConsumerGroup:
        if name not in groups:
            raise NotFound(f"no consumer group {name}")
        return groups[name]

    monkeypatch.setattr(kafka_cluster, "groups", lambda _: tuple(groups.values()))
    monkeypatch.setattr(kafka_cluster, "group", group)
    assert dataops("kafka", "groups", "-o", "json") == 0
    assert rows(capsys) == [
        {
            "group": "billing",
            "state": "stable",
            "members": 2,
            "lag": None,
            "lag_seconds": None,
            "topics": ["orders"],
            "note": NOTE,
            "error": None,
        },
        {
            "group": "idle",
            "state": "empty",
            "members": 0,
            "lag": None,
            "lag_seconds": None,
            "topics": [],
            "note": None,
            "error": None,
        },
    ]
    assert dataops("kafka", "groups", "billing", "-o", "csv") == 0
    out, err = capsys.readouterr()
    assert list(csv.reader(io.StringIO(out))) == [
        ["topic", "partition", "committed", "end", "lag", "lag_seconds", "note"],
        ["orders", "0", "5", "7", "2", "61.2", ""],
        ["orders", "1", "9", "3", "", "", BEYOND],
    ]
    assert err == "billing: stable, members: 2, lag unknown\n"
    assert dataops("kafka", "groups", "nope") == 1
    assert "no consumer group nope" in one_line(capsys)


def test_a_peek_shows_the_newest_records_of_all_partitions(dataops: Dataops, capsys: Captured) -> None:
    assert dataops("kafka", "peek", "orders", "--limit", "6", "-o", "json") == 0
    found = rows(capsys)
    assert [record["value"]["id"] for record in found] == [14, 15, 16, 17, 18, 19]
    assert found[0]["kind"] == "json"
    assert found[0]["key"] == "k14"
    assert found[0]["time"] == "1970-01-01T00:00:01.014000+00:00"


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["--from", "beginning", "--partition", "2", "--limit", "3"], [2, 6, 10]),
        (["--from", "3", "--partition", "1"], [13, 17]),
        (["--from", "tail 1", "--partition", "0"], [16]),
        (["--from", "end"], []),
    ],
)
def test_a_peek_begins_where_it_is_told_and_ends_at_the_end(
    dataops: Dataops, capsys: Captured, arguments: list[str], ids: list[int]
) -> None:
    assert dataops("kafka", "peek", "orders", "-o", "json", *arguments) == 0
    assert [record["value"]["id"] for record in rows(capsys)] == ids


def test_a_peek_decodes_what_is_no_json(dataops: Dataops, capsys: Captured) -> None:
    assert dataops("kafka", "peek", "mixed", "-o", "json") == 0
    text, raw, tombstone = rows(capsys)
    assert (text["kind"], text["value"], text["key"], text["headers"]) == ("text", "plain", "00 ff", {"trace": "t-1"})
    assert (raw["kind"], raw["value"], raw["key"], raw["size"]) == ("hex", "00 01", None, 2)
    assert (tombstone["kind"], tombstone["value"], tombstone["size"]) == ("null", None, None)


def test_a_peek_follows_until_it_is_interrupted(
    dataops: Dataops, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    good = Record(0, 1, None, b"k", b"\0\0\0\0\7", (), 5, decoded=Decoded(7, text='{"town": "Ames"}'))
    bad = Record(0, 2, None, None, b"\0\0\0\0\x08", (), 5, decoded=Decoded(8, reason="has no schema 8"))

    def peek(client: object, name: str, start: object, stop: object, **more: Any) -> Iterator[tuple[list[Record], int]]:
        asked.append((start, more["follow"]))
        yield [good], 1
        yield [], 0
        yield [bad, bad], 2
        raise KeyboardInterrupt

    monkeypatch.setattr(kafka_peek, "peek", peek)
    assert dataops("kafka", "peek", "orders", "--follow", "-o", "json") == 130
    out, err = capsys.readouterr()
    assert [record["value"] for record in json.loads(out)] == [{"town": "Ames"}, "00 00 00 00 08", "00 00 00 00 08"]
    assert [record["schema_id"] for record in json.loads(out)] == [7, 8, 8]
    assert err == "dataops: not decoded: has no schema 8\n"
    assert asked == [(kafka_peek.Start(tail=0), True)]
    assert dataops("kafka", "peek", "orders", "--follow", "--limit", "2", "-o", "json") == 0
    assert len(rows(capsys)) == 2


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_what_others_wrote_does_not_steer_the_terminal(
    dataops: Dataops, capsys: Captured, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True)
    assert dataops("kafka", "peek", "orders", "--limit", "1", "-o", form) == 0
    out = capsys.readouterr().out
    assert "31m" in out
    assert all(character.isprintable() or character in "\r\n" for character in out)


def test_tables_are_listed(dataops: Dataops, tables: CatalogClient, capsys: Captured) -> None:
    assert dataops("tables", "list", "-o", "json") == 0
    empty, shipments = rows(capsys)
    assert (empty["table"], empty["data_files"], empty["committed_at"]) == ("lake.gold.empty", 0, None)
    assert (shipments["table"], shipments["records"], shipments["snapshots"]) == ("lake.gold.shipments", 1, 4)


def test_the_health_of_tables_goes_by_the_thresholds_of_their_stages(
    dataops: Dataops, tables: CatalogClient, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dataops("tables", "health", "-o", "json") == 0
    empty, shipments = rows(capsys)
    assert (empty["health"], empty["findings"], empty["snapshots"]) == ("ok", [], 0)
    assert (shipments["health"], shipments["data_files"], shipments["snapshots"]) == ("advice", 1, 4)
    assert shipments["findings"][0]["check"] == "expiry-not-running"
    assert "expire_snapshots" in shipments["findings"][0]["remedy"]["command"]
    assert dataops("tables", "health", "gold.shipments") == 0
    assert "expiry-not-running: it retains 4 snapshots" in capsys.readouterr().out
    assert dataops("tables", "health", "gold.nothing") == 1
    assert "gold.nothing" in one_line(capsys)

    def refuse(client: CatalogClient, identifier: str, *arguments: Any, **more: Any) -> Any:
        raise NotFound(f"{identifier} is gone")

    monkeypatch.setattr(CatalogClient, "table", refuse)
    assert dataops("tables", "health", "-o", "json") == 0
    assert [(row["health"], row["findings"][0]["sentence"]) for row in rows(capsys)] == [
        ("unknown", "gold.empty is gone"),
        ("unknown", "gold.shipments is gone"),
    ]


def test_the_snapshots_and_files_of_a_table(dataops: Dataops, tables: CatalogClient, capsys: Captured) -> None:
    assert dataops("tables", "snapshots", "lake.gold.shipments", "-o", "json") == 0
    newest, *_, first = rows(capsys)
    assert newest["current"]
    assert not first["current"]
    assert (first["operation"], first["added"], first["deleted"], first["records"]) == ("append", 2, None, 2)
    assert dataops("tables", "files", "gold.shipments", "-o", "json") == 0
    out, err = capsys.readouterr()
    smallest, *_, largest = json.loads(out)
    assert (smallest["up_to_bytes"], smallest["files"], smallest["records"]) == (65536, 1, 1)
    assert (largest["up_to_bytes"], largest["files"]) == (None, 0)
    assert err.startswith("1 data files, 0 position and 0 equality deletes")
    for command in ("snapshots", "files"):
        assert dataops("tables", command, "gold.nothing") == 1
        assert "gold.nothing" in one_line(capsys)


RUN = {
    "dag_run_id": "r", "dag_id": "d", "logical_date": None, "queued_at": AT, "start_date": AT,
    "end_date": "2026-01-05T03:01:30Z", "duration": 90, "data_interval_start": None, "data_interval_end": None,
    "run_after": AT, "last_scheduling_decision": None, "run_type": "manual", "state": "success", "triggered_by": None,
    "triggering_user_name": None, "conf": None, "note": None, "dag_versions": [], "bundle_version": None,
    "dag_display_name": "d", "partition_key": None, "partition_date": None,
}  # fmt: skip


def test_the_newest_runs_of_a_dag(dataops: Dataops, airflow: Airflow, capsys: Captured) -> None:
    running = {**RUN, "dag_run_id": "queued", "state": "queued", "start_date": None, "end_date": None}
    airflow.answers["GET", "/api/v2/dags/d/dagRuns"] = {"dag_runs": [running, RUN], "total_entries": 2}
    assert dataops("dag", "runs", "d", "--limit", "2", "-o", "json") == 0
    queued, ended = rows(capsys)
    assert (queued["run_id"], queued["state"], queued["seconds"]) == ("queued", "queued", None)
    assert (ended["run_id"], ended["seconds"], ended["started_at"]) == ("r", 90.0, "2026-01-05T03:00:00+00:00")
    assert airflow.asked[-1][2]["limit"] == ["2"]


def test_pausing_is_confirmed_and_audited(
    dataops: Dataops, airflow: Airflow, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.answers["PATCH", "/api/v2/dags/d"] = DAG
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert dataops("dag", "pause", "d") == 2
    assert 'confirm with "yes"' in one_line(capsys)
    assert airflow.asked == []
    for command, paused in (("pause", True), ("unpause", False)):
        assert dataops("dag", command, "d", "--yes") == 0
        assert one_line(capsys) == f"dataops: d is {command}d\n"
        assert airflow.asked[-1][3] == {"is_paused": paused}
    (audit,) = (tmp_path / "state").rglob("*.jsonl")
    told = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["action"], line["outcome"]) for line in told] == [
        ("pause_dag", "refused"),
        ("pause_dag", "allowed"),
        ("pause_dag", "done"),
        ("unpause_dag", "allowed"),
        ("unpause_dag", "done"),
    ]


def test_the_log_of_a_task(
    dataops: Dataops, airflow: Airflow, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/api/v2/dags/d/dagRuns/r/taskInstances"
    tasks = [instance("t", "failed", try_number=2), instance("t", "failed", map_index=1)]
    airflow.answers["GET", path] = {"task_instances": tasks, "total_entries": 2}
    details = [{"exc_type": "ValueError", "exc_value": "7", "frames": [{"filename": "d.py", "lineno": 3, "name": "f"}]}]
    failed = {"event": "it failed", "timestamp": AT, "level": "error", "error_detail": details}
    parts = {
        "": {"content": [failed], "continuation_token": "a"},
        "a": {"content": [], "continuation_token": "b"},
        "b": {"content": ["more"], "continuation_token": None},
    }
    airflow.answers["GET", f"{path}/t/logs/2"] = lambda query: parts[query.get("token", [""])[0]]
    airflow.answers["GET", f"{path}/t/logs/1"] = {"content": ["the first try"], "continuation_token": None}
    begin = "2026-01-05T03:00:00Z ERROR it failed\n  d.py:3 in f\nValueError: 7\n"
    monkeypatch.setattr("dataops_core.cli.dag.LOG_EVERY", 0)
    for arguments, text in (([], begin), (["--follow"], f"{begin}more\n"), (["--try", "1"], "the first try\n")):
        assert dataops("dag", "logs", "d", "r", "t", *arguments) == 0
        assert capsys.readouterr().out == text
    assert dataops("dag", "logs", "d", "r", "t", "--try", "3") == 2
    assert "t has been tried 2 times" in one_line(capsys)
    assert dataops("dag", "logs", "d", "r", "x") == 1
    assert "no task x in the run r of d" in one_line(capsys)
    assert dataops("dag", "logs", "d", "r", "t[1]") == 0
    assert airflow.asked[-1][2]["map_index"] == ["1"]
