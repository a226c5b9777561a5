"""What the probes see on the real components beyond progress: the figures that checks go by."""

from __future__ import annotations

import json
import shutil
import time
import tomllib
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyarrow.fs import S3FileSystem, copy_files
from tests.e2e.conftest import Stack, send, until

from dataops_core.systems.spark.checkpoint import read_checkpoint
from dataops_local.java import class_cache

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def readings(stack: Stack) -> None:
    """Send some, so that each stage has had something, also where this file runs alone."""
    send(stack, 500, day="2013-03-01")


def figures(seen: dict[str, Any]) -> dict[str, float]:
    return {figure["name"]: figure["value"] for figure in seen["observation"]["figures"]}


def facts(seen: dict[str, Any]) -> dict[str, str]:
    return {fact["name"]: fact["text"] for fact in seen["observation"]["facts"]}


def observed(seen: dict[str, Any]) -> bool:
    """Tell whether the stages that a test looks at have an observation, and bronze has files."""
    looked_at = ("logger-readings", "land_readings", "bronze.readings", "conform_readings", "trino.shipment_exposure")
    stages = seen["stages"]
    return (
        all(stages[name]["observation"] for name in looked_at) and figures(stages["bronze.readings"])["data_files"] > 0
    )


@pytest.mark.parametrize(("program", "kind"), [("kafka", "kafka"), ("trino", "trino"), ("land_readings", "spark")])
def test_each_java_starts_from_its_class_cache(stack: Stack, program: str, kind: str) -> None:
    first = psutil.Process(int((stack.layout.state / "pids" / program).read_text()))
    javas = [each for each in [first, *first.children(recursive=True)] if each.name() == "java"]
    assert javas, "no Java runs"
    mapped = {area.path for each in javas for area in each.memory_maps(grouped=True)}
    assert str(class_cache(kind)) in mapped, "Java has ignored it"


def test_components_tell_their_nodes_parts_and_brokers(stack: Stack) -> None:
    seen = stack.probe_until("everything answers", lambda s: all(c["reachable"] for c in s["components"].values()), 120)
    components = seen["components"]
    assert set(components) == {"kafka", "lake", "lake store", "airflow", "trino"}
    assert figures(components["kafka"]) | {"partitions": 0} == {
        "brokers": 1,
        "partitions": 0,
        "offline_partitions": 0,
        "under_replicated_partitions": 0,
    }
    assert figures(components["trino"])["nodes_active"] == 1
    assert figures(components["trino"])["queries_queued"] == 0
    assert {facts(components["airflow"])[part] for part in ("metadatabase", "scheduler", "dag_processor")} == {
        "healthy"
    }
    assert time.time() - figures(components["airflow"])["scheduler_heartbeat"] < 60
    assert figures(components["airflow"])["pool_slots"] > 0


def test_stages_tell_what_the_checks_go_by(stack: Stack) -> None:
    stages = stack.probe_until("the stages are observed", observed, 180)["stages"]
    topic, query, table = (figures(stages[name]) for name in ("logger-readings", "land_readings", "bronze.readings"))
    assert (topic["partitions"], topic["offline_partitions"], topic["brokers"]) == (4, 0, 1)
    assert facts(stages["logger-readings"])["topic_id"]
    assert query["batch_duration"] > 0
    assert query["retention"] == 7 * 86_400
    assert table["small_files"] == table["data_files"] > 0
    assert table["missing_files"] == 0
    assert table["metadata_bytes"] > 0
    assert facts(stages["bronze.readings"])["query_id"] == facts(stages["land_readings"])["query_id"]
    assert "runs_running" in figures(stages["conform_readings"])
    assert facts(stages["trino.shipment_exposure"])["relation"] == "gold.shipment_exposure"


def test_the_doctor_finds_each_connection_and_each_object(stack: Stack) -> None:
    # Trino takes its time for its first statements on a busy machine.
    done = until(
        "nothing is wrong", lambda: stack.dataops("doctor", "-o", "json"), lambda done: done.returncode == 0, 120
    )
    found = {each["name"]: each for each in json.loads(done.stdout)["diagnoses"]}
    assert {name for name, each in found.items() if each["kind"] == "component"} == {
        "kafka", "lake", "lake store", "airflow", "trino",
    }  # fmt: skip
    assert found["boreal-bridge/bronze.readings"]["target"] == "lake"
    assert [step["layer"] for step in found["kafka"]["steps"]][-1] == "brokers"
    for name in ("lake", "lake store", "airflow", "trino"):
        layers = [step["layer"] for step in found[name]["steps"]]
        assert layers == ["name", "tcp", "tls", "protocol", "authentication", "permission"], name


