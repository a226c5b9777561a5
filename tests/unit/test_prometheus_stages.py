"""Stages that are observed by PromQL expressions: against a server that is given answers, and a real Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from tests.json_server import JsonServer, serving
from tests.monitoring import program, running
from tests.ports import free_port

from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import BadAnswer
from dataops_core.health.model import StageHealth, StageState, Status
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import find_problems, load_settings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

CONFIG = """
[contexts.here.prometheus]
url = "{url}"

[pipelines.orders]
context = "here"

[[pipelines.orders.stages]]
name = "loader"
kind = "prometheus_query"
progress_time = 'max(loader_loaded_up_to_seconds)'
lag_records = 'sum(loader_queue)  # what waits'
status = 'min(loader_up)'
status_ok = ["1"]
labels = {{ workers = 'sum(loader_workers)' }}
{more}
"""
NOW = 1767600000


def answer(**values: Any) -> dict[str, Any]:
    """Return what Prometheus has for keys: a text, or several for several series."""
    results = [
        {"metric": {"dataops_key": key.replace("__", "."), "n": str(n)}, "value": [NOW, text]}
        for key, texts in values.items()
        for n, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": results}}


GOOD = {"progress_time": str(NOW), "lag_records": "2.5", "status": "1", "labels__workers": "4"}
QUERY = "GET /api/v1/query"


@pytest.fixture
def server() -> Iterator[JsonServer]:
    alerts = {"status": "success", "data": {"alerts": []}}
    with serving({QUERY: answer(**GOOD), "GET /api/v1/alerts": alerts}) as found:
        yield found


def written(tmp_path: Path, url: str, more: str = "") -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(url=url, more=more))
    return path


def observed(path: Path) -> Observation:
    settings = load_settings(path)
    return Clients(settings.contexts["here"], 5.0).observe(settings.pipelines["orders"].stages[0])


def test_one_query_reads_all_values(server: JsonServer, tmp_path: Path) -> None:
    seen = observed(written(tmp_path, server.url))
    assert seen.progress_time == datetime.fromtimestamp(NOW, UTC)
    assert (seen.lag_records, seen.attribute("status"), seen.measurement("workers")) == (3, "1", 4)
    (asked,) = server.asked
    (expression,) = parse_qs(urlsplit(asked[1]).query)["query"]
    assert expression.count("label_replace(") == 4
    assert "sum(loader_queue)  # what waits\n)" in expression


@pytest.mark.parametrize("value", ["NaN", "+Inf", []])
def test_a_value_that_is_not_there_is_unknown(server: JsonServer, tmp_path: Path, value: Any) -> None:
    server.answers[QUERY] = answer(**GOOD | {"progress_time": value, "labels__workers": value})
    path = written(tmp_path, server.url)
    seen = observed(path)
    assert (seen.progress_time, seen.measurement("workers")) == (None, None)
    (stage,) = Monitor(load_settings(path)).once().pipelines[0].stages
    assert stage.state is StageState.UNKNOWN


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            {"lag_records": ["1", "2"]},
            "the expression of lag_records has 2 series: aggregate them with min, max or sum",
        ),
        ({"lag_records": "-1"}, "the value of lag_records is not a count"),
        ({"progress_time": "1e300"}, "the value of progress_time is not a time"),
        ({"status": "NaN"}, "the status is missing"),
    ],
)
def test_a_wrong_value_is_one_line(server: JsonServer, tmp_path: Path, change: dict[str, Any], error: str) -> None:
    server.answers[QUERY] = answer(**GOOD | change)
    with pytest.raises(BadAnswer) as caught:
        observed(written(tmp_path, server.url))
    assert str(caught.value) == f"prometheus {server.url}: {error}"


def test_a_status_that_is_not_ok_is_a_finding(server: JsonServer, tmp_path: Path) -> None:
    server.answers[QUERY] = answer(**GOOD | {"status": "0"})
    snapshot = Monitor(load_settings(written(tmp_path, server.url))).once()
    (stage,) = snapshot.pipelines[0].stages
    assert [finding.check_id for finding in stage.findings] == ["loader/status-not-ok"]
    assert (stage.state, snapshot.status) == (StageState.FAILED, Status.CRITICAL)


def test_the_exporter_serves_state_backlog_and_numbers(server: JsonServer, tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, server.url))
    monitor = Monitor(settings)
    seen = ServedSnapshot(monitor.once(), monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(seen)}
    stage = ("orders", "loader", "prometheus")
    assert samples["dataops_stage_lag_records", stage] == 3
    assert samples["dataops_stage_figure", (*stage, "workers", "")] == 4


def test_the_doctor_names_each_expression(server: JsonServer, tmp_path: Path) -> None:
    server.answers[QUERY] = answer(**GOOD | {"lag_records": []})
    settings = load_settings(written(tmp_path, server.url))
    *_, stage = diagnose(settings.contexts["here"], settings.pipelines, 5.0)
    steps = {step.detail: step.remedy for step in stage.steps}
    assert "progress_time: found" in steps
    assert "Run the expression of lag_records in Prometheus" in (
        steps["lag_records: the expression has no series"] or ""
    )


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("max(loader_loaded_up_to_seconds)", " ", ".progress_time: is empty"),
        ("workers = ", "Workers = ", '.labels: "Workers"'),
        ('status_ok = ["1"]', "", "`status` and `status_ok` come together"),
        ("progress_time = 'max", "data_age = 'max", None),
        ("max(loader_loaded_up_to_seconds)", "x" * 2001, ".progress_time: has more than 2000 characters"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, before: str, after: str, problem: str | None) -> None:
    path = written(tmp_path, "http://127.0.0.1:1")
    path.write_text(path.read_text().replace(before, after, 1))
    problems = find_problems(path)
    assert [problem in line for line in problems] == [True] if problem is not None else not problems


METRICS = """\
loader_loaded_up_to_seconds{{shard="a"}} {at}
loader_queue{{shard="a"}} 3
loader_queue{{shard="b"}} 4
loader_up 1
loader_workers 2
"""


@pytest.fixture
def loader() -> Iterator[JsonServer]:
    """The metrics of a loader."""
    with serving({"GET /metrics": METRICS.format(at=time.time() - 100).encode()}) as found:
        yield found


@pytest.fixture
def prometheus(loader: JsonServer, tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes the loader every second."""
    address = f"127.0.0.1:{free_port()}"
    scraped = {"job_name": "loader", "static_configs": [{"targets": [loader.url.removeprefix("http://")]}]}
    scraping = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scraped]}
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    command = (
        program("prometheus"),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
    )
    with running(*command, log=tmp_path / "prometheus.log"):
        yield f"http://{address}"


