"""A real Prometheus scrapes a real exporter by the shipped rules, and a real Alertmanager tells a receiver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.monitoring import ALERTS, Receiver, program, running
from tests.ports import free_port

from dataops_core.cli.app import main

pytestmark = [pytest.mark.programs, pytest.mark.timeout(240)]


class Platform(NamedTuple):
    """What runs."""

    prometheus: str
    alertmanager: str
    receiver: Receiver


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    exporter, prometheus, alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(3))
    receiver = Receiver()
    scraping = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS / "rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [{"job_name": "dataops-exporter", "static_configs": [{"targets": [exporter]}]}],
    }
    routing = yaml.safe_load((ALERTS / "alertmanager.yml").read_text())
    for route in (routing["route"], *routing["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "2s"}
    for sink in routing["receivers"]:
        for webhook in sink.get("webhook_configs", []):
            webhook["url"] = f"{receiver.url}/{sink['name']}"
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing))
    (folder / "dataops.toml").write_text(f'[contexts.c.trino]\nurl = "http://127.0.0.1:{free_port()}"\n')
    programs = {
        "exporter": (
            *(sys.executable, "-m", "dataops_exporter", "--config", str(folder / "dataops.toml")),
            *("--port", exporter.rpartition(":")[2]),
        ),
        "alertmanager": (
            program("alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ),
        "prometheus": (
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={prometheus}",
            "--rules.alert.resend-delay=5s",  # what is sent before Alertmanager is known is lost
        ),
    }
    with ExitStack() as started:
        started.callback(receiver.server.server_close)
        started.callback(receiver.server.shutdown)
        for name, command in programs.items():
            started.enter_context(running(*command, log=folder / f"{name}.log"))
        log = folder / "alertmanager.log"
        deadline = time.monotonic() + 60
        while "Listening on" not in (said := log.read_text()):
            if said.startswith("unshare:"):
                pytest.skip(f"Debian's Alertmanager needs a mount namespace of its own: {said.strip()}")
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        yield Platform(f"http://{prometheus}", f"http://{alertmanager}", receiver)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings, and an audit file of our own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAOPS_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    main(["monitoring", "verify", "-o", "json", *arguments])
    steps: list[dict[str, str]] = json.loads(capsys.readouterr().out)["steps"]
    return {step["check"]: step for step in steps}


def until_well(capsys: pytest.CaptureFixture[str], *arguments: str, within: float = 120) -> dict[str, Any]:
    """Return what is told once nothing fails any more."""
    deadline = time.monotonic() + within
    while True:
        found = told(capsys, *arguments)
        if {step["result"] for step in found.values()} <= {"ok", "not_used"}:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(1)


def test_all_has_arrived_and_a_test_alert_reaches_the_receiver(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = ("--url", platform.prometheus, "--alertmanager", platform.alertmanager)
    found = until_well(capsys, *where)
    assert found["prometheus"]["detail"].startswith("Prometheus ")
    assert found["target"]["detail"].startswith("dataops-exporter/127.0.0.1:")
    assert "up since" in found["target"]["detail"]
    assert found["rules"]["detail"].startswith("all ")
    assert found["delivery"]["detail"] == "the Watchdog has arrived, and goes to watchdog"
    assert found["test_alert"]["result"] == "not_used"
    assert "--send-test-alert" in found["test_alert"]["detail"]

    send = (*where, "--send-test-alert", "--severity", "critical", "--label", r'team=the "data" \ platform', "--yes")
    assert main(["monitoring", "verify", *send, "--receiver", "page"]) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "it has arrived, and goes to page" in said
    deadline = time.monotonic() + 60
    while not (arrived := [a for a in platform.receiver.seen.get("/page", []) if _is_test(a)]):
        assert time.monotonic() < deadline, platform.receiver.seen
        time.sleep(0.2)
    assert arrived[0]["status"] == "firing"
    assert arrived[0]["labels"]["team"] == r'the "data" \ platform'
    assert "nothing is wrong" in arrived[0]["annotations"]["summary"]
    (audited,) = (tmp_path / "state").rglob("*.jsonl")
    outcomes = [json.loads(line)["outcome"] for line in audited.read_text().splitlines()]
    assert outcomes == ["allowed", "done"]

    found = told(capsys, *where, "--send-test-alert", "--yes", "--receiver", "page")
    assert found["test_alert"]["result"] == "failed"
    assert "it goes to nobody, not to page" in found["test_alert"]["detail"]


def _is_test(alert: dict[str, Any]) -> bool:
    return bool(alert["labels"]["alertname"] == "DataopsTest")


def test_a_silence_keeps_the_test_alert_from_its_receiver(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--url", platform.prometheus, "--alertmanager", platform.alertmanager)
    until_well(capsys, *where)
    amtool = (program("amtool"), f"--alertmanager.url={platform.alertmanager}", "silence")
    done = subprocess.run(
        [*amtool, "add", "alertname=DataopsTest", "--comment=a test", "--duration=1h"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    silence = done.stdout.strip()
    try:
        found = told(capsys, *where, "--send-test-alert", "--yes")
    finally:
        subprocess.run([*amtool, "expire", silence], check=True, timeout=60)
    assert found["test_alert"]["result"] == "failed"
    assert f"muted by {silence}" in found["test_alert"]["detail"]
    assert found["delivery"]["result"] == "ok"


def test_another_job_and_rules_that_are_missing(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    until_well(capsys, "--url", platform.prometheus)  # else the exporter may not have been scraped yet
    found = told(capsys, "--url", platform.prometheus, "--job", "exporter-of-orders")
    assert found["target"]["result"] == "failed"
    assert "the exporter's job is dataops-exporter" in found["target"]["detail"]
    bare = f"127.0.0.1:{free_port()}"
    (tmp_path / "bare.yml").write_text("{}")
    command = (
        program("prometheus"),
        f"--config.file={tmp_path / 'bare.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address={bare}",
    )
    with running(*command, log=tmp_path / "bare.log"):
        deadline = time.monotonic() + 60
        while (found := told(capsys, "--url", f"http://{bare}"))["prometheus"]["result"] != "ok":
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
    by_check = {check: step["result"] for check, step in found.items()}
    assert by_check["snapshot"] == "unknown", "as target fails"
    for check in ("target", "rules", "watchdog", "alertmanager"):
        assert by_check[check] == "failed", found[check]
    assert "are not loaded" in found["rules"]["detail"]
    assert found["alertmanager"]["detail"] == "it sends alerts to no Alertmanager"
