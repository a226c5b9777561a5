"""The exporter: what is seen is served, and what is not known is absent."""

from __future__ import annotations

import gzip
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from tests.exposition import CONFIG, EVERYTHING, kafka
from tests.orders import CHAIN, T0, healthy, see

from dataops_core.config import ExporterSettings
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.observation import Observation
from dataops_core.systems.iceberg.details import TableDetails
from dataops_core.systems.registry import load_settings
from dataops_exporter.cluster_scan import kafka_samples
from dataops_exporter.collector import NewestSnapshot, ServedSnapshot
from dataops_exporter.pages import Pages
from dataops_exporter.server import Server
from dataops_exporter.service import Service
from dataops_exporter.web import WebConfigFile

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Exporter:
    """An exporter that is not started: what it has seen is put in by the test."""

    def __init__(self, folder: Path) -> None:
        self.now = T0
        self.config = folder / "dataops.toml"
        self.config.write_text(CONFIG)
        self.latest = NewestSnapshot(lambda: self.now)
        web = WebConfigFile(None)
        self.service = Service(lambda: load_settings(self.config), None, web, self.latest)
        self.server = Server("127.0.0.1", 0, Pages(self.service), web)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, snapshot: HealthSnapshot) -> None:
        self.latest.put(ServedSnapshot(snapshot, {"p": CHAIN}, ExporterSettings(), timedelta(seconds=30)))

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        request = urllib.request.Request(url, headers={name.replace("_", "-"): v for name, v in headers.items()})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def get(self, path: str) -> tuple[int, str]:
        status, _, body = self.ask(path)
        return status, body.decode()

    def samples(self) -> Samples:
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    exporter = Exporter(tmp_path)
    yield exporter
    exporter.server.stop(1)


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


ABOUT_ITSELF = re.compile(r"dataops_build_info|dataops_exporter_(config|http|survey_interval)_.*|process_.*")
LAND = {"pipeline": "p", "stage": "land", "system": "spark"}
VIEW = {"pipeline": "p", "stage": "view", "system": "trino"}


def trino_down(previous: HealthSnapshot | None = None) -> HealthSnapshot:
    return see({**healthy(T0), "view": "refused"}, T0, previous, down={"trino": "refused"})


def test_what_is_found_is_served_also_where_the_state_is_not_known(exporter: Exporter) -> None:
    seen: dict[str, Observation | str] = dict(healthy(T0))
    due = TableDetails(delete_files=5000)
    seen |= {"conform": "airflow: no answer", "silver": replace(healthy(T0)["silver"], details=due)}
    exporter.put(see(seen, T0))
    found = exporter.samples()
    silver = {"pipeline": "p", "stage": "silver", "system": "iceberg"}
    assert found[key("dataops_stage_state", **silver, state="unknown")] == 1
    assert found[key("dataops_stage_finding", **silver, check_id="silver/delete-files", severity="advice")] == 1
    assert found[key("dataops_stage_figure", **silver, figure="delete_files", unit="")] == 5000
    assert key("dataops_stage_lag_seconds", **silver) not in found


def test_a_snapshot_is_served_in_base_units(exporter: Exporter) -> None:
    exporter.put(see(healthy(T0)))
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
    assert found[key("dataops_probe_success", probe="kafka", target="kafka:1", pipeline="", component="kafka")] == 1
    assert found[key("dataops_exporter_snapshot_timestamp_seconds")] == T0.timestamp()
    assert key("dataops_pipeline_objective_seconds", pipeline="p") not in found, "there is none in the settings"


def test_what_is_not_known_is_absent_and_never_zero(exporter: Exporter) -> None:
    exporter.put(trino_down(see(healthy(T0))))
    found = exporter.samples()
    assert found[key("dataops_stage_state", **VIEW, state="unknown")] == 1
    for name in ("lag_seconds", "lag_records", "progress_timestamp_seconds"):
        assert key(f"dataops_stage_{name}", **VIEW) not in found
    assert found[key("dataops_stage_observation_timestamp_seconds", **VIEW)] == T0.timestamp()
    assert key("dataops_pipeline_data_age_seconds", pipeline="p") not in found
    assert found[key("dataops_component_up", component="trino")] == 0
    assert found[key("dataops_probe_success", probe="stage", target="p/view", pipeline="p", component="trino")] == 0
    assert found[key("dataops_stage_lag_seconds", **LAND)] == 2, "the others go on"
    assert not any(map(math.isnan, found.values())), "no NaN"


