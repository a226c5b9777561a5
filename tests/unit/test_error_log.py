"""No command prints a traceback: an unexpected error is one line that names the log."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dataops_core import error_log
from dataops_core.cli import app as cli
from dataops_core.error_log import catch_unexpected, error_log_path, log_error


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(error_log, "_logged", {})


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def caught(error: BaseException) -> BaseException:
    with pytest.raises(type(error)) as found:
        raise error
    return found.value


def test_a_command_that_fails_unexpectedly_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("'x' \x1b[2Jnot a number")

    monkeypatch.setattr("dataops_core.cli.config._show", fail)
    monkeypatch.setattr("dataops_core.cli.why._why", lambda *_, **__: fail())
    assert cli.main(["config", "show"]) == 70
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "internal error in dataops config (TypeError at " in shown.err
    assert str(error_log_path()) in shown.err
    assert "not a number" not in shown.err
    text = error_log_path().read_text()
    assert "Traceback (most recent call last)" in text
    assert "\x1b" not in text
    assert error_log_path().stat().st_mode & 0o777 == 0o600
    assert cli.main(["why", "p"]) == 3  # its exit code is a status: unknown


def test_an_interrupt_outside_of_a_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dataops_core.cli.config._show", interrupt)
    assert cli.main(["config", "show"]) == 130


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    line = log_error(caught(ValueError("x")), "here")
    assert "\n" not in line
    assert "cannot be written" in line


def test_the_log_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_log, "MAX_BYTES", 100_000)
    monkeypatch.setattr(error_log, "REPEAT_AFTER", 0.0)
    for _ in range(10):
        log_error(caught(ValueError("x" * 10_000_000)), "here")
    files = list(error_log_path().parent.iterdir())
    assert {file.name for file in files} == {"errors.log", "errors.log.1"}
    assert all(file.stat().st_size < 200_000 for file in files)


def test_endless_recursion_and_an_error_without_text_can_be_logged() -> None:
    def deeper(level: int) -> int:
        return deeper(level + 1) + 1

    with pytest.raises(RecursionError) as found:
        deeper(0)
    assert "RecursionError" in log_error(found.value, "here")
    assert "Unprintable" in log_error(caught(Unprintable()), "here")
    text = error_log_path().read_text()
    assert text.count("in deeper") <= error_log.MAX_FRAMES


def test_a_thread_that_fails_prints_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    before = threading.excepthook
    with catch_unexpected(shown.append):
        thread = threading.Thread(target=fail, name="refresh")
        thread.start()
        thread.join()
    assert threading.excepthook is before
    (line,) = shown
    assert "thread refresh" in line
    assert "Traceback" not in capsys.readouterr().err
    assert "ZeroDivisionError" in error_log_path().read_text()


def test_the_program_itself_prints_no_traceback(tmp_path: Path) -> None:
    code = """
import sys, threading
from dataops_core.cli import app
from dataops_core.cli import config as settings
class Odd:
    def __del__(self):
        raise ValueError("finalizer")
def fail(*_):
    Odd()
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    raise RecursionError("deep")
settings._show = fail
sys.argv = ["dataops", "config", "show"]
app.run()
"""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 70
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 2
    text = error_log_path().read_text()
    assert text.count("Traceback") == 3
