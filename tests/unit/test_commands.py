"""Stages that are observed by a program: JSON, Nagios plug-ins, deadlines, limits, and what is not shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataops_core.bounded import Malformed
from dataops_core.diagnostics.doctor import diagnose
from dataops_core.errors import BadAnswer, ConfigError, DataopsError, TimedOut
from dataops_core.health.model import StageState
from dataops_core.health.observation import Observation
from dataops_core.monitor import Monitor
from dataops_core.systems.clients import Clients
from dataops_core.systems.command.nagios import read_plugin
from dataops_core.systems.registry import find_problems, load_settings
from dataops_exporter.collector import ServedSnapshot, snapshot_samples

pytestmark = pytest.mark.programs

SECRET = "S3CR3T-VALUE"
CONFIG = """
[contexts.here]
[pipelines.billing]
context = "here"
[[pipelines.billing.stages]]
name = "export"
kind = "command"
command = {command}
progress_time = "at"
lag_records = "waiting"
{more}
"""
NAGIOS = """
[contexts.here]
[pipelines.billing]
context = "here"
[[pipelines.billing.stages]]
name = "export"
kind = "command"
output = "nagios"
command = {command}
data_age = "perfdata.age.value"
lag_records = "perfdata.\\"rows waiting\\".value"
"""


def written(tmp_path: Path, program: str, *, template: str = CONFIG, more: str = "") -> Path:
    script = tmp_path / "program.py"
    script.write_text(program)
    path = tmp_path / "dataops.toml"
    path.write_text(template.format(command=json.dumps([sys.executable, "-S", str(script)]), more=more))
    return path


def observed(path: Path) -> Observation:
    settings = load_settings(path)
    return Clients(settings.contexts["here"], 5.0).observe(settings.pipelines["billing"].stages[0])


def test_json_is_read(tmp_path: Path) -> None:
    seen = observed(written(tmp_path, """print('{"at": "2026-01-05T08:00:00Z", "waiting": 7}')"""))
    assert seen.progress_time == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert seen.lag_records == 7
    assert seen.measurement("exit_code") == 0


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("raise SystemExit(3)", "command program: ended with 3"),
        ("import sys; sys.exit('no connection')", "command program: ended with 1: no connection"),
        ("import os; os.kill(os.getpid(), 15)", "command program: ended by signal 15"),
        ("print('hello')", "command program: its output is not JSON"),
        ("", "command program: its output is not JSON"),
        ("print('[' * 5000)", "command program: its output is nested deeper"),
        ("import os; os.write(1, b'x' * 2_000_000)", "command program: writes more than 1,048,576 bytes"),
        ("import os; os.write(2, b'x' * 2_000_000)", "command program: writes more than 1,048,576 bytes"),
    ],
)
def test_each_failure_is_one_line(tmp_path: Path, program: str, error: str) -> None:
    path = written(tmp_path, program)
    (tmp_path / "program").symlink_to(sys.executable)
    path.write_text(path.read_text().replace(sys.executable, str(tmp_path / "program")))
    with pytest.raises(BadAnswer) as caught:
        observed(path)
    assert str(caught.value).startswith(error)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(60)",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "import os, time; os.close(1); os.close(2); time.sleep(60)",
        "import time, sys\nwhile True:\n    print('.', flush=True); time.sleep(0.05)",
    ],
    ids=["silent", "ignores SIGTERM", "closes its output", "a little at a time"],
)
def test_a_program_without_an_end_is_killed_at_its_deadline(tmp_path: Path, program: str) -> None:
    path = written(tmp_path, program, more="deadline = 1")
    began = time.monotonic()
    with pytest.raises(TimedOut, match="did not end within 1s, and was killed"):
        observed(path)
    assert time.monotonic() - began < 20


def test_its_children_are_killed_too(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = f"""
import os, time, pathlib
if os.fork() == 0:
    pathlib.Path({str(child)!r}).write_text(str(os.getpid()))
    time.sleep(60)
else:
    while not pathlib.Path({str(child)!r}).exists(): time.sleep(0.01)
    print('{{}}')