def finding(**labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return key("dataops_pipeline_finding", pipeline="p", **labels)


def test_the_verdict_s_finding_is_one_series_and_none_when_all_is_well(exporter: Exporter) -> None:
    exporter.put(see(healthy(T0)))
    assert not [name for name, _ in exporter.samples() if name == "dataops_pipeline_finding"]
    land = replace(healthy(T0)["land"], failure="it says so")
    exporter.put(see({**healthy(T0), "land": land, "conform": replace(land, stage="conform")}, T0))
    found = exporter.samples()
    assert found[finding(check_id="land/failed", stage="land", component="")] == 1
    assert len([name for name, _ in found if name == "dataops_pipeline_finding"]) == 1, "one cause, one finding"


def test_a_finding_names_the_component_that_does_not_answer(exporter: Exporter) -> None:
    exporter.put(trino_down(see(healthy(T0))))
    assert exporter.samples()[finding(check_id="trino/unreachable", stage="", component="trino")] == 1
    late = replace(healthy(T0)["bronze"], failure="no commit")
    lake_down = see({**healthy(T0), "land": replace(late, stage="land")}, T0, down={"lake": "refused"})
    exporter.put(lake_down)
    assert exporter.samples()[finding(check_id="lake/unreachable", stage="", component="lake")] == 1


def test_before_the_first_snapshot_it_is_healthy_but_not_ready(exporter: Exporter) -> None:
    assert exporter.get("/-/healthy")[0] == 200
    assert exporter.get("/-/ready") == (503, "no health snapshot yet\n")
    assert {name for name, _ in exporter.samples() if not ABOUT_ITSELF.match(name)} == set()


def test_an_old_snapshot_is_not_shown_as_the_present(exporter: Exporter) -> None:
    exporter.put(see(healthy(T0)))
    assert exporter.get("/-/ready")[0] == 200
    exporter.now = T0 + timedelta(seconds=31)
    assert exporter.get("/-/ready") == (503, "the newest health snapshot is 31s old\n")
    names = {name for name, _ in exporter.samples() if not ABOUT_ITSELF.match(name)}
    assert names == {"dataops_exporter_snapshot_timestamp_seconds", "dataops_exporter_snapshot_age_seconds"}


def test_other_pages(exporter: Exporter) -> None:
    assert "/metrics" in exporter.get("/")[1]
    assert exporter.get("/nope")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{exporter.server.server_port}/", data=b"x")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    caught.value.close()
    assert caught.value.code == 405


def test_openmetrics_and_gzip_say_the_same(exporter: Exporter) -> None:
    exporter.put(see(healthy(T0)))
    scan = next(iter(exporter.service.watch.scans.values()))
    scan.part.replace(kafka_samples(kafka(), EVERYTHING, "test").own)
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    _, plain_headers, plain = exporter.ask("/metrics")
    _, open_headers, opened = exporter.ask("/metrics", Accept=accept)
    assert plain_headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert open_headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert opened.endswith(b"# EOF\n")
    assert opened.count(b"# EOF") == 1
    compressed = exporter.ask("/metrics", Accept=accept, Accept_Encoding="gzip")
    assert compressed[1]["Content-Encoding"] == "gzip"
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert decompressor.decompress(compressed[2]).endswith(b"# EOF\n"), "one member: not every reader goes on to a next"
    for body, parse in (
        (plain.decode(), text_string_to_metric_families),
        (opened.decode(), openmetrics_families),
        (gzip.decompress(compressed[2]).decode(), openmetrics_families),
    ):
        names = [family.name for family in parse(body)]
        assert len(names) == len(set(names)), "each family once"
        assert {"dataops_stage_state", "dataops_kafka_topic_partitions", "kminion_kafka_topic_info"} <= set(names)


def test_an_accept_header_that_makes_no_sense_gets_plain_text(exporter: Exporter) -> None:
    status, headers, _ = exporter.ask("/metrics", Accept="application/openmetrics-text;version=abc")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")


def test_only_the_metrics_that_are_named(exporter: Exporter) -> None:
    _, text = exporter.get("/metrics?name[]=dataops_build_info")
    assert [family.name for family in text_string_to_metric_families(text)] == ["dataops_build_info"]
    scan = exporter.service.watch.scans["kafka"]
    scan.part.replace(kafka_samples(kafka(), EVERYTHING, "test").own)
    _, text = exporter.get("/metrics?name[]=kafka_brokers&name[]=dataops_kafka_brokers")
    assert {family.name for family in text_string_to_metric_families(text)} == {
        "kafka_brokers",
        "dataops_kafka_brokers",
    }


def test_requests_are_counted_by_page_and_code(exporter: Exporter) -> None:
    exporter.get("/-/ready")
    exporter.get("/nope")
    exporter.get("/nope/again")
    found = exporter.samples()
    assert found[key("dataops_exporter_http_requests_total", handler="/-/ready", code="503")] == 1
    assert found[key("dataops_exporter_http_requests_total", handler="other", code="404")] == 2


@pytest.mark.programs
def test_a_probe_on_demand_says_what_it_saw(exporter: Exporter) -> None:
    status, text = exporter.get("/probe?pipeline=p&debug=true")
    assert status == 200
    assert "probe trino http://127.0.0.1:9: failed: " in text
    assert "data age: unknown" in text
    status, _, body = exporter.ask("/probe?pipeline=p", X_Prometheus_Scrape_Timeout_Seconds="1")
    assert status == 200
    assert b'dataops_component_up{component="trino"} 0.0' in body
    assert exporter.get("/probe?pipeline=q") == (404, "there is no pipeline 'q'; known are: p\n")
    assert exporter.get("/probe")[0] == 404


def test_a_broken_change_of_the_settings_is_refused(exporter: Exporter) -> None:
    reload = key("dataops_exporter_config_last_reload_successful", file="config")
    watch = exporter.service.watch
    exporter.config.write_text(CONFIG + "[exporter]\nmax_serie = 3\n")
    refused = exporter.service.reload()
    assert refused is not None
    assert 'did you mean "max_series"?' in refused
    assert exporter.samples()[reload] == 0
    assert exporter.service.watch is watch
    exporter.config.write_text(CONFIG.replace("pipelines.p", "pipelines.renamed"))
    assert exporter.service.reload() is None
    try:
        assert exporter.samples()[reload] == 1
        assert exporter.service.watch.pipelines == ("renamed",)
    finally:
        exporter.service.stop()


def test_what_was_known_is_served_until_the_new_settings_have_an_answer(exporter: Exporter) -> None:
    exporter.put(see(healthy(T0)))
    scan = exporter.service.watch.scans["kafka"]
    scan.part.replace(kafka_samples(kafka(), EVERYTHING, "test").own)
    before = exporter.service.watch
    after = type(before)(load_settings(exporter.config), None)
    after.scans["kafka"].go_on_from(scan)
    after.scans["kafka"].part.replace([])
    assert scan.part.registry.get_sample_value("dataops_kafka_brokers") == 2
    again = type(before)(load_settings(exporter.config), None)
    again.scans["kafka"].go_on_from(scan)
    assert again.scans["kafka"].part.registry.get_sample_value("dataops_kafka_brokers") == 2


def test_a_request_that_runs_is_finished_when_the_server_stops(exporter: Exporter) -> None:
    began, go_on = threading.Event(), threading.Event()
    answered: list[bytes] = []

    def slow(_environ: object, start_response: object) -> list[bytes]:
        began.set()
        go_on.wait(30)
        start_response("200 OK", [("Content-Type", "text/plain")])  # type: ignore[operator]
        return [b"whole"]

    server = Server("127.0.0.1", 0, slow, WebConfigFile(None))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def scrape() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=30) as answer:
            answered.append(answer.read())

    scraper = threading.Thread(target=scrape, daemon=True)
    scraper.start()
    assert began.wait(30)
    stopper = threading.Thread(target=server.stop, args=(30,), daemon=True)
    stopper.start()
    go_on.set()
    stopper.join(30)
    scraper.join(30)
    assert answered == [b"whole"]


