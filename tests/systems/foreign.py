"""PostgreSQL, Kafka with a Connect worker (Debezium, Iceberg sink), the object store with its catalog, and Trino."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from tests.ports import free_base
from tests.postgres import OWNER, PASSWORD, Postgres

from dataops_core.cli.app import main
from dataops_core.health.model import PipelineHealth, Status, Verdict
from dataops_core.monitor import Monitor
from dataops_core.systems.registry import load_settings
from dataops_local import components, fetch, kafka
from dataops_local.layout import OFFSETS, Layout
from dataops_local.run import SMALL_JVM
from dataops_local.supervisor import Program, Supervisor

CONNECT = 181
"""Offset of the Connect worker's port."""
STARTS = 300.0
"""Seconds that a component may take to start or to change its state, on a busy machine."""
VERDICT = 120.0
"""Seconds within which the verdict names a fault, or its end, on a busy machine."""
WAL = ("wal_level=logical", "max_wal_senders=4", "max_replication_slots=4", "shared_buffers=32MB")
CAPTURE = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.hostname": "127.0.0.1",
    "database.user": "debezium",
    "database.password": "captur3",
    "database.dbname": "shop",
    "topic.prefix": "shop",
    "plugin.name": "pgoutput",
    "slot.name": "capture",
    "publication.autocreate.mode": "filtered",
    "table.include.list": "public.orders,public.heartbeat",
    "heartbeat.interval.ms": "2000",
    "heartbeat.action.query": "UPDATE heartbeat SET at = now()",
    "errors.max.retries": "0",
    "topic.creation.default.replication.factor": "1",
    "topic.creation.default.partitions": "1",
    "transforms": "row",
    "transforms.row.type": "io.debezium.transforms.ExtractNewRecordState",
}
TABLES = (
    "CREATE TABLE orders (id bigserial PRIMARY KEY, kind text, at timestamptz DEFAULT now(), note text)",
    "CREATE TABLE heartbeat (id int PRIMARY KEY, at timestamptz)",
    "INSERT INTO heartbeat VALUES (1, now())",
)
FILL = "INSERT INTO orders (kind, note) SELECT 'fill', repeat(md5(n::text), 40) FROM generate_series(1, 1000) AS n"
STARTING = (OSError, KafkaException, json.JSONDecodeError, KeyError, psycopg.OperationalError)
"""Errors of a component that is still starting."""
T = TypeVar("T")


def until(ask: Callable[[], T], within: float = STARTS) -> T:
    """Return the first true answer; fails after that many seconds."""
    end = time.monotonic() + within
    while True:
        try:
            found = ask()
        except STARTING as error:
            found, why = None, repr(error)  # type: ignore[assignment]
        else:
            why = repr(found)
        if found:
            return found
        assert time.monotonic() < end, f"not within {within} s: {why}"
        time.sleep(0.5)


def installed(*kinds: str) -> dict[str, Path]:
    """Return the folders of downloads by kind, after fetching the missing ones."""
    pinned = fetch.read_pinned(Path(__file__).with_name("downloads.txt"))
    return fetch.install([each for each in pinned if each.kind in kinds], print)


