"""Stages that are observed by a JSON document over HTTP, against a real server: probe, checks, doctor, exporter."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.json_server import JsonServer, serving

from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import BadAnswer, NotFound
from dataops_core.health.model import StageState, Status
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import find_problems, load_settings, registry
from dataops_core.transport.connections import Watch, WatchedResponse, watching
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.session import WebSession
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

CONFIG = """
[contexts.here.http]
url = "{url}"
token = "T0KEN"
headers = {{ X-Team = "quality" }}

[pipelines.billing]
context = "here"

[[pipelines.billing.stages]]
name = "invoices"
kind = "http_document"
path = "/status?full=1"
progress_time = "jobs[?name=='export'].finished | [0]"
lag_records = "queue.size"
status = "state"
status_ok = ["UP"]
labels = {{ version = "build.version", queue_bytes = "queue.bytes" }}
{more}
"""
AT = "2026-01-05T08:00:00Z"


def document(**more: Any) -> dict[str, Any]:
    job = {"name": "export", "finished": AT}
    queue = {"size": 3, "bytes": 900}
    return {"state": "UP", "jobs": [job], "queue": queue, "build": {"version": "1.4"}} | more


@pytest.fixture
def server() -> Iterator[JsonServer]:
    with serving({"GET /status": document()}) as found:
        yield found


def written(tmp_path: Path, url: str, more: str = "") -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(url=url, more=more))
    return path


def observed(path: Path) -> Observation:
    settings = load_settings(path)
    clients = Clients(settings.contexts["here"], 5.0)
    return clients.observe(settings.pipelines["billing"].stages[0])


def test_progress_backlog_and_labels_are_read(server: JsonServer, tmp_path: Path) -> None:
    seen = observed(written(tmp_path, server.url))
    assert seen.progress_time == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert seen.lag_records == 3
    assert (seen.attribute("status"), seen.attribute("version"), seen.measurement("queue_bytes")) == ("UP", "1.4", 900)
    method, path, headers = server.asked[-1]
    assert (method, path) == ("GET", "/status?full=1")
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer T0KEN", "quality")


@pytest.mark.parametrize(
    ("change", "unit", "expected"),
    [
        (1767600000, "s", True),
        (1767600000000, "ms", True),
        (1767600000.0, "s", True),
        ("2026-01-05 09:00+01:00", "s", True),
    ],
)
def test_times_are_read_in_their_unit(
    server: JsonServer, tmp_path: Path, change: Any, unit: str, expected: bool
) -> None:
    server.answers["GET /status"] = document(jobs=[{"name": "export", "finished": change}])
    seen = observed(written(tmp_path, server.url, f'time_unit = "{unit}"'))
    assert (seen.progress_time == datetime(2026, 1, 5, 8, tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": None}, "the status is missing"),
        ({"jobs": [{"name": "export", "finished": "yesterday"}]}, "the value of progress_time is not a time"),
        ({"jobs": [{"name": "export", "finished": 1e300}]}, "the value of progress_time is not a time"),
        ({"queue": {"size": -1}}, "the value of lag_records is not a count"),
        ({"queue": {"size": True}}, "the value of lag_records is not a count"),
        ({"queue": {"size": "3"}}, "the value of lag_records is not a count"),
    ],
)
def test_a_value_of_another_type_is_one_line(
    server: JsonServer, tmp_path: Path, change: dict[str, Any], error: str
) -> None:
    server.answers["GET /status"] = document(**change)
    with pytest.raises(BadAnswer) as caught:
        observed(written(tmp_path, server.url))
    assert str(caught.value) == f"http {server.url}/status: {error}"


def test_what_is_missing_is_unknown_and_never_green(server: JsonServer, tmp_path: Path) -> None:
    server.answers["GET /status"] = document(jobs=[])
    path = written(tmp_path, server.url)
    seen = observed(path)
    assert seen.progress_time is None
    (stage,) = Monitor(load_settings(path)).once().pipelines[0].stages
    assert stage.state is StageState.UNKNOWN
    assert stage.reason == "it has unread records, but the age of the oldest is unknown"
    server.answers["GET /status"] = document(jobs=[], queue={})
    (stage,) = Monitor(load_settings(path)).once().pipelines[0].stages
    assert (stage.state, stage.reason) == (StageState.UNKNOWN, "the progress time is missing")


def test_nothing_waiting_means_that_all_has_passed(server: JsonServer, tmp_path: Path) -> None:
    server.answers["GET /status"] = document(jobs=[], queue={"size": 0})
    before = datetime.now(UTC)
    seen = observed(written(tmp_path, server.url))
    assert seen.progress_time is not None
    assert before <= seen.progress_time <= datetime.now(UTC)


def test_when_progress_changes_is_remembered(server: JsonServer, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, server.url))
    clients, stage = Clients(settings.contexts["here"], 5.0), settings.pipelines["billing"].stages[0]
    first, second = clients.observe(stage), clients.observe(stage)
    assert first.advanced_at is None
    assert second.advanced_at == first.observed_at
    assert "has not changed since" in second.notes[-1]
    server.answers["GET /status"] = document(jobs=[{"name": "export", "finished": "2026-01-05T09:00:00Z"}])
    third = clients.observe(stage)
    assert third.advanced_at == third.observed_at
    assert clients.observe(stage).advanced_at == third.observed_at


@pytest.mark.parametrize(
    ("change", "more", "check", "sentence"),
    [
        ({"state": "DEGRADED"}, "", "status-not-ok", 'reports the status "DEGRADED"'),
        ({}, "lag_records_max = 2", "backlog-large", "3 records waiting, more than 2"),
        ({"state": "UP"}, "", "progress-in-future", "its progress time is 1h in the future"),
    ],
)
def test_each_check_finds_its_problem(
    server: JsonServer, tmp_path: Path, change: dict[str, Any], more: str, check: str, sentence: str
) -> None:
    if check == "progress-in-future":
        ahead = datetime.now(UTC) + timedelta(hours=1, seconds=10)
        change = {"jobs": [{"name": "export", "finished": ahead.isoformat()}]}
    server.answers["GET /status"] = document(**change)
    snapshot = Monitor(load_settings(written(tmp_path, server.url, more))).once()
    (stage,) = snapshot.pipelines[0].stages
    (finding,) = stage.findings
    assert (finding.check_id, finding.sentence) == (f"invoices/{check}", sentence)
    assert finding.remedy is not None
    if check == "status-not-ok":
        assert stage.state is StageState.FAILED
        assert snapshot.pipelines[0].verdict.check_id == "invoices/status-not-ok"
        assert snapshot.status is Status.CRITICAL


def test_the_exporter_serves_state_backlog_and_numbers(server: JsonServer, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, server.url))
    monitor = Monitor(settings)
    seen = ServedSnapshot(monitor.once(), monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(seen)}
    stage = ("billing", "invoices", "http")
    assert samples["dataops_stage_lag_records", stage] == 3
    assert samples["dataops_stage_figure", (*stage, "queue_bytes", "")] == 900
    assert samples["dataops_component_up", ("http",)] == 1


def test_the_doctor_names_each_expression(server: JsonServer, tmp_path: Path) -> None:
    server.answers["GET /status"] = document(build={})
    settings = load_settings(written(tmp_path, server.url))
    found = diagnose(settings.contexts["here"], settings.pipelines, 5.0)
    component, stage = found
    assert component.status.value == "ok", component.steps
    steps = {step.detail: step.remedy for step in stage.steps}
    assert "progress_time: found" in steps
    assert steps["labels.version: the expression matches nothing"] == (
        "Compare the expression of labels.version with the document."
    )


def test_a_document_that_is_missing_or_too_large_is_one_line(server: JsonServer, tmp_path: Path) -> None:
    path = written(tmp_path, server.url, "bytes_max = 20")
    with pytest.raises(BadAnswer, match="the response is rejected: its body is larger than 20 bytes"):
        observed(path)
    server.answers["GET /status"] = 404, {}
    with pytest.raises(NotFound):
        observed(path)


def test_an_expression_that_fails_on_the_document_is_one_line(server: JsonServer, tmp_path: Path) -> None:
    path = written(tmp_path, server.url)
    path.write_text(path.read_text().replace("queue.size", "sum(jobs)"))
    with pytest.raises(BadAnswer, match="the expression of lag_records fails") as caught:
        observed(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("queue.size", "queue.", ".lag_records: is not a JMESPath expression"),
        ("queue.size", "a" * 2001, ".lag_records: has more than 2000 characters"),
        ('status_ok = ["UP"]', "", "`status` and `status_ok` come together"),
        ('path = "/', 'path = "@', ".path: must begin with /"),
        ("version = ", "Version = ", '.labels: "Version": a name may hold lower-case letters, digits and _ only'),
        ("version = ", "status = ", '.labels: "status": the stage already has a value of this name'),
        ("progress_time", "pending_since", None),
        ("X-Team", "authorization", ".headers: give `Authorization` as `token`"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, before: str, after: str, problem: str | None) -> None:
    path = written(tmp_path, "http://127.0.0.1:1")
    path.write_text(path.read_text().replace(before, after, 1))
    problems = find_problems(path)
    assert [problem in line for line in problems] == [True] if problem is not None else not problems


def test_a_stage_without_progress_and_backlog_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "http://127.0.0.1:1")
    lines = [each for each in path.read_text().splitlines() if not each.startswith(("progress", "lag_records"))]
    path.write_text("\n".join(lines))
    (problem,) = find_problems(path)
    assert "needs `progress_time`, `data_age` or `lag_records`" in problem


def test_an_age_gives_the_progress_time(server: JsonServer, tmp_path: Path) -> None:
    path = written(tmp_path, server.url)
    path.write_text(
        path.read_text().replace("progress_time = \"jobs[?name=='export'].finished | [0]\"", 'data_age = "age"')
    )
    server.answers["GET /status"] = document(age=90.5)
    seen = observed(path)
    assert seen.progress_time is not None
    assert 90 < (seen.observed_at - seen.progress_time).total_seconds() < 91
    server.answers["GET /status"] = document(age="90")
    with pytest.raises(BadAnswer, match="the value of data_age is not a number of seconds"):
        observed(path)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "http://127.0.0.1:1"))
    assert "T0KEN" not in repr(settings)
    assert "quality" not in repr(settings)
    assert registry().system_of("http_document") == "http"


def test_a_body_does_not_wait_for_the_garbage_collector(server: JsonServer) -> None:
    gc.disable()
    try:
        with WebSession("service", server.url, None) as session:
            response = session.get(f"{server.url}/status")
            assert response.json() == document()
            alive = weakref.ref(response)
            del response
            assert alive() is None
    finally:
        gc.enable()


def test_the_reader_of_a_response_does_not_wait_for_the_garbage_collector() -> None:
    gc.disable()
    try:
        watch = Watch(Deadline(1), 10)
        alive, (ours, theirs) = weakref.ref(watch), socket.socketpair()
        with ours, theirs:
            with watching(watch), WatchedResponse(ours):
                pass
            del watch
            assert alive() is None
    finally:
        gc.enable()
