"""The command line: exit codes, standard output for data only, one line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.orders import healthy, now, see, stuck

from dataops_core.cli import app as cli
from dataops_core.cli import probing
from dataops_core.config import RecorderSettings
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.recorder import Recorder

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
    monkeypatch.setattr(probing, "Monitor", lambda *_: SimpleNamespace(once=lambda: snapshot))
    assert run(config, "probe") == code
    text = capsys.readouterr().out
    for stage in snapshot.pipelines[0].stages:
        assert stage.name in text
    assert run(config, "probe", "-o", "json") == code
    told = json.loads(capsys.readouterr().out)
    assert told["schema_version"] == 1
    assert told["pipelines"][0]["verdict"]["status"] == ["ok", "warning", "critical", "unknown"][code]


def test_probe_of_components_that_are_down_is_unknown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "probe") == 3
    text = capsys.readouterr().out
    assert text.count("? unknown") == 2
    assert text.count("✖ does not answer") == 4
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


def test_it_records_until_it_is_told_to_stop_and_reports(config: Path, tmp_path: Path) -> None:
    start = [sys.executable, "-c", "import sys; from dataops_core.cli import main; sys.exit(main())"]
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
            assert second.stderr == f"dataops: process {recorder.pid} records into {file} already\n"
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
    assert '--since: "soon" is no time; write 2h' in one_line(capsys)


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
    monkeypatch.setattr("dataops_core.clients.trino.TrinoClient.query", lambda *_: Rows())

    def out(form: str) -> str:
        assert run(config, "sql", "-o", form, "SELECT * FROM t") == 0
        return capsys.readouterr().out

    assert json.loads(out("json")) == [{"id": 1, "name": "a,b"}, {"id": 2, "name": None}]
    assert [json.loads(line) for line in out("jsonl").splitlines()] == json.loads(out("json"))
    assert list(csv.reader(io.StringIO(out("csv")))) == [["id", "name"], ["1", "a,b"], ["2", ""]]
    table = out("table")
    assert "a,b" in table
    assert "NULL" in table


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