class Foreign:
    """The components; each is started when a test needs it, and all end with this process.

    Args:
        state: Folder for all that they keep.
        initdb: Path of PostgreSQL's initdb.
    """

    def __init__(self, state: Path, initdb: str) -> None:
        self.layout = Layout(state, free_base([*OFFSETS.values(), CONNECT]))
        state.mkdir(parents=True, exist_ok=True)
        self.kafka = f"127.0.0.1:{self.layout.port('kafka')}"
        self.connect = f"http://127.0.0.1:{self.layout.port_base + CONNECT}"
        self.jars = installed("connect", "debezium", "iceberg-sink")
        fetch.fetch(print)
        self.postgres = Postgres(initdb, *WAL)
        self.supervisor = Supervisor(self.layout)
        programs = [
            *(each for each in components.programs(self.layout) if each.name in ("trino", "store")),
            self._worker(),
            kafka.kafka(self.layout),
            Program("postgres", self.postgres.argv, {}, cwd=self.postgres.folder),
        ]
        conf = self.supervisor.configure(replace(each, restart=False) for each in programs)
        self._process = self.supervisor.launch(conf, tied=True)

    def start(self, *names: str) -> None:
        """Start components, and return when they are ready."""
        if "kafka" in names:
            kafka.format_kafka(self.layout)
        ready: Mapping[str, Callable[[], bool]] = {
            "postgres": lambda: bool(self.sql("SELECT 1", database="postgres")),
            "kafka": lambda: kafka.kafka_ready(self.layout),
            "connect": lambda: bool(self.ask("/")["version"]),
            "store": lambda: components.store_ready(self.layout),
            "trino": lambda: components.trino_ready(self.layout),
        }
        for name in names:
            self.supervisor.start(name)
        for name in names:
            until(ready[name])

    def stop(self) -> None:
        """Stop all of them at once: they wait for each other otherwise, and what they keep is not needed."""
        for each in self.supervisor.states().values():
            if each["pid"]:
                with suppress(ProcessLookupError):
                    os.kill(each["pid"], signal.SIGQUIT if each["name"] == "postgres" else signal.SIGKILL)
        self.supervisor.shutdown()
        if self._process is not None:
            self._process.wait(60)
        self.postgres.remove()

    def sql(self, *statements: str, database: str = "shop", user: str = OWNER, password: str = PASSWORD) -> Any:
        """Execute statements in PostgreSQL; return the rows of the last one."""
        given = {"host": "127.0.0.1", "port": self.postgres.port, "connect_timeout": 10}
        with psycopg.connect(**given, dbname=database, user=user, password=password, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def ask(self, path: str, method: str = "GET", body: Mapping[str, Any] | None = None) -> Any:
        """Return the response of the Connect worker."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.connect + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def connector(self, name: str, config: Mapping[str, str]) -> None:
        """Create a connector, or give it another configuration."""
        self.ask(f"/connectors/{name}/config", "PUT", {"name": name, "tasks.max": "1", **config})

    def topic(self, name: str) -> None:
        """Create a topic."""
        admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 0})
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(timeout=30)

    def catalog(self) -> dict[str, str]:
        """Return the catalog's properties for PyIceberg."""
        key, secret = self.layout.secret("s3-key"), self.layout.secret("s3-secret")
        return {
            "type": "rest",
            "uri": self.layout.url("catalog"),
            "warehouse": "s3://lake",
            "credential": f"{key}:{secret}",
            "oauth2-server-uri": self.layout.url("catalog") + "/v1/oauth/tokens",
            "s3.endpoint": self.layout.url("s3"),
            "s3.region": "us-east-1",
            "s3.access-key-id": key,
            "s3.secret-access-key": secret,
        }

    def states(self, name: str) -> tuple[str, ...]:
        """Return the state of a connector and those of its tasks."""
        status = self.ask(f"/connectors/{name}/status")
        return status["connector"]["state"], *(task["state"] for task in status["tasks"])

    def _worker(self) -> Program:
        folder = self.layout.dir("connect")
        plugins = self.layout.dir("connect", "plugins")
        (plugins / "debezium").symlink_to(self.jars["debezium"])
        sink, spark = self.layout.dir("connect", "plugins", "iceberg"), fetch.home("spark")
        aws_and_hadoop = (*spark.glob("hadoop-client-*.jar"), *spark.glob("iceberg-aws-bundle-*.jar"))
        for jar in (*self.jars["iceberg-sink"].iterdir(), *aws_and_hadoop):
            (sink / jar.name).symlink_to(jar)
        settings = {
            "bootstrap.servers": self.kafka,
            "group.id": "connect-test",
            "listeners": self.connect,
            "rest.advertised.host.name": "127.0.0.1",
            "plugin.path": plugins,
            "plugin.discovery": "service_load",
            "offset.flush.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 1000,
            "offset.storage.partitions": 1,
            "status.storage.partitions": 1,
            **{f"{kind}.storage.topic": f"_connect-{kind}" for kind in ("config", "offset", "status")},
            **{f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")},
            **{f"{kind}.converter": "org.apache.kafka.connect.json.JsonConverter" for kind in ("key", "value")},
            **{f"{kind}.converter.schemas.enable": "false" for kind in ("key", "value")},
        }
        properties = folder / "worker.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        log4j = f"-Dlog4j2.configurationFile=file:{self.layout.dir('kafka') / 'log4j2.properties'}"
        java = (self.layout.java, "-Xmx400m", *SMALL_JVM, log4j, "-cp", f"{self.jars['connect']}/*")
        return Program("connect", (*java, "org.apache.kafka.connect.cli.ConnectDistributed", str(properties)), {})


def shop(foreign: Foreign) -> None:
    """Create the database of a shop with ten orders, and capture it; PostgreSQL, Kafka and the worker run."""
    foreign.sql("CREATE ROLE debezium LOGIN REPLICATION PASSWORD 'captur3'", database="postgres")
    foreign.sql("CREATE DATABASE shop OWNER debezium", database="postgres")
    foreign.sql(*TABLES, user="debezium", password="captur3")
    order(foreign)
    capture(foreign)
    until(lambda: foreign.states("capture") == ("RUNNING", "RUNNING"))


def order(foreign: Foreign, number: int = 10) -> None:
    foreign.sql(f"INSERT INTO orders (kind) SELECT 'book' FROM generate_series(1, {number})")


def capture(foreign: Foreign) -> None:
    foreign.connector("capture", {**CAPTURE, "database.port": str(foreign.postgres.port)})


class Observed:
    """What a monitor shows, refresh by refresh."""

    def __init__(self, config: Path) -> None:
        self._monitor = Monitor(load_settings(config))

    def pipeline(self) -> PipelineHealth:
        return self._monitor.once().pipelines[0]

    def verdict(self, expected: Callable[[Verdict], bool]) -> Verdict:
        """Return the first verdict that is as expected."""
        return until(lambda: expected(found := self.pipeline().verdict) and found, VERDICT)  # type: ignore[return-value]


def run(config: Path, *arguments: str) -> int:
    return main(["--config", str(config), *arguments])


def fine(verdict: Verdict) -> bool:
    return verdict.status is Status.OK
