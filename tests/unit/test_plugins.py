"""A system that lives outside of the tree: built from examples/, installed beside the product, used and broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dataops_core.recorder.recording import Recording

pytestmark = pytest.mark.programs

EXAMPLE = Path(__file__).parents[2] / "examples/dataops-spool"
BROKEN = """
[contexts.here.components.partners]
system = "spool"
root = "{root}"
[pipelines.orders]
context = "here"
[[pipelines.orders.stages]]
name = "partner orders"
kind = "spool_folder"
folder = "orders"
"""
MILL = """
[[pipelines.orders.stages]]
name = "milled"
kind = "mill_job"
reads = ["partner orders"]
job = "m1"
"""
SERVED = """
import sys
from datetime import timedelta
from dataops_core.config import context_of
from dataops_core.monitor import Monitor
from dataops_core.recorder.recorder import Recorder
from dataops_core.systems.registry import load_settings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples
settings = load_settings(sys.argv[1])
monitor = Monitor(settings)
snapshot = monitor.once()
recorder = Recorder(__import__("pathlib").Path(sys.argv[2]), "here", monitor.pipelines, 5.0, settings.recorder)
assert recorder.write(snapshot)
recorder.close()
served = ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1))
for metric, labels, number in snapshot_samples(served):
    print(metric.name, *labels, number, sep="|")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example as it is installed from its wheel; its sources are not on the path."""
    work = tmp_path_factory.mktemp("spool")
    shutil.copytree(EXAMPLE, work / "source")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "dist")]
    subprocess.run(built, cwd=work / "source", check=True, capture_output=True)
    (wheel,) = (work / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "site")
    return work / "site"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    feed = tmp_path / "spool/orders"
    for folder in ("", "done", "rejected"):
        (feed / folder).mkdir(parents=True, exist_ok=True)
    (feed / "done/1.csv").write_text("a")
    (feed / "2.csv").write_text("abc")
    (feed / "rejected/3.csv").write_text("?")
    file = tmp_path / "dataops.toml"
    file.write_text(BROKEN.format(root=tmp_path / "spool"))
    return file


def run(site: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**ours, "PYTHONPATH": str(site), "XDG_STATE_HOME": str(site.parent)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=100)


def dataops(site: Path, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(site, "-m", "dataops_core.cli.app", "--config", config, *arguments)


def probed(site: Path, config: Path) -> dict[str, Any]:
    answer = dataops(site, config, "probe", "-o", "json")
    assert answer.stdout, answer.stderr
    return json.loads(answer.stdout)


def test_it_adds_a_component_a_stage_and_a_check(installed: Path, config: Path) -> None:
    snapshot = probed(installed, config)
    (stage,) = snapshot["pipelines"][0]["stages"]
    assert (stage["kind"], stage["component"], stage["system"]) == ("spool_folder", "partners", "spool")
    assert stage["state"] in ("caught_up", "idle")
    figures = {figure["name"]: figure["value"] for figure in stage["observation"]["figures"]}
    assert figures == {"files_waiting": 1, "bytes_waiting": 3, "files_rejected": 1}
    (finding,) = stage["findings"]
    assert (finding["check"], finding["sentence"]) == ("rejected-files", "1 file rejected")
    (component,) = snapshot["components"]
    assert (component["name"], component["reachable"], component["detail"]) == ("partners", True, "1 feed")


def test_it_adds_a_step_of_the_doctor(installed: Path, config: Path) -> None:
    answer = dataops(installed, config, "doctor", "-o", "json")
    found = {each["name"]: each for each in json.loads(answer.stdout)["diagnoses"]}
    details = [step["detail"] for step in found["partners"]["steps"]]
    assert "feed orders: 1 file waiting" in details


def test_its_metrics_are_exported_and_its_recording_replays_without_it(
    installed: Path, config: Path, tmp_path: Path
) -> None:
    file = tmp_path / "r.sqlite"
    answer = run(installed, "-c", SERVED, config, file)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert "dataops_stage_figure|orders|partner orders|spool|files_waiting||1" in lines
    assert any(
        line.startswith("dataops_stage_finding|orders|partner orders|spool|partner orders/rej") for line in lines
    )
    recording = Recording(file)
    assert recording.pipelines["orders"].stages[0].kind == "spool_folder"
    (moment,) = recording.moments()
    (stage,) = recording.snapshot(moment.id).pipeline("orders").stages
    assert stage.observation is not None
    assert stage.observation.measurement("files_waiting") == 1
    assert [finding.check for finding in stage.findings] == ["rejected-files"]


def test_a_broken_one_fails_its_own_stages_only(installed: Path, config: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(installed, site)
    (site / "broken_mill.py").write_text("raise ImportError('libmill.so is missing')\n")
    (site / "broken_mill-1.0.dist-info").mkdir()
    (site / "broken_mill-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken-mill\nVersion: 1.0\n")
    points = "[dataops.systems]\nmill = broken_mill:SYSTEM\n"
    (site / "broken_mill-1.0.dist-info/entry_points.txt").write_text(points)
    config.write_text(config.read_text() + MILL)
    good, bad = probed(site, config)["pipelines"][0]["stages"]
    assert good["state"] in ("caught_up", "idle")
    assert bad["state"] == "unknown"
    why = "no system offers the kind mill_job; the plug-in mill cannot be loaded: ImportError: libmill.so is missing"
    assert why in bad["error"]


def test_a_kind_that_nothing_offers_is_refused_with_what_there_is(installed: Path, config: Path) -> None:
    config.write_text(config.read_text() + MILL)
    answer = dataops(installed, config, "probe")
    assert answer.returncode == 3
    assert 'kind "mill_job" is unknown; known are "topic"' in answer.stderr
    assert '"spool_folder"' in answer.stderr


def test_its_own_test_passes(installed: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "tests/test_spool.py", tmp_path)
    ran = run(installed, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", tmp_path, tmp_path / "test_spool.py")
    assert ran.returncode == 0, ran.stdout
