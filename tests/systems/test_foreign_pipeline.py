"""A real pipeline of other systems: PostgreSQL, Debezium, Kafka, the Iceberg sink, dbt on Trino, and Airflow 2.

One command proposes it, and each of five faults is blamed on its stage.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType
from tests.postgres import initdb_program
from tests.systems.airflow2 import ROOT, airflow2
from tests.systems.foreign import FILL, STARTS, Foreign, Observed, fine, order, run, shop, until

from dataops_core.health.model import Status
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.runs import set_paused
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.systems.connect.details import ConnectorDetails
from dataops_core.systems.dbt.details import DbtModelDetails

pytestmark = [pytest.mark.systems, pytest.mark.timeout(900)]
ORDERS = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "kind", StringType()),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "note", StringType()),
    NestedField(5, "kafka_timestamp", TimestamptzType()),
)
CONTEXT = """
[contexts.here.kafka]
bootstrap_servers = "{kafka}"
[contexts.here.connect]
url = "{connect}"
[contexts.here.databases.shop]
url = "{database}"
[contexts.here.trino]
url = "{trino}"
[contexts.here.dbt]
location = "{dbt}"
[contexts.here.airflow]
url = "{airflow}"
username = "admin"
password = "admin"
[contexts.here.catalogs.lake.properties]
"""
DOWNSTREAM = {"shop.public.orders", "orders-sink", "shop.orders", "by_kind", "shop.by_kind", "publish"}
HOURLY = "lag_ok = 3600\nstall_after = 3600"
SCHEDULE = {
    'table = "shop.orders"': "delivered_within = 5",
    'model = "by_kind"': HOURLY,
    'table = "shop.by_kind"': HOURLY,
    'dag_id = "publish"': "lag_ok = 1\nstall_after = 5",
}
"""What is added after lines of the proposal, as its remarks ask for. The limits let faults show within seconds."""
DBT = ROOT / ".local/dbt-venv/bin/dbt"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """Start the components, and write the orders of a shop to a table."""
    initdb = initdb_program()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    stack = Foreign(tmp_path_factory.mktemp("foreign"), initdb)
    try:
        stack.start("postgres", "kafka", "store", "trino")
        stack.start("connect")
        shop(stack)
        lake = load_catalog("lake", **stack.catalog())
        lake.create_namespace("shop")
        lake.create_table("shop.orders", ORDERS)
        stack.topic("control-iceberg")
        sink(stack)
        until(lambda: stack.states("orders-sink") == ("RUNNING", "RUNNING"))
        until(lambda: lake.load_table("shop.orders").current_snapshot())
        yield stack
    finally:
        stack.stop()


def sink(foreign: Foreign, **more: str) -> None:
    """Create the Iceberg sink, or change it."""
    properties = foreign.catalog() | {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "s3.path-style-access": "true",
        "client.region": "us-east-1",
    }
    config = {
        "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector",
        "topics": "shop.public.orders",
        "iceberg.tables": "shop.orders",
        "iceberg.control.topic": "control-iceberg",
        "iceberg.control.commit.interval-ms": "2000",
        "iceberg.control.commit.timeout-ms": "10000",
        "transforms": "entry",
        "transforms.entry.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.entry.timestamp.field": "kafka_timestamp",
        **{f"iceberg.catalog.{key}": value for key, value in properties.items()},
    }
    foreign.connector("orders-sink", config | more)


class Project:
    """A dbt project with one model, `by_kind`."""

    def __init__(self, foreign: Foreign, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(Path(__file__).parent / "dbt_project", folder, dirs_exist_ok=True)
        settings = {"DBT_PROFILES_DIR": str(folder), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        self._env = {**os.environ, **settings, "TRINO_PORT": str(foreign.layout.port("trino"))}

    def build(self) -> int:
        """Return the exit code of `dbt build`."""
        command = [DBT, "--no-version-check", "build"]
        return subprocess.run(command, cwd=self.folder, env=self._env, check=False, timeout=STARTS).returncode


@pytest.fixture(scope="module")
def project(foreign: Foreign, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return the project, after its first build."""
    built = Project(foreign, tmp_path_factory.mktemp("dbt"))
    assert built.build() == 0
    return built


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowClient]:
    """Start Airflow 2 with the DAG `publish`, which a new version of the table `by_kind` starts."""
    dags = Path(__file__).parent / "foreign_dags"
    with airflow2(tmp_path_factory.mktemp("airflow2"), dags) as address:
        client = AirflowClient(AirflowSettings(url=address, username="admin", password="admin"), 60)
        until(client.assets)
        until(lambda: not client.dag("publish").dag.paused)
        yield client


