"""The chart, as far as it can be checked without rendering it; tests/chart renders it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.monitoring import CHART, NAMES, ROOT

from dataops_core.systems.registry import find_problems
from dataops_exporter.__main__ import DEFAULT_PORT, parser

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
FREE = {"resources", "podSecurityContext", "securityContext", "strategy"}
"""Values that are handed to Kubernetes as they are."""


def keys(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value."""
    if not isinstance(value, dict) or not value or (path and path[-1] in FREE) or "labels" in path:
        yield path
        return
    for name, inner in value.items():
        yield from keys(inner, (*path, name))


def in_schema(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if "properties" not in schema:
        yield path
    for name, inner in schema.get("properties", {}).items():
        yield from in_schema(inner, (*path, name))


def test_schema_and_values_name_the_same() -> None:
    jsonschema.validate(VALUES, SCHEMA)
    assert set(in_schema(SCHEMA)) - {("global",)} == set(keys(VALUES))


def test_every_value_is_described() -> None:
    readme = (CHART / "README.md").read_text()
    for path in keys(VALUES):
        name = ".".join(path[: next((i for i, part in enumerate(path) if part in FREE), len(path)) + 1])
        assert re.search(rf"^\| `{re.escape(name)}` \| .* \| .+ \|$", readme, re.MULTILINE), name


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_so_are_its_settings(path: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    jsonschema.validate(values, SCHEMA)
    if "config" in values:
        settings = tmp_path / "dataops.toml"
        settings.write_text(values["config"])
        assert find_problems(settings) == ()


def test_the_values_in_the_docs_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/prometheus.md").read_text(), re.DOTALL)
    values = [yaml.safe_load(block) for block in blocks if "serviceMonitor:" in block]
    assert values
    for found in values:
        jsonschema.validate(found, SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicaCount": 1},
        {"replicas": 2},
        {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
        {"web": {"port": 80}},
        {"image": {"digest": "latest"}},
        {"route": {"termination": "none"}},
        {"prometheusRule": {"target": 99}},
        {"prometheusRule": {"target": 1}},
        {"prometheusRule": {"target": 0.94}},
        {"nameOverride": "data.ops"},
        {"fullnameOverride": "2nd"},
        {"fullnameOverride": "a" * 64},
        {"secrets": {"files": ["kafka", "kafka"]}},
        {"serviceMonitor": {"interval": "30"}},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_each_page_of_the_burn_rate_can_be_reached_with_the_lowest_target() -> None:
    budget = 1 - SCHEMA["properties"]["prometheusRule"]["properties"]["target"]["minimum"]
    rules = (ROOT / "dashboards/alerts/rules.yml").read_text()
    factors = {float(factor) for factor in re.findall(r"> \(([0-9.]+) \* 0\.01\)", rules)}
    assert factors == {1, 3, 6, 14.4}
    assert all(factor * budget < 1 for factor in factors), "no share of a time is above 1"


def test_secrets_become_volumes_of_different_names() -> None:
    template = (CHART / "templates/deployment.yaml").read_text()
    assert re.findall(r"- name: secret-(.*)", template) == ["{{ $number }}"] * 2


def test_the_chart_goes_with_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert VALUES["web"]["port"] == DEFAULT_PORT
    passed = set(re.findall(r"^ +- (--[a-z-]+)=", (CHART / "templates/deployment.yaml").read_text(), re.MULTILINE))
    assert "--web-config" in passed
    assert passed <= set(parser()._option_string_actions)


def test_it_ships_the_rules_and_dashboards_themselves() -> None:
    assert (CHART / "files/rules.yml").samefile(ROOT / "dashboards/alerts/rules.yml")
    assert (CHART / "files/dashboards").samefile(ROOT / "dashboards/grafana")
    disabled = {name for path in EXAMPLES for name in re.findall(r"Dataops\w+", path.read_text())}
    assert disabled <= set(NAMES)
