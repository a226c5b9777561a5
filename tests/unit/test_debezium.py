"""Sources of Debezium in Kafka Connect: replication slots in their database, and heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.json_server import JsonServer, serving
from tests.unit.test_connect import Kafka, status
from tests.unit.test_sql_databases import postgres

from dataops_core.config.model import Thresholds
from dataops_core.errors import ConfigError, NotFound, Unreachable
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.evaluate import evaluate
from dataops_core.health.model import Finding, Severity, StageState
from dataops_core.health.observation import Observation, ProbeResult
from dataops_core.systems.clients import Clients
from dataops_core.systems.connect import SYSTEM
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.discover import discover
from dataops_core.systems.connect.responses import read_config
from dataops_core.systems.connect.settings import ConnectorStage, ConnectSettings
from dataops_core.systems.connect.slot import databases_with_slot, slot_details
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.model import Partition, Topic
from dataops_core.systems.registry import registry, settings_of
from dataops_core.systems.sql.client import DatabaseClient
from dataops_core.systems.sql.settings import DatabaseSettings

__all__ = ["postgres"]

KIND = SYSTEM.stage_kinds[0]
CONFIG = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.password": "s3cret",
    "slot.name": "dbz",
    "topic.prefix": "shop",
    "heartbeat.interval.ms": "5000",
    "topic.heartbeat.prefix": "__dbz-heartbeat",
}
HEALTHY = {"slot_name": "dbz", "active": True, "wal_status": "reserved", "lag": Decimal(256), "kept": Decimal(912)}


class Database:
    """A PostgreSQL that answers the question for a slot."""

    def __init__(self, row: dict[str, object] | Exception) -> None:
        self.answer = row
        self.asked: list[str] = []

    def ping(self) -> tuple[str, str]:
        return "postgresql", "15"

    def row(self, query: str) -> dict[str, object]:
        self.asked.append(query)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Heartbeats(Kafka):
    """The cluster of the tests of Connect, with heartbeats."""

    def __init__(self, age: float) -> None:
        super().__init__()
        self.at = datetime.now(UTC) - timedelta(seconds=age)

    def topic(self, name: str) -> Topic:
        if name == "__dbz-heartbeat.shop":
            return Topic(name, (Partition(0, 0, 9, self.at, 1, (1,), (1,)),))
        return super().topic(name)


@pytest.fixture
def server() -> Iterator[JsonServer]:
    offsets = [{"partition": {"server": "shop"}, "offset": {"ts_usec": 1795783458546441, "lsn": 29542920}}]
    answers = {
        "GET /connectors/dbz/config": CONFIG,
        "GET /connectors/dbz/topics": {"dbz": {"topics": ["orders"]}},
        "GET /connectors/dbz/offsets": {"offsets": offsets},
        "GET /connectors/dbz/status": status("RUNNING", "RUNNING", kind="source", name="dbz"),
    }
    with serving(answers) as found:
        yield found


def stage(**more: Any) -> ConnectorStage:
    settings = {"name": "capture", "kind": "connector", "connector": "dbz", "database": "shop", **more}
    return ConnectorStage.model_validate(settings)


def observed(server: JsonServer, database: Database, age: float = 1.0, **more: Any) -> Observation:
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    return KIND.observe(stage(**more), Clients(connect=client, kafka=Heartbeats(age), shop=database))


def found_in(observation: Observation, **more: Any) -> tuple[Finding, ...]:
    given = CheckInput("capture", observation.details, observation, None, (), (), datetime.now(UTC))
    return findings(KIND.checks, KIND.details, stage(**more), given)


def test_a_source_that_streams_has_a_slot_that_is_near(server: JsonServer) -> None:
    database = Database(HEALTHY)
    observation = observed(server, database)
    assert observation.progress_time == datetime(2026, 11, 27, 12, 44, 18, 546441, UTC)
    assert (observation.measurement("slot_lag"), observation.measurement("slot_kept")) == (256, 912)
    assert (observation.attribute("slot"), observation.attribute("slot_status")) == ("dbz", "reserved")
    assert observation.measurement("heartbeat_interval") == 5
    assert found_in(observation) == ()
    assert "slot_name = 'dbz'" in database.asked[0]
    assert "s3cret" not in repr(observation.details)


def test_a_quiet_table_is_not_late_as_long_as_its_topic_has_all_that_came(server: JsonServer) -> None:
    server.answers["GET /connectors/dbz/topics"] = {"dbz": {"topics": ["orders", "__dbz-heartbeat.shop"]}}
    observation = observed(server, Database(HEALTHY))
    assert (observation.position, observation.newest_passed) == (300, observation.advanced_at)
    assert observation.newest_passed is not None
    assert (datetime.now(UTC) - observation.newest_passed).total_seconds() > 3000, "without the heartbeats"
    named = observed(server, Database(HEALTHY), topics=("__dbz-heartbeat.shop",))
    assert named.position == 9
    server.answers["GET /connectors/dbz/offsets"] = {"offsets": []}
    assert observed(server, Database(HEALTHY)).newest_passed is None, "the newest record is the progress itself"


def test_a_slot_that_is_held_while_the_connector_is_paused_is_named(server: JsonServer) -> None:
    server.answers["GET /connectors/dbz/status"] = status("PAUSED", "PAUSED", kind="source", name="dbz")
    observation = observed(server, Database({**HEALTHY, "lag": Decimal(3 * 2**20), "kept": Decimal(3 * 2**20)}))
    held = next(each for each in found_in(observation) if each.check == "slot-held")
    assert held.severity is Severity.WARNING
    assert (
        held.sentence == "the connector is PAUSED, and its replication slot dbz retains 3.0 MiB of the database's log"
    )
    assert held.evidence == ("lag of the slot: 3.0 MiB", "status of its log: reserved")
    assert held.remedy is not None
    assert held.remedy.command == f"curl -X PUT {server.url}/connectors/dbz/resume"


@pytest.mark.parametrize(
    ("row", "check", "severity", "sentence"),
    [
        (
            {"lag": 2**31},
            "slot-behind",
            Severity.WARNING,
            "its replication slot dbz is 2.0 GiB behind, more than 1.0 GiB",
        ),
        (
            {"wal_status": "unreserved"},
            "slot-behind",
            Severity.WARNING,
            "its replication slot dbz will be lost at one of the next checkpoints of the database",
        ),
        (
            {"wal_status": "lost", "lag": None, "kept": None, "active": False},
            "slot-lost",
            Severity.CRITICAL,
            "its replication slot dbz is lost: the database has removed changes that were not read",
        ),
        ({"slot_name": None}, "slot-lost", Severity.CRITICAL, "its replication slot dbz does not exist"),
    ],
)
def test_a_slot_that_is_behind_or_lost(
    server: JsonServer, row: dict[str, object], check: str, severity: Severity, sentence: str
) -> None:
    (finding,) = found_in(observed(server, Database({**HEALTHY, **row})))
    assert (finding.check, finding.severity, finding.sentence) == (check, severity, sentence)


def test_the_limit_of_the_slot_s_lag_is_a_setting(server: JsonServer) -> None:
    observation = observed(server, Database(HEALTHY), slot_lag_max=100)
    assert [each.check for each in found_in(observation, slot_lag_max=100)] == ["slot-behind"]


def test_a_slot_that_a_deleted_connector_left_is_found_by_its_name(server: JsonServer) -> None:
    del server.answers["GET /connectors/dbz/status"]
    observation = observed(server, Database({**HEALTHY, "active": False, "kept": Decimal(5 * 2**20)}), slot="dbz")
    (finding,) = found_in(observation, slot="dbz")
    assert (finding.check, finding.severity) == ("slot-left", Severity.CRITICAL)
    assert finding.sentence == (
        "the connector is deleted, but its replication slot dbz retains 5.0 MiB of the database's log"
    )
    assert observation.progress_time is None
    with pytest.raises(NotFound, match="there is no connector dbz; the slot dbz does not exist either"):
        observed(server, Database({"slot_name": None}), slot="dbz")
    with pytest.raises(NotFound, match="there is no connector dbz; database shop: cannot be reached"):
        observed(server, Database(Unreachable("database shop: cannot be reached")), slot="dbz")
    with pytest.raises(NotFound, match="there is no connector dbz, or it has no status yet"):
        observed(server, Database(HEALTHY))


def test_a_database_that_is_down_is_found_by_the_heartbeats_that_stop(server: JsonServer) -> None:
    down = Database(Unreachable("database shop: connection refused"))
    observation = observed(server, down, age=90)
    (finding,) = found_in(observation)
    assert (finding.check, finding.severity) == ("heartbeat-stopped", Severity.WARNING)
    assert finding.sentence == "the connector is RUNNING, but its last heartbeat was 1m 30s ago; the interval is 5s"
    assert observation.notes[-1] == "slot is unknown: database shop: connection refused"
    assert found_in(observed(server, down, age=50)) == ()
    assert observation.progress_time is None, "not idle"
    assert KIND.why_unknown(stage(), observation) == (
        "progress is unknown, because the replication slot could not be read: database shop: connection refused"
    )
    assert KIND.why_unknown(stage(), observed(server, Database(HEALTHY))) is None


def test_a_source_without_heartbeats_lacks_none(server: JsonServer) -> None:
    server.answers["GET /connectors/dbz/config"] = {**CONFIG, "heartbeat.interval.ms": "0"}
    observation = observed(server, Database(HEALTHY), age=9000)
    assert (observation.measurement("heartbeat"), found_in(observation)) == (None, ())


def test_a_slot_is_known_beside_a_topic_that_cannot_be_read(server: JsonServer) -> None:
    server.answers["GET /connectors/dbz/status"] = status("RUNNING", "FAILED", kind="source", name="dbz")
    server.answers["GET /connectors/dbz/topics"] = (403, {"message": "no"})
    checks = [each.check for each in found_in(observed(server, Database({**HEALTHY, "wal_status": "lost"})))]
    assert checks == ["task-failed", "slot-lost"]


def test_of_a_configuration_only_what_is_needed_is_read() -> None:
    config = read_config(CONFIG)
    assert (config.slot, config.heartbeat_topic, config.heartbeat_interval) == ("dbz", "__dbz-heartbeat.shop", 5.0)
    plain = read_config({"connector.class": CONFIG["connector.class"], "topic.prefix": "shop"})
    assert (plain.slot, plain.heartbeat_topic) == ("debezium", None)
    for odd in ("", "x", "-5", "9" * 30, "٣"):
        assert read_config({**CONFIG, "heartbeat.interval.ms": odd}).heartbeat_topic is None
    other = read_config({**CONFIG, "connector.class": "io.debezium.connector.mysql.MySqlConnector"})
    assert (other.slot, other.heartbeat_topic) == (None, "__dbz-heartbeat.shop")
    assert read_config({**CONFIG, "connector.class": "a.B"}).heartbeat_topic is None


def test_odd_values_of_the_database_are_unknown() -> None:
    row: dict[str, object] = {"slot_name": "x'y", "active": "t", "wal_status": "odd", "lag": "9", "kept": Decimal(-5)}
    database = Database(row)
    found = slot_details("x'y", database)  # type: ignore[arg-type]
    assert "slot_name = 'x''y'" in database.asked[0]
    assert (found["slot_active"], found["slot_status"], found["slot_lag"], found["slot_kept"]) == (None, None, None, 0)


@pytest.mark.programs
def test_the_question_is_one_that_postgresql_answers(postgres: str) -> None:
    url = f"postgresql+psycopg://owner:own3r@{postgres}"
    client = DatabaseClient("shop", DatabaseSettings(url=url), 10.0)
    assert slot_details("dbz", client) == {"slot": "dbz", "slot_missing": True}
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("SELECT pg_create_physical_replication_slot('dbz', true)")
    found = slot_details("dbz", client)
    assert (found["slot_missing"], found["slot_active"], found["slot_status"]) == (False, False, "reserved")
    assert found["slot_lag"] is None, "a physical slot confirms nothing"
    assert found["slot_kept"] >= 0
    assert databases_with_slot("dbz", {"shop": client}) == ("shop",)
    assert databases_with_slot("other", {"shop": client}) == ()


def test_a_slot_needs_its_database() -> None:
    assert [need.kind for need in KIND.needs(stage())] == ["connect", "kafka", "database"]
    contexts = {"prod": {"kafka": {"bootstrap_servers": "k:1"}, "connect": {"url": "http://c:1"}}}
    wrong = {"name": "s", "kind": "connector", "connector": "dbz", "slot": "dbz"}
    raw = {"contexts": contexts, "pipelines": {"p": {"context": "prod", "stages": [wrong]}}}
    with pytest.raises(ConfigError, match="slot: is only used with `database`"):
        settings_of(raw, Path(), "the test")


def test_config_init_proposes_a_stage_for_each_topic_of_a_source(server: JsonServer) -> None:
    server.answers["GET /connectors"] = {"dbz": {"status": server.answers["GET /connectors/dbz/status"]}}
    written = ["shop.public.orders", "shop.public.items", "__dbz-heartbeat.shop"]
    server.answers["GET /connectors/dbz/topics"] = {"dbz": {"topics": written}}
    draft = Draft()
    for topic in written:
        draft.add(topic, {"name": topic, "kind": "topic", "topic": topic})
    discover(draft, Clients(connect=ConnectClient("connect", ConnectSettings(url=server.url), 5.0)))
    found = {stage.name: (stage.settings.get("topics"), stage.reads) for stage in draft.stages()}
    assert found == {
        "shop.public.orders": (None, ["dbz shop.public.orders"]),
        "shop.public.items": (None, ["dbz shop.public.items"]),
        "__dbz-heartbeat.shop": (None, []),
        "dbz shop.public.orders": (["shop.public.orders"], []),
        "dbz shop.public.items": (["shop.public.items"], []),
    }


def test_a_quiet_table_makes_no_stage_of_its_pipeline_late(server: JsonServer) -> None:
    now = datetime.now(UTC)
    offsets = {"offsets": [{"partition": {}, "offset": {"ts_usec": int(now.timestamp() * 1_000_000)}}]}
    server.answers["GET /connectors/dbz/offsets"] = offsets
    stages = [
        {"name": "capture", "kind": "connector", "connector": "dbz", "database": "shop"},
        {"name": "orders", "kind": "topic", "topic": "orders", "reads": ["capture"]},
        {"name": "sink", "kind": "consumer_group", "group": "connect-ice", "topic": "orders", "reads": ["orders"]},
    ]
    contexts = {"prod": {"kafka": {"bootstrap_servers": "k:1"}, "connect": {"url": server.url}}}
    contexts["prod"]["databases"] = {"shop": {"url": "sqlite:////x.db"}}  # type: ignore[assignment]
    raw = {"contexts": contexts, "pipelines": {"p": {"context": "prod", "stages": stages}}}
    pipeline = settings_of(raw, Path(), "the test").pipelines["p"]
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    clients = Clients(connect=client, kafka=Heartbeats(1), shop=Database(HEALTHY))
    results = [
        ProbeResult(
            "", "t", "c", now, 0.1, success=True, pipeline="p", stage=each.name, observation=clients.observe(each)
        )
        for each in pipeline.stages
    ]
    snapshot = evaluate(None, results, {"p": pipeline}, datetime.now(UTC), "prod", registry(), Thresholds())
    assert [(each.state, each.hop_lag) for each in snapshot.pipelines[0].stages] == [
        (StageState.CAUGHT_UP, 0.0),
        (StageState.CAUGHT_UP, 0.0),
        (StageState.CAUGHT_UP, 0.0),
    ]


HOLDER: dict[str, object] = {"slot_name": "dbz", "of_this_database": True}


@pytest.mark.parametrize(
    ("databases", "proposed", "remark"),
    [
        ({"shop": HOLDER}, ("shop", "dbz"), None),
        ({"other": {**HOLDER, "of_this_database": False}, "shop": HOLDER}, ("shop", "dbz"), None),
        ({"other": {"slot_name": None}}, None, "No database of this context has it."),
        ({}, None, "No database of this context has it."),
        ({"a": HOLDER, "b": HOLDER}, None, "Several have it: a, b."),
        ({"shop": Unreachable("database shop: down")}, None, "Set `database` and `slot`"),
    ],
)
def test_config_init_proposes_the_database_that_has_the_slot(
    server: JsonServer,
    databases: dict[str, dict[str, object] | Exception],
    proposed: tuple[str, str] | None,
    remark: str | None,
) -> None:
    server.answers["GET /connectors"] = {"dbz": {"status": server.answers["GET /connectors/dbz/status"]}}
    urls = {name: {"url": "sqlite:////x.db"} for name in databases}
    context = settings_of({"contexts": {"prod": {"databases": urls}}}, Path(), "the test").contexts["prod"]
    known = {name: Database(row) for name, row in databases.items()}
    client = ConnectClient("connect", ConnectSettings(url=server.url), 5.0)
    draft = Draft()
    discover(draft, Clients(context, connect=client, **known))
    (stage,) = draft.stages("connector")
    assert (stage.settings.get("database"), stage.settings.get("slot")) == (proposed or (None, None))
    assert any(remark in each for each in stage.remarks) if remark is not None else not stage.remarks
    assert bool(draft.failures) is ("shop: down" in str(databases.get("shop")))
