"""A real pipeline of Flink SQL: Kafka, a job, Kafka, a consumer that loads PostgreSQL, and a query on its table.

One command proposes the pipeline, and each fault is blamed on its stage.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, ConsumerGroupState, Producer
from tests.brokers import Brokers
from tests.ports import free_base
from tests.postgres import OWNER, PASSWORD, Postgres, initdb_program
from tests.systems.flink import SLOTS, Flink
from tests.systems.foreign import fine, run, until

from dataops_core.health.model import PipelineHealth, StageHealth, StageState, Status, Verdict
from dataops_core.monitor import Monitor
from dataops_core.systems.flink.details import FlinkJobDetails
from dataops_core.systems.registry import load_settings
from dataops_local import fetch
from dataops_local.layout import OFFSETS

pytestmark = [pytest.mark.systems, pytest.mark.timeout(900)]
VERDICT = 200.0
"""Seconds within which the verdict names a fault, or its end: tasks may take 60 s to start before they are missing."""
CONTEXT = """
[contexts.here.kafka]
bootstrap_servers = "{kafka}"
[contexts.here.flink]
url = "{flink}"
[contexts.here.databases.shop]
url = "{database}"
"""
KAFKA = "'connector' = 'kafka', 'properties.bootstrap.servers' = '{kafka}', 'format' = 'json'"
SOURCE = (
    "CREATE TABLE source (id BIGINT, kind STRING, placed BIGINT, moment AS TO_TIMESTAMP_LTZ(placed, 3),"
    f" WATERMARK FOR moment AS moment) WITH ({KAFKA}, 'topic' = 'orders', 'properties.group.id' = 'cleaning',"
    " 'scan.startup.mode' = 'group-offsets', 'properties.auto.offset.reset' = 'earliest'{more})"
)
SINK = f"CREATE TABLE sink (kind STRING, n BIGINT) WITH ({KAFKA}, 'topic' = 'orders_clean')"
FILTER = "INSERT INTO sink SELECT kind, id FROM source WHERE kind <> 'test'"
WINDOW = (
    "INSERT INTO sink SELECT kind, COUNT(*) FROM TABLE(TUMBLE(TABLE source, DESCRIPTOR(moment), INTERVAL '1' SECOND))"
    " GROUP BY window_start, window_end, kind"
)
TABLE = "CREATE TABLE orders (written_at timestamptz, body jsonb)"
QUERY = {
    "name": "shop",
    "kind": "sql_query",
    "on": "shop",
    "query": "SELECT max(written_at) AS progress_time, count(*) AS position FROM orders",
    "reads": ["loader"],
}
LIMITS = {"lag_ok": 10, "stall_after": 10}
"""They let faults show within seconds."""
DOWNSTREAM = {"orders_clean", "loader", "shop"}


class Loader:
    """A consumer that writes records into PostgreSQL, and commits their offsets.

    Args:
        kafka: Bootstrap servers.
        connect: Connects to the database.
    """

    def __init__(self, kafka: str, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._settings = {"bootstrap.servers": kafka, "group.id": "loader", "auto.offset.reset": "earliest"}
        self._connect = connect
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._ends.clear()
            self._thread = threading.Thread(target=self._load)
            self._thread.start()

    def stop(self) -> None:
        if self._thread is not None:
            self._ends.set()
            self._thread.join()
            self._thread = None

    def _load(self) -> None:
        consumer = Consumer({**self._settings, "enable.auto.commit": False, "log_level": 0})
        consumer.subscribe(["orders_clean"])
        with self._connect() as connection:
            while not self._ends.is_set():
                record = consumer.poll(0.3)
                if record is None or record.error():
                    continue
                row = (record.timestamp()[1] / 1000, (record.value() or b"").decode())
                connection.execute("INSERT INTO orders VALUES (to_timestamp(%s), %s)", row)
                consumer.commit(message=record, asynchronous=False)
        consumer.close()


class Platform:
    """All components, with a job that filters orders."""

    def __init__(self, folder: Path, brokers: Brokers, flink: Flink, postgres: Postgres) -> None:
        self.brokers, self.flink, self.postgres = brokers, flink, postgres
        self.loader = Loader(brokers.servers, self.connect)
        self.job: str | None = None
        self.context = CONTEXT.format(kafka=brokers.servers, flink=flink.url, database=postgres.url())
        self.config = folder / "dataops.toml"
        self._producer = Producer({"bootstrap.servers": brokers.servers, "log_level": 0})
        self._orders = 0
        self._healthy = False

    def connect(self) -> psycopg.Connection[Any]:
        where = f"host=127.0.0.1 port={self.postgres.port} dbname=postgres"
        return psycopg.connect(f"{where} user={OWNER} password={PASSWORD}", autocommit=True)

    def sql(self, statement: str) -> Any:
        """Execute a statement in PostgreSQL; return its rows, or the server's message if it returns none."""
        with self.connect() as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else done.statusmessage

    def order(self, body: str | None = None) -> None:
        """Write one order to Kafka."""
        self._orders += 1
        order = {"id": self._orders, "kind": "book", "placed": int(time.time() * 1000)}
        self._producer.produce("orders", body or json.dumps(order))
        assert self._producer.flush(60) == 0

    def submit(self, insert: str = FILTER, parallelism: int = 1, option: str = "") -> str:
        """Cancel the job, and submit it in another form.

        Args:
            insert: Its INSERT.
            parallelism: Of all its operators.
            option: An option of its source.
        """
        self._healthy = False
        if self.job is not None and self.flink.state(self.job) not in ("CANCELED", "FINISHED", "FAILED"):
            self.flink.cancel(self.job)
        more = f", {option}" if option else ""
        tables = (SOURCE.format(kafka=self.brokers.servers, more=more), SINK.format(kafka=self.brokers.servers))
        self.job = self.flink.submit("clean", *tables, insert, parallelism=parallelism)
        return self.job

    def restore(self) -> None:
        """End all faults."""
        self.loader.start()
        if not self._healthy:
            job = self.submit(option="'json.ignore-parse-errors' = 'true'")
            until(lambda: self.flink.ask(f"/jobs/{job}/checkpoints")["counts"]["completed"])
            self._healthy = True

    def fault(self) -> None:
        """Note that the job needs to be submitted again."""
        self._healthy = False


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Start Kafka, PostgreSQL, Flink, the job and the loader."""
    initdb = initdb_program()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    fetch.fetch(print)
    folder = tmp_path_factory.mktemp("platform")
    brokers = Brokers(folder / "kafka", free_base(OFFSETS.values()))
    flink, postgres = Flink(tmp_path_factory.mktemp("flink")), Postgres(initdb)
    server = subprocess.Popen(postgres.argv, cwd=postgres.folder)
    platform = Platform(folder, brokers, flink, postgres)
    try:
        brokers.start()
        for topic in ("orders", "orders_clean"):
            brokers.topic(topic)
        flink.start()
        until(lambda: platform.sql(TABLE))
        platform.order()
        platform.restore()
        yield platform
    finally:
        platform.loader.stop()
        flink.stop()
        brokers.stop()
        server.kill()
        server.wait()
        postgres.remove()


@pytest.fixture(scope="module")
def proposed(platform: Platform) -> dict[str, dict[str, Any]]:
    """Return the stages that one command proposes."""
    platform.config.write_text(platform.context)
    output = platform.config.with_name("proposed.toml")
    until(lambda: set(platform.flink.metric(str(platform.job), ".committedOffset").values()) - {"-1", "0"})
    until(lambda: platform.sql("SELECT 1 FROM orders"))
    assert run(platform.config, "config", "init", "-o", str(output)) == 0
    pipelines = tomllib.loads(output.read_text())["pipelines"].values()
    return {stage["name"]: stage for pipeline in pipelines for stage in pipeline["stages"]}


class Observed:
    """What a monitor shows, refresh by refresh, while orders keep coming."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._monitor = Monitor(load_settings(platform.config))

    def pipeline(self) -> PipelineHealth:
        return self._monitor.once().pipelines[0]

    def job(self) -> tuple[StageHealth, FlinkJobDetails]:
        stage = self.pipeline().stage("clean")
        assert stage.observation is not None
        assert isinstance(stage.observation.details, FlinkJobDetails)
        return stage, stage.observation.details

    def verdict(self, expected: Callable[[Verdict], bool], orders: bool = True) -> Verdict:
        """Return the first verdict that is as expected."""
        seen: list[str] = []

        def expected_one() -> Verdict | None:
            if orders:
                self._platform.order()
            found = self.pipeline().verdict
            if not seen or seen[-1] != f"{found.check_id}: {found.sentence}":
                seen.append(f"{found.check_id}: {found.sentence}")
            return found if expected(found) else None

        try:
            found = until(expected_one, VERDICT)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *seen[-12:]])) from None
        assert found is not None
        return found


