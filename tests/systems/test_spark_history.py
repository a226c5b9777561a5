"""Real batch applications by Spark's history server: successful, failed, killed and running ones."""

from __future__ import annotations

import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.systems.foreign import Observed, fine, run, until
from tests.systems.spark_history import SparkHistory

from dataops_core.health.model import StageState, Status, Verdict
from dataops_core.systems.spark.details import BatchDetails

pytestmark = [pytest.mark.systems, pytest.mark.timeout(900)]
FINISHED = (
    *("orders=succeed", "orders=succeed", "orders=succeed"),
    *("reports=succeed", "reports=task-fails"),
    *("merge=succeed", "merge=query-fails"),
    "tidy=nothing",
)
PIPELINE = """
[contexts.here.spark_history]
url = "{url}"
[pipelines.{name}]
context = "here"
[[pipelines.{name}.stages]]
name = "{name}"
kind = "spark_batch"
application = "{name}"
lag_ok = 86400
stall_after = 86400
every = 1
{more}
"""


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkHistory]:
    """Start the history server, and run applications that end by themselves."""
    spark = SparkHistory(tmp_path_factory.mktemp("spark"))
    try:
        spark.start()
        spark.run(*FINISHED)
        until(lambda: spark.applications("tidy"))
        yield spark
    finally:
        spark.stop()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "dataops.toml"


def observed(spark: SparkHistory, config: Path, name: str, more: str = "") -> Observed:
    config.write_text(PIPELINE.format(url=spark.url, name=name, more=more))
    return Observed(config)


def details_of(spark: SparkHistory, config: Path, name: str) -> BatchDetails:
    (stage,) = observed(spark, config, name).pipeline().stages
    assert stage.observation is not None
    assert isinstance(stage.observation.details, BatchDetails)
    return stage.observation.details


def verdict_of(spark: SparkHistory, config: Path, name: str, more: str = "") -> Verdict:
    return observed(spark, config, name, more).pipeline().verdict


def test_a_successful_run_is_caught_up(spark: SparkHistory, config: Path) -> None:
    (stage,) = observed(spark, config, "orders").pipeline().stages
    newest = spark.applications("orders")[0]
    assert (stage.state, stage.findings) == (StageState.CAUGHT_UP, ())
    assert stage.progress_time is not None
    assert round(stage.progress_time.timestamp() * 1000) == newest["attempts"][0]["startTimeEpoch"]
    details = details_of(spark, config, "orders")
    assert (details.run, details.run_state, details.spark_version) == (
        newest["id"],
        "succeeded",
        spark.ask("/version")["spark"],
    )
    assert run(config, "probe") == 0


def test_a_run_with_a_failed_task_is_named_with_the_cause(spark: SparkHistory, config: Path) -> None:
    failed, succeeded = spark.applications("reports")
    assert failed["attempts"][0]["completed"], "what the history server says of a failed application"
    verdict = verdict_of(spark, config, "reports")
    assert (verdict.status, verdict.check_id) == (Status.CRITICAL, "reports/run-failed")
    assert f"its newest run {failed['id']} failed in job 0 (count at " in verdict.sentence
    assert verdict.sentence.endswith("ValueError: bad amount in row 7")
    assert f"history server: {spark.url}/history/{failed['id']}/jobs/job/?id=0" in verdict.evidence
    assert any(each.startswith(f"last successful run: {succeeded['id']}, started at") for each in verdict.evidence)
    assert run(config, "probe") == 2


def test_a_run_with_a_failed_query_and_no_failed_job_is_named(spark: SparkHistory, config: Path) -> None:
    failed, _ = spark.applications("merge")
    assert spark.jobs("merge") == []
    verdict = verdict_of(spark, config, "merge")
    assert (verdict.status, verdict.check_id) == (Status.CRITICAL, "merge/run-failed")
    assert f"its newest run {failed['id']} failed in query " in verdict.sentence


def test_a_run_without_any_work_is_no_success(spark: SparkHistory, config: Path) -> None:
    assert details_of(spark, config, "tidy").run_state == "empty"
    assert verdict_of(spark, config, "tidy").status is Status.UNKNOWN


def test_a_killed_driver_runs_for_the_history_server_and_is_silent_for_the_product(
    spark: SparkHistory, config: Path
) -> None:
    driver = spark.driver("export=succeed", "export=hang")
    until(lambda: len(spark.applications("export")) == 2)
    succeeded, running = spark.applications("export")
    observed(spark, config, "export").verdict(fine)
    details = details_of(spark, config, "export")
    assert (details.run, details.run_state, details.last_success) == (running["id"], "running", succeeded["id"])
    spark.signal(driver, signal.SIGKILL)
    silent = observed(spark, config, "export", "silent_max = 5").verdict(lambda found: found.status is Status.CRITICAL)
    assert silent.check_id == "export/run-silent"
    assert f"its newest run {running['id']} has not ended" in silent.sentence
    assert any(each.startswith(f"last successful run: {succeeded['id']}") for each in silent.evidence)
    before = spark.applications("export")[1]["attempts"][0]
    spark.restart()
    after = until(lambda: spark.applications("export"))[1]["attempts"][0]
    assert not after["completed"]
    assert after["lastUpdatedEpoch"] > before["lastUpdatedEpoch"], "a restart counts as a new event"


def test_a_driver_that_is_terminated_has_a_job_that_did_not_end(spark: SparkHistory, config: Path) -> None:
    driver = spark.driver("cleanup=hang")
    until(lambda: spark.jobs("cleanup"))
    spark.signal(driver, signal.SIGTERM)
    until(lambda: spark.applications("cleanup")[0]["attempts"][0]["completed"])
    verdict = verdict_of(spark, config, "cleanup")
    assert verdict.check_id == "cleanup/run-failed"
    assert verdict.status is Status.CRITICAL


def test_a_run_that_is_overdue_is_named(spark: SparkHistory, config: Path) -> None:
    verdict = observed(spark, config, "orders", "interval = 1\nlate_after = 1").verdict(
        lambda found: found.check_id == "orders/run-overdue"
    )
    assert verdict.status is Status.WARNING


def test_an_application_that_never_ran_is_unknown(spark: SparkHistory, config: Path) -> None:
    verdict = verdict_of(spark, config, "archive")
    assert verdict.status is Status.UNKNOWN
    assert "no application archive has run since" in verdict.sentence


def test_one_command_proposes_what_runs_repeatedly_and_the_doctor_reads_it(spark: SparkHistory, config: Path) -> None:
    config.write_text(f'[contexts.here.spark_history]\nurl = "{spark.url}"\n')
    output = config.with_name("proposed.toml")
    assert run(config, "config", "init", "-o", str(output)) == 0
    (pipeline,) = tomllib.loads(output.read_text())["pipelines"].values()
    (stage,) = pipeline["stages"]
    assert (stage["kind"], stage["application"], stage["interval"]) == ("spark_batch", "orders", 60)
    assert run(config, "doctor") == 0