def test_a_client_that_says_nothing_does_not_keep_the_server_from_stopping(exporter: Exporter) -> None:
    with socket.create_connection(("127.0.0.1", exporter.server.server_port)):
        exporter.server.stop(0.1)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", exporter.server.server_port), timeout=5)


@contextmanager
def program(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the exporter; it is stopped at the end, and must do so."""
    command = [sys.executable, "-m", "dataops_exporter", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert "listening on 127.0.0.1:" in line
            yield process, f"http://{line.rsplit(' ', 1)[1].strip()}"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_for(url: str, text: str) -> str:
    """Return a page once it holds a text."""
    deadline = time.monotonic() + 60
    page = ""
    while text not in page:
        assert time.monotonic() < deadline, page
        time.sleep(0.2)
        with urllib.request.urlopen(url, timeout=10) as answer:
            page = answer.read().decode()
    return page


@pytest.mark.programs
def test_the_program_serves_what_it_can_see_reloads_and_ends_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "dataops.toml"
    config.write_text("refresh = 1\nprobe_timeout = 2\n" + CONFIG)
    with program("--config", config) as (process, url):
        assert 'state="unknown",system="trino"} 1.0' in wait_for(
            f"{url}/metrics", 'dataops_component_up{component="trino"} 0.0'
        )
        with urllib.request.urlopen(f"{url}/-/ready", timeout=10) as answer:
            assert answer.status == 200
        config.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert "the previous settings stay active" in process.stderr.readline()
        wait_for(f"{url}/metrics", 'config_last_reload_successful{file="config"} 0.0')
        config.write_text("refresh = 1\nprobe_timeout = 2\n" + CONFIG.replace("pipelines.p", "pipelines.other"))
        process.send_signal(signal.SIGHUP)
        assert "reloaded" in process.stderr.readline()
        wait_for(f"{url}/metrics", 'dataops_pipeline_status{pipeline="other"')


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "/nowhere.toml"], "dataops-exporter: /nowhere.toml: no such file or directory"),
        (["--port", "http"], "'http' is not a port"),
        (["--config", "CONFIG", "--web-config", "/nowhere.yml"], "dataops-exporter: /nowhere.yml: no such file"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(CONFIG)
    arguments = [str(tmp_path / "c.toml") if argument == "CONFIG" else argument for argument in arguments]
    command = [sys.executable, "-m", "dataops_exporter", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
