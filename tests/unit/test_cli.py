"""The command line: exit codes, standard output for data only, one line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from tests.orders import healthy, now, see, stuck
from tests.settings import Settings
from tests.trino_server import Script, TrinoServer
from tests.unit.test_monitor import wait_for

from dataops_core.cli import app as cli
from dataops_core.cli import probe
from dataops_core.cli.invocation import Invocation
from dataops_core.cli.options import names_of
from dataops_core.config import RecorderSettings
from dataops_core.health.model import ComponentHealth, Finding, HealthSnapshot, Remedy, Severity, Status
from dataops_core.health.observation import ProbeResult
from dataops_core.monitor import Monitor, Probe, _Runner
from dataops_core.recorder.recorder import Recorder
from dataops_core.systems.base import ComponentReport
from dataops_core.systems.spark.details import QueryDetails

CONFIG = """
probe_timeout = 3
[contexts.c.kafka]
bootstrap_servers = "127.0.0.1:{port}"
[contexts.c.airflow]
url = "http://127.0.0.1:{port}"
username = "me"
password = "hunter2"
[contexts.c.trino]
url = "http://127.0.0.1:{port}"
[contexts.c.catalogs.lake.properties]
type = "rest"
uri = "http://127.0.0.1:{port}"
credential = "id:hunter2"
[contexts.frozen]
read_only = true
trino = {{ url = "http://127.0.0.1:{port}" }}
airflow = {{ url = "http://127.0.0.1:{port}" }}
[pipelines.p]
context = "c"
[[pipelines.p.stages]]
name = "orders"
kind = "topic"
topic = "orders"
[[pipelines.p.stages]]
name = "view"
kind = "trino_view"
relation = "a.b.c"
reads = ["orders"]
"""
TOP = 'default_context = "c"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return settings whose components all refuse connections."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "dataops.toml"
    path.write_text(TOP + CONFIG.format(port=port))
    return path


def run(config: Path, *arguments: str) -> int:
    return cli.main(["--config", str(config), *arguments])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(
    ("snapshot", "code"),
    [
        (see(healthy(now()), now()), 0),
        (stuck(), 2),
        (see({**healthy(now()), "view": "refused"}, now(), down={"trino": "refused"}), 3),
    ],
)
def test_probe_ends_with_the_status(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: HealthSnapshot,
    code: int,
) -> None:
    monkeypatch.setattr("dataops_core.monitor.Monitor", lambda *_: SimpleNamespace(once=lambda **_: snapshot))
    assert run(config, "probe") == code
    text = capsys.readouterr().out
    for stage in snapshot.pipelines[0].stages:
        assert stage.name in text
    assert run(config, "probe", "-o", "json") == code
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert told["pipelines"][0]["verdict"]["status"] == ["ok", "warning", "critical", "unknown"][code]


@pytest.mark.programs
def test_probe_of_components_that_are_down_is_unknown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "probe") == 3
    text = capsys.readouterr().out
    assert text.count("? unknown") == 2
    assert text.count("✖ unavailable") == 4
    assert "● caught up" not in text
    assert "hunter2" not in text


def test_probe_without_settings_or_with_an_unknown_pipeline_is_unknown(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, "probe", "q") == 3
    assert 'there is no pipeline "q"' in one_line(capsys)
    assert run(config.parent / "none.toml", "probe") == 3
    assert "no such file" in one_line(capsys)


def test_a_component_that_is_down_ends_with_3(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "sql", "SELECT 1") == 3
    assert "cannot be reached: Connection refused" in one_line(capsys)
    assert run(config, "dag", "list") == 3
    assert "cannot be reached: Connection refused" in one_line(capsys)
    assert run(config, "dag", "trigger", "d", "--yes") == 3
    assert "cannot be reached: Connection refused" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sql", "DELETE FROM t"], 2, 'confirm with "yes"'),
        (["dag", "trigger", "d"], 2, 'confirm with "yes"'),
        (["--context", "frozen", "sql", "DROP TABLE t", "--yes"], 2, "read-only"),
        (["--context", "frozen", "dag", "trigger", "d", "--yes"], 2, "read-only"),
        (["sql", "SELECT 1; SELECT 2"], 2, "more than one statement"),
        (["sql"], 2, "statement"),
        (["sql", "--file", "/nowhere.sql"], 2, "/nowhere.sql"),
        (["dag", "trigger", "d", "--conf", "[1]", "--yes"], 2, "JSON object"),
        (["--context", "d", "dag", "list"], 2, 'no context "d"'),
        (["frobnicate"], 2, "No such command"),
        (["sql", "--output", "xml", "SELECT 1"], 2, "xml"),
    ],
)
def test_wrong_use_and_refusals_end_with_2(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(config, *arguments) == code
    assert said in one_line(capsys)


@pytest.mark.programs
@pytest.mark.parametrize("program", ["dataops_core.cli.app", "dataops_tui.__main__", "dataops_exporter.__main__"])
@pytest.mark.parametrize(("hangs", "said"), [(True, "all told\n"), (False, "all told\ntaken down\n")])
def test_a_thread_that_hangs_changes_nothing_of_the_end(program: str, hangs: bool, said: str) -> None:
    code = f"""
