"""Which component a command works on, in a context that has several of one system."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from tests.airflow_server import DAG, Airflow

from dataops_core.canary import Canary, hops_of
from dataops_core.cli import app as cli
from dataops_core.cli.invocation import Invocation
from dataops_core.cli.options import names_of
from dataops_core.config import ComponentSettings
from dataops_core.errors import Unreachable
from dataops_core.systems.airflow import SYSTEM as AIRFLOW
from dataops_core.systems.airflow.settings import DagStage
from dataops_core.systems.clients import Clients
from dataops_core.systems.registry import load_settings

CONFIG = """
default_context = "several"
[contexts.several.components]
edge = { system = "kafka", bootstrap_servers = "edge:9092", schema_registry = "avro" }
core = { system = "kafka", bootstrap_servers = "core:9092" }
avro = { system = "schema_registry", url = "http://avro" }
other = { system = "schema_registry", url = "http://other" }
nightly = { system = "airflow", url = "http://nightly" }
hourly = { system = "airflow", url = "http://hourly" }
adhoc = { system = "trino", url = "http://adhoc" }
etl = { system = "trino", url = "http://etl" }
left = { system = "connect", url = "http://left" }
right = { system = "connect", url = "http://right" }
lake = { system = "iceberg", properties = { type = "rest", uri = "http://lake" } }
vault = { system = "iceberg", properties = { type = "rest", uri = "http://vault" } }
east = { system = "prometheus", url = "http://127.0.0.1:1" }
west = { system = "prometheus", url = "http://127.0.0.1:2" }
pager = { system = "alertmanager", url = "http://127.0.0.1:3" }
mail = { system = "alertmanager", url = "http://127.0.0.1:4" }
[contexts.short.kafka]
bootstrap_servers = "main:9092"
[contexts.short.components.edge]
system = "kafka"
bootstrap_servers = "edge:9092"
[contexts.wrong.kafka]
bootstrap_servers = "main:9092"
schema_registry = "avrro"
"""
COMMANDS = {
    "kafka": (("kafka", "topics"), ("kafka", "groups"), ("kafka", "groups", "g"), ("kafka", "peek", "t")),
    "airflow": (
        ("dag", "list"),
        ("dag", "runs", "d"),
        ("dag", "logs", "d", "r", "t"),
        ("dag", "pause", "d", "--yes"),
        ("dag", "unpause", "d", "--yes"),
        ("dag", "trigger", "d", "--yes"),
        ("dag", "backfill", "d", "--from", "2026-01-01", "--to", "2026-01-02", "--yes"),
    ),
    "connect": (
        ("connect", "list"),
        ("connect", "restart", "c", "--yes"),
        ("connect", "pause", "c", "--yes"),
        ("connect", "resume", "c", "--yes"),
    ),
    "trino": (("sql", "SELECT 1"),),
}
NOUNS = {"connect": "Kafka Connect"}
NAMES = {
    "kafka": ("edge", "core"),
    "airflow": ("nightly", "hourly"),
    "trino": ("adhoc", "etl"),
    "connect": ("left", "right"),
}
EACH = [(kind, command) for kind, commands in COMMANDS.items() for command in commands]
TABLES = (("list",), ("health",), ("snapshots", "a.b"), ("files", "a.b"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each client say which component it is of."""

    def refuse(_: Clients, name: str, settings: ComponentSettings) -> Any:
        raise Unreachable(f"asked: {settings.component} {name}")

    monkeypatch.setattr(Clients, "_connect", refuse)


