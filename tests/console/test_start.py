"""How the console is started: what is wrong is one line, and a recording needs no settings."""

from __future__ import annotations

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
        ([], "there is no settings file"),
        (["--replay", "nowhere.sqlite"], "there is no recording at nowhere.sqlite"),
        (["--replay", __file__], "is not a recording"),
        (["r.sqlite"], "r.sqlite is a recording to replay: dataops-tui --replay r.sqlite"),
        (["--replay", "r.sqlite"], "there is no terminal here"),
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
