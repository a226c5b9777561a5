"""Settings that are proposed, and their JSON Schema."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.unit.test_clients import checkpoint, closed_port

from dataops_core.cli.app import main
from dataops_core.diagnostics.config_init import connected, propose, upstream_first
from dataops_core.systems.clients import Clients
from dataops_core.systems.draft import Draft, ProposedStage
from dataops_core.systems.trino.discover import discover as discover_views

__all__ = ["closed_port"]


def stages(**reads: list[str]) -> dict[str, ProposedStage]:
    return {name: ProposedStage({"name": name, "kind": "topic"}, list(of)) for name, of in reads.items()}


def test_each_stage_stands_after_what_it_reads_and_the_longest_way_is_last() -> None:
    by_name = stages(end=["late", "a"], late=["mid"], a=[], mid=["a"], leaf=["a"], lone=[])
    groups = sorted(connected(by_name), key=len)
    assert groups == [{"lone"}, {"end", "late", "a", "mid", "leaf"}]
    assert [stage.name for stage in upstream_first(groups[1], by_name)] == ["a", "leaf", "mid", "late", "end"]


def test_a_circle_is_cut() -> None:
    by_name = stages(table=["dag"], dag=["table"])
    ordered = upstream_first({"table", "dag"}, by_name)
    assert sum(len(stage.reads) for stage in ordered) == 1
    assert ordered[1].reads == [ordered[0].name]


def test_a_checkpoint_tells_which_topic_its_query_reads(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "land_orders", planned=3, committed=2)
    found = propose(Clients(), [str(folder)])
    ((name, (topic, query)),) = found.pipelines.items()
    assert (name, topic.kind, query.name, query.reads) == (topic.name, "topic", "land_orders", [topic.name])
    assert query.settings["checkpoint"] == str(folder)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.programs
def test_what_cannot_be_asked_is_said_and_the_rest_is_proposed(
    tmp_path: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "land_orders", planned=3, committed=2)
    file = tmp_path / "dataops.toml"
    asked = ("config", "init", "--kafka", f"127.0.0.1:{closed_port}", "--checkpoint", folder, "-o", file)
    assert run("--context", "dev", *asked) == 0
    said = capsys.readouterr().err
    assert f"not queried: kafka 127.0.0.1:{closed_port}: no broker can be reached" in said
    assert "1 pipelines; 0 of 2 stages have a known state" in said
    assert run("--config", file, "config", "validate") == 0
    written = tomllib.loads(file.read_text())
    assert written["contexts"] == {"dev": {"kafka": {"bootstrap_servers": f"127.0.0.1:{closed_port}"}}}
    capsys.readouterr()

    before = file.read_text()
    assert run(*asked) == 2
    assert f"{file} already exists: name another file" in capsys.readouterr().err
    assert file.read_text() == before

    assert run("--config", file, "config", "init", "--checkpoint", folder) == 0
    again = tomllib.loads(capsys.readouterr().out)
    assert again == {"pipelines": written["pipelines"]}, "without addresses those of the settings are asked"


class Coordinator:
    """A Trino with one table."""

    def fetch(self, statement: str, _within: float) -> list[tuple[str]]:
        return [("system",), ("lake",)] if statement == "SHOW CATALOGS" else [("shop.orders",)]


@pytest.mark.parametrize("column", [{}, {"progress_column": "kafka_timestamp"}])
def test_a_view_has_the_progress_column_of_its_table(column: dict[str, str]) -> None:
    draft = Draft()
    table = {"name": "shop.orders", "kind": "iceberg_table", "catalog": "lake", "table": "shop.orders"}
    draft.add("lake/shop.orders", {**table, **column}).reads.append("sink")
    discover_views(draft, Clients(trino=Coordinator()))
    (view,) = draft.stages("trino_view")
    assert (view.settings["relation"], view.reads) == ("lake.shop.orders", ["shop.orders"])
    assert {key: view.settings[key] for key in view.settings if key == "progress_column"} == column


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--catalog", "lake"], 2, '"lake" is not a catalog: write NAME=ADDRESS'),
        (["--trino", "trino:8080"], 2, "contexts.default.trino.url: must be a URL"),
        (["--kafka", "localhost"], 2, "kafka.bootstrap_servers: must be host:port"),
        (["--kafka", "127.0.0.1:1", "--checkpoint", "/no/such"], 1, "no checkpoint at /no/such"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("config", "init", *arguments) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.programs
def test_the_schema_takes_what_is_valid_and_refuses_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "schema") == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    servers = schema["$defs"]["KafkaSettings"]["properties"]["bootstrap_servers"]
    assert servers["description"], "an editor says what a key is for"
    validator = jsonschema.Draft202012Validator(schema)
    good: dict[str, Any] = {
        "contexts": {
            "dev": {
                "kafka": {"bootstrap_servers": "a:1", "properties": {"sasl.password": {"file": "p"}}},
                "airflow": {"url": "http://a", "token": "${T}"},
            }
        },
        "pipelines": {"p": {"context": "dev", "stages": [{"name": "t", "kind": "topic", "topic": "t"}]}},
        "exporter": {"topics": {"deny": ["__.*"]}},
    }
    validator.validate(good)
    bad = json.loads(json.dumps(good))
    bad["pipelines"]["p"]["stages"][0]["topik"] = bad["pipelines"]["p"]["stages"][0].pop("topic")
    assert any("topik" in error.message for error in _all(validator.iter_errors(bad)))


def _all(errors: Any) -> list[jsonschema.ValidationError]:
    return [inner for error in errors for inner in (error, *_all(error.context or ()))]