"""
    with pytest.raises(TimedOut):  # the child holds the output
        observed(written(tmp_path, program, more="deadline = 2"))
    pid = int(child.read_text())
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child lives on")


def test_a_program_that_is_missing_is_an_error_of_the_settings(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.write_text(path.read_text().replace(sys.executable, "/no/such/program"))
    with pytest.raises(ConfigError, match="command program: cannot be started: no such file or directory"):
        observed(path)


def test_the_environment_is_its_own_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "ours")
    monkeypatch.setenv("BILLING_KEY", SECRET)
    more = 'environment = { KEY = "${BILLING_KEY}", OTHER = "' + SECRET + '2" }'
    program = "import os, sys; sys.exit('KAFKA_PASSWORD' in os.environ and 'leak' or 'bad key ' + os.environ['KEY'])"
    path = written(tmp_path, program, more=more)
    with pytest.raises(BadAnswer) as caught:
        observed(path)
    assert str(caught.value).endswith("ended with 1: bad key ***")
    settings = load_settings(path)
    assert SECRET not in repr(settings)
    shown = subprocess.run(
        [sys.executable, "-c", "from dataops_core.cli import run; run()", "--config", str(path), "config", "show"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert SECRET not in shown.stdout
    assert 'KEY = "${BILLING_KEY}", OTHER = "***"' in shown.stdout


def test_a_plug_in_is_read(tmp_path: Path) -> None:
    output = "BILLING OK - fine | age=90500ms;600;1200;0; 'rows waiting'=4\\nmore | other=1"
    seen = observed(written(tmp_path, f"print('''{output}''')", template=NAGIOS))
    assert seen.lag_records == 4
    assert seen.progress_time is not None
    assert 90 < (seen.observed_at - seen.progress_time).total_seconds() < 91
    assert seen.attribute("plugin_state") == "OK"
    assert seen.notes[0] == "BILLING OK - fine"


@pytest.mark.parametrize(
    ("code", "state", "check"),
    [
        (0, StageState.CAUGHT_UP, None),
        (1, StageState.CAUGHT_UP, "plugin-warning"),
        (2, StageState.FAILED, "plugin-critical"),
    ],
)
def test_exit_codes_are_findings(tmp_path: Path, code: int, state: StageState, check: str | None) -> None:
    program = f"print('BILLING - late | age=1s'); raise SystemExit({code})"
    settings = load_settings(written(tmp_path, program, template=NAGIOS))
    monitor = Monitor(settings)
    snapshot = monitor.once()
    (stage,) = snapshot.pipelines[0].stages
    assert stage.state is state
    assert [finding.check for finding in stage.findings] == ([check] if check else [])
    samples = snapshot_samples(ServedSnapshot(snapshot, monitor.pipelines, settings.exporter, timedelta(1)))
    assert ("exit_code", float(code)) in [
        (labels[3], value) for m, labels, value in samples if m.name == "dataops_stage_figure"
    ]


@pytest.mark.parametrize("code", [3, 4, 127])
def test_other_exit_codes_are_unknown(tmp_path: Path, code: int) -> None:
    program = f"print('BILLING UNKNOWN - no route'); raise SystemExit({code})"
    settings = load_settings(written(tmp_path, program, template=NAGIOS))
    (stage,) = Monitor(settings).once().pipelines[0].stages
    assert stage.state is StageState.UNKNOWN
    assert stage.error is not None
    assert stage.error.endswith(f"ended with {code}, so the state is unknown: BILLING UNKNOWN - no route")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("OK", {}),
        ("OK | a=1 b=2.5%;;;0;100", {"a": (1.0, "", {}), "b": (2.5, "%", {"min": "0", "max": "100"})}),
        ("OK | 'it''s'=3us", {"it's": (3e-6, "s", {})}),
        ("OK | a=U b=,5s c=1e3c", {"a": (None, "", {}), "b": (0.5, "s", {}), "c": (1000.0, "c", {})}),
    ],
)
def test_perfdata(text: str, expected: dict[str, Any]) -> None:
    read = read_plugin(0, text)["perfdata"]
    limits = {
        name: {key: item[key] for key in ("warn", "crit", "min", "max") if item.get(key)} for name, item in read.items()
    }
    assert {name: (item["value"], item["unit"], limits[name]) for name, item in read.items()} == expected


@pytest.mark.parametrize("text", ["OK | a", "OK | =1", "OK | 'a=1", "OK | a=1;1;1;1;1;1", "OK | " + "a=1 " * 2000])
def test_perfdata_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        read_plugin(0, text)


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_output_breaks_the_reader(text: str, perfdata: str) -> None:
    try:
        document = read_plugin(0, f"{text}|{perfdata}")
    except Malformed:
        return
    assert set(document) == {"exit_code", "state", "text", "long_text", "perfdata"}


def test_perfdata_is_read_in_linear_time() -> None:
    began = time.monotonic()
    for hostile in (
        "'" * 200_000,
        "a" * 200_000,
        "'a" * 100_000,
        " " * 200_000,
        "a=" + "1" * 200_000,
        "a=1" + ";" * 200_000,
    ):
        with suppress(Malformed):
            read_plugin(0, f"OK | {hostile}")
    assert time.monotonic() - began < 10


def test_the_doctor_says_how_long_it_ran_and_what_it_finds(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, """print('{"at": "2026-01-05T08:00:00Z"}')"""))
    (stage,) = diagnose(settings.contexts["here"], settings.pipelines, 10.0)
    details = [step.detail for step in stage.steps]
    assert any("ran for" in detail for detail in details)
    assert "lag_records: the expression matches nothing" in details


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('progress_time = "at"', 'progress_time = "at["', ".progress_time: is not a JMESPath expression"),
        (
            'lag_records = "waiting"',
            'labels = { exit_code = "a" }',
            '.labels: "exit_code": the stage already has a value',
        ),
        ("command = [", "command = []\nx = [", "at least 1 item"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, before: str, after: str, problem: str) -> None:
    path = written(tmp_path, "")
    path.write_text(path.read_text().replace(before, after, 1))
    assert any(problem in line for line in find_problems(path)), find_problems(path)


def test_a_program_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    program = """import os; print('{"at": "2026-01-05T08:00:00Z", "waiting": %d}' % os.getcwd().endswith('there'))"""
    assert observed(written(tmp_path, program, more='folder = "there"')).lag_records == 1
    with pytest.raises(DataopsError, match="cannot be started"):
        observed(written(tmp_path, program, more='folder = "missing"'))