def built(airflow: AirflowClient) -> None:
    """Report a new version of the table to Airflow, as the job that runs dbt does."""
    headers = {"Content-Type": "application/json", "Authorization": "Basic YWRtaW46YWRtaW4="}
    body = json.dumps({"dataset_uri": "s3://lake/shop/by_kind"}).encode()
    request = urllib.request.Request(f"{airflow.api_url}/datasets/events", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def published(airflow: AirflowClient) -> int:
    """Return the number of successful runs."""
    return sum(each.state == "success" for each in airflow.runs("publish"))


@pytest.fixture(scope="module")
def config(
    foreign: Foreign, project: Project, airflow: AirflowClient, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Write settings: the addresses, and the pipelines that one command proposes for them."""
    built(airflow)
    until(lambda: published(airflow) == 1)
    folder = tmp_path_factory.mktemp("settings")
    addresses = {
        "kafka": foreign.kafka,
        "connect": foreign.connect,
        "database": foreign.postgres.url("shop"),
        "trino": foreign.layout.url("trino"),
        "dbt": project.folder / "target",
        "airflow": airflow.target,
    }
    lines = (f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in foreign.catalog().items())
    context = CONTEXT.format(**addresses) + "".join(lines)
    path, proposed = folder / "dataops.toml", folder / "proposed.toml"
    path.write_text(context)
    assert run(path, "config", "init", "-o", str(proposed)) == 0
    text = proposed.read_text()
    for line, more in SCHEDULE.items():
        assert line in text, text
        text = text.replace(f"{line}\n", f"{line}\n{more}\n", 1)
    path.write_text(context + text)
    return path


@pytest.fixture
def observed(config: Path) -> Observed:
    return Observed(config)


def rows(foreign: Foreign) -> int:
    """Return the number of orders in the table."""
    table = load_catalog("lake", **foreign.catalog()).load_table("shop.orders")
    return sum(task.file.record_count for task in table.scan().plan_files())


def land(foreign: Foreign, kind: str) -> None:
    """Insert an order, and wait until the table has it."""
    before = rows(foreign)
    foreign.sql(f"INSERT INTO orders (kind) VALUES ('{kind}')")
    until(lambda: rows(foreign) > before)


def delivery(observed: Observed) -> ConnectorDetails:
    details = observed.pipeline().stage("orders-sink").observation.details
    assert isinstance(details, ConnectorDetails)
    return details


def test_one_command_proposes_the_pipeline(config: Path) -> None:
    pipelines = tomllib.loads(config.read_text())["pipelines"].values()
    stages = {stage["name"]: stage for pipeline in pipelines for stage in pipeline["stages"]}
    source = stages["capture shop.public.orders"]
    assert (source["kind"], source["database"], source["slot"]) == ("connector", "shop", "capture")
    assert stages["shop.public.orders"]["reads"] == [source["name"]]
    sink = stages["orders-sink"]
    assert (sink["kind"], sink["catalog"], sink["table"]) == ("connector", "lake", "shop.orders")
    assert sink["reads"] == ["shop.public.orders"]
    assert stages["shop.orders"]["reads"] == ["orders-sink"]
    assert stages["by_kind"]["reads"] == ["shop.orders"]
    assert stages["shop.by_kind"]["reads"] == ["by_kind"]
    assert stages["publish"]["reads"] == ["shop.by_kind"]
    kinds = {stage["kind"] for stage in stages.values()}
    assert "consumer_group" not in kinds, "they are the sink's own"
    assert "trino_view" not in kinds, "another stage reads each table"


def test_the_pipeline_without_a_fault(observed: Observed) -> None:
    observed.verdict(fine)


def test_a_failed_task_is_the_source_s(foreign: Foreign, observed: Observed, config: Path) -> None:
    foreign.sql("ALTER ROLE debezium PASSWORD 'other'")
    foreign.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'debezium'")
    verdict = observed.verdict(lambda found: found.check_id == "capture shop.public.orders/task-failed")
    assert (verdict.status, set(verdict.blast_radius)) == (Status.CRITICAL, DOWNSTREAM)
    foreign.sql("ALTER ROLE debezium PASSWORD 'captur3'")
    assert run(config, "connect", "restart", "capture", "--yes") == 0
    observed.verdict(fine)


def test_a_growing_slot_is_the_source_s(foreign: Foreign, observed: Observed, config: Path) -> None:
    assert run(config, "connect", "pause", "capture", "--yes") == 0
    foreign.sql(FILL)
    verdict = observed.verdict(lambda found: found.check_id == "capture shop.public.orders/slot-held")
    assert "the connector is PAUSED, and its replication slot capture retains" in verdict.sentence
    assert run(config, "connect", "resume", "capture", "--yes") == 0
    observed.verdict(fine)


def test_a_sink_that_runs_but_does_not_deliver(foreign: Foreign, observed: Observed) -> None:
    land(foreign, "book")
    until(lambda: delivery(observed).undelivered == 0)
    details = delivery(observed)
    assert (details.connector_type, details.connector_class) == ("sink", "IcebergSinkConnector")
    assert (details.tasks_running, details.table_empty) == (1, False)
    sink(foreign, **{"iceberg.tables.route-field": "kind", "iceberg.table.shop.orders.route-regex": "^never$"})
    until(lambda: foreign.states("orders-sink") == ("RUNNING", "RUNNING"))
    order(foreign)
    verdict = observed.verdict(lambda found: found.check_id == "orders-sink/not-delivering")
    assert foreign.states("orders-sink") == ("RUNNING", "RUNNING")
    assert (verdict.status, verdict.stage) == (Status.CRITICAL, "orders-sink")
    assert "it processed 10 records in" in verdict.sentence
    assert "the table shop.orders got no commit" in verdict.sentence
    assert observed.pipeline().stage("orders-sink").observation.lag_records == 0, "its group is at the end"
    sink(foreign)
    order(foreign)
    observed.verdict(fine)


def test_a_paused_dag_is_named(foreign: Foreign, project: Project, airflow: AirflowClient, observed: Observed) -> None:
    set_paused(airflow, "publish", paused=True)
    land(foreign, "book")
    assert project.build() == 0
    built(airflow)
    verdict = observed.verdict(lambda found: found.check_id == "publish/paused")
    assert verdict.stage == "publish"
    assert verdict.remedy is not None
    assert verdict.remedy.text.startswith("Unpause the DAG publish. If an asset starts it, trigger it too:")
    set_paused(airflow, "publish", paused=False)
    built(airflow)  # Airflow 2 does not queue the events of a dataset for a paused DAG
    observed.verdict(fine)


def test_a_failed_dbt_test_is_the_model_s(foreign: Foreign, project: Project, observed: Observed) -> None:
    land(foreign, "stolen")
    assert project.build() == 1
    verdict = observed.verdict(lambda found: found.check_id == "by_kind/test-failed")
    assert (verdict.status, verdict.stage) == (Status.CRITICAL, "by_kind")
    assert "1 of 1 test failed" in verdict.sentence
    details = observed.pipeline().stage("by_kind").observation.details
    assert isinstance(details, DbtModelDetails)
    snapshot = load_catalog("lake", **foreign.catalog()).load_table("shop.by_kind").current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert details.query_id == snapshot.summary["trino_query_id"], "it joins the model, the query and the table"