def stage_when(path: Path, good: Callable[[StageHealth], bool]) -> StageHealth:
    """Return the stage as soon as it is as wanted."""
    deadline = time.monotonic() + 60
    monitor = Monitor(load_settings(path))
    while True:
        (stage,) = monitor.once().pipelines[0].stages
        if good(stage):
            return stage
        assert time.monotonic() < deadline, stage
        time.sleep(0.5)


@pytest.mark.programs
@pytest.mark.timeout(240)
def test_a_real_prometheus(prometheus: str, loader: JsonServer, tmp_path: Path) -> None:
    path = written(tmp_path, prometheus, "every = 0.1")
    seen = stage_when(path, lambda stage: stage.state is not StageState.UNKNOWN).observation
    assert seen is not None
    assert seen.progress_time is not None
    assert 90 < (seen.observed_at - seen.progress_time).total_seconds() < 200
    assert (seen.lag_records, seen.attribute("status"), seen.measurement("workers")) == (7, "1", 2)

    settings = path.read_text()
    path.write_text(settings.replace("sum(loader_queue)", "sum(loader_queue"))
    with pytest.raises(BadAnswer, match=r"the expression of lag_records: prometheus http.*parse error") as caught:
        observed(path)
    assert len(str(caught.value).splitlines()) == 1
    path.write_text(settings.replace("sum(loader_queue)", "loader_queue"))
    with pytest.raises(BadAnswer, match="the expression of lag_records has 2 series"):
        observed(path)

    path.write_text(settings.replace("status = 'min(loader_up)'\nstatus_ok = [\"1\"]\n", ""))
    loader.answers["GET /metrics"] = 500, {}  # the series end with the first scrape that fails
    gone = stage_when(path, lambda stage: stage.state is StageState.UNKNOWN)
    assert gone.reason == "the progress time is missing"
