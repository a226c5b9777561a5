"""Of the vendors' SDKs only what is used is imported; the rest when it is asked for. Each in a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.programs

AIRFLOW = """
import sys
from dataops_core.systems.airflow.sdk import DAGApi
import airflow_client.client as client
from airflow_client.client import models
loaded = lambda: sum(name.startswith("airflow_client.client.models.") for name in sys.modules)
before = loaded()
assert models.DAGRunResponse.__name__ == "DAGRunResponse" and loaded() == before, "that one is there"
assert models.ConnectionResponse.__name__ == "ConnectionResponse" and client.VariableApi.__name__ == "VariableApi"
assert not hasattr(models, "NoSuchThing")
print(before + 50 < loaded())
"""
VALIDATED = """
import pydantic
from dataops_core.systems.airflow.sdk import ApiClient, PoolApi
@pydantic.validate_call
def ours(number: int) -> int: return number
try:
    PoolApi(ApiClient()).get_pool(pool_name=3)
except pydantic.ValidationError as error:
    print(error.errors()[0]["type"], ours.__wrapped__ is not None and ours("3"))
"""
PROBES = """
import sys
import dataops_core.cli.probe
assert not {"pyarrow", "pyiceberg", "airflow_client"} & sys.modules.keys(), "before a component is asked with them"
from dataops_core.systems.clients import prepare
from dataops_core.systems.registry import registry
prepare(registry().stage_kind("topic")), prepare(registry().component_kind("airflow"))
assert "airflow_client.client.rest" in sys.modules and "pyarrow" not in sys.modules
prepare(registry().stage_kind("iceberg_table"))
assert "pyiceberg.io.pyarrow" in sys.modules
print(*(name for name in ("pandas", "pyarrow._dataset", "pyparsing", "strictyaml.parser") if name in sys.modules))
"""
DECLARED = """
import sys
from dataops_core.systems.registry import BUILT_IN, registry
assert tuple(system.name for system in registry().systems(BUILT_IN)) == BUILT_IN
heavy = ("airflow_client", "confluent_kafka", "jmespath", "pyarrow", "pyiceberg", "sqlalchemy", "trino")
print(*(name for name in heavy if name in sys.modules))
"""
ORDER = """
import sys
from dataops_core import monitor
from dataops_core.systems.registry import registry
from tests.settings import Settings
there = {}
class Thread:
    def __init__(self, target, name, daemon):
        there[target.__self__.probe.template.probe] = {"airflow_client", "pyiceberg"} & sys.modules.keys()
    def start(self): pass
monitor.Thread = Thread
web = {"url": "http://localhost:1"}
catalog = {"properties": {"type": "rest", "uri": "http://localhost:1", "warehouse": "s3://lake"}}
stages = [
    {"name": "q", "kind": "spark_query", "checkpoint": "/q"},
    {"name": "d", "kind": "dag", "dag_id": "d"},
    {"name": "t", "kind": "iceberg_table", "catalog": "lake", "table": "a.b"},
]
context = {"catalogs": {"lake": catalog}, "airflow": web, "trino": web, "kafka": {"bootstrap_servers": "localhost:1"}}
monitor.Monitor(registry().parse(
    {"contexts": {"c": context}, "pipelines": {"p": {"context": "c", "stages": stages}}}
))._start_due(now=True)
for kind, modules in there.items():
    print(kind, *sorted(modules))
"""
USED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import dataops_core.systems.iceberg.catalog
import pyarrow.dataset, strictyaml
from pyiceberg.expressions import parser
at_once = Barrier(8)
def used(number):
    at_once.wait()
    return pyarrow.dataset.field("a").equals(pyarrow.dataset.field("a")), str(parser.parse(f"a = {number}"))
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(used, range(8)))
assert [same for same, _ in found] == [True] * 8
print(found[7][1], strictyaml.load("a: 1").data["a"], hasattr(pyarrow.dataset, "nothing"))
"""
OWN = """
import dataops_core.systems, strictyaml.ruamel.main, pyarrow.dataset
from dataops_core.systems import lazy_imports
assert strictyaml.load.__module__ == "strictyaml.parser", "and not that of a module within"
assert strictyaml.exceptions.__name__ == "strictyaml.exceptions"
pyarrow.dataset.field
print(pyarrow.dataset.__getattr__.__module__)
"""
BROKEN = """
import sys
from pathlib import Path
from dataops_core.systems import lazy_imports
lazy_imports.MODULES |= {"broken"}
sys.path.insert(0, sys.argv[1])
source = Path(sys.argv[1], "broken.py")
source.write_text("raise OSError('not now')")
import broken
try:
    broken.name
except OSError:
    source.write_text("name = 'mended'")
    print(broken.name)
"""


def said(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-B", "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout.strip()


def test_of_airflow_s_sdk_only_what_is_used_is_imported_and_the_rest_when_it_is_asked_for() -> None:
    assert said(AIRFLOW) == "True"


def test_airflow_s_sdk_still_checks_arguments_and_others_are_left_alone() -> None:
    assert said(VALIDATED) == "string_type 3"


def test_a_probe_imports_nothing_that_it_does_not_use() -> None:
    assert not said(PROBES)


def test_a_declaration_of_a_system_imports_no_sdk() -> None:
    assert not said(DECLARED)


def test_a_component_is_asked_before_the_sdks_of_others_are_imported_and_after_its_own() -> None:
    assert said(ORDER).splitlines() == [
        "kafka",
        "trino",
        "iceberg pyiceberg",
        "store pyiceberg",
        "iceberg_table pyiceberg",
        "spark_query pyiceberg",
        "airflow airflow_client pyiceberg",
        "dag airflow_client pyiceberg",
    ]


def test_what_is_hollow_can_be_used_by_several_threads_at_once() -> None:
    assert said(USED) == "EqualTo(term=Reference(name='a'), literal=LongLiteral(7)) 1 False"


def test_a_hollow_module_is_itself_once_it_is_loaded() -> None:
    assert said(OWN) == "pyarrow.dataset"


def test_a_module_that_failed_to_load_is_loaded_when_it_is_used_again(tmp_path: Path) -> None:
    assert said(BROKEN, str(tmp_path)) == "mended"