import atexit, sys, threading
import {program} as app

def main():
    if {hangs}:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.stdout.write("all told\\n")
    return 3

atexit.register(print, "taken down")  # Python takes itself down only where nothing hangs in a library
app.main = main
app.run()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, said, "")


@pytest.mark.programs
def test_it_records_until_it_is_told_to_stop_and_reports(config: Path, tmp_path: Path) -> None:
    start = [sys.executable, "-c", "from dataops_core.cli import run; run()"]
    program = [*start, "--config", str(config)]
    env = {**os.environ, "DATAOPS_REFRESH": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    file = tmp_path / "state/dataops/recordings/c.sqlite"
    with subprocess.Popen([*program, "record"], stderr=subprocess.PIPE, text=True, env=env) as recorder:
        try:
            assert recorder.stderr is not None
            assert recorder.stderr.readline() == f"recording into {file}; ctrl+c stops\n"
            assert "p: unknown:" in recorder.stderr.readline()
            second = subprocess.run([*program, "record"], capture_output=True, text=True, env=env, check=False)
            assert (second.returncode, second.stdout) == (2, "")
            assert second.stderr == f"dataops: process {recorder.pid} already records into {file}\n"
            recorder.send_signal(signal.SIGINT)
            said = recorder.stderr.read()
            assert recorder.wait(30) == 0
        finally:
            recorder.kill()
    assert f"health snapshots are in {file}" in said
    assert "Traceback" not in said

    def out(*arguments: str) -> str:
        done = subprocess.run([*program, "report", *arguments], capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1 incident." in out("--since", "1h")
    told = json.loads(out("-o", "json", "--save", str(tmp_path / "part.sqlite")))
    assert told["incidents"][0]["worst"] == "unknown"
    program = start  # a recording alone needs no settings
    assert json.loads(out("-o", "json", "-f", str(tmp_path / "part.sqlite")))["snapshots"] == told["snapshots"]
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "there is no recording at"),
        (["report", "--file", "/nowhere/r.sqlite"], "there is no recording at /nowhere/r.sqlite"),
        (["report", "--file", __file__], "is not a recording"),
        (["record", "--file", "/proc/r.sqlite"], "/proc/r.sqlite.lock cannot be written"),
    ],
)
def test_what_cannot_be_recorded_or_reported_ends_with_2(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(config, *arguments) == 2
    assert said in one_line(capsys)


def test_a_time_that_is_none_is_said(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.sqlite", "c", {}, 5, RecorderSettings())
    recorder.write(stuck())
    recorder.close()
    assert run(config, "report", "--file", str(tmp_path / "r.sqlite"), "--since", "soon") == 2
    assert '--since: "soon" is not a time; write 2h' in one_line(capsys)


class Rows:
    """A statement that has run."""

    columns = (("id", "bigint"), ("name", "varchar"))
    query_id = "q"
    update_type = None
    update_count = None
    cancelled = False

    def batches(self) -> Any:
        yield [(1, "a,b"), (2, None)]

    def stop(self, within: float = 3.0) -> None:
        pass


def test_rows_are_written_in_each_form(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dataops_core.systems.trino.client.TrinoClient.query", lambda *_: Rows())

    def out(form: str) -> str:
        assert run(config, "sql", "-o", form, "SELECT * FROM t") == 0
        return capsys.readouterr().out

    assert json.loads(out("json")) == [{"id": 1, "name": "a,b"}, {"id": 2, "name": None}]
    assert [json.loads(line) for line in out("jsonl").splitlines()] == json.loads(out("json"))
    assert list(csv.reader(io.StringIO(out("csv")))) == [["id", "name"], ["1", "a,b"], ["2", ""]]
    table = out("table")
    assert "a,b" in table
    assert "NULL" in table
    monkeypatch.setattr(Rows, "batches", lambda _: iter(()))
    assert run(config, "sql", "SELECT * FROM t") == 0
    assert capsys.readouterr().err.endswith("no rows\n")


def test_settings_are_validated_and_shown_without_secrets(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + '\n[exporter.topics]\ndeny = ["__.*"]\n')
    assert run(config, "config", "validate") == 0
    assert "valid; contexts: c, frozen; pipelines: p" in capsys.readouterr().out
    assert run(config, "config", "show") == 0
    shown = capsys.readouterr().out
    assert "hunter2" not in shown
    assert tomllib.loads(shown)["contexts"]["c"]["airflow"]["password"] == "***"
    assert tomllib.loads(shown)["exporter"]["topics"]["deny"] == ["__.*"]
    config.write_text(config.read_text().replace('kind = "topic"', 'kind = "topc"').replace("a.b.c", "a"))
    assert run(config, "config", "validate") == 1
    assert capsys.readouterr().err.count("\n") >= 1


def test_the_audit_is_verified(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(config, "sql", "DELETE FROM t")
    run(config, "sql", "SELECT 1; SELECT 2")
    run(config, "dag", "trigger", "d")
    capsys.readouterr()
    assert run(config, "audit", "verify") == 0
    assert "3 lines" in capsys.readouterr().out
    (audit,) = (tmp_path / "state").rglob("*.jsonl")
    audit.write_text(audit.read_text().replace("DELETE", "SELECT"))
    assert run(config, "audit", "verify") == 1
    capsys.readouterr()
    assert run(config, "audit", "verify", str(tmp_path / "none")) == 2
    one_line(capsys)


@pytest.mark.programs
def test_the_program_says_its_version_and_help_without_settings(tmp_path: Path) -> None:
    for arguments in (["--version"], ["--help"], ["probe", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "dataops_core.cli.app", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command with its path."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


ALL = dict(commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_an_example_that_is_right(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^ *Example: dataops (.*)$", ALL[path].help, re.MULTILINE)
    words = shlex.split(example)
    assert " ".join(path) in " ".join(words)
    # a command's words are all parsed before its help is printed
    assert cli.main([*words, "--help"]) == 0, capsys.readouterr().err


@pytest.mark.programs
def test_help_brings_no_client(tmp_path: Path) -> None:
    code = "import sys; from dataops_core.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    for arguments in (["--help"], ["kafka", "peek", "--help"], ["dag", "logs", "--help"], ["why", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert {"confluent_kafka", "pyiceberg", "airflow_client", "trino", "rich"}.isdisjoint(done.stderr.split())


def test_names_of_the_settings_are_completed(config: Path) -> None:
    root = typer.main.get_command(cli.app)
    with root.make_context("dataops", ["--config", str(config), "why", "x"], obj=Invocation()) as context:
        assert names_of("stage")(context, "or") == ["orders"]
        assert names_of("pipeline")(context, "") == ["p"]
        assert names_of("context")(context, "f") == ["frozen"]
    with root.make_context("dataops", ["--config", "/nowhere", "why", "x"], obj=Invocation()) as context:
        assert names_of("stage")(context, "") == []


def test_why_says_all_about_the_stage_to_blame(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = stuck()
    (pipeline,) = snapshot.pipelines
    stages = {stage.name: stage for stage in pipeline.stages}
    observation = stages["land"].observation
    assert observation is not None
    told = replace(
        observation,
        details=QueryDetails(state_bytes=4096, query_id="7f\x1b[31m"),
    )
    land = replace(
        stages["land"],
        observation=told,
        findings=(Finding("state-large", "land", Severity.WARNING, "it is large", remedy=Remedy("Trim it.", "trim")),),
    )
    pipeline = replace(pipeline, stages=tuple(land if s.name == "land" else s for s in pipeline.stages))
    monkeypatch.setattr(
        "dataops_core.monitor.Monitor",
        lambda *_: SimpleNamespace(once=lambda: replace(snapshot, pipelines=(pipeline,))),
    )
    assert run(config, "why", "p") == 2
    text = capsys.readouterr().out
    for said in (
        "CRITICAL", "land is stuck since", "(2m ago)", "lag in records: 12,345", "affected: bronze, conform",
        "$ start land", "hop lag", "state bytes", "4.0 KiB", "7f␛[31m", "land/state-large: it is large",
        "$ trim",
    ):  # fmt: skip
        assert said in text
    assert "conform  " not in text.split("affected")[1].split("\n", 1)[1], "other stages are not told of"
    assert run(config, "why", "p", "-o", "json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["pipeline"], told["verdict"]["stage"], told["stage"]["name"]) == (
        "p",
        "land",
        "land",
    )
    assert told["verdict"]["remedy"]["command"] == "start land"
    assert told["component"] is None


@pytest.mark.programs
def test_why_of_what_does_not_answer_and_of_no_pipeline(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "why", "p") == 3
    text = capsys.readouterr().out
    assert "kafka is unavailable" in text
    assert "✖ unavailable" in text
    assert "airflow" not in text
    assert run(config, "why", "q") == 3
    assert 'there is no pipeline "q"' in one_line(capsys)
    assert run(config, "why") == 3
    assert "PIPELINE" in one_line(capsys)


@pytest.mark.programs
@pytest.mark.parametrize(
    ("arguments", "code", "stages", "components"),
    [
        (["--stage", "orders"], 3, ["orders"], ["kafka"]),
        (["--stage", "view"], 3, ["orders", "view"], ["kafka", "trino"]),
        (["--component", "lake"], 2, [], ["lake"]),
        (["--component", "airflow", "--component", "trino"], 2, [], ["airflow", "trino"]),
        (["--stage", "orders", "--component", "airflow"], 3, ["orders"], ["airflow", "kafka"]),
        (["p", "--component", "trino"], 3, ["orders", "view"], ["airflow", "kafka", "lake", "trino"]),
    ],
)
def test_probe_looks_only_at_what_is_asked_for(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    stages: list[str],
    components: list[str],
) -> None:
    assert run(config, "probe", *arguments, "-o", "json") == code
    told = json.loads(capsys.readouterr().out)
    assert [stage["name"] for pipeline in told["pipelines"] for stage in pipeline["stages"]] == stages
    assert sorted(component["name"] for component in told["components"]) == components


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "order"], 'there is no stage "order"; did you mean "orders"?'),
        (["q", "--stage", "orders"], 'there is no pipeline "q"'),
        (["--component", "spark"], 'there is no component "spark"'),
        (["--watch", "--every", "0"], "--every"),
    ],
)
def test_what_is_not_there_cannot_be_probed(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(config, "probe", *arguments) == 3
    assert said in one_line(capsys)


@pytest.mark.parametrize(
    ("component", "status"),
    [
        (ComponentHealth("k", "kafka", "k:1", reachable=True), Status.OK),
        (ComponentHealth("k", "kafka", "k:1", reachable=None), Status.UNKNOWN),
        (ComponentHealth("k", "kafka", "k:1", reachable=False, error="refused"), Status.CRITICAL),
        (ComponentHealth("k", "kafka", "k:1", reachable=True, error="it is ill"), Status.CRITICAL),
        *(
            (ComponentHealth("k", "kafka", "k:1", reachable=True, findings=(Finding("c", "k", severity, "s"),)), status)
            for severity, status in (
                (Severity.CRITICAL, Status.CRITICAL),
                (Severity.WARNING, Status.WARNING),
                (Severity.ADVICE, Status.WARNING),
                (Severity.NOTE, Status.OK),
            )
        ),
    ],
)
def test_the_status_of_components_alone(component: ComponentHealth, status: Status) -> None:
    well = ComponentHealth("t", "trino", "t:1", reachable=True)
    assert probe._status_of((well, component)) is status


def test_watching_ends_with_the_status_of_the_last_look(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = [see(healthy(now()), now()), stuck()]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("dataops_core.monitor.Monitor", lambda *_: SimpleNamespace(once=lambda **_: looks.pop(0)))
    # The module's own name alone: threads of other tests sleep too, and would take a look's turn.
    monkeypatch.setattr(probe, "time", SimpleNamespace(sleep=sleep))
    assert run(config, "probe", "--watch", "--every", "7", "-o", "json") == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [look["status"] for look in told] == ["ok", "critical"]
    assert waits == [7, 7]
    looks += [stuck(), see(healthy(now()), now())]
    waits.clear()
    assert run(config, "probe", "--watch") == 0
    assert capsys.readouterr().out.count("STAGE") == 2
    assert waits == [5, 5]


def test_what_is_not_due_yet_is_left_out() -> None:
    asked: list[str] = []
    monitor = Monitor(Settings.model_validate({"contexts": {"c": {}}}))
    never = ProbeResult("stage", "t", "c", now(), 0.0, success=False)
    monitor._runners = [
        _Runner(Probe(never, lambda: asked.append("often") or ComponentReport(""), every=0.0), 5),
        _Runner(Probe(never, lambda: asked.append("seldom") or ComponentReport(""), every=3600.0), 5),
    ]
    for _ in range(2):
        monitor.once(due_only=True)
    assert sorted(asked) == ["often", "often", "seldom"]
    monitor.once()
    assert asked.count("seldom") == 2


@pytest.mark.programs
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_statement_does_not_run_on_in_the_server_when_we_are_stopped(tmp_path: Path, number: signal.Signals) -> None:
    script = Script()
    script.go.clear()
    server = TrinoServer(lambda _: script)
    config = tmp_path / "dataops.toml"
    config.write_text(f'[contexts.c.trino]\nurl = "{server.url}"\n')
    program = [sys.executable, "-c", "from dataops_core.cli import run; run()", "--config", str(config)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen([*program, "sql", "SELECT 1"], stderr=subprocess.PIPE, text=True, env=env) as running:
        try:
            wait_for(lambda: bool(server.statements))
            running.send_signal(number)
            assert running.wait(30) == 130
            assert server.cancelled
            assert running.stderr is not None
            assert running.stderr.read().endswith("dataops: interrupted\n")
        finally:
            running.kill()
            server.close()
