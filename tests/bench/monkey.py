"""`make monkey`: random input of an impatient operator, for minutes; the same seed gives the same input.

Each session runs the console in a terminal of its own, against a stack or the shipped recording, and ends it in one of
the ways in which people and systems end programs. It checks that the process lives and writes no internal error, that
F1 is answered in time, that the terminal is as before, and that no statement of the console stays behind in Trino.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import end_cleanly
from tests.real_terminal import RealTerminal

STEPS = (10, 60)
"""Fewest and most steps of a session."""
BEATS_EVERY = 10
"""Steps between two heartbeats."""
STARTS_WITHIN, ANSWERS_WITHIN, ENDS_WITHIN = 120.0, 30.0, 60.0
"""Seconds for the first screen, for the answer to F1, and for the end."""
HELP = "Active keys"
"""What the answer to F1 begins with."""
ESCAPE, F1, PASTE = b"\x1b", b"\x1bOP", b"\x1b[200~%b\x1b[201~"
KEYS = (
    *(letter.encode() for letter in "abcdefghijklmnoprstuvwxyzGS0123456789/:?-+[]{}<>.,;*~!$% "),
    *(b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F", b"\x1b[5~", b"\x1b[6~", b"\x1b[Z", b"\x1b[3~"),
    *(b"\r", b"\r\r\r", b"\t", b"\x7f", ESCAPE, b"\x1bOQ", b"\x1bOR", b"\x1bOS"),
    *(b"\x1b[15~", b"\x1b[17~", b"\x1b[18~", b"\x1b[19~", b"\x1b[20~", b"\x1b[21~"),
    *(b"\x01", b"\x03", b"\x05", b"\x0b", b"\x10", b"\x12", b"\x13", b"\x14", b"\x15", b"\x1a", b"\x1bw", b"\x1b[1;3D"),
)
COMMANDS = (
    *("pipelines", "alerts", "events", "xray", "kafka", "groups", "dags", "tables", "queries", "audit", "sql", "help"),
    *("trigger", "peek", "stage", "pipeline", "context", "theme", "trigger nope", "peek nope", "stage nope", "refresh"),
    *("kafka readings", "peek readings 15m", "tables lake.silver.readings", "dags conform_readings", "theme nope"),
    *("sql SELECT 1", "sql SELECT * FORM t", "sql SELECT count(*) FROM system.runtime.nodes", "nonsense @nowhere"),
)
FILTERS = ("land", "^(a+)+$", "(", "[", "!ok", "~rdg", "x{0,999}" * 5, "\\", "é", "(?!x)", ".*" * 20)
PASTED = ("SELECT 1;\nSELECT 'x' FROM t", "\x1b[31mred", "a\nb\nc", "宽" * 300, "x" * 5000, "{'a': [", "\u202eabc")
ENDED = frozenset(("FINISHED", "FAILED"))
SOURCE = "dataops"
"""What the console's statements call their source."""


class Broken(Exception):
    """The console did what it must not do."""


