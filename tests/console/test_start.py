"""How the console is started: what is wrong is one line, and a recording needs no settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.test_recorder import looks, record

from dataops_tui.__main__ import main


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where there are no settings, and no terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAOPS_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no settings file found"),
        (["--replay", "nowhere.sqlite"], "there is no recording at nowhere.sqlite"),
        (["--replay", __file__], "is not a recording"),
        (["r.sqlite"], "r.sqlite needs --replay: dataops-tui --replay r.sqlite"),
        (["--replay", "r.sqlite"], "there is no terminal; run `dataops probe` instead"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    recorder = record(Path("r.sqlite"))
    recorder.write(next(looks(1)))
    recorder.close()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_key_is_drawn_with_the_next_of_120_frames_a_second() -> None:
    said = "import dataops_tui.__main__; from textual.screen import UPDATE_PERIOD; print(round(1 / UPDATE_PERIOD))"
    own = {name: value for name, value in os.environ.items() if name != "TEXTUAL_FPS"}
    for set_by_the_user, frames in ({}, "120"), ({"TEXTUAL_FPS": "30"}, "30"):
        shown = subprocess.check_output([sys.executable, "-c", said], env={**own, **set_by_the_user}, text=True)
        assert shown.strip() == frames
