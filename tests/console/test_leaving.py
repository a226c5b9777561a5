"""Leaving the console in any way: no statement stays behind, the terminal is as before, the exit code says why."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.real_terminal import RealTerminal
from tests.trino_server import Script, TrinoServer

SLOW = "SELECT slow"
F5, CTRL_Q = b"\x1b[15~", b"\x11"


@pytest.fixture
def trino() -> Iterator[TrinoServer]:
    def script(statement: str) -> Script:
        found = Script(pages=[[[1]]])
        if statement.startswith(SLOW):
            found.go.clear()
        return found

    server = TrinoServer(script)
    yield server
    server.close()


@pytest.fixture
def argv(tmp_path: Path, trino: TrinoServer) -> list[str]:
    config = tmp_path / "dataops.toml"
    config.write_text(f'[contexts.test.trino]\nurl = "{trino.url}"\nuser = "t"\n[recorder]\nenabled = false\n')
    return [sys.executable, "-m", "dataops_tui", "--config", str(config)]


def run_slow_statement(terminal: RealTerminal, trino: TrinoServer) -> None:
    terminal.until(lambda text: "LIVE" in text, "the first health snapshot: the console is connected")
    terminal.write(f":sql {SLOW}\r".encode())
    terminal.until(lambda text: "running" in text, "a statement that runs")
    assert SLOW in trino.running


def send(number: signal.Signals) -> Callable[[RealTerminal], None]:
    return lambda terminal: terminal.process.send_signal(number)


LEAVING: dict[str, tuple[Callable[[RealTerminal], None], int]] = {
    "ctrl+q": (lambda terminal: terminal.write(CTRL_Q), 0),
    "command": (lambda terminal: terminal.write(b"\x1bOQquit\r"), 0),
    "term": (send(signal.SIGTERM), 143),
    "hup": (send(signal.SIGHUP), 129),
    "int": (send(signal.SIGINT), 130),
    "quit": (send(signal.SIGQUIT), 131),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", LEAVING)
def test_nothing_stays_behind(argv: list[str], trino: TrinoServer, how: str) -> None:
    leave, code = LEAVING[how]
    with RealTerminal(argv) as terminal:
        run_slow_statement(terminal, trino)
        assert {25, 1049, 1000} <= terminal.left_on(), "else the test sees nothing"
        leave(terminal)
        assert terminal.exit_code() == code
        assert terminal.restored() == ""
    assert trino.running == []


@pytest.mark.timeout(300)
def test_a_terminal_that_closes_leaves_no_statement(argv: list[str], trino: TrinoServer) -> None:
    with RealTerminal(argv) as terminal:
        run_slow_statement(terminal, trino)
        terminal.close()
        assert terminal.process.wait(60) == 129
    assert trino.running == []


@pytest.mark.timeout(300)
def test_a_terminal_that_goes_away_without_a_signal_is_noticed(argv: list[str], trino: TrinoServer) -> None:
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *argv]
    with RealTerminal(ignoring) as terminal:
        run_slow_statement(terminal, trino)
        terminal.close()
        assert terminal.process.wait(60) == 129
    assert trino.running == []


@pytest.mark.timeout(300)
def test_a_signal_during_the_start_ends_it(argv: list[str]) -> None:
    """At at any moment: before the screen is there, while it is set up, and right after."""
    for pause in (0.1, 0.4, 0.8, 1.2, 1.6, 2.4):
        with RealTerminal(argv) as terminal:
            time.sleep(pause)
            terminal.process.terminate()
            assert terminal.exit_code() in (143, -signal.SIGTERM), f"after {pause} s"
            assert terminal.restored() == "", f"after {pause} s"


@pytest.mark.timeout(300)
def test_the_end_does_not_wait_for_a_trino_that_hangs(argv: list[str], trino: TrinoServer) -> None:
    with RealTerminal(argv) as terminal:
        run_slow_statement(terminal, trino)
        trino.hang()
        terminal.process.terminate()
        assert terminal.exit_code() == 143
        assert terminal.restored() == ""
        assert "may still run in the server" in terminal.raw.decode()


def test_a_terminal_hands_no_ignored_signal_down() -> None:
    reports = "import signal; print('SIGINT is', signal.getsignal(signal.SIGINT))"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for `make monkey &`
    try:
        with RealTerminal([sys.executable, "-c", reports]) as terminal:
            terminal.until(lambda text: "SIGINT is <built-in function default_int_handler>" in text, "the handler")
    finally:
        signal.signal(signal.SIGINT, before)