def test_settings_are_proposed_from_what_runs(stack: Stack, tmp_path: Path) -> None:
    stack.probe_until("the stages are observed", observed, 180)
    checkpoint = stack.state / "checkpoints" / "land_readings"
    done = stack.dataops("config", "init", "--checkpoint", str(checkpoint))
    assert done.returncode == 0, done.stderr
    (pipeline,) = tomllib.loads(done.stdout)["pipelines"].values()
    by_name = {each["name"]: each for each in pipeline["stages"]}
    chain = {name: by_name[name].get("reads") for name in ("land_readings", "bronze.readings", "conform_readings")}
    assert chain["land_readings"] == ["logger-readings"]
    assert chain["bronze.readings"] == ["land_readings"]
    assert "bronze.readings" in chain["conform_readings"]
    file = tmp_path / "dataops.toml"
    file.write_text(stack.config.read_text().partition("[pipelines.")[0] + done.stdout)
    valid = stack.dataops("--config", str(file), "config", "validate")  # the last --config counts
    assert valid.returncode == 0, valid.stderr


def test_a_checkpoint_in_the_object_store_tells_the_same(stack: Stack, tmp_path: Path) -> None:
    folder = stack.state / "checkpoints" / "land_readings"
    copied = tmp_path / "land_readings"
    shutil.copytree(folder, copied, ignore=shutil.ignore_patterns(".*", "*.tmp"))
    store = S3FileSystem(
        access_key=stack.env["BOREAL_S3_ACCESS_KEY"],
        secret_key=stack.env["BOREAL_S3_SECRET_KEY"],
        endpoint_override=stack.env["BOREAL_S3_ENDPOINT"],
        region=stack.env["BOREAL_S3_REGION"],
    )
    bucket = stack.env["BOREAL_RAW"].removeprefix("s3://").split("/")[0]
    copy_files(str(copied), f"{bucket}/checkpoints/land_readings", destination_filesystem=store)
    here = json.dumps(str(folder))
    there = f's3a://{bucket}/checkpoints/land_readings"\nstore = "lake'
    text = stack.config.read_text()
    assert text.count(here) == 1
    file = tmp_path / "dataops.toml"
    file.write_text(text.replace(here, f'"{there}"'))
    done = stack.dataops("--config", str(file), "probe", "-o", "json")  # the last --config counts
    (pipeline,) = json.loads(done.stdout)["pipelines"]
    (query,) = [stage for stage in pipeline["stages"] if stage["name"] == "land_readings"]
    assert query["observation"], query
    assert facts(query)["query_id"] == read_checkpoint(str(copied)).query_id
    assert figures(query)["batch_committed"] == max(int(f.name) for f in (copied / "commits").iterdir())


def test_a_backfill_says_its_dates_and_makes_their_runs(stack: Stack) -> None:
    day = ("load_reference_data", "--from", "2026-11-01", "--to", "2026-11-02")
    planned = stack.dataops("dag", "backfill", *day, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    dates = planned.stdout.splitlines()
    assert dates[0] == "2026-11-01T00:00:00+00:00"
    refused = stack.dataops("dag", "backfill", *day)
    assert refused.returncode == 2
    assert 'confirm with "yes"' in refused.stderr
    # Airflow on SQLite answers 503 while its database is locked, and has made nothing then.
    made = until(
        "it is made", lambda: stack.dataops("dag", "backfill", *day, "--yes"), lambda done: done.returncode == 0, 60
    )
    assert made.stdout.splitlines() == dates
    again = stack.dataops("dag", "backfill", *day, "--dry-run")
    assert (again.returncode, again.stdout) == (0, ""), "each of these dates has its run now"


def test_a_scheduler_that_is_gone_is_missed(stack: Stack) -> None:
    """Airflow's scheduler counts as lost once its last heartbeat is older than its health check's threshold (30 s)."""
    stack.stop("airflow-scheduler")
    try:
        seen = stack.probe_until("the scheduler is missed", lambda s: bool(lost_schedulers(s)), 120)
        (finding,) = lost_schedulers(seen)
        assert finding["severity"] == "critical"
        assert "last heartbeat:" in finding["evidence"][0]
        assert seen["exit"] != 0
    finally:
        stack.start("airflow-scheduler")
    # Other findings may come meanwhile: runs that waited for the scheduler fill their pool.
    stack.probe_until("the scheduler is back", lambda s: not lost_schedulers(s), 300)


def lost_schedulers(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in seen["components"]["airflow"]["findings"] if each["check"] == "scheduler-lost"]
