"""The golden exposition: what the exporter serves of a fixed world, to the letter."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.exposition import FILES, GOLDEN, text

from dataops_exporter import dialects
from dataops_exporter.metrics import METRICS, Metric

ABBREVIATED = re.compile(r"_(s|ms|us|ns|sec|min|b|kb|mb|gb|milliseconds|minutes|hours|days|percent)(_|$)")


@pytest.mark.parametrize("file", FILES)
def test_it_is_what_the_exporter_serves(file: str) -> None:
    assert text(file) == (GOLDEN / file).read_text(), "if this change is meant: make golden"


@pytest.mark.parametrize(("file", "listed"), [("exporter.prom", METRICS), ("dialects.prom", dialects.METRICS)])
def test_each_metric_of_the_list_is_in_it(file: str, listed: tuple[Metric, ...]) -> None:
    served = set(re.findall(r"^# TYPE (\S+)", (GOLDEN / file).read_text(), re.MULTILINE))
    assert {metric.name for metric in listed} == served


def test_no_name_is_given_twice() -> None:
    names = [metric.name for metric in (*METRICS, *dialects.METRICS)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_that_promtool_checks(metric: Metric) -> None:
    assert re.fullmatch(r"dataops_[a-z][a-z0-9_]*[a-z0-9]", metric.name), "snake case, our prefix"
    assert metric.help.endswith(".")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.name.endswith("_info") == (metric.kind == "info")
    assert not metric.name.endswith(("_count", "_sum", "_bucket")), "those are of histograms"
    assert not re.search(r"_(gauge|counter|metric)(_|$)", metric.name), "a name does not say its type"
    assert not ABBREVIATED.search(metric.name), "base units, written out"
    assert not {"le", "quantile", "job", "instance"} & set(metric.labels)
    for unit in ("timestamp", "age", "duration", "eta"):
        if f"_{unit}" in metric.name:
            assert metric.name.endswith("_seconds")


@pytest.mark.parametrize("file", FILES)
def test_nothing_unknown_is_a_number(file: str) -> None:
    for family in text_string_to_metric_families((GOLDEN / file).read_text()):
        assert all(sample.value == sample.value for sample in family.samples), "no NaN"