@pytest.fixture
def observed(platform: Platform, proposed: dict[str, dict[str, Any]]) -> Observed:
    """Complete the proposal as its remarks ask for, end all faults, and wait until nothing is blamed."""
    stages = [dict(proposed[name]) for name in ("orders", "clean", "orders_clean", "loader")]
    stages[2]["reads"] = ["clean"]
    text = '[pipelines.orders]\ncontext = "here"\n'
    for proposal in (*stages, QUERY):
        stage = proposal | LIMITS | ({} if proposal["kind"] in ("topic", "consumer_group") else {"every": 2})
        text += "[[pipelines.orders.stages]]\n" + "".join(f"{key} = {json.dumps(stage[key])}\n" for key in stage)
    platform.config.write_text(platform.context + text)
    platform.restore()
    found = Observed(platform)
    found.verdict(fine)
    return found


def test_one_command_proposes_the_job_and_its_topics(
    platform: Platform, proposed: dict[str, dict[str, Any]], observed: Observed
) -> None:
    job = proposed["clean"]
    assert (job["kind"], job["job"], job["reads"]) == ("flink_job", "clean", ["orders"])
    assert job["group"] == "cleaning", "the only group without members that has its offsets"
    assert proposed["loader"]["reads"] == ["orders_clean"]
    assert set(proposed) == {"orders", "clean", "orders_clean", "loader"}, "the job's group is no stage of its own"
    assert run(platform.config, "doctor") == 0


