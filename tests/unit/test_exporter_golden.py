"""The golden exposition: what the exporter serves of a fixed world, to the letter."""

from __future__ import annotations

import re
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.exposition import FILES, GOLDEN, text
from tests.monitoring import TARGET, program

from dataops_exporter import compatibility
from dataops_exporter.metrics import METRICS, Metric


@pytest.mark.parametrize("file", FILES)
def test_it_is_what_the_exporter_serves(file: str) -> None:
    assert text(file) == (GOLDEN / file).read_text(), "if this change is meant: make golden"


@pytest.mark.parametrize(("file", "listed"), [("exporter.prom", METRICS), ("dialects.prom", compatibility.METRICS)])
def test_each_metric_of_the_list_is_in_it(file: str, listed: tuple[Metric, ...]) -> None:
    served = set(re.findall(r"^# TYPE (\S+)", (GOLDEN / file).read_text(), re.MULTILINE))
    assert {metric.name for metric in listed} == served


@pytest.mark.programs
def test_promtool_has_nothing_to_say_about_our_metrics() -> None:
    golden = (GOLDEN / "exporter.prom").read_text()
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=golden, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), "the dialects' names are what they are"


def test_no_name_is_given_twice() -> None:
    names = [metric.name for metric in (*METRICS, *compatibility.METRICS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_that_promtool_does_not_check(metric: Metric) -> None:
    assert metric.name.startswith("dataops_")
    assert metric.help.endswith(".")
    for unit in ("timestamp", "age", "duration", "eta"):
        if f"_{unit}" in metric.name:
            assert metric.name.endswith("_seconds")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_label_is_one_that_the_scraper_gives(metric: Metric) -> None:
    given = TARGET - {"version"}
    assert not given & set(metric.labels), "it would be overwritten, or renamed to exported_…"


@pytest.mark.parametrize("file", FILES)
def test_nothing_unknown_is_a_number(file: str) -> None:
    for family in text_string_to_metric_families((GOLDEN / file).read_text()):
        assert all(sample.value == sample.value for sample in family.samples), "no NaN"
