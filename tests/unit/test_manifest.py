"""What is brought to a central Prometheus: current, taken by Prometheus, and told wherever it is routed to."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.monitoring import NAMES, ROOT, alerts, program, rules

FOLDER = ROOT / "deploy/monitoring"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manifest", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resources() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load_all((FOLDER / "onboarding.yaml").read_text())
    return {resource["kind"]: resource for resource in found}


def test_it_is_current(generator: ModuleType) -> None:
    for path, text in generator.written().items():
        assert path.read_text() == text, "run `make onboarding`"


def test_the_program_knows_the_rules_that_ship() -> None:
    known = json.loads((ROOT / "core/dataops_core/shipped_rules.json").read_text())
    assert known == Counter(rule.get("alert") or rule["record"] for rule in rules())
    assert known["DataopsDataAgeBudgetBurn"] == 4


@pytest.mark.programs
def test_prometheus_takes_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(resources()["PrometheusRule"]["spec"]))
    command = (program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(path))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_rules_are_the_shipped_ones_with_labels_to_route_by() -> None:
    own = {"namespace": "dataops", "team": "data-platform"}
    made = [rule for group in resources()["PrometheusRule"]["spec"]["groups"] for rule in group["rules"]]
    assert made == [{**rule, "labels": {**rule["labels"], **own}} if "alert" in rule else rule for rule in rules()]
    assert len([rule for rule in made if "alert" in rule]) == len(alerts())


def test_what_an_organisation_calls_its_platform_is_a_label_and_nothing_else() -> None:
    found = resources()
    by_kind = {kind: resource["metadata"]["labels"] for kind, resource in found.items()}
    assert by_kind["ServiceMonitor"]["pandora"] == by_kind["PrometheusRule"]["pandora"] == "onboarded"
    assert by_kind["AlertmanagerConfig"]["pulse"] == "onboarded"
    specs = yaml.safe_dump([resource["spec"] for resource in found.values()])
    assert not re.search("pandora|pulse", specs)


def test_each_route_leads_to_a_receiver_and_no_address_is_written_down() -> None:
    spec = resources()["AlertmanagerConfig"]["spec"]
    receivers = {receiver["name"]: receiver for receiver in spec["receivers"]}
    routes = [spec["route"], *spec["route"]["routes"]]
    assert {route["receiver"] for route in routes} == set(receivers)
    hooks = [hook for receiver in receivers.values() for hook in receiver.get("webhookConfigs", [])]
    assert len(hooks) == 3
    assert all(set(hook) == {"urlSecret", "sendResolved"} for hook in hooks)
    named = {word for text in re.findall(r"Dataops[\w|]+", yaml.safe_dump(spec)) for word in text.split("|")}
    assert named <= set(NAMES)


def test_what_is_no_matcher_is_refused(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="no matcher"):
        generator._matcher("severity is critical")
