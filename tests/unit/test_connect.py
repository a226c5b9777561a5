"""Kafka Connect by its REST API on a real local server, with a cluster in memory: states, findings, proposals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.json_server import JsonServer, serving

from dataops_core.errors import BadAnswer, NotFound, PermissionDenied, Unreachable
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.model import Finding, Severity
from dataops_core.health.observation import Activity, Observation
from dataops_core.systems.clients import Clients
from dataops_core.systems.connect import SYSTEM
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.discover import discover
from dataops_core.systems.connect.probe import Deliveries, observe_connect
from dataops_core.systems.connect.responses import read_connector
from dataops_core.systems.connect.settings import ConnectorStage, ConnectSettings
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.model import ConsumerGroup, FirstRecords, Partition, Topic
from dataops_core.transport.fields import Fields

SECRET = "lakesecret"
NOW = datetime.now(UTC)
TRACE = (
    "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable exception.\n\tat x\n"
    "Caused by: org.apache.iceberg.exceptions.RESTException: Error occurred while processing GET request\n\tat y\n"
    f"Caused by: java.net.ConnectException: http://127.0.0.1:31103?token={SECRET} refused\n\tat z"
)
CONFIG = {
    "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector",
    "iceberg.tables": "try.orders",
    "iceberg.catalog.credential": f"lakekey:{SECRET}",
}


def status(state: str = "RUNNING", *tasks: str, kind: str = "sink", name: str = "ice") -> dict[str, Any]:
    own: dict[str, Any] = {"state": state, "worker_id": "w:1"}
    listed = [
        {"id": n, "state": s, "worker_id": "w:1"} | ({"trace": TRACE} if s == "FAILED" else {})
        for n, s in enumerate(tasks)
    ]
    return {"name": name, "connector": own, "tasks": listed, "type": kind}


class Kafka:
    """A cluster with the topic `orders`, and a group that has read some of it."""

    target = "kafka:1"

    def __init__(self, committed: int | None = 300, end: int = 300) -> None:
        self.committed, self.end = committed, end

    def topic(self, name: str) -> Topic:
        return Topic(name, (Partition(0, 0, self.end, NOW - timedelta(hours=1), 1, (1,), (1,)),))

    def group(self, name: str) -> ConsumerGroup:
        if self.committed is None:
            raise NotFound(f"kafka kafka:1: no consumer group {name}")
        assert name == "connect-ice"
        return ConsumerGroup(name, "STABLE", (), {("orders", 0): self.committed})

    def first_records(self, starts: dict[tuple[str, int], int]) -> FirstRecords:
        return FirstRecords({place: (at, NOW - timedelta(hours=2)) for place, at in starts.items()}, {})

    def retention(self, _topic: str) -> None:
        return None


@pytest.fixture
def server() -> Iterator[JsonServer]:
    root = {"version": "4.3.1", "commit": "c", "kafka_cluster_id": "k"}
    answers = {
        "GET /": root,
        "GET /connectors/ice/config": CONFIG,
        "GET /connectors/ice/topics": {"ice": {"topics": ["orders"]}},
    }
    with serving(answers) as found:
        yield found


def observed(server: JsonServer, found: dict[str, Any], kafka: Kafka | None = None, **more: Any) -> Observation:
    server.answers["GET /connectors/ice/status"] = found
    given = more.pop("clients", {})
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    clients = Clients(connect=client, kafka=kafka or Kafka(), **given)
    return SYSTEM.stage_kinds[0].observe(stage(**more), clients)


def stage(**more: Any) -> ConnectorStage:
    return ConnectorStage.model_validate({"name": "sink", "kind": "connector", "connector": "ice", **more})


def found_in(seen: Observation, of: ConnectorStage | None = None) -> tuple[Finding, ...]:
    kind = SYSTEM.stage_kinds[0]
    given = CheckInput("sink", seen.details, seen, None, (), (), datetime.now(UTC))
    return findings(kind.checks, kind.details, of or stage(), given)


def test_a_sink_that_runs_has_its_group_s_progress(server: JsonServer) -> None:
    seen = observed(server, status("RUNNING", "RUNNING", "RUNNING"))
    assert (seen.lag_records, seen.position, seen.progress_time) == (0, 300, NOW - timedelta(hours=1))
    assert (seen.measurement("tasks"), seen.measurement("tasks_running"), seen.measurement("tasks_failed")) == (2, 2, 0)
    assert seen.attribute("connector_class") == "IcebergSinkConnector"
    assert seen.notes[0] == "connector is RUNNING; tasks: 2 RUNNING"
    assert found_in(seen) == ()
    behind = observed(server, status("RUNNING", "RUNNING"), Kafka(committed=200))
    assert (behind.lag_records, behind.pending_since) == (100, NOW - timedelta(hours=2))


def test_a_connector_that_runs_with_a_failed_task_has_failed(server: JsonServer) -> None:
    seen = observed(server, status("RUNNING", "RUNNING", "FAILED"), Kafka(committed=200))
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == ("task-failed", Severity.CRITICAL)
    assert finding.sentence == (
        "the connector is RUNNING, and 1 of 2 tasks FAILED:"
        " java.net.ConnectException: http://127.0.0.1:31103?token=*** refused"
    )
    assert finding.evidence == ("failed tasks: 1",)
    assert finding.remedy is not None
    assert finding.remedy.command == (
        f"curl -X POST '{server.url}/connectors/ice/restart?includeTasks=true&onlyFailed=true'"
    )
    (ours,) = found_in(seen, stage(remedy="make restart-sink"))
    assert ours.remedy is not None
    assert ours.remedy.command == "make restart-sink"


def test_a_connector_that_runs_without_tasks_has_failed(server: JsonServer) -> None:
    (finding,) = found_in(observed(server, status("RUNNING")))
    assert (finding.check, finding.severity) == ("no-tasks", Severity.CRITICAL)


@pytest.mark.parametrize(
    ("found", "check", "severity"),
    [
        (status("FAILED"), "connector-failed", Severity.CRITICAL),
        (status("PAUSED", "PAUSED"), "connector-paused", Severity.NOTE),
        (status("STOPPED"), "connector-paused", Severity.NOTE),
        (status("UNASSIGNED", "UNASSIGNED"), "tasks-waiting", Severity.NOTE),
        (status("RUNNING", "RUNNING", "RESTARTING"), "tasks-waiting", Severity.NOTE),
    ],
)
def test_other_states(server: JsonServer, found: dict[str, Any], check: str, severity: Severity) -> None:
    seen = observed(server, found)
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == (check, severity)
    assert (seen.activity is Activity.PAUSED) is (check == "connector-paused")


def test_a_group_that_has_never_committed_is_unknown_progress(server: JsonServer) -> None:
    seen = observed(server, status("RUNNING", "RUNNING"), Kafka(committed=None))
    assert (seen.progress_time, seen.lag_records, seen.position) == (None, None, None)
    assert "has never committed" in seen.notes[1]


@pytest.mark.parametrize(("queue", "found"), [(None, ["errors-tolerated"]), ("dead", [])])
def test_errors_that_are_dropped_are_named(server: JsonServer, queue: str | None, found: list[str]) -> None:
    more = {"errors.tolerance": "all"} | ({"errors.deadletterqueue.topic.name": queue} if queue else {})
    server.answers["GET /connectors/ice/config"] = {**CONFIG, **more}
    assert [each.check for each in found_in(observed(server, status("RUNNING", "RUNNING")))] == found


def test_a_configuration_that_is_closed_to_us_costs_its_details_only(server: JsonServer) -> None:
    server.answers["GET /connectors/ice/config"] = 403, {"message": "no"}
    seen = observed(server, status("RUNNING", "RUNNING"))
    assert (seen.lag_records, seen.attribute("connector_class")) == (0, None)


class Catalog:
    """A catalog with one table."""

    def __init__(self, committed: datetime | None) -> None:
        self.committed = committed

    def ask(self, question: Any) -> Any:
        return question(self)

    def load_table(self, name: str) -> Any:
        assert name == "try.orders"
        return self

    def current_snapshot(self) -> Any:
        return None if self.committed is None else self

    @property
    def timestamp_ms(self) -> int:
        assert self.committed is not None
        return int(self.committed.timestamp() * 1000)


def test_a_sink_that_runs_and_does_not_deliver_is_found(server: JsonServer) -> None:
    of = {"catalog": "lake", "table": "try.orders"}
    seen = observed(
        server, status("RUNNING", "RUNNING"), clients={"iceberg": Catalog(None), "lake": Catalog(None)}, **of
    )
    (finding,) = found_in(seen, stage(**of))
    assert (finding.check, finding.severity) == ("not-delivering", Severity.CRITICAL)
    assert finding.sentence == "it processed 300 records, but the table try.orders never had a commit"
    delivered = {"lake": Catalog(NOW)}
    assert found_in(observed(server, status("RUNNING", "RUNNING"), clients=delivered, **of), stage(**of)) == ()


def test_a_catalog_that_is_away_hides_no_failed_task(server: JsonServer) -> None:
    class Away(Catalog):
        def ask(self, question: Any) -> Any:
            raise Unreachable("catalog lake: cannot be reached")

    of = {"catalog": "lake", "table": "try.orders"}
    seen = observed(server, status("RUNNING", "FAILED"), clients={"lake": Away(None)}, **of)
    assert [finding.check for finding in found_in(seen, stage(**of))] == ["task-failed"]
    assert seen.notes[-1] == "delivery is unknown: catalog lake: cannot be reached"


def test_a_topic_or_group_that_cannot_be_read_hides_no_failed_task(server: JsonServer) -> None:
    class Closed(Kafka):
        def group(self, name: str) -> ConsumerGroup:
            raise PermissionDenied("kafka kafka:1: denied permission")

    seen = observed(server, status("RUNNING", "FAILED"), Closed())
    assert [finding.check for finding in found_in(seen)] == ["task-failed"]
    assert seen.notes[1] == "progress is unknown: kafka kafka:1: denied permission"
    with pytest.raises(PermissionDenied):
        observed(server, status("RUNNING", "RUNNING"), Closed())


def test_offsets_that_advance_without_a_commit_are_counted() -> None:
    deliveries, later = Deliveries(), NOW + timedelta(hours=1)
    assert deliveries.observe("a", NOW, 300, NOW) == (None, 0)
    assert deliveries.observe("a", NOW, 300, later) == (None, 0)
    assert deliveries.observe("a", NOW, 310, later) == (later, 10)
    assert deliveries.observe("a", NOW, 320, later + timedelta(hours=1)) == (later, 20)
    assert deliveries.observe("a", later, 320, later) == (None, 0)
    assert deliveries.observe("a", later, 10, later) == (None, 0), "offsets that were reset"
    assert deliveries.observe("b", None, 0, NOW) == (None, 0)
    assert deliveries.observe("b", None, 5, later) == (later, 5)


def test_a_source_has_the_time_of_its_source_or_of_its_topics(server: JsonServer) -> None:
    seen = observed(server, status("RUNNING", "RUNNING", kind="source"))
    assert (seen.progress_time, seen.position) == (NOW - timedelta(hours=1), 300)
    offsets = [{"partition": {"server": "s"}, "offset": {"ts_usec": 1767600000000000, "lsn": 7}}]
    server.answers["GET /connectors/ice/offsets"] = {"offsets": offsets}
    seen = observed(server, status("RUNNING", "RUNNING", kind="source"))
    assert seen.progress_time == datetime(2026, 1, 5, 8, tzinfo=UTC)
    server.answers["GET /connectors/ice/topics"] = {"ice": {"topics": []}}
    server.answers["GET /connectors/ice/offsets"] = {"offsets": []}
    seen = observed(server, status("RUNNING", "RUNNING", kind="source"))
    assert (seen.progress_time, seen.position) == (None, None)


def test_the_cluster_counts_what_has_failed(server: JsonServer) -> None:
    server.answers["GET /connectors"] = {
        "ice": {"status": status("RUNNING", "FAILED")},
        "dbz": {"status": status("FAILED", kind="source", name="dbz")},
    }
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    detail, seen = observe_connect(client)
    assert detail == "version 4.3.1, 2 connectors"
    assert (seen.measurement("connectors_failed"), seen.measurement("tasks_failed")) == (1, 1)
    kind = SYSTEM.components[0]
    given = CheckInput("connect", seen.details, seen, None, (), (), NOW)
    (finding,) = findings(kind.checks, kind.details, None, given)
    assert finding.sentence == "2 connectors or tasks FAILED: dbz, ice/0"
    assert kind.diagnose is not None
    for config, ok in ((CONFIG, True), ((403, {}), None)):
        server.answers["GET /connectors/dbz/config"] = config
        assert [step.ok for step in kind.diagnose(client)] == [False, False, ok, True]


def test_secrets_of_configurations_are_never_asked_for_or_kept(server: JsonServer) -> None:
    seen = observed(server, status("RUNNING", "FAILED"))
    assert SECRET not in repr(seen) + repr(seen.details)
    assert not [path for _, path, _ in server.asked if "info" in path or path.endswith("/tasks")]


@pytest.mark.parametrize(
    "answer", [{}, [], {"connector": {"state": "RUNNING"}}, status("ODD"), status("RUNNING", "ODD"), 7]
)
def test_another_service_is_one_line(server: JsonServer, answer: Any) -> None:
    with pytest.raises(BadAnswer) as caught:
        observed(server, answer)
    assert str(caught.value).startswith(f"connect {server.url}: the response is not from Kafka Connect: it ")


def test_a_connector_that_is_missing_is_named(server: JsonServer) -> None:
    with pytest.raises(NotFound, match="there is no connector ice"):
        observed(server, (404, {"error_code": 404}))  # type: ignore[arg-type]


def test_a_name_is_one_part_of_the_address(server: JsonServer) -> None:
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    with pytest.raises(NotFound):
        client.connector("../a b?c#d")
    assert server.asked[-1][1] == "/connectors/..%2Fa%20b%3Fc%23d/status"


def test_a_trace_of_one_line_is_its_own_cause() -> None:
    found = status("FAILED")
    found["connector"]["trace"] = "java.lang.NoClassDefFoundError: org/x/Y\n"
    assert read_connector(Fields(found)).cause == "java.lang.NoClassDefFoundError: org/x/Y"


def test_config_init_proposes_connectors_in_place_of_their_groups(server: JsonServer) -> None:
    server.answers["GET /connectors"] = {
        "ice": {"status": status("RUNNING", "RUNNING")},
        "dbz": {"status": status("RUNNING", "RUNNING", kind="source", name="dbz")},
    }
    server.answers["GET /connectors/dbz/config"] = {"connector.class": "io.debezium.PostgresConnector"}
    server.answers["GET /connectors/dbz/topics"] = {"dbz": {"topics": ["orders"]}}
    draft = Draft()
    orders = draft.add("orders", {"name": "orders", "kind": "topic", "topic": "orders"})
    for group in ("connect-ice", "connect-ice-coord", "cg-control-1", "others"):
        settings = {"name": group, "kind": "consumer_group", "group": group, "topic": "orders"}
        draft.add(group, settings).reads.append(orders.name)
    table = draft.add(
        "lake/try.orders", {"name": "try.orders", "kind": "iceberg_table", "catalog": "lake", "table": "try.orders"}
    )
    discover(draft, Clients(connect=ConnectClient("connect", ConnectSettings(url=server.url), 5.0)))
    assert {stage.name for stage in draft.stages("consumer_group")} == {"others"}
    by_name = {stage.name: stage for stage in draft.stages("connector")}
    assert (by_name["ice"].reads, orders.reads, table.reads) == (["orders"], ["dbz"], ["ice"])
    assert by_name["ice"].settings["table"] == "try.orders"
    assert draft.failures == ()