def test_nothing_is_blamed_while_the_source_is_silent(platform: Platform, observed: Observed) -> None:
    observed.verdict(fine)
    time.sleep(15)
    platform.flink.metric(str(platform.job), ".currentEmitEventTimeLag")
    time.sleep(3)  # Flink collects metrics on request, for the next response
    (lag,) = platform.flink.metric(str(platform.job), ".currentEmitEventTimeLag").values()
    assert float(lag) < 12_000, "that of the last record, in milliseconds, though the source is silent for longer"
    observed.verdict(fine, orders=False)
    stage, details = observed.job()
    assert stage.state in (StageState.IDLE, StageState.CAUGHT_UP)
    assert (details.job_state, details.pending_records) == ("RUNNING", 0)
    group = platform.brokers.admin.describe_consumer_groups(["cleaning"])["cleaning"].result(20)
    assert (group.state, group.members) == (ConsumerGroupState.EMPTY, [])
    assert not [each for each in stage.findings if each.check == "no-members"]


def test_a_stopped_task_manager_is_named(platform: Platform, observed: Observed) -> None:
    platform.fault()
    platform.flink.stop_tasks()
    try:
        verdict = observed.verdict(lambda found: "clean" in (found.stage, *found.blast_radius))
        assert "flink: no TaskManager is registered" in (verdict.sentence + "".join(verdict.evidence))
        verdict = observed.verdict(lambda found: found.check_id == "clean/tasks-missing")
        assert (verdict.status, set(verdict.blast_radius)) == (Status.CRITICAL, DOWNSTREAM)
        assert "with 0 of 1 task" in verdict.sentence
    finally:
        platform.flink.start_tasks()


def test_a_job_without_free_slots_is_named(platform: Platform, observed: Observed) -> None:
    job = platform.submit(WINDOW, parallelism=4 * SLOTS)
    verdict = observed.verdict(lambda found: found.check_id == "clean/tasks-missing")
    assert platform.flink.state(job) == "RUNNING"
    assert (verdict.status, set(verdict.blast_radius)) == (Status.CRITICAL, DOWNSTREAM)
    assert f"the job is RUNNING with 0 of {8 * SLOTS} tasks" in verdict.sentence


def test_an_idle_subtask_is_named_though_all_metrics_are_green(platform: Platform, observed: Observed) -> None:
    job = platform.submit(WINDOW, parallelism=2)
    verdict = observed.verdict(lambda found: found.check_id == "clean/watermark-held" and found.stage == "clean")
    assert "so windows produce no output" in verdict.sentence
    assert set(verdict.blast_radius) >= DOWNSTREAM
    _, details = observed.job()
    assert (platform.flink.state(job), details.pending_records) == ("RUNNING", 0)
    assert (details.checkpoints_completed or 0) > 5
    platform.submit(WINDOW, parallelism=2, option="'scan.watermark.idle-timeout' = '2s'")
    observed.verdict(fine)


def test_a_malformed_record_is_named_with_its_cause(platform: Platform, observed: Observed) -> None:
    job = platform.submit()
    platform.order("no JSON")
    verdict = observed.verdict(lambda found: found.check_id == "clean/job-restarting")
    assert verdict.status is Status.CRITICAL
    assert "JsonParseException: Unrecognized token 'no'" in verdict.sentence
    verdict = observed.verdict(lambda found: found.check_id == "clean/job-failed")
    until(lambda: platform.flink.state(job) == "FAILED")
    assert "JsonParseException: Unrecognized token 'no'" in verdict.sentence
    assert (verdict.status, set(verdict.blast_radius)) == (Status.CRITICAL, DOWNSTREAM)


def test_a_stopped_loader_is_blamed_and_not_flink(platform: Platform, observed: Observed) -> None:
    platform.loader.stop()
    verdict = observed.verdict(lambda found: found.status is Status.CRITICAL)
    assert (verdict.stage, verdict.check_id, verdict.component) == ("loader", "loader/no-members", None)
    assert verdict.blast_radius == ("shop",)
    assert platform.flink.state(str(platform.job)) == "RUNNING"


def test_a_job_that_ended_is_named(platform: Platform, observed: Observed) -> None:
    platform.fault()
    platform.flink.cancel(str(platform.job))
    verdict = observed.verdict(lambda found: found.status is Status.CRITICAL)
    assert (verdict.stage, verdict.check_id) == ("clean", "clean/job-ended")
    assert "the job is CANCELED" in verdict.sentence
    assert set(verdict.blast_radius) == DOWNSTREAM
    job = platform.submit(option="'scan.bounded.mode' = 'latest-offset'")
    until(lambda: platform.flink.state(job) == "FINISHED")
    verdict = observed.verdict(lambda found: "the job is FINISHED" in found.sentence)
    assert (verdict.stage, verdict.check_id) == ("clean", "clean/job-ended")
