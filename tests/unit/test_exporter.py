"""The exporter: what is seen is served, and what is not known is absent."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.orders import T0, healthy, see

from dataops_core.health.model import HealthSnapshot
from dataops_exporter.collector import Latest
from dataops_exporter.metrics import METRICS
from dataops_exporter.server import Server, application

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Exporter:
    def __init__(self) -> None:
        self.now = T0
        self.latest = Latest(timedelta(seconds=30), lambda: self.now)
        self.server = Server("127.0.0.1", 0, application(self.latest))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.server.server_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> Samples:
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    exporter = Exporter()
    yield exporter
    exporter.server.shutdown()
    exporter.server.server_close()


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


LAND = {"pipeline": "p", "stage": "land", "system": "spark"}
VIEW = {"pipeline": "p", "stage": "view", "system": "trino"}


def trino_down(previous: HealthSnapshot | None = None) -> HealthSnapshot:
    return see({**healthy(T0), "view": "refused"}, T0, previous, down={"trino": "refused"})


def test_a_snapshot_is_served_in_base_units(exporter: Exporter) -> None:
    exporter.latest.put(see(healthy(T0)))
    found = exporter.samples()
    assert found[key("dataops_pipeline_data_age_seconds", pipeline="p")] == 103
    assert found[key("dataops_pipeline_source_age_seconds", pipeline="p")] == 0
    assert found[key("dataops_pipeline_status", pipeline="p", status="ok")] == 1
    assert found[key("dataops_pipeline_status", pipeline="p", status="critical")] == 0
    assert found[key("dataops_stage_lag_seconds", **LAND)] == 2
    assert found[key("dataops_stage_lag_records", **LAND)] == 10
    assert found[key("dataops_stage_progress_timestamp_seconds", **LAND)] == T0.timestamp() - 2
    assert found[key("dataops_stage_state", **LAND, state="caught_up")] == 1
    assert found[key("dataops_component_up", component="kafka")] == 1
    assert found[key("dataops_probe_success", probe="kafka", target="kafka:1")] == 1
    assert found[key("dataops_exporter_snapshot_timestamp_seconds")] == T0.timestamp()
    assert key("dataops_pipeline_objective_seconds", pipeline="p") not in found, "there is none in the settings"


def test_what_is_not_known_is_absent_and_never_zero(exporter: Exporter) -> None:
    exporter.latest.put(trino_down(see(healthy(T0))))
    found = exporter.samples()
    assert found[key("dataops_stage_state", **VIEW, state="unknown")] == 1
    for name in ("lag_seconds", "lag_records", "progress_timestamp_seconds"):
        assert key(f"dataops_stage_{name}", **VIEW) not in found
    assert found[key("dataops_stage_observation_timestamp_seconds", **VIEW)] == T0.timestamp()
    assert key("dataops_pipeline_data_age_seconds", pipeline="p") not in found
    assert found[key("dataops_component_up", component="trino")] == 0
    assert found[key("dataops_probe_success", probe="stage", target="p/view")] == 0
    assert found[key("dataops_stage_lag_seconds", **LAND)] == 2, "the others go on"
    assert not any(map(math.isnan, found.values())), "no NaN"


def finding(**labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return key("dataops_pipeline_finding", pipeline="p", **labels)


def test_the_verdict_s_finding_is_one_series_and_none_when_all_is_well(exporter: Exporter) -> None:
    exporter.latest.put(see(healthy(T0)))
    assert not [name for name, _ in exporter.samples() if name == "dataops_pipeline_finding"]
    land = replace(healthy(T0)["land"], failure="it says so")
    exporter.latest.put(see({**healthy(T0), "land": land, "conform": replace(land, stage="conform")}, T0))
    found = exporter.samples()
    assert found[finding(check_id="land/failed", stage="land", component="")] == 1
    assert len([name for name, _ in found if name == "dataops_pipeline_finding"]) == 1, "one cause, one finding"


def test_a_finding_names_the_component_that_does_not_answer(exporter: Exporter) -> None:
    exporter.latest.put(trino_down(see(healthy(T0))))
    assert exporter.samples()[finding(check_id="trino/unreachable", stage="", component="trino")] == 1
    late = replace(healthy(T0)["bronze"], failure="no commit")
    lake_down = see({**healthy(T0), "land": replace(late, stage="land")}, T0, down={"lake": "refused"})
    exporter.latest.put(lake_down)
    assert exporter.samples()[finding(check_id="land/failed", stage="land", component="lake")] == 1


def test_before_the_first_snapshot_it_is_healthy_but_not_ready(exporter: Exporter) -> None:
    assert exporter.get("/-/healthy")[0] == 200
    assert exporter.get("/-/ready") == (503, "no health snapshot yet\n")
    assert {name for name, _ in exporter.samples()} == {"dataops_build_info"}


def test_an_old_snapshot_is_not_shown_as_the_present(exporter: Exporter) -> None:
    exporter.latest.put(see(healthy(T0)))
    assert exporter.get("/-/ready")[0] == 200
    exporter.now = T0 + timedelta(seconds=31)
    assert exporter.get("/-/ready") == (503, "the newest health snapshot is 31 s old\n")
    names = {name for name, _ in exporter.samples()}
    assert names == {"dataops_build_info", "dataops_exporter_snapshot_timestamp_seconds"}


def test_other_pages(exporter: Exporter) -> None:
    assert "/metrics" in exporter.get("/")[1]
    assert exporter.get("/nope")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{exporter.server.server_port}/", data=b"x")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()
    assert caught.value.code == 405


def test_names_follow_prometheus_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("dataops_")
        assert metric.help.endswith(".")
        if any(word in metric.name for word in ("_timestamp_", "_age_", "_duration_")):
            assert metric.name.endswith("_seconds")


def test_the_program_serves_what_it_can_see_and_ends_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "dataops.toml"
    config.write_text(
        'refresh = 1\nprobe_timeout = 2\n[contexts.c.trino]\nurl = "http://127.0.0.1:9"\n'
        '[pipelines.p]\ncontext = "c"\n[[pipelines.p.stages]]\nname = "v"\nkind = "trino_view"\nrelation = "a.b.c"\n'
    )
    program = [sys.executable, "-m", "dataops_exporter", "--config", str(config), "--port", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "listening on 127.0.0.1:" in line
            url = f"http://{line.rsplit(' ', 1)[1].strip()}/metrics"
            deadline = time.monotonic() + 60
            text = ""
            while 'dataops_component_up{component="trino"} 0.0' not in text:
                assert time.monotonic() < deadline, text
                time.sleep(0.2)
                with urllib.request.urlopen(url, timeout=10) as answer:
                    text = answer.read().decode()
            assert 'state="unknown",system="trino"} 1.0' in text
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "/nowhere.toml"], "dataops-exporter: /nowhere.toml: no such file or directory"),
        (["--port", "http"], "'http' is no port"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], said: str) -> None:
    program = [sys.executable, "-m", "dataops_exporter", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
