"""`make monkey` for some seconds on the shipped recording, and on programs that break as a console must not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.bench import monkey
from tests.bench.monkey import Broken, Monkey

pytestmark = [pytest.mark.programs, pytest.mark.timeout(600)]

SHOWN = "import sys, time, os; sys.stdout.write('dataops-tui'); sys.stdout.flush(); time.sleep(1);"
FAULT = """
folder = os.environ["XDG_STATE_HOME"] + "/dataops"
os.mkdir(folder)
open(folder + "/errors.log", "w").write("KeyError")
"""


def pressing(tmp_path: Path, argv: list[str]) -> Monkey:
    env = {f"XDG_{name}_HOME": str(tmp_path) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    return Monkey([sys.executable, *argv], 7, env)


def test_the_console_stands_some_seconds_on_the_shipped_recording(tmp_path: Path) -> None:
    found = pressing(tmp_path, ["-m", "dataops_tui", "--replay"])
    found.run(5)
    assert found.counts["sessions"] == 1
    assert found.counts["steps"] >= 10 or found.counts["left by a key"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("time.sleep(60)", "no answer to F1 within 1 s"),
        ("sys.exit(70)", "exit code 70"),
        ("sys.stdout.write('\\x1b[?1049h'); sys.exit(0)", "the terminal is not as before: mode 1049 is left"),
        (FAULT, "internal errors:\nKeyError"),
    ],
)
def test_what_breaks_is_found_with_its_seed_and_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(monkey, "ANSWERS_WITHIN", 1.0)
    with pytest.raises(Broken) as broken:
        pressing(tmp_path, ["-c", SHOWN + program]).run(60)
    assert said in str(broken.value)
    assert "seed 7, session 0" in str(broken.value)


def test_a_statement_that_runs_on_is_found(tmp_path: Path) -> None:
    found = pressing(tmp_path, ["-c", SHOWN])
    found.left_in_trino = lambda: ["q_1"]
    with pytest.raises(Broken, match="statements run on in Trino: q_1"):
        found.run(60)
