"""Alert rules, their unit tests, their runbooks, and the routing example: each with Prometheus' own tools."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.monitoring import ALERTS, NAMES, ROOT, RULE_TESTS, RUNBOOKS, alerts, program, rule_tests, rules, unknown_in

from dataops_core.cli.app import app as dataops

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ALERTS, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.programs
def test_prometheus_takes_the_rules() -> None:
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")


@pytest.mark.programs
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    run(program("promtool"), "test", "rules", *RULE_TESTS)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(name: str) -> None:
    cases = [case for case in rule_tests() if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases)
    assert name == "DataopsWatchdog" or any(not case["exp_alerts"] for case in cases)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_what_the_exporter_serves(rule: dict[str, Any]) -> None:
    assert unknown_in(rule["expr"]) == []


def test_a_metric_or_label_that_is_not_there_is_found() -> None:
    assert unknown_in('rate(dataops_made_up[5m]) > on (x) dataops_component_up{colour="red"}') == [
        "dataops_made_up",
        "dataops_component_up{colour}",
    ]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_where_its_runbook_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"/{rule['alert']}.md")


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_has_its_four_parts_and_names_commands_that_exist(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert all(len(part.strip()) > 40 for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:])
    root: Any = typer.main.get_command(dataops)
    for command in re.findall(r"`dataops ([^`]+)`", text):
        group = root
        for word in command.split():
            if not hasattr(group, "commands"):
                break
            assert word in group.commands, f"dataops {command}"
            group = group.commands[word]


@pytest.mark.programs
def test_the_examples_for_prometheus_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/prometheus.md").read_text(), re.DOTALL)
    configurations = [block for block in blocks if re.search(r"^(scrape_configs|remote_write):", block, re.MULTILINE)]
    assert len(configurations) == 3
    for number, block in enumerate(configurations):
        path = tmp_path / f"{number}.yml"
        path.write_text(block)
        run(program("promtool"), "check", "config", "--syntax-only", str(path))


@pytest.mark.programs
def test_the_routing_example_is_valid_and_sends_each_severity_where_it_belongs() -> None:
    amtool = program("amtool")
    run(amtool, "check-config", "alertmanager.yml")
    route = ("config", "routes", "test", "--config.file=alertmanager.yml")
    for labels, receiver in {
        ("severity=critical", "alertname=DataopsStageStuck"): "page",
        ("severity=warning", "alertname=DataopsStageSlow"): "ticket",
        ("severity=info", "alertname=DataopsSourceSilent"): "nobody",
        ("severity=none", "alertname=DataopsWatchdog"): "watchdog",
    }.items():
        assert run(amtool, *route, *labels).strip() == receiver


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager with the example; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = (
        program("alertmanager"),
        "--config.file=alertmanager.yml",
        f"--storage.path={tmp_path}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    with subprocess.Popen(command, cwd=ALERTS, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "Listening on" in line:
                    break
                if line.startswith("unshare:"):
                    pytest.skip(f"Debian's Alertmanager needs a mount namespace of its own: {line.strip()}")
            else:
                pytest.fail("Alertmanager did not start")
            yield f"http://{address}/api/v2/alerts"
        finally:
            process.terminate()
            process.stderr.close()


def inhibited(url: str, *firing: dict[str, str]) -> set[str]:
    """Post alerts, and return the names of those that another one silences."""
    now = datetime.now(UTC)
    body = [
        {"labels": labels, "startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=5)).isoformat()}
        for labels in firing
    ]
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass
    before, until = None, time.monotonic() + 10
    while True:
        with urllib.request.urlopen(url, timeout=10) as answer:
            seen = json.load(answer)
        assert len(seen) >= len(firing)
        found = {alert["labels"]["id"] for alert in seen if alert["status"]["inhibitedBy"]}
        if (found and found == before) or time.monotonic() > until:  # it takes in alerts in its own time
            return found
        before = found
        time.sleep(0.2)


@pytest.mark.programs
def test_one_incident_is_one_page(alertmanager: str) -> None:
    def alert(name: str, severity: str, pipeline: str, **more: str) -> dict[str, str]:
        labels = {"alertname": name, "severity": severity, "job": "e", "pipeline": pipeline, **more}
        return {**labels, "id": f"{name} {severity} {pipeline}".strip()}

    burn, stuck = "DataopsDataAgeBudgetBurn", "DataopsStageStuck"
    found = inhibited(
        alertmanager,
        alert(stuck, "critical", "a", stage="land"),
        alert(burn, "critical", "a", window="1h"),
        alert(burn, "critical", "b", window="1h"),
        alert(burn, "warning", "b", window="1d"),
        alert("DataopsStageSlow", "warning", "b", stage="land"),
    )
    assert found == {f"{burn} critical a", f"{burn} warning b"}
    down = alert("DataopsComponentDown", "critical", "", component="trino")
    found = inhibited(
        alertmanager,
        down,
        alert("DataopsProbeFailing", "warning", "b", target="b/view", component="trino"),
        alert("DataopsProbeFailing", "warning", "c", target="c/conform", component="airflow"),
    )
    assert f"{burn} critical b" not in found, "nothing says that the component holds it back"
    assert "DataopsProbeFailing warning b" in found
    assert "DataopsProbeFailing warning c" not in found, "another component"
    found = inhibited(
        alertmanager,
        down,
        alert("DataopsPipelineHeldByComponent", "info", "b", component="trino"),
        alert(burn, "critical", "d", window="1h"),
        alert("DataopsStageStuck", "critical", "c", stage="land"),
        alert("DataopsPipelineUnknown", "warning", "c"),
        alert("DataopsProbeFailing", "warning", "d", target="d/view", component="airflow"),
        alert("DataopsPipelineHeldByComponent", "info", "f", component="kafka"),
        alert("DataopsProbeFailing", "warning", "f", target="f/land", component="spark"),
    )
    assert "DataopsProbeFailing warning f" in found, "its pipeline is held back, by what the query reads"
    assert f"{burn} critical b" in found, "its component is down"
    assert f"{burn} critical d" not in found, "a promise that is missed for another reason"
    assert "DataopsStageStuck critical c" not in found, "another cause"
    assert "DataopsProbeFailing warning c" in found, "why the pipeline is unknown"
    assert "DataopsProbeFailing warning d" not in found, "of a pipeline that is known"
    found = inhibited(
        alertmanager,
        alert("DataopsDataAtRisk", "warning", "c", stage="land"),
        alert("DataopsDataAtRisk", "warning", "e", stage="land"),
        alert("DataopsRetentionNear", "warning", "c", stage="land"),
        alert("DataopsStageStuck", "critical", "g", stage="land"),
        alert("DataopsDataAtRisk", "warning", "g", stage="bronze", check_id="bronze/commit-state-unknown"),
        alert("DataopsDataAtRisk", "warning", "h", stage="bronze", check_id="bronze/commit-state-unknown"),
        alert("DataopsStageStuck", "critical", "i", stage="land"),
        alert("DataopsDataAtRisk", "warning", "i", stage="bronze", check_id="bronze/missing-files"),
        alert("DataopsPipelineHeldByComponent", "info", "j", component="lake"),
        alert("DataopsDataAtRisk", "warning", "j", stage="conform", check_id="conform/run-too-long"),
        alert("DataopsPipelineHeldByComponent", "info", "k", component="lake"),
        alert("DataopsDataAtRisk", "warning", "k", stage="land", check_id="land/late-rows"),
        alert("DataopsCredentialsRefused", "warning", "c", component="trino"),
        alert("DataopsPipelineUnknown", "warning", "e"),
    )
    assert "DataopsDataAtRisk warning c" in found, "its stage is paged for"
    assert "DataopsDataAtRisk warning e" not in found
    assert "DataopsDataAtRisk warning g" in found, "its query was stopped between two commits"
    assert "DataopsDataAtRisk warning h" not in found, "its query runs"
    assert "DataopsDataAtRisk warning i" not in found, "another risk of another stage"
    assert "DataopsDataAtRisk warning j" in found, "the run waits for the component"
    assert "DataopsDataAtRisk warning k" not in found, "a risk of its own"
    assert "DataopsRetentionNear warning c" not in found, "how much time is left matters most while the stage is stuck"
    assert "DataopsPipelineUnknown warning c" in found, "its credentials are why"
    assert "DataopsPipelineUnknown warning e" not in found