@dataclass
class Monkey:
    """Presses keys at random.

    Attributes:
        argv: The console.
        seed: What the input depends on.
        env: Further environment variables.
        left_in_trino: Returns the statements of the console that run.
    """

    argv: Sequence[str]
    seed: int
    env: Mapping[str, str]
    left_in_trino: Callable[[], Sequence[str]] = tuple
    counts: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds of the slowest answer to F1."""
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=80))

    def run(self, seconds: float) -> None:
        """Run one session after the other for that long; raises Broken."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            number = self.counts["sessions"]
            self._recent.clear()
            try:
                self._session(random.Random(f"{self.seed}-{number}"), end)
            except (AssertionError, Broken) as problem:
                steps = "\n  ".join(self._recent)
                raise Broken(f"seed {self.seed}, session {number}: {problem}\nthe last steps:\n  {steps}") from problem
            self.counts["sessions"] += 1

    def _session(self, chance: random.Random, end: float) -> None:
        size = chance.choice(((24, 80), (30, 120), (50, 200)))
        with RealTerminal(self.argv, self.env, size) as terminal:
            terminal.until(lambda text: "dataops-tui" in text, "the console", STARTS_WITHIN)
            for step in range(chance.randint(*STEPS)):
                if (step >= STEPS[0] and time.monotonic() > end) or not self._step(terminal, chance):
                    break
                if step % BEATS_EVERY == BEATS_EVERY - 1 and not self._heartbeat(terminal):
                    break
            self._leave(terminal, chance)
            self._check_log()
            if terminal.garbled:
                raise Broken(f"the terminal does not understand: {terminal.garbled}")
            if problems := terminal.restored():
                raise Broken(f"the terminal is not as before: {problems}")
        self._check_trino()

    def _step(self, terminal: RealTerminal, chance: random.Random) -> bool:
        """Do something; tells whether the console goes on."""
        does = chance.choices(
            (self._key, self._burst, self._command, self._filter, self._paste, self._mouse, self._resize),
            (8, 3, 4, 2, 1, 2, 1),
        )[0]
        self.counts["steps"] += 1
        self._write(terminal, does(terminal, chance))
        time.sleep(chance.choice((0.0, 0.02, 0.1, 0.3)))
        return self._alive(terminal)

    def _key(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        return chance.choice(KEYS)

    def _burst(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        return b"".join(chance.choices(KEYS, k=chance.randint(2, 12)))

    def _command(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        return b"\x1bOQ" + chance.choice(COMMANDS).encode() + b"\r"

    def _filter(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        return b"/" + chance.choice(FILTERS).encode() + chance.choice((b"\r", b"", ESCAPE))

    def _paste(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        return PASTE % chance.choice(PASTED).encode()

    def _mouse(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        x, y = chance.randint(1, terminal.screen.columns), chance.randint(1, terminal.screen.lines)
        if chance.random() < 0.5:
            return b"\x1b[<%d;%d;%dM" % (chance.choice((64, 65)), x, y)  # the wheel
        return b"\x1b[<0;%d;%dM\x1b[<0;%d;%dm" % (x, y, x, y)

    def _resize(self, terminal: RealTerminal, chance: random.Random) -> bytes:
        lines, columns = chance.randint(3, 60), chance.randint(10, 220)
        self._recent.append(f"resize to {columns}x{lines}")
        terminal.resize(lines, columns)
        return b""

    def _write(self, terminal: RealTerminal, keys: bytes) -> None:
        self._recent.append(repr(keys)[:100])
        if terminal.process.poll() is None:
            terminal.write(keys)

    def _alive(self, terminal: RealTerminal) -> bool:
        """Tell whether the console goes on; raises Broken if it has ended otherwise than by its own key."""
        code = terminal.process.poll()
        if code not in (None, 0):
            raise Broken(f"the console ended with exit code {code}:\n{terminal.text}")
        return code is None

    def _heartbeat(self, terminal: RealTerminal) -> bool:
        """Leave what is open and ask for help; tells whether the console goes on."""
        if terminal.screen.lines < 24 or terminal.screen.columns < 80:  # else the answer has no room
            terminal.resize(30, 120)
        began, wait = time.monotonic(), 2.0
        while HELP not in terminal.text:
            if not self._alive(terminal):
                return False
            if time.monotonic() - began > ANSWERS_WITHIN:
                raise Broken(f"no answer to F1 within {ANSWERS_WITHIN:g} s:\n{terminal.text}")
            self._write(terminal, ESCAPE)
            time.sleep(0.5)  # else it is the beginning of another key
            self._write(terminal, F1)
            asked = time.monotonic()
            while HELP not in terminal.text and time.monotonic() - asked < wait:
                time.sleep(0.02)
            wait *= 2
        self.longest = max(self.longest, time.monotonic() - began)
        self.counts["heartbeats"] += 1
        self._write(terminal, ESCAPE)
        time.sleep(0.5)
        return True

    def _leave(self, terminal: RealTerminal, chance: random.Random) -> None:
        """End the console in one of many ways, and check how it ended."""
        if not self._alive(terminal):
            self.counts["left by a key"] += 1
            terminal.exit_code(ENDS_WITHIN)
            return
        how = chance.choice(("q", "ctrl+q", "quit", "SIGTERM", "SIGHUP", "SIGINT"))
        self._recent.append(f"leave by {how}")
        self.counts[how] += 1
        if how == "q" and self._heartbeat(terminal):
            time.sleep(1.2)  # right after a change of the screen, q does nothing
            self._write(terminal, b"\x1b[21~")  # F10 leaves the editor, where q is a letter
            for _ in range(10):  # the console asks for it again where the screen has just changed
                self._write(terminal, ESCAPE)  # a filter that is open would take the q
                time.sleep(1.5)
                self._write(terminal, b"q")
                time.sleep(0.5)
                if terminal.process.poll() is not None:
                    break
        elif how == "quit" and self._heartbeat(terminal):
            self._write(terminal, b"\x1bOQquit\r")
        elif how == "ctrl+q":
            self._write(terminal, b"\x11")
        elif how.startswith("SIG"):
            terminal.process.send_signal(signal.Signals[how])
        expected = 128 + signal.Signals[how] if how.startswith("SIG") else 0
        try:
            code = terminal.exit_code(ENDS_WITHIN)
        except Exception as problem:
            raise Broken(f"{how} did not end the console within {ENDS_WITHIN:g} s:\n{terminal.text}") from problem
        if code not in (expected, 0):
            raise Broken(f"{how} ended the console with exit code {code}:\n{terminal.text}")

    def _check_log(self) -> None:
        log = Path(self.env["XDG_STATE_HOME"]) / "dataops/errors.log"
        if log.exists() and (text := log.read_text(encoding="utf-8")):
            raise Broken(f"internal errors:\n{text[-5000:]}")

    def _check_trino(self) -> None:
        deadline = time.monotonic() + 10
        first = set(self.left_in_trino())
        while first and time.monotonic() < deadline:
            time.sleep(0.5)
            first &= set(self.left_in_trino())
        if first:
            raise Broken(f"statements run on in Trino: {', '.join(sorted(first))}")


def running_in_trino(config: Path) -> Callable[[], Sequence[str]]:
    """Return what reads the console's running statements in the Trino of the default context, if it has one."""
    from dataops_core.config import context_of
    from dataops_core.systems.clients import Clients
    from dataops_core.systems.registry import load_settings

    settings = load_settings(config)
    trinos = Clients(context_of(settings, None)[1]).all("trino").values()

    def running() -> Sequence[str]:
        found = [query for trino in trinos for query in trino.queries()]
        return [q.query_id for q in found if q.state not in ENDED and re.match(SOURCE, q.source)]

    return running


def main() -> int:
    """Run it; the exit code is 1 if the console broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="settings of a running stack; without them, the shipped recording")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    end_cleanly()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    source = ["--config", str(options.config), "--read-only"] if options.config else ["--replay"]
    with tempfile.TemporaryDirectory() as folder:
        env = {f"XDG_{name}_HOME": folder for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        left = running_in_trino(options.config) if options.config else tuple
        monkey = Monkey([sys.executable, "-m", "dataops_tui", *source], seed, {**env, "BROWSER": "true"}, left)
        try:
            monkey.run(60 * options.minutes)
        except Broken as problem:
            sys.stderr.write(f"{problem}\n")
            return 1
    counts = ", ".join(f"{name} {number}" for name, number in sorted(monkey.counts.items()))
    sys.stdout.write(f"seed {seed}: {counts}; the slowest answer to F1 took {monkey.longest:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
