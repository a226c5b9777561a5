"""Every built-in system keeps the contract that is public for others; one that does not is told why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_clients import closed_port

from dataops_core.health.checks.base import Check, Problem
from dataops_core.health.details import Details
from dataops_core.health.model import Severity
from dataops_core.systems.base import System
from dataops_core.systems.conformance import assert_conforms
from dataops_core.systems.registry import BUILT_IN, registry

__all__ = ["closed_port"]

STAGES: Mapping[str, Mapping[str, Any]] = {
    "topic": {"topic": "t"},
    "consumer_group": {"group": "g", "topic": "t"},
    "spark_query": {"checkpoint": "/no/such/checkpoint"},
    "spark_batch": {"application": "load orders"},
    "iceberg_table": {"catalog": "iceberg", "table": "a.b"},
    "dag": {"dag_id": "d"},
    "trino_view": {"relation": "a.b.c"},
    "connector": {"connector": "c"},
    "flink_job": {"job": "j"},
    "sql_query": {"query": "SELECT 1 AS lag_records"},
    "object_prefix": {"prefix": "orders"},
    "http_document": {"path": "/status", "progress_time": "at"},
    "prometheus_query": {"lag_records": "sum(queue)"},
    "dbt_model": {"model": "orders"},
    "dbt_source": {"source": "raw.orders"},
    "delta_table": {"table": "orders"},
    "command": {"command": ("/no/such/program",), "progress_time": "at"},
}


def examples(system: System, port: int) -> dict[str, Any]:
    web = {"url": f"http://127.0.0.1:{port}"}
    store = {"s3.endpoint": web["url"], "s3.region": "here"}  # else AWS is asked for the bucket's region
    catalog = {"properties": {"type": "rest", "uri": web["url"], "warehouse": "s3://lake", **store}}
    given: Mapping[str, Any] = {
        "kafka": {"bootstrap_servers": f"127.0.0.1:{port}"},
        "iceberg": catalog,
        "object_store": {"location": "/no/such/folder"},
        "dbt": {"location": "/no/such/folder"},
        "delta": {"location": "/no/such/folder"},
        "database": {"url": "sqlite:////no/such/file.db"},
    }
    used = [*system.components, *(registry().component_kind(need) for need in ("kafka", "iceberg"))]
    return {
        "components": {k.name: k.settings.model_validate(given.get(k.name, web)) for k in used if k is not None},
        "stages": {
            kind.name: kind.settings.model_validate({"name": "s", "kind": kind.name, **STAGES[kind.name]})
            for kind in system.stage_kinds
        },
    }


@pytest.mark.programs
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_system_conforms(name: str, closed_port: int) -> None:
    system = registry().system(name)
    assert system is not None
    assert_conforms(system, **examples(system, closed_port))


def test_stages_name_the_object_that_they_observe() -> None:
    found = {}
    for name, own in STAGES.items():
        kind = registry().stage_kind(name)
        assert kind is not None
        stage = kind.settings.model_validate({"name": "s", "kind": name, **own})
        observed = registry().object_of(stage)
        if observed is not None:
            found[name] = (observed.kind, observed.name)
        assert registry().rejects_of(stage) is None
    assert found == {
        "topic": ("kafka_topic", "t"),
        "iceberg_table": ("iceberg_table", "iceberg.a.b"),
        "dag": ("airflow_dag", "d"),
        "trino_view": ("trino_relation", "a.b.c"),
    }
    table = registry().stage_kind("iceberg_table")
    assert table is not None
    own = {**STAGES["iceberg_table"], "rejects": "a.rejects"}
    stage = table.settings.model_validate({"name": "s", "kind": "iceberg_table", **own})
    assert registry().rejects_of(stage) == ("iceberg", "a", "rejects")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zero(Details):
    """Details that invent a value."""

    files: int = 0


@pytest.mark.programs
def test_each_problem_is_named(closed_port: int, tmp_path: Path) -> None:
    system = registry().system("kafka")
    assert system is not None
    always = Check("Always", Severity.ADVICE, "no full stop", "Do it.", lambda *_: Problem("always"))

    def observe(*_: object) -> Any:
        raise KeyError("partitions")

    topic = replace(system.stage_kinds[0], details=_Zero, checks=(always,), observe=observe)
    with pytest.raises(AssertionError) as caught:
        assert_conforms(replace(system, stage_kinds=(topic,)), **examples(system, closed_port))
    lines = str(caught.value).splitlines()[1:]
    assert lines == [
        "topic: _Zero.files is not unknown by default",
        "topic/Always: a check id must look-like-this",
        "topic/Always: its meaning must be a sentence in one line",
        "topic/Always: returns a finding for an observation without values",
        "stage topic: KeyError in place of one of dataops_core.errors: 'partitions'",
    ]
