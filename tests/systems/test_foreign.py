"""PostgreSQL, Debezium and Kafka with a real Connect worker: the verdict on faults, and changes of connectors."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.postgres import initdb_program
from tests.screen import until_shown
from tests.systems.foreign import FILL, Foreign, Observed, capture, fine, order, run, shop, until

from dataops_core.actions import ActionPolicy
from dataops_core.config import context_of
from dataops_core.health.model import Status
from dataops_core.recorder.recorded import RecordedMonitor
from dataops_core.systems.connect.details import ConnectorDetails
from dataops_core.systems.registry import load_settings
from dataops_tui.app import DataopsApp

pytestmark = [pytest.mark.systems, pytest.mark.timeout(900)]

CONTEXT = """
[contexts.here]

[contexts.here.kafka]
bootstrap_servers = "{kafka}"
[contexts.here.connect]
url = "{connect}"
[contexts.here.databases.shop]
url = "{database}"
"""
PIPELINE = """
[pipelines.orders]
context = "here"
[[pipelines.orders.stages]]
name = "capture"
kind = "connector"
connector = "capture"
database = "shop"
slot = "capture"
topics = ["shop.public.orders"]
[[pipelines.orders.stages]]
name = "orders topic"
kind = "topic"
topic = "shop.public.orders"
reads = ["capture"]
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """Start PostgreSQL, Kafka and the worker, and capture a table."""
    initdb = initdb_program()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    stack = Foreign(tmp_path_factory.mktemp("foreign"), initdb)
    try:
        stack.start("postgres", "kafka")
        stack.start("connect")
        shop(stack)
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def config(foreign: Foreign, tmp_path: Path) -> Path:
    path = tmp_path / "dataops.toml"
    addresses = {"kafka": foreign.kafka, "connect": foreign.connect, "database": foreign.postgres.url("shop")}
    path.write_text(CONTEXT.format(**addresses) + PIPELINE)
    return path


@pytest.fixture
def observed(config: Path) -> Observed:
    return Observed(config)


def captured(observed: Observed) -> ConnectorDetails:
    details = observed.pipeline().stage("capture").observation.details
    assert isinstance(details, ConnectorDetails)
    return details


def test_a_source_that_runs(foreign: Foreign, observed: Observed) -> None:
    order(foreign)
    observed.verdict(fine)
    details = captured(observed)
    assert (details.connector_state, details.tasks, details.tasks_running) == ("RUNNING", 1, 1)
    assert (details.connector_class, details.connector_type) == ("PostgresConnector", "source")
    assert (details.slot, details.slot_active, details.slot_status) == ("capture", True, "reserved")
    assert details.heartbeat is not None
    assert details.heartbeat_interval == 2


def test_a_paused_source_holds_its_slot(foreign: Foreign, observed: Observed, config: Path) -> None:
    assert run(config, "connect", "pause", "capture", "--yes") == 0
    until(lambda: foreign.states("capture") == ("PAUSED", "PAUSED"))
    until(lambda: (captured(observed).slot_kept or 0) > 0)
    before = captured(observed).slot_kept
    foreign.sql(FILL)
    verdict = observed.verdict(lambda found: found.check_id == "capture/slot-held")
    kept = captured(observed).slot_kept
    assert before is not None
    assert kept is not None
    assert kept - before > 1_000_000, "the log that the slot retains grows"
    assert verdict.stage == "capture"
    assert "the connector is PAUSED, and its replication slot capture retains" in verdict.sentence
    assert verdict.blast_radius == ("orders topic",)
    assert verdict.remedy is not None
    assert verdict.remedy.command == f"curl -X PUT {foreign.connect}/connectors/capture/resume"
    assert run(config, "connect", "resume", "capture", "--yes") == 0
    until(lambda: foreign.states("capture") == ("RUNNING", "RUNNING"))
    observed.verdict(fine)


def test_a_failed_task_is_restarted(
    foreign: Foreign, observed: Observed, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed.verdict(fine)
    foreign.sql("ALTER ROLE debezium PASSWORD 'other'")
    foreign.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'debezium'")
    until(lambda: foreign.states("capture") == ("RUNNING", "FAILED"))
    verdict = observed.verdict(lambda found: found.check_id == "capture/task-failed")
    assert (verdict.status, verdict.stage, verdict.blast_radius) == (Status.CRITICAL, "capture", ("orders topic",))
    assert "the connector is RUNNING, and 1 of 1 tasks FAILED" in verdict.sentence
    foreign.sql("ALTER ROLE debezium PASSWORD 'captur3'")
    capsys.readouterr()
    assert run(config, "connect", "list", "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["connector"], row["type"], row["state"]) == ("capture", "source", "RUNNING")
    assert (row["tasks"], row["failed_tasks"]) == (1, 1), "Connect does not restart it"
    assert row["cause"]
    assert run(config, "connect", "restart", "capture", "--yes") == 0
    until(lambda: foreign.states("capture") == ("RUNNING", "RUNNING"))
    observed.verdict(fine)


async def test_the_console_pauses_and_resumes(foreign: Foreign, config: Path) -> None:
    settings = load_settings(config)
    policy = ActionPolicy(*context_of(settings), audit_path=config.with_name("audit.jsonl"))
    recorder = settings.recorder.model_copy(update={"folder": config.with_name("recordings")})
    settings = settings.model_copy(update={"recorder": recorder})
    app = DataopsApp(settings, None, lambda: RecordedMonitor(settings), policy)
    async with app.run_test(size=(160, 48), notifications=True) as pilot:
        await until_shown(app, lambda text: "orders topic" in text and "starting" not in text, "the pipeline")
        app.run_command("connect")
        await until_shown(app, lambda text: "tasks of capture" in text and "1 running" in text, "the connector")
        for what, after in (("Pause", "1 paused"), ("Resume", "1 running")):
            await pilot.pause(2)  # a key right after a change of the screen is ignored
            await pilot.press("p")
            await until_shown(app, lambda text, what=what: f"{what} capture" in text, "the question")
            await pilot.click("#go")
            await until_shown(app, lambda text, after=after: after in text, after)
    assert foreign.states("capture") == ("RUNNING", "RUNNING")


def test_a_deleted_source_leaves_its_slot(foreign: Foreign, observed: Observed) -> None:
    foreign.ask("/connectors/capture", "DELETE")
    verdict = observed.verdict(lambda found: found.check_id == "capture/slot-left")
    assert verdict.stage == "capture"
    capture(foreign)
    until(lambda: foreign.states("capture") == ("RUNNING", "RUNNING"))
    observed.verdict(fine)


def test_the_commands(foreign: Foreign, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def text(*arguments: str) -> str:
        assert run(config, *arguments) == 0
        return capsys.readouterr().out

    order(foreign)  # Connect forgets the topics of a connector that is deleted
    until(lambda: "shop.public.orders" in foreign.ask("/connectors/capture/topics")["capture"]["topics"])
    assert "3 of 3 components up, 2 of 2 stages found" in text("doctor")
    pipelines = tomllib.loads(text("config", "init"))["pipelines"].values()
    stages = {stage["name"]: stage for pipeline in pipelines for stage in pipeline["stages"]}
    (source,) = stages["shop.public.orders"]["reads"]
    assert (stages[source]["kind"], stages[source]["connector"]) == ("connector", "capture")
