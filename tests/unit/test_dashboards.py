"""Grafana's dashboards: current, typed, and made of queries that Prometheus takes on metrics that the exporter has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from tests.monitoring import ROOT, program, unknown_in

from dataops_core.systems.registry import registry
from dataops_exporter.metrics import METRICS

GRAFANA = ROOT / "dashboards/grafana"
FILES = sorted(GRAFANA.glob("*.json"))
FOR_EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def expressions(path: Path) -> list[str]:
    """Return the queries, with what Grafana puts in put in."""
    found = [target["expr"] for panel in panels(path) for target in panel.get("targets", [])]
    return [re.sub(r"\$__(rate_interval|range)", "5m", expression) for expression in found]


def panels(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["panels"]


@pytest.mark.programs
def test_they_are_current() -> None:
    program = [sys.executable, "dashboards/generate.py", "--check"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.programs
@FOR_EACH
def test_each_query_reads_what_the_exporter_serves(path: Path) -> None:
    assert expressions(path)
    assert [wrong for expression in expressions(path) for wrong in unknown_in(expression)] == []


@pytest.mark.programs
def test_prometheus_takes_each_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"{path.stem}:{number}", "expr": expression}
        for path in FILES
        for number, expression in enumerate(expressions(path))
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    command = [program("promtool"), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_each_metric_is_shown_somewhere() -> None:
    shown = " ".join(expression for path in FILES for expression in expressions(path))
    ours = {metric.name for metric in METRICS if metric.compatible_with is None}
    assert ours - set(re.findall(r"dataops_\w+", shown)) == {
        # Instants; the panels show the ages and states that follow from them.
        "dataops_stage_progress_timestamp_seconds",
        "dataops_stage_observation_timestamp_seconds",
        "dataops_probe_last_run_timestamp_seconds",
        "dataops_exporter_snapshot_timestamp_seconds",
        "dataops_exporter_config_last_reload_success_timestamp_seconds",
        # Figures of single partitions and offsets: for a query by hand.
        "dataops_kafka_topic_partitions",
        "dataops_kafka_topic_low_watermark",
        "dataops_kafka_partition_low_watermark",
        "dataops_kafka_partition_high_watermark",
        "dataops_kafka_group_state",
        "dataops_kafka_group_topic_committed_offset",
        "dataops_kafka_group_topic_lag_seconds",
        "dataops_kafka_group_partition_lag_records",
        "dataops_kafka_group_partition_lag_seconds",
        "dataops_kafka_group_partition_committed_offset",
    }


def lost(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Yield what did not come back."""
    if isinstance(before, dict):
        for key, value in before.items():
            if isinstance(after, dict) and key in after:
                yield from lost(value, after[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(before, list):
        if not isinstance(after, list) or len(before) != len(after):
            yield where
        else:
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from lost(one, other, f"{where}[{number}]")
    elif before != after:
        yield f"{where}: {before} became {after}"


@FOR_EACH
def test_grafana_s_own_types_know_every_field(path: Path) -> None:
    plugins.register_default_plugins()
    before = json.loads(path.read_text())
    after = json.loads(JSONEncoder().encode(Dashboard.from_json(json.loads(path.read_text()))))
    assert list(lost(before, after)) == []


@FOR_EACH
def test_a_single_figure_is_of_the_present(path: Path) -> None:
    """Over time, Grafana would go on showing the last value of a series that has ended."""
    for panel in panels(path):
        for target in panel.get("targets", []):
            over_time = panel["type"] in ("timeseries", "state-timeline")
            asked = bool(target.get("range")), bool(target.get("instant"))
            assert asked == (over_time, not over_time), panel["title"]


@FOR_EACH
def test_a_panel_says_what_it_shows_and_is_found_again(path: Path) -> None:
    found = panels(path)
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"]
        assert panel["type"] == "text" or panel["description"].endswith(".")
        places = panel["gridPos"]
        assert 0 <= places["x"] <= 24 - places["w"]
        for target in panel.get("targets", []):
            assert 'job=~"$job"' in target["expr"] or "ALERTS" in target["expr"]
            assert target["refId"]


@FOR_EACH
def test_pictures_know_every_colour(path: Path) -> None:
    names = set(re.findall(r'"(?:color|fixedColor)": "([^"#]+)"', path.read_text()))
    from dashboards.pictures import COLOURS

    assert names <= COLOURS.keys()


def test_links_lead_to_dashboards_that_exist() -> None:
    uids = {json.loads(path.read_text())["uid"] for path in FILES}
    of_stages = {system.name for system in registry().systems() if system.stage_kinds}
    assert {f"dataops-{system}" for system in of_stages} <= uids, "a stage's panel links to its system's"
    for path in FILES:
        for uid in re.findall(r"/d/([a-z-]+)\?", path.read_text()):
            assert uid in uids
