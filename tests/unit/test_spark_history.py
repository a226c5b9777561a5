"""Batch applications by Spark's history server: responses of a real Spark 4.1.3, on a local server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.json_server import JsonServer, serving
from tests.lake import FolderCatalog, rows
from tests.unit.test_flink import as_of_now

from dataops_core.bounded import Malformed
from dataops_core.diagnostics.config_init import propose
from dataops_core.errors import BadAnswer, NotFound, PermissionDenied
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.model import Finding, StageState, Status
from dataops_core.health.observation import Activity, Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.registry import settings_of
from dataops_core.systems.spark import SYSTEM, history
from dataops_core.systems.spark.applications import cause_of, read_runs
from dataops_core.systems.spark.batch import diagnose, observe_history
from dataops_core.systems.spark.details import BatchDetails
from dataops_core.systems.spark.discover import discover
from dataops_core.systems.spark.history import HistoryClient
from dataops_core.systems.spark.settings import SparkBatchStage, SparkHistorySettings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

KIND = next(kind for kind in SYSTEM.stage_kinds if kind.name == "spark_batch")
RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "data/spark_history/applications.json").read_text())
"""`nightly orders` succeeded twice; a task of `failing` raised; `sqlfail` has a failed job and two queries that failed
without one; `nojobs` ran none; `raising` ended with an exit code of 3; `hanging` was killed with SIGKILL."""
APPLICATIONS = "GET /api/v1/applications"
IDS = {app["name"]: app["id"] for app in reversed(RECORDED["answers"][APPLICATIONS])}
"""The newest id of each name."""
MS = 1000


def listing(server: JsonServer, applications: list[dict[str, Any]]) -> Callable[[Mapping[str, str], bytes], Any]:
    """Return what answers `/applications` as the history server does: by status and dates, the newest end first."""

    def answer(_headers: Mapping[str, str], _body: bytes) -> Any:
        query = {name: values[0] for name, values in parse_qs(urlsplit(server.asked[-1][1]).query).items()}
        wants_completed = query["status"] == "completed"
        first, last = at(query.get("minEndDate", "")), at(query.get("maxEndDate", ""))
        found = []
        for app in applications:
            attempt = app["attempts"][0]
            ended = attempt.get("endTimeEpoch")
            if attempt.get("completed") is wants_completed and (
                not wants_completed or ((first is None or ended >= first) and (last is None or ended <= last))
            ):
                found.append(app)
        found.sort(key=lambda app: -app["attempts"][0].get("endTimeEpoch", 0))
        return found[: int(query["limit"])]

    return answer


def at(text: str) -> int | None:
    """Return a time of a query in milliseconds."""
    return (
        round(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC).timestamp() * MS) if text else None
    )


def application(name: str, started: float, *, took: float | None = 60.0, **more: Any) -> dict[str, Any]:
    """Return an application that started so many seconds ago."""
    begin = datetime.now(UTC).timestamp() - started
    attempt = {
        "startTimeEpoch": int(begin * MS),
        "endTimeEpoch": -1 if took is None else int((begin + took) * MS),
        "lastUpdatedEpoch": int((begin + (took or 0.0)) * MS),
        "completed": took is not None,
        **more,
    }
    return {"id": f"{name}-{int(started)}", "name": name, "attempts": [attempt]}


def jobs(*statuses: str) -> list[dict[str, Any]]:
    return [{"jobId": n, "name": "count at a.py:1", "status": s, "stageIds": [n]} for n, s in enumerate(statuses)]


def give(server: JsonServer, *applications: dict[str, Any], **statuses: str) -> None:
    """Serve these applications; each ran one job, which succeeded unless a status is given by the name."""
    server.answers[APPLICATIONS] = listing(server, list(applications))
    for app in applications:
        path = f"GET /api/v1/applications/{app['id']}"
        server.answers[f"{path}/jobs"] = jobs(statuses.get(app["name"], "SUCCEEDED"))
        server.answers[f"{path}/sql"] = []
        server.answers[f"{path}/stages"] = [{"stageId": 0, "failureReason": "java.io.IOException: disk full"}]


@pytest.fixture
def server() -> Iterator[JsonServer]:
    shift = (datetime.now(UTC).timestamp() - RECORDED["now"]) * MS
    answers = as_of_now(RECORDED["answers"], shift)
    with serving(answers) as found:
        found.answers[APPLICATIONS] = listing(found, answers[APPLICATIONS])
        yield found


def client_of(server: JsonServer, **more: Any) -> HistoryClient:
    return HistoryClient("history", SparkHistorySettings(url=server.url, **more), 5.0)


def stage(name: str, **more: Any) -> SparkBatchStage:
    return SparkBatchStage.model_validate({"name": name, "kind": "spark_batch", "application": name, **more})


def observed(server: JsonServer, name: str, client: HistoryClient | None = None, **more: Any) -> Observation:
    return KIND.observe(stage(name, **more), Clients(spark_history=client or client_of(server)))


def details_of(seen: Observation) -> BatchDetails:
    assert isinstance(seen.details, BatchDetails)
    return seen.details


def found_in(seen: Observation, now: datetime | None = None, **more: Any) -> dict[str, Finding]:
    given = CheckInput("s", seen.details, seen, None, (), (), now or datetime.now(UTC))
    return {each.check: each for each in findings(KIND.checks, KIND.details, stage(seen.stage, **more), given)}


def test_a_run_that_succeeded_gives_the_progress(server: JsonServer) -> None:
    seen = observed(server, "nightly orders")
    details = details_of(seen)
    attempt = next(
        app["attempts"][0] for app in RECORDED["answers"][APPLICATIONS] if app["id"] == IDS["nightly orders"]
    )
    assert seen.progress_time is not None
    assert seen.advanced_at is not None
    assert (seen.advanced_at - seen.progress_time).total_seconds() == attempt["duration"] / MS
    assert (details.run, details.run_state, details.last_success) == (
        IDS["nightly orders"],
        "succeeded",
        IDS["nightly orders"],
    )
    assert details.run_duration == attempt["duration"] / MS
    assert details.run_page == f"{server.url}/history/{IDS['nightly orders']}"
    assert seen.activity is Activity.WAITING
    assert found_in(seen) == {}


def test_a_failed_task_fails_the_run_with_the_line_that_names_the_cause(server: JsonServer) -> None:
    seen = observed(server, "failing")
    found = found_in(seen)
    assert list(found) == ["run-failed"]
    assert found["run-failed"].sentence == (
        f"its newest run {IDS['failing']} failed in job 0 (count at /opt/jobs/app.py:17):"
        " ValueError: bad amount in row 7, password=***"
    )
    assert f"history server: {server.url}/history/{IDS['failing']}/jobs/job/?id=0" in found["run-failed"].evidence
    assert seen.progress_time is None


def test_a_failed_job_and_failed_queries_are_counted_once(server: JsonServer) -> None:
    details = details_of(observed(server, "sqlfail"))
    assert (details.work_failed, details.work_done) == (3, 5)  # the query of the failed job is the same failure
    assert details.cause is not None
    assert details.cause.startswith("[DIVIDE_BY_ZERO] Division by zero.")


def test_a_query_that_failed_without_a_job_fails_the_run(server: JsonServer) -> None:
    of_app = f"GET /api/v1/applications/{IDS['sqlfail']}"
    server.answers[f"{of_app}/jobs"] = jobs("SUCCEEDED")
    found = found_in(observed(server, "sqlfail"))
    page = f"{server.url}/history/{IDS['sqlfail']}/SQL/execution/?id=5"
    assert found["run-failed"].sentence.endswith("failed in query 5 (parquet at NativeMethodAccessorImpl.java:0)")
    assert f"history server: {page}" in found["run-failed"].evidence


def test_failures_that_the_application_catches_can_be_allowed(server: JsonServer) -> None:
    assert found_in(observed(server, "failing", failures_max=1), failures_max=1) == {}


def test_a_run_without_jobs_and_queries_is_not_a_success(server: JsonServer) -> None:
    seen = observed(server, "nojobs")
    assert seen.progress_time is None
    assert list(found_in(seen)) == ["run-empty"]


def test_the_exit_code_of_a_driver_is_not_in_the_history(server: JsonServer) -> None:
    assert details_of(observed(server, "raising")).run_state == "succeeded"  # a limit, in docs/systems/spark.md


def test_a_killed_driver_is_never_green(server: JsonServer) -> None:
    seen = observed(server, "hanging")
    assert (seen.activity, seen.progress_time) == (Activity.RUNNING, None)
    assert found_in(seen) == {}
    silent = found_in(seen, datetime.now(UTC) + timedelta(minutes=16))
    assert list(silent) == ["run-silent"]
    assert "its event log has had no new event for 16m" in silent["run-silent"].sentence


def test_a_log_of_a_killed_driver_does_not_hide_a_later_run(server: JsonServer) -> None:
    give(server, application("load", 90_000, took=None), application("load", 3_000))
    seen = observed(server, "load")
    assert details_of(seen).run_state == "succeeded"
    assert details_of(seen).runs_open == 1
    assert found_in(seen) == {}


def test_a_run_that_is_silent_for_less_than_a_usual_run_is_not_lost(server: JsonServer) -> None:
    now = int(datetime.now(UTC).timestamp() * MS)
    runs = [application("load", 86_400 * n, took=7_200.0) for n in (1, 2, 3)]
    give(server, *runs, application("load", 4_000, took=None, lastUpdatedEpoch=now - 3_000 * MS))
    seen = observed(server, "load")
    assert found_in(seen) == {}
    assert list(found_in(seen, silent_max=1_000)) == ["run-silent"]


def test_a_run_that_takes_longer_than_usual(server: JsonServer) -> None:
    now = int(datetime.now(UTC).timestamp() * MS)
    runs = [application("load", 86_400 * n, took=600.0) for n in (1, 2, 3)]
    give(server, *runs, application("load", 1_200, took=None, lastUpdatedEpoch=now))
    seen = observed(server, "load")
    assert seen.progress_time is not None
    assert list(found_in(seen)) == ["run-slow"]
    late = found_in(seen, datetime.now(UTC) + timedelta(seconds=700))
    assert list(late) == ["run-too-long"]
    assert "longer than 30m" in late["run-too-long"].sentence
    assert list(found_in(seen, run_max=900)) == ["run-too-long"]


def test_a_run_that_did_not_start(server: JsonServer) -> None:
    give(server, application("load", 4_200))
    seen = observed(server, "load")
    assert found_in(seen) == {}  # without an interval, nothing is expected
    found = found_in(seen, interval=3_600, remedy="submit load")
    assert list(found) == ["run-overdue"]
    assert found["run-overdue"].sentence.startswith("its next run is 10m late: the newest run load-4200 started at")
    assert found["run-overdue"].remedy is not None
    assert found["run-overdue"].remedy.command == "submit load"
    assert found_in(seen, interval=3_600, late_after=900) == {}


def test_a_run_in_progress_after_a_failed_one_has_no_finding(server: JsonServer) -> None:
    now = int(datetime.now(UTC).timestamp() * MS)
    give(server, application("load", 60, took=None, lastUpdatedEpoch=now), application("load", 3_600), load="FAILED")
    seen = observed(server, "load")
    assert found_in(seen) == {}
    assert "newest completed run: load-3600, failed, took 1m" in seen.notes


def test_a_job_that_had_not_ended_when_the_application_did_failed(server: JsonServer) -> None:
    give(server, application("load", 3_600), load="RUNNING")
    server.answers["GET /api/v1/applications/load-3600/stages"] = []
    found = found_in(observed(server, "load"))
    assert found["run-failed"].sentence == "its newest run load-3600 failed in job 0 (count at a.py:1)"


def test_an_earlier_success_keeps_the_progress(server: JsonServer) -> None:
    give(server, application("load", 600), application("load", 4_200))
    server.answers["GET /api/v1/applications/load-600/jobs"] = jobs("SUCCEEDED", "FAILED")
    seen = observed(server, "load")
    details = details_of(seen)
    assert (details.run, details.run_state, details.last_success) == ("load-600", "failed", "load-4200")
    assert seen.progress_time is not None
    evidence = found_in(seen)["run-failed"].evidence
    assert any(each.startswith("last successful run: load-4200, started at") for each in evidence)
    assert "failed jobs and queries: 1 of 2" in evidence


def test_an_outcome_that_cannot_be_read_is_unknown(server: JsonServer) -> None:
    give(server, application("load", 600), application("load", 4_200))
    server.answers["GET /api/v1/applications/load-600/jobs"] = (403, {"message": "not authorized"})
    seen = observed(server, "load")
    assert details_of(seen).run_state == "unknown"
    assert details_of(seen).last_success == "load-4200"
    assert "denied permission (403)" in found_in(seen)["outcome-unknown"].sentence


def slowly(_headers: Mapping[str, str], _body: bytes) -> Any:
    time.sleep(1.5)
    return []


def test_event_logs_that_take_long_to_read_take_no_more_than_one_deadline(server: JsonServer) -> None:
    apps = [application("load", 600 * n) for n in range(1, 5)]
    give(server, *apps)
    for app in apps:
        server.answers[f"GET /api/v1/applications/{app['id']}/jobs"] = slowly
    began = time.monotonic()
    seen = observed(server, "load", HistoryClient("history", SparkHistorySettings(url=server.url), 0.5))
    assert time.monotonic() - began < 1.4
    assert details_of(seen).run_state == "unknown"
    assert "do not end within 500ms" in found_in(seen)["outcome-unknown"].sentence


def test_a_history_server_without_spark_sql_has_jobs(server: JsonServer) -> None:
    give(server, application("load", 600))
    del server.answers["GET /api/v1/applications/load-600/sql"]
    assert details_of(observed(server, "load")).run_state == "succeeded"


def test_an_outcome_is_asked_for_once(server: JsonServer) -> None:
    client = client_of(server)
    for _ in range(3):
        observed(server, "nightly orders", client)
    asked = [path for _, path, _ in server.asked if path.endswith("/jobs")]
    assert asked == [f"/api/v1/applications/{IDS['nightly orders']}/jobs"]


def test_names_with_a_date_match_a_pattern(server: JsonServer) -> None:
    give(
        server, application("load-2026-11-27", 90_000), application("load-2026-11-28", 3_600), application("other", 60)
    )
    assert details_of(observed(server, "load-*")).run == "load-2026-11-28-3600"
    with pytest.raises(NotFound, match="no application loader has run since"):
        observed(server, "loader")


def test_an_attempt_is_part_of_the_paths(server: JsonServer) -> None:
    app = application("load", 600, attemptId="2")
    older = application("load", 1_200, attemptId="1")["attempts"]
    app["attempts"] += older
    give(server, app)
    path = f"GET /api/v1/applications/{app['id']}"
    for what in ("jobs", "sql"):
        server.answers[f"{path}/2/{what}"] = server.answers.pop(f"{path}/{what}")
    details = details_of(observed(server, "load"))
    assert (details.run, details.run_state) == ("load-600 (attempt 2)", "succeeded")
    assert details.run_page == f"{server.url}/history/load-600/2"


def test_a_list_is_read_page_by_page_and_then_from_its_end(server: JsonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE", 3)
    monkeypatch.setattr(history, "SHARED", 0.0)
    apps = [application("load", 600 * n) for n in range(1, 8)]
    give(server, *apps)
    client = client_of(server)
    first = client.history()
    assert [run.app_id for run in first.runs] == [app["id"] for app in apps]
    assert datetime.now(UTC) - first.since > timedelta(days=13)
    server.asked.clear()
    give(server, application("load", 61), *apps)
    assert len(client.history().runs) == 8
    least = parse_qs(urlsplit(server.asked[1][1]).query)["minEndDate"][0]
    assert at(least) == apps[0]["attempts"][0]["endTimeEpoch"] - 3_600 * MS


def test_a_list_that_is_too_long_shows_from_when_it_is_complete(
    server: JsonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 2)
    monkeypatch.setattr(history, "PAGES", 2)
    give(server, *(application("load", 600 * n) for n in range(1, 8)))
    seen = client_of(server).history()
    assert seen.since == min(run.ended_at for run in seen.runs if run.ended_at is not None)
    assert len(seen.runs) < 7


def test_one_unreadable_application_takes_no_other_away(server: JsonServer) -> None:
    give(server, application("load", 600), application("load", 1_200, startTimeEpoch="yesterday"))
    seen = observed(server, "load")
    assert details_of(seen).run_state == "succeeded"
    assert "applications that cannot be read: 1" in seen.notes
    with pytest.raises(Malformed):
        read_runs([{"id": "a"}])
    server.answers[APPLICATIONS] = {"ok": True}
    with pytest.raises(BadAnswer, match="the response is not from Spark's history server: it is not a list"):
        observed(server, "load")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Job 3 cancelled because SparkContext was shut down", "Job 3 cancelled because SparkContext was shut down"),
        (
            "Job aborted: x\n\tat a.B\nCaused by: java.io.IOException: disk full\n\tat c",
            "java.io.IOException: disk full",
        ),
        ("Job aborted: Traceback (most recent call last):\n  File x\n    y\nKeyError: 'a'\n\n\tat z", "KeyError: 'a'"),
    ],
)
def test_the_cause_is_one_line(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause


def test_the_component_shows_how_many_applications_it_lists(server: JsonServer) -> None:
    line, seen = observe_history(client_of(server))
    assert line == "Spark 4.1.3, applications: 7, not completed: 1"
    assert {each.name: each.value for each in seen.figures}["applications"] == 7


def test_the_doctor_reads_the_jobs_of_a_run(server: JsonServer) -> None:
    steps = list(diagnose(client_of(server)))
    assert [step.ok for step in steps] == [True, True]
    give(server, application("load", 600), application("old", 90_000, took=None))
    assert [step.ok for step in diagnose(client_of(server))] == [True, None, True]
    server.answers["GET /api/v1/applications/load-600/jobs"] = (403, {"message": "no"})
    with pytest.raises(PermissionDenied):
        list(diagnose(client_of(server)))
    give(server)
    (nothing,) = diagnose(client_of(server))
    assert nothing.remedy is not None
    assert "spark.eventLog.enabled" in nothing.remedy


def test_config_init_proposes_applications_that_run_repeatedly(server: JsonServer) -> None:
    give(
        server,
        *(application("orders", 3_600 * n) for n in range(1, 5)),
        *(application(f"load[eu]-2026-11-{30 - n}T01:00", 86_400 * n) for n in range(1, 4)),
        *(application("PySparkShell", 1_000 * n) for n in range(1, 5)),
        application("once", 500),
        application("killed", 100_000, took=None),
    )
    draft = Draft()
    discover(draft, Clients(spark_history=client_of(server)))
    assert all(each.alone for each in draft.stages())
    assert [dict(each.settings) for each in draft.stages()] == [
        {
            "name": "orders",
            "kind": "spark_batch",
            "application": "orders",
            "interval": 3_600,
            "lag_ok": 7_200,
            "stall_after": 7_200,
        },
        {
            "name": "load[eu]",
            "kind": "spark_batch",
            "application": "load[[]eu]-*",
            "interval": 86_400,
            "lag_ok": 172_800,
            "stall_after": 172_800,
        },
    ]


def test_config_init_links_an_application_with_the_table_that_it_committed_to(
    server: JsonServer, tmp_path: Path
) -> None:
    apps = [application("orders", 3_600 * n) for n in range(1, 4)]
    give(server, *apps)
    catalog = FolderCatalog(tmp_path)
    written, other = catalog.create("gold.orders"), catalog.create("gold.other")
    written.append(rows("Ames"), snapshot_properties={"spark.app.id": apps[1]["id"]})
    other.append(rows("Ames"), snapshot_properties={"spark.app.id": "of-another-server"})
    lake = CatalogClient("lake", CatalogSettings(properties={"type": "rest", "uri": "http://lake"}))
    lake._catalog = catalog
    proposal = propose(Clients(spark_history=client_of(server), iceberg=lake))
    ((batch, table),) = proposal.pipelines.values()
    assert (batch.name, table.name, table.reads) == ("orders", "gold.orders", ["orders"])
    assert table.settings["stall_after"] == batch.settings["stall_after"] == 7_200
    assert [each for each in proposal.unlinked if "gold" in each] == ["table gold.other"]


@pytest.mark.parametrize(
    ("name", "state", "status", "check"),
    [
        ("nightly orders", StageState.CAUGHT_UP, Status.OK, None),
        ("failing", StageState.FAILED, Status.CRITICAL, "orders/run-failed"),
        ("hanging", StageState.UNKNOWN, Status.UNKNOWN, "orders/unknown"),
    ],
)
def test_the_monitor_reaches_a_verdict(
    server: JsonServer, name: str, state: StageState, status: Status, check: str | None
) -> None:
    of_run = {"name": "orders", "kind": "spark_batch", "application": name, "lag_ok": 86_400, "stall_after": 86_400}
    raw = {
        "contexts": {"here": {"spark_history": {"url": server.url}}},
        "pipelines": {"shop": {"context": "here", "stages": [of_run]}},
    }
    settings = settings_of(raw, Path(), "the test")
    monitor = Monitor(settings)
    snapshot = monitor.once()
    (pipeline,) = snapshot.pipelines
    assert (pipeline.stages[0].state, pipeline.verdict.status, pipeline.verdict.check_id) == (state, status, check)
    served = ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(served)}
    assert samples["dataops_component_up", ("spark_history",)] == 1
    duration = ("dataops_stage_figure", ("shop", "orders", "spark", "run_duration", "s"))
    assert (duration in samples) is (state is StageState.CAUGHT_UP)