def said(config: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run a command that fails, and return its one line."""
    assert cli.main(["--config", str(config), *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    return err


@pytest.mark.programs
@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize(("kind", "command"), EACH, ids=lambda value: " ".join(value) if type(value) is tuple else "")
def test_a_command_works_on_the_component_that_is_named(
    config: Path, capsys: pytest.CaptureFixture[str], kind: str, command: tuple[str, ...]
) -> None:
    first, second = NAMES[kind]
    noun = NOUNS.get(kind, kind.capitalize())
    for name in (first, second):
        assert said(config, capsys, *command, "--component", name, code=3) == f"dataops: asked: {kind} {name}\n"
    assert said(config, capsys, *command, code=2) == (
        f'dataops: the context "several" has several {noun} components: {first}, {second}: name one with --component\n'
    )
    assert said(config, capsys, *command, "--component", f"{first}x", code=2) == (
        f'dataops: there is no {noun} component "{first}x"; did you mean "{first}"? (in the context "several")\n'
    )
    assert "there is no" in said(config, capsys, *command, "--component", "lake", code=2), "of another system"


@pytest.mark.usefixtures("unreachable")
def test_the_short_form_is_the_default(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ("--context", "short", "kafka", "topics")
    assert "asked: kafka kafka" in said(config, capsys, *short, code=3)
    assert "asked: kafka edge" in said(config, capsys, *short, "--component", "edge", code=3)


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize("command", TABLES, ids=" ".join)
def test_a_catalog_is_named(config: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    assert "asked: iceberg vault" in said(config, capsys, "tables", *command, "--component", "vault", code=3)
    wrong = said(config, capsys, "tables", *command, "--component", "vaullt", code=2)
    assert 'there is no Iceberg catalog component "vaullt"; did you mean "vault"?' in wrong


def test_records_are_decoded_by_the_registry_that_the_cluster_names(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clients, "_connect", lambda _, name, __: name)
    seen = []

    def peek(client: str, *_: object, registry: str | None, **__: object) -> Any:
        seen.append((client, registry))
        raise Unreachable("enough")

    monkeypatch.setattr("dataops_core.systems.kafka.records.peek", peek)
    said(config, capsys, "kafka", "peek", "t", "--component", "edge", code=3)
    assert cli.main(["--config", str(config), "kafka", "peek", "t", "--component", "core"]) == 3
    assert seen == [("edge", "avro"), ("core", None)]
    assert "several schema registries (avro, other). Set schema_registry of core." in capsys.readouterr().err
    wrong = said(config, capsys, "--context", "wrong", "kafka", "peek", "t", code=2)
    assert 'kafka kafka: there is no schema registry "avrro"' in wrong


def test_a_question_names_the_component(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = Airflow()
    try:
        airflow.answers["PATCH", "/api/v2/dags/d"] = DAG
        monkeypatch.setattr(Clients, "_connect", lambda *_: airflow.client)
        monkeypatch.setattr("dataops_core.cli.dag.can_ask", lambda: True)
        asked = []
        monkeypatch.setattr("dataops_core.cli.dag.ask_word", lambda question, word: asked.append(question) or word)
        assert cli.main(["--config", str(config), "dag", "pause", "d", "--component", "hourly"]) == 0
        assert asked == ['This pauses d on hourly in the context "several".']
    finally:
        airflow.close()


def test_the_platform_of_alerts_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify = ("monitoring", "verify")
    several = said(config, capsys, *verify, code=2)
    assert 'the context "several" has several Prometheus components: east, west' in several
    several = said(config, capsys, *verify, "--component", "west", code=2)
    assert "has several Alertmanager components: pager, mail" in several
    both = said(config, capsys, *verify, "--component", "west", "--component", "east", code=2)
    assert "--component names several of prometheus: west, east: name one" in both
    wrong = said(config, capsys, *verify, "--component", "edge", code=2)
    assert 'there is no Prometheus or Alertmanager component "edge"' in wrong
    named = ("--component", "west", "--component", "mail")
    assert cli.main(["--config", str(config), *verify, *named, "-o", "json"]) == 1
    out = capsys.readouterr().out
    assert "127.0.0.1:2" in out
    assert "127.0.0.1:4" in out
    assert "127.0.0.1:1" not in out


def test_names_of_components_are_completed(config: Path) -> None:
    root = typer.main.get_command(cli.app)
    with root.make_context("dataops", ["--config", str(config), "sql", "x"], obj=Invocation()) as context:
        assert names_of("component", "kafka")(context, "") == ["core", "edge"]
        assert names_of("component", "kafka", "trino")(context, "e") == ["edge", "etl"]
        assert "lake" in names_of("component")(context, "")
    short = ["--config", str(config), "--context", "short", "sql", "x"]
    with root.make_context("dataops", short, obj=Invocation()) as context:
        assert names_of("component", "kafka")(context, "") == ["edge", "kafka"]
        assert names_of("component", "trino")(context, "") == []


CANARY = """
[contexts.c.components]
edge = { system = "kafka", bootstrap_servers = "edge:9092" }
core = { system = "kafka", bootstrap_servers = "core:9092" }
adhoc = { system = "trino", url = "http://adhoc" }
etl = { system = "trino", url = "http://etl" }
[pipelines.p]
context = "c"
stages = [{ name = "orders", kind = "topic", topic = "orders", on = "edge" }]
[pipelines.p.canary]
SENDER
topic = "orders"
value = "$id"
hops = [{ relation = "a.b.c", where = "id = '$id'", HOP }]
"""


@pytest.mark.parametrize(
    ("sender", "hop", "problem"),
    [
        ('on = "edge"', 'on = "etl"', None),
        ('on = "edge"', "", "canary.hops[0].on: missing: contexts.c has several (adhoc, etl); name one"),
        ('on = "edge"', 'on = "elt"', 'canary.hops[0].on: there is no trino "elt"; did you mean "etl"?'),
        ("", 'on = "etl"', "canary.on: missing: contexts.c has several (edge, core); name one"),
    ],
)
def test_a_canary_names_its_components(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sender: str, hop: str, problem: str | None
) -> None:
    path = tmp_path / "canary.toml"
    path.write_text(CANARY.replace("SENDER", sender).replace(", HOP", f", {hop}" if hop else ""))
    assert cli.main(["--config", str(path), "config", "validate"]) == (0 if problem is None else 1)
    assert (problem or "") in capsys.readouterr().err
    if problem is None:
        settings = load_settings(path)
        canary = settings.pipelines["p"].canary
        assert canary is not None
        asked = []
        clients = Clients(settings.contexts["c"], edge=object(), etl=SimpleNamespace(fetch=lambda *s: asked.append(s)))
        (found,) = hops_of(settings.pipelines["p"], canary, Canary.make(canary, datetime.now(UTC)), clients)
        assert found.is_present(None) is False  # type: ignore[arg-type]
        assert asked[0][0].startswith("SELECT 1 FROM a.b.c WHERE id = ")


def test_the_remedy_of_a_dag_names_its_component() -> None:
    (kind,) = AIRFLOW.stage_kinds
    assert kind.remedy is not None
    for on, command in ((None, "dataops dag trigger d"), ("edge", "dataops dag trigger d --component edge")):
        found = kind.remedy(DagStage(name="d", kind="dag", dag_id="d", on=on))
        assert found.command == command
