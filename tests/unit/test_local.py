"""The local stack without its components: layout, checks before the start, downloads, processes."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from rich.console import Console
from tests.ports import free_base

from dataops_core.systems.registry import find_problems, load_settings
from dataops_local import components, preflight
from dataops_local.console_config import write_config
from dataops_local.display import Display
from dataops_local.errors import LocalError
from dataops_local.layout import OFFSETS, ROOT, Layout, cluster_id
from dataops_local.stack import Stack
from dataops_local.step_durations import TYPICAL, StepDurations
from dataops_local.supervisor import Program, Supervisor


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "state", free_base(OFFSETS.values()))


def run(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dataops_local", "--state", str(state), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "deploy/local"},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_ports_do_not_clash() -> None:
    assert len(set(OFFSETS.values())) == len(OFFSETS)


def test_secrets_are_random_kept_and_private(layout: Layout, tmp_path: Path) -> None:
    secret = layout.secret("s3-key")
    assert len(secret) == 64
    assert layout.secret("s3-key") == secret
    assert layout.secret("s3-secret") != secret
    assert Layout(tmp_path / "other", 1).secret("s3-key") != secret
    assert stat.S_IMODE(layout.secret_file("s3-key").stat().st_mode) == 0o600
    assert stat.S_IMODE((layout.state / "secrets").stat().st_mode) == 0o700
    assert len(cluster_id()) == 22


def test_a_long_path_does_not_break_the_socket(tmp_path: Path) -> None:
    deep = Layout(tmp_path / ("x" * 90), 1)
    assert len(str(deep.socket)) <= 100
    assert deep.socket != Layout(tmp_path / ("y" * 90), 1).socket


def test_the_console_s_settings_are_valid_and_hold_no_secret(layout: Layout) -> None:
    path = write_config(layout)
    assert find_problems(path) == ()
    text = path.read_text()
    for name in ("s3-key", "s3-secret", "airflow-password"):
        assert layout.secret(name) not in text
    settings = load_settings(path)
    assert settings.recorder.folder == str(layout.state / "recordings"), "each stack has a recording of its own"
    canary = settings.pipelines["boreal-bridge"].canary
    assert canary is not None
    transforms = (ROOT / "pipeline/dataops_pipeline/transforms/readings.py").read_text()  # without starting Spark
    assert f'\nCANARY = "{canary.mark}"\n' in transforms, "what the pipeline leaves out is what the console sends"
    stages = settings.pipelines["boreal-bridge"].stages
    assert (stages[0].name, stages[-1].name) == ("logger-readings", "silver.excursions")
    remedy = next(stage.remedy for stage in stages if stage.remedy)
    assert remedy == f"make start NAME=land_readings STATE={layout.state} PORT_BASE={layout.port_base}"
    assert "\nstart:" in (ROOT / "Makefile").read_text()


def test_every_program_listens_on_this_machine_only(layout: Layout) -> None:
    for program in components.programs(layout):
        command = " ".join(program.argv)
        assert "0.0.0.0" not in command
    broker = (layout.state / "kafka" / "server.properties").read_text()
    assert "PLAINTEXT://127.0.0.1" in broker
    assert "catalog.management=static" in (layout.state / "trino/etc/config.properties").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("psutil.virtual_memory", lambda: SimpleNamespace(available=1e9)),
            "1.0 GB of memory is free",
        ),
        (("shutil.disk_usage", lambda _: SimpleNamespace(free=1e8)), "0.1 GB is free where"),
        (("sys.platform", "darwin"), "runs on Linux only"),
    ],
)
def test_a_machine_that_is_too_small_is_one_line(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, change: tuple[str, object], said: str
) -> None:
    layout.state.mkdir()
    monkeypatch.setattr(f"dataops_local.preflight.{change[0]}", change[1])
    with pytest.raises(LocalError, match=said):
        preflight.check(layout)


def test_a_port_in_use_names_port_program_and_mend(layout: Layout) -> None:
    layout.state.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", layout.port("trino")))
        taken.listen()
        with pytest.raises(LocalError) as caught:
            preflight.check(layout)
    line = str(caught.value)
    assert f"port {layout.port('trino')}, which trino needs, is in use by" in line
    assert f"(pid {os.getpid()})" in line
    assert "--port-base" in line


def test_a_java_that_does_not_start_is_one_line(layout: Layout) -> None:
    layout.state.mkdir()
    broken = Layout(layout.state, layout.port_base)
    broken.__dict__["java"] = "/nowhere/java"
    with pytest.raises(LocalError, match=r"Java does not start \(/nowhere/java: No such file.*run `make install`"):
        preflight.check(broken)


@pytest.mark.programs
def test_commands_without_a_stack_say_so(tmp_path: Path) -> None:
    done = run("status", state=tmp_path)
    assert done.returncode == 1
    assert "not running" in done.stdout
    assert run("down", state=tmp_path).stdout.strip() == "nothing was running"
    for arguments in (["stop", "kafka"], ["logs", "kafka"]):
        done = run(*arguments, state=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.programs
def test_programs_end_with_their_supervisor_also_when_it_is_killed(layout: Layout) -> None:
    layout.state.mkdir()
    supervisor = Supervisor(layout)
    sleeper = Program("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), {})
    conf = supervisor.configure([sleeper])
    supervisor.launch(conf, tied=False)
    try:
        supervisor.start("sleeper")
        wait_for(lambda: supervisor.states()["sleeper"]["statename"] == "RUNNING")
        pid = int((layout.state / "pids" / "sleeper").read_text())
        os.kill(int(supervisor.pid_file.read_text()), 9)
        wait_for(lambda: not running(pid))
        assert not supervisor.is_running()
        assert supervisor.sweep() == []
    finally:
        supervisor.shutdown()


@pytest.mark.programs
def test_a_supervisor_that_does_not_stop_in_time_is_ended_with_its_programs(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.state.mkdir()
    supervisor = Supervisor(layout)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    supervisor.launch(supervisor.configure([Program("stubborn", (sys.executable, "-c", code), {})]), tied=False)
    number = int(supervisor.pid_file.read_text())
    try:
        supervisor.start("stubborn")
        wait_for(lambda: supervisor.states()["stubborn"]["statename"] == "RUNNING")
        pid = int((layout.state / "pids" / "stubborn").read_text())
        monkeypatch.setattr("dataops_local.supervisor.STOP_SECONDS", 1)
        monkeypatch.setattr("dataops_local.supervisor.SPARE_SECONDS", 0)
    finally:
        supervisor.shutdown()
    wait_for(lambda: not running(pid))
    assert not running(number)


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(good: object) -> None:
    assert callable(good)
    deadline = time.monotonic() + 30
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_start_says_what_it_waits_for_and_how_long_that_usually_takes(tmp_path: Path) -> None:
    said = io.StringIO()
    usual = StepDurations(tmp_path / "usual.json")
    display = Display(Console(file=said, width=60), usual.seconds)
    display.update("trino", "waiting", "waits for kafka")
    assert said.getvalue() == ""
    display.update("trino", "starting")
    assert "trino: starting (usually 12s)" in said.getvalue()
    display.update("odd", "starting")
    assert display.waiting_for() == "waiting for trino for 0s (usually 12s), odd for 0s"
    display._reminded -= 60
    display.update("trino", "starting")
    assert said.getvalue().splitlines()[-1].endswith("waiting for trino for 0s (usually 12s), odd for 0s")
    display.update("trino", "ready")
    assert set(display.took()) == {"trino"}


def test_what_is_usual_comes_from_the_last_starts(tmp_path: Path) -> None:
    path = tmp_path / "usual.json"
    for seconds in (90.0, 20.0, 21.0, 22.0, 23.0, 24.0):
        StepDurations(path).remember({"trino": seconds})
    assert StepDurations(path).seconds("trino") == 22
    assert StepDurations(path).seconds("kafka") == 4, "as measured, where this stack has not started it yet"
    assert StepDurations(path).seconds("no such step") is None
    for broken in ("", "[]", '{"trino": 3}', '{"trino": ["x"]}'):
        path.write_text(broken)
        assert StepDurations(path).seconds("trino") == 12


def test_each_step_of_a_start_has_its_usual_time(layout: Layout) -> None:
    layout.state.mkdir()
    programs = [*components.programs(layout), Program("prometheus", ("prometheus",), {})]
    steps = Stack(layout, Console())._steps(programs)
    assert {step.name for step in steps} == set(TYPICAL)
    without = [program for program in programs if not program.name.startswith("airflow")]
    left = {step.name for step in Stack(layout, Console())._steps(without)}
    assert not {name for name in left if name.startswith("airflow")}, "nothing of Airflow is tried without it"
