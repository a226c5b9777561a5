"""dbt by its artifacts: real ones of dbt 1.11 and 1.7, shortened, in a folder that changes as commands overwrite it."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataops_core.bounded import Malformed
from dataops_core.errors import BadAnswer, ConfigError, NotFound
from dataops_core.health.checks.base import CheckInput, findings
from dataops_core.health.model import Finding, Severity, StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.dbt import SYSTEM
from dataops_core.systems.dbt import client as dbt_client
from dataops_core.systems.dbt.client import DbtClient
from dataops_core.systems.dbt.discover import discover
from dataops_core.systems.dbt.probe import observe_dbt
from dataops_core.systems.dbt.responses import read_manifest, read_run_results, read_sources, relation_parts
from dataops_core.systems.dbt.settings import DbtSettings
from dataops_core.systems.draft import Draft
from dataops_core.systems.object_prefix.store import Content, ObjectStore
from dataops_core.systems.registry import load_settings
from dataops_core.systems.trino import SYSTEM as TRINO
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

DATA = Path(__file__).parent / "data" / "dbt"
MODEL, SOURCE = SYSTEM.stage_kinds
BUILT = datetime(2026, 11, 27, 21, 26, tzinfo=UTC)


@pytest.fixture(autouse=True)
def unshared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_client, "SHARED", -1.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "build", tmp_path / "target"))


@pytest.fixture
def client(target: Path) -> DbtClient:
    return DbtClient("dbt", DbtSettings(location=str(target)), 5.0)


def left_by(command: str, target: Path) -> None:
    """Overwrite the artifacts as a command does."""
    for file in (DATA / command).iterdir():
        shutil.copy(file, target / file.name)


def changed(target: Path, file: str, change: Any) -> None:
    found = json.loads((target / file).read_text())
    change(found)
    (target / file).write_text(json.dumps(found))


def model(client: DbtClient, name: str) -> Observation:
    return MODEL.observe(
        MODEL.settings.model_validate({"name": name, "kind": "dbt_model", "model": name}), Clients(dbt=client)
    )


def source(client: DbtClient, **more: Any) -> Observation:
    stage = {"name": "r", "kind": "dbt_source", "source": "bronze.readings", "checked_within": 1e12, **more}
    return SOURCE.observe(SOURCE.settings.model_validate(stage), Clients(dbt=client))


def found_in(seen: Observation, kind: Any = MODEL, **more: Any) -> tuple[Finding, ...]:
    about = (
        {"kind": kind.name, "model": seen.stage} if kind is MODEL else {"kind": kind.name, "source": "bronze.readings"}
    )
    stage = kind.settings.model_validate({"name": seen.stage, **about, **more})
    return findings(kind.checks, kind.details, stage, CheckInput(seen.stage, seen.details, seen, None, (), (), BUILT))


def of_component(client: DbtClient) -> tuple[str, Observation, list[str]]:
    detail, seen = observe_dbt(client)
    kind = SYSTEM.components[0]
    given = CheckInput("dbt", seen.details, seen, None, (), (), BUILT)
    found = findings(kind.checks, kind.details, None, given)
    return detail, seen, [each.sentence for each in found]


##### Models


def test_a_model_has_taken_in_what_was_there_when_its_run_started(client: DbtClient) -> None:
    seen = model(client, "by_logger")
    assert seen.progress_time == datetime(2026, 11, 27, 21, 26, 6, 20206, UTC)
    assert seen.advanced_at == datetime(2026, 11, 27, 21, 26, 7, 125478, UTC)
    assert (seen.attribute("relation"), seen.attribute("status"), seen.attribute("command")) == (
        "t.main.by_logger",
        "success",
        "build",
    )
    assert (seen.measurement("tests"), seen.measurement("tests_failed")) == (2, 0)
    assert seen.measurement("run_duration") == pytest.approx(1.105272)
    assert found_in(seen) == ()


def test_a_view_shows_what_its_inputs_hold_now(client: DbtClient, target: Path) -> None:
    changed(target, "manifest.json", lambda m: m["nodes"]["model.dbt_try.inc"]["config"].update(materialized="view"))
    seen = model(client, "inc")
    assert seen.progress_time == seen.observed_at


def test_a_test_that_failed_is_a_failure_of_its_model(client: DbtClient) -> None:
    seen = model(client, "inc")
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == ("test-failed", Severity.CRITICAL)
    assert finding.sentence == (
        "1 of 1 test failed: accepted_values_inc_logger_id__nobody (Got 5 results, configured to fail if != 0)"
    )
    assert seen.progress_time is not None, "the table was built all the same"


def test_a_model_that_failed_says_what_dbt_says(client: DbtClient) -> None:
    seen = model(client, "broken")
    (finding,) = found_in(seen)
    assert (finding.check, finding.severity) == ("model-failed", Severity.CRITICAL)
    assert finding.sentence.startswith(
        "its newest run failed: Runtime Error in model broken (models/broken.sql) Binder Error: Referenced column"
    )
    assert finding.remedy is not None
    assert finding.remedy.command == "dbt build --select broken+"
    assert (seen.progress_time, seen.measurement("tests")) == (None, 0)
    (ours,) = found_in(seen, remedy="make orders")
    assert ours.remedy is not None
    assert ours.remedy.command == "make orders"


def test_a_failure_without_a_message_is_a_failure(client: DbtClient, target: Path) -> None:
    changed(target, "run_results.json", lambda r: r["results"][3].update(message=None))
    assert [each.sentence for each in found_in(model(client, "broken"))] == ["its newest run failed: no message"]


def test_a_model_that_was_skipped_names_what_failed_upstream(client: DbtClient, target: Path) -> None:
    seen = model(client, "after_broken")
    (finding,) = found_in(seen)
    assert (finding.check, finding.sentence) == ("model-skipped", "its newest run was skipped, because broken failed")
    assert MODEL.why_unknown(None, seen) == "its newest run was skipped, and no successful run is known"
    nodes = "model.dbt_try.after_broken", "model.dbt_try.inc"
    changed(target, "manifest.json", lambda m: m["nodes"][nodes[0]]["depends_on"].update(nodes=[nodes[1]]))
    (finding,) = found_in(model(client, "after_broken"))
    assert finding.sentence == ("its newest run was skipped, because accepted_values_inc_logger_id__nobody failed"), (
        "the test of a model that succeeded"
    )


@pytest.mark.parametrize("command", ["compile", "run_empty"])
def test_success_of_a_command_that_runs_no_model_is_no_run(target: Path, command: str) -> None:
    left_by(command, target)
    client = DbtClient("dbt", DbtSettings(location=str(target)), 5.0)
    seen = model(client, "by_logger")
    assert (seen.progress_time, seen.attribute("status"), seen.measurement("tests_failed")) == (None, None, None)
    assert MODEL.why_unknown(None, seen) == "the results have no successful run of it"
    title = "run --empty" if command == "run_empty" else command
    assert seen.notes[0] == f"the newest results are from dbt {title}, which did not run it"


def test_what_another_command_overwrites_is_remembered(client: DbtClient, target: Path) -> None:
    built = model(client, "by_logger")
    left_by("test", target)
    seen = model(client, "by_logger")
    assert (seen.progress_time, seen.measurement("tests")) == (built.progress_time, 2)
    assert seen.notes[-1] == "the newest results are from dbt test, which did not run it"
    left_by("run", target)
    assert model(client, "by_logger").progress_time == datetime(2026, 11, 27, 21, 27, 57, 680555, UTC)
    left_by("build", target)  # an older file that was copied back changes nothing
    assert model(client, "by_logger").progress_time == datetime(2026, 11, 27, 21, 27, 57, 680555, UTC)


def test_without_memory_an_overwritten_run_is_unknown(target: Path) -> None:
    left_by("test", target)
    seen = model(DbtClient("dbt", DbtSettings(location=str(target)), 5.0), "inc")
    assert (seen.progress_time, seen.measurement("tests_failed")) == (None, 1)
    assert [each.check for each in found_in(seen)] == ["test-failed"]


def test_several_results_are_read_together(target: Path) -> None:
    (target / "tests").mkdir()
    shutil.copy(DATA / "test" / "run_results.json", target / "tests" / "run_results.json")
    paths = ("run_results.json", "tests/run_results.json")
    client = DbtClient("dbt", DbtSettings(location=str(target), run_results=paths), 5.0)
    assert model(client, "by_logger").progress_time is not None
    (finding,) = found_in(model(client, "inc"))
    assert finding.check == "test-failed"


def test_an_earlier_success_stands_beside_a_later_failure(client: DbtClient, target: Path) -> None:
    built = model(client, "by_logger").progress_time
    left_by("run", target)
    changed(target, "run_results.json", lambda r: r["results"][0].update(status="error", message="out of memory"))
    seen = model(client, "by_logger")
    assert (seen.progress_time, [each.check for each in found_in(seen)]) == (built, ["model-failed"])


def test_a_later_command_without_results_is_named(client: DbtClient, target: Path) -> None:
    assert model(client, "by_logger").measurement("later_command") is None
    left_by("parse", target)
    (finding,) = found_in(model(client, "by_logger"))
    assert (finding.check, finding.severity, finding.explains) == ("results-missing", Severity.NOTE, True)
    assert finding.sentence.startswith("a later command parsed the project at 21:31:01Z without leaving results")


def test_a_freshness_check_is_no_later_command_without_results(client: DbtClient, target: Path) -> None:
    left_by("parse", target)
    wrote = json.loads((target / "manifest.json").read_text())["metadata"]["invocation_id"]
    changed(target, "sources.json", lambda s: s["metadata"].update(invocation_id=wrote))
    assert found_in(model(client, "by_logger")) == ()


def test_warnings_and_stale_sources_are_findings_of_the_model(client: DbtClient, target: Path) -> None:
    changed(target, "sources.json", lambda s: s["results"][0].update(status="error"))
    changed(target, "run_results.json", lambda r: r["results"][1].update(status="warn", message="Got 1 result"))
    found = {each.check: each.sentence for each in found_in(model(client, "by_logger"))}
    assert found == {
        "model-source-stale": "it reads a source beyond its `error_after`: bronze.readings",
        "test-warned": "1 of 2 tests warned: not_null_by_logger_logger_id (Got 1 result)",
    }


def test_trino_s_query_is_named_also_of_a_failure(client: DbtClient, target: Path) -> None:
    failed = (
        "Database Error in model broken\n  TrinoUserError(name=COLUMN_NOT_FOUND, query_id=20261127_130602_00010_5qruc)"
    )
    changed(target, "run_results.json", lambda r: r["results"][3].update(message=failed))
    changed(target, "run_results.json", lambda r: r["results"][4].update(adapter_response={"query_id": "20261127_1"}))
    assert model(client, "broken").attribute("query_id") == "20261127_130602_00010_5qruc"
    assert model(client, "inc").attribute("query_id") == "20261127_1"
    assert "its query: 20261127_130602_00010_5qruc" in found_in(model(client, "broken"))[0].evidence


def test_names_are_found_and_their_absence_is_one_line(client: DbtClient, target: Path) -> None:
    assert model(client, "model.dbt_try.inc").attribute("relation") == "t.main.inc"
    with pytest.raises(NotFound, match="the project has no model/seed/snapshot orders"):
        model(client, "orders")
    other = {"name": "inc", "resource_type": "model", "unique_id": "model.other.inc"}
    changed(target, "manifest.json", lambda m: m["nodes"].update({"model.other.inc": other}))
    with pytest.raises(BadAnswer, match=r"several nodes have the name inc: model\.dbt_try\.inc, model\.other\.inc"):
        model(client, "inc")


##### Sources


def test_a_source_has_the_time_of_its_newest_row(client: DbtClient, target: Path) -> None:
    seen = source(client)
    assert seen.progress_time == seen.advanced_at == datetime(2026, 11, 27, 21, 24, 14, 377826, UTC)
    assert seen.attribute("status") == "warn"
    (finding,) = found_in(seen, SOURCE)
    assert (finding.check, finding.severity) == ("source-late", Severity.ADVICE)
    changed(target, "sources.json", lambda s: s["results"][0].update(status="error"))
    (finding,) = found_in(source(client), SOURCE)
    assert (finding.check, finding.severity) == ("source-stale", Severity.WARNING)


def test_an_old_check_and_one_that_failed_are_unknown(client: DbtClient, target: Path) -> None:
    seen = source(client, checked_within=1)
    assert seen.progress_time is None
    assert SOURCE.why_unknown(None, seen) == "its newest freshness check is older than `checked_within`"
    failed = {"unique_id": "source.dbt_try.bronze.readings", "error": "no such table", "status": "runtime error"}
    changed(target, "sources.json", lambda s: s.update(results=[failed]))
    seen = source(client)
    assert SOURCE.why_unknown(None, seen) == "the newest freshness check found no row time"
    assert [each.sentence for each in found_in(seen, SOURCE)] == ["its freshness could not be checked: no such table"]
    changed(target, "sources.json", lambda s: s.update(results=[]))
    with pytest.raises(NotFound, match=r"did not check bronze\.readings"):
        source(client)
    (target / "sources.json").unlink()
    with pytest.raises(NotFound, match=r"there is no sources\.json: run `dbt source freshness`"):
        source(client)


##### Artifacts


def test_the_project_names_what_failed(client: DbtClient, target: Path) -> None:
    detail, seen, sentences = of_component(client)
    assert detail == "newest results: dbt build"
    assert (seen.measurement("models"), seen.measurement("models_failed"), seen.measurement("models_skipped")) == (
        4,
        1,
        1,
    )
    assert (seen.measurement("tests"), seen.measurement("tests_failed"), seen.measurement("sources_stale")) == (3, 1, 0)
    assert sentences == ["failed models and tests: 2 (broken, accepted_values_inc_logger_id__nobody)"]
    for file in target.iterdir():
        file.unlink()
    empty = DbtClient("dbt", DbtSettings(location=str(target)), 5.0)
    detail, seen, sentences = of_component(empty)
    assert (detail, sentences, seen.measurement("models"), seen.measurement("sources_stale")) == (
        "no results yet",
        [],
        None,
        None,
    )
    with pytest.raises(NotFound, match="there are no run results yet"):
        model(empty, "inc")


def test_dbt_1_7_is_read_as_well(target: Path) -> None:
    left_by("build-1.7", target)
    client = DbtClient("dbt", DbtSettings(location=str(target)), 5.0)
    assert [found_in(model(client, name))[0].check for name in ("broken", "after_broken", "inc")] == [
        "model-failed",
        "model-skipped",
        "test-failed",
    ]
    assert model(client, "by_logger").progress_time is not None
    assert source(client).attribute("status") == "warn"


@pytest.mark.parametrize("file", ["run_results.json", "manifest.json", "sources.json"])
def test_a_schema_that_is_not_supported_is_one_line(client: DbtClient, target: Path, file: str) -> None:
    changed(target, file, lambda a: a["metadata"].update(dbt_schema_version=f"https://x/dbt/{_kind(file)}/v99.json"))
    line = f"{file} has schema {_kind(file)} v99; supported: v"
    _, _, sentences = of_component(client)
    assert sentences[0].startswith(f"an artifact cannot be read: {line}")
    if file == "sources.json":
        assert model(client, "by_logger").progress_time is not None
    with pytest.raises(BadAnswer, match=line):
        source(client) if file == "sources.json" else model(client, "inc")
    diagnose = SYSTEM.components[0].diagnose
    assert diagnose is not None
    assert next(diagnose(client)).ok is False


def _kind(file: str) -> str:
    return file.removesuffix(".json").replace("_", "-")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"metadata": {}}', '{"metadata": {"dbt_schema_version": "x"}}'])
@pytest.mark.parametrize("read", [read_run_results, read_manifest, read_sources])
def test_what_is_no_artifact_is_refused(client: DbtClient, target: Path, text: str, read: Any) -> None:
    file = {read_run_results: "run_results.json", read_manifest: "manifest.json", read_sources: "sources.json"}[read]
    (target / file).write_text(text)
    assert of_component(client)[2][0].startswith(f"an artifact cannot be read: {file} ")
    if text not in ("", "{"):
        with pytest.raises(Malformed):
            read(json.loads(text))


def test_an_artifact_that_is_being_written_is_read_again(client: DbtClient, target: Path) -> None:
    whole = (target / "run_results.json").read_text()
    built = model(client, "inc").progress_time
    (target / "run_results.json").write_text(whole[: len(whole) // 2])
    assert model(client, "inc").progress_time == built
    (target / "run_results.json").write_text(whole)
    assert model(client, "inc").progress_time == built
    (target / "run_results.json").write_text(whole[: len(whole) // 2])
    old = time.time() - 60
    os.utime(target / "run_results.json", (old, old))
    with pytest.raises(BadAnswer, match=r"run_results\.json is not JSON"):
        model(client, "inc")


def test_what_has_not_changed_is_not_read_again(target: Path) -> None:
    old = time.time() - 60
    os.utime(target / "manifest.json", (old, old))
    store = ObjectStore("dbt", DbtSettings(location=str(target)), 5.0)
    first = store.read({"manifest.json": None, "missing.json": None}, 10**6)
    content = first["manifest.json"]
    assert isinstance(content, Content)
    assert "missing.json" not in first
    assert store.read({"manifest.json": content.stamp}, 10**6) == {"manifest.json": None}
    (target / "manifest.json").write_text("{}")
    assert store.read({"manifest.json": content.stamp}, 10**6)["manifest.json"] is not None
    with pytest.raises(BadAnswer, match=r"manifest\.json is larger than 1 bytes"):
        store.read({"manifest.json": None}, 1)


def test_variables_and_environment_are_not_kept(client: DbtClient, target: Path) -> None:
    def add(found: dict[str, Any]) -> None:
        found["metadata"]["env"] = {"DBT_ENV_CUSTOM_ENV_KEY": "s3cret-value"}
        found["args"]["vars"] = {"password": "s3cret-value"}
        found["results"][3]["message"] = "cannot connect, password=s3cret-value"

    changed(target, "run_results.json", add)
    assert "s3cret" not in repr(client.project()) + repr(model(client, "broken"))


def test_relations_of_all_quotings_have_parts() -> None:
    for name in ('"lake"."shop"."orders"', "`lake`.`shop`.`orders`", "lake.shop.orders", "[lake].[shop].[orders]"):
        assert relation_parts(name) == ("lake", "shop", "orders")
    assert relation_parts('"a""b"."c.d"') == ('a"b', "c.d")
    assert relation_parts("") == ()


##### Settings, pipeline, proposal

CONFIG = """
[contexts.prod.dbt]
location = "{location}"
{own}
[pipelines.readings]
context = "prod"
[[pipelines.readings.stages]]
name = "source"
kind = "dbt_source"
source = "bronze.readings"
checked_within = 1e12
[[pipelines.readings.stages]]
name = "by_logger"
kind = "dbt_model"
model = "by_logger"
reads = ["source"]
[[pipelines.readings.stages]]
name = "inc"
kind = "dbt_model"
model = "inc"
reads = ["by_logger"]
"""


def written(tmp_path: Path, location: object, own: str = "") -> Path:
    path = tmp_path / "dataops.toml"
    path.write_text(CONFIG.format(location=location, own=own))
    return path


def test_a_pipeline_blames_the_model_whose_test_failed(tmp_path: Path, target: Path) -> None:
    settings = load_settings(written(tmp_path, "target"))  # from the folder of the settings
    monitor = Monitor(settings)
    snapshot = monitor.once()
    (pipeline,) = snapshot.pipelines
    assert [stage.state for stage in pipeline.stages][1:] == [StageState.IDLE, StageState.FAILED]
    assert pipeline.verdict.check_id == "inc/test-failed"
    served = ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1))
    samples = {(metric.name, labels): number for metric, labels, number in snapshot_samples(served)}
    assert samples["dataops_stage_figure", ("readings", "inc", "dbt", "tests_failed", "")] == 1
    assert samples["dataops_component_up", ("dbt",)] == 1


@pytest.mark.parametrize(
    ("location", "own", "wrong"),
    [
        ("ftp://x/y", "", "location: must begin with s3://"),
        ("/x", 'run_results = ["../a.json"]', 'run_results: "../a.json": must be the path of a .json file'),
        ("/x", 'run_results = ["/a.json"]', 'run_results: "/a.json": must be the path of a .json file'),
        ("/x", "run_results = []", "run_results"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, location: str, own: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, location, own))
    assert wrong in str(caught.value)


def test_the_doctor_says_which_artifacts_are_there(client: DbtClient, target: Path) -> None:
    diagnose = SYSTEM.components[0].diagnose
    assert diagnose is not None
    assert [step.ok for step in diagnose(client)] == [True, True]
    left_by("compile", target)
    (target / "sources.json").unlink()
    assert [step.ok for step in diagnose(client)] == [True, None, None]
    (target / "run_results.json").unlink()
    (target / "manifest.json").unlink()
    assert [step.ok for step in diagnose(client)] == [False, None, None]


def proposed(client: DbtClient, draft: Draft | None = None) -> dict[str, tuple[str, list[str]]]:
    draft = draft or Draft()
    discover(draft, Clients(dbt=client))
    return {stage.name: (stage.kind, stage.reads) for stage in draft.stages()}


def test_config_init_proposes_models_by_their_lineage(client: DbtClient, target: Path) -> None:
    assert proposed(client) == {
        "broken": ("dbt_model", ["by_logger"]),
        "inc": ("dbt_model", ["by_logger"]),
        "after_broken": ("dbt_model", ["broken"]),
        "by_logger": ("dbt_model", ["bronze.readings"]),
        "bronze.readings": ("dbt_source", []),
    }
    changed(target, "manifest.json", lambda m: m["nodes"]["model.dbt_try.broken"].update(relation_name=None))
    assert proposed(client)["after_broken"] == ("dbt_model", ["by_logger"]), "an ephemeral model is part of its reader"


def test_config_init_links_models_with_the_tables_that_they_read_and_write(client: DbtClient) -> None:
    draft = Draft()
    draft.add("lake/main.readings", {"name": "main.readings", "kind": "iceberg_table", "table": "main.readings"})
    draft.add("lake/main.inc", {"name": "main.inc", "kind": "iceberg_table", "table": "main.inc"})
    found = proposed(client, draft)
    assert found["by_logger"] == ("dbt_model", ["main.readings"])
    assert found["main.inc"] == ("iceberg_table", ["inc"])
    assert "bronze.readings" not in found
    (written,) = (stage for stage in draft.stages() if stage.name == "main.inc")
    assert written.remarks == ["The dbt model inc writes it. Set lag_ok and stall_after to match the model's schedule."]


class Coordinator:
    """A Trino with two tables."""

    def fetch(self, statement: str, _within: float) -> list[tuple[str]]:
        return [("lake",)] if statement == "SHOW CATALOGS" else [("main.readings",), ("main.inc",)]


def test_config_init_proposes_a_trino_view_of_a_table_that_no_model_reads(client: DbtClient) -> None:
    draft = Draft()
    for name in ("main.readings", "main.inc"):
        draft.add(f"lake/{name}", {"name": name, "kind": "iceberg_table", "table": name})
    next(draft.stages()).reads.append("sink")
    clients = Clients(dbt=client, trino=Coordinator())
    for system in sorted((TRINO, SYSTEM), key=lambda system: system.discovery_turn):
        assert system.discover is not None
        system.discover(draft, clients)
    assert [(view.name, view.reads) for view in draft.stages("trino_view")] == [("trino.main.inc", ["main.inc"])]


def test_config_init_says_what_it_could_not_read(client: DbtClient, target: Path) -> None:
    draft = Draft()
    (target / "manifest.json").write_text("{}")
    assert proposed(client, draft) == {}
    assert draft.failures[0].startswith(f"dbt {target}: manifest.json has a field that is missing: metadata")
    gone = DbtClient("dbt", DbtSettings(location=str(target / "nowhere")), 5.0)
    with pytest.raises(NotFound, match="there is nothing at this location"):
        observe_dbt(gone)
