"""`make bench-tui`: how long the console takes from a key to the screen, and from its start to its first frames.

The console runs in a terminal of its own. A Textual app of thirty lines (`tests.bench.peer`) is measured in the same
way before and after it, because what counts on a shared machine is the ratio. The cases:

- `hung`: Kafka, Airflow, Trino and the catalog take each connection and never answer;
- `large`: a broker with 1,000 topics, 10,000 partitions and 200 groups, looked at each second;
- `rows`: a result of a million rows comes in as fast as it can be read;
- `start`: until the first frame, and until the first figures, beside harlequin and kaskade.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyte
from tests.bench import end_cleanly
from tests.bench.broker import broker, fill
from tests.bench.terminal import Good, Terminal, lacks, shows, text_of, words
from tests.trino_server import Script, TrinoServer
from tests.unit.test_recorder import looks, record

PORT_BASE = int(os.environ.get("DATAOPS_BENCH_PORT_BASE", "27500"))
PEERS = Path(".local/bench")
CASES = ("hung", "large", "rows", "start")
MEDIAN_LIMIT, P99_LIMIT = 0.050, 0.100
"""Seconds from a key to the screen."""
ROWS_OF_A_PAGE = 5_000
DOWN, UP, ESCAPE, BACKSPACE = b"\x1b[B", b"\x1b[A", b"\x1b", b"\x7f"
F1, F2, F5, F6 = b"\x1bOP", b"\x1bOQ", b"\x1b[15~", b"\x1b[17~"
PROMPT, FILTER, HELP = "a command, e.g. dags", "regular expression, !inverted", "Active keys"
SHELL = shows("dataops-tui", "Quit")
PEER_PROMPT, PEER_LINE = "prompt of the peer", "line of the peer"

Times = dict[str, list[float]]
"""Seconds from a key to the screen, by what the key does."""


@dataclass(frozen=True)
class Key:
    """A key that is timed.

    Attributes:
        name: What it does.
        keys: What is written.
        done: What the screen shows then.
        undo: What takes it back.
        undone: What the screen shows then.
    """

    name: str
    keys: bytes
    done: Good
    undo: bytes
    undone: Good


def cursor(first: str, second: str, third: str) -> Key:
    """Return the key that moves the cursor from the first row to the second; it never is on the third."""

    def on(text: str) -> Good:
        def good(screen: pyte.Screen) -> bool:
            looks = []
            for wanted in (text, third):
                found = [(y, at.start()) for y, line in enumerate(screen.display) if (at := words(wanted).search(line))]
                looks += [(cell.bg, cell.reverse) for y, x in found[:1] for cell in [screen.buffer[y][x]]]
            return len(looks) == 2 and looks[0] != looks[1]

        return good

    return Key("cursor", DOWN, on(second), UP, on(first))


def opening(name: str, keys: bytes, text: str) -> Key:
    """Return the key that opens what shows a text."""
    return Key(name, keys, shows(text), ESCAPE, lacks(text))


def typing(key: str, gone: str) -> Key:
    """Return a key that, typed into a filter, makes a text go."""
    return Key("filter", key.encode(), lacks(gone), BACKSPACE, shows(gone))


def press(terminal: Terminal, samples: int, times: Times, *keys: Key) -> None:
    """Press each of the keys in turn, again and again."""
    for _ in range(samples):
        for key in keys:
            times[key.name].append(terminal.press(key.keys, key.done))
            terminal.press(key.undo, key.undone)


def press_in_list(terminal: Terminal, samples: int, times: Times, rows: tuple[str, str, str], typed: str) -> None:
    """Press all keys in a list that begins with these rows.

    The last letter of the filter that is typed leaves out the second row or the third. A filter is a part of names,
    because a figure alone could be one in an age, which grows.
    """
    gone = rows[1] if re.search(typed[:-1], rows[1]) else rows[2]
    press(terminal, samples, times, cursor(*rows), opening("command", b":", PROMPT), opening("help", b"?", HELP))
    terminal.press(b"/", shows(FILTER))
    terminal.press(typed[:-1].encode(), lacks(FILTER))
    press(terminal, samples, times, typing(typed[-1], gone))
    terminal.press(ESCAPE, lacks("Clear filter"))


def press_in_peer(samples: int, times: Times) -> None:
    """Press the peer's keys."""
    with Terminal([sys.executable, "-m", "tests.bench.peer"]) as terminal:
        terminal.until(shows("row-0000"))
        opens = opening("command", b":", PEER_PROMPT)
        press(terminal, samples, times, cursor("row-0000", "row-0001", "row-0002"), opens)
        terminal.write(b"/")
        press(terminal, samples, times, typing("9", PEER_LINE))


def go(terminal: Terminal, command: str, good: Good) -> None:
    """Go to a place."""
    terminal.press(b":", shows(PROMPT))
    terminal.press(command.encode() + b"\r", good)


@contextmanager
def console(folder: Path, settings: str) -> Iterator[Terminal]:
    """Run the console with these settings, and folders of its own."""
    path = folder / "dataops.toml"
    path.write_text(settings)
    own = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    with Terminal([sys.executable, "-m", "dataops_tui", "--config", str(path)], own) as terminal:
        terminal.until(shows("LIVE"))
        yield terminal


@contextmanager
def hung() -> Iterator[int]:
    """Listen on a port where each connection is taken and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:  # closed
                    return

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]


def hung_case(folder: Path, samples: int, times: Times) -> dict[str, Any]:
    """Press keys in a console of which every backend hangs."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(hung()) for name in ("kafka", "airflow", "trino", "catalog")}
        terminal = stack.enter_context(console(folder, HUNG.format(**ports)))
        terminal.until(shows("unavailable"))
        press_in_list(terminal, samples, times, ("orders topic", "land consumer", "bronze iceberg"), "or")
        for place in ("kafka", "dags", "tables", "queries"):
            go(terminal, place, shows("loading"))
            press(terminal, samples, times, opening("command", b":", PROMPT), opening("help", b"?", HELP))
    return {}


HUNG = """
refresh = 1
[contexts.bench]
kafka.bootstrap_servers = "127.0.0.1:{kafka}"
airflow.url = "http://127.0.0.1:{airflow}"
trino.url = "http://127.0.0.1:{trino}"
catalogs.lake.properties = {{ type = "rest", uri = "http://127.0.0.1:{catalog}" }}
[pipelines.p]
context = "bench"
stages = [
  {{ name = "orders", kind = "topic", topic = "orders" }},
  {{ name = "land", kind = "consumer_group", group = "land", topic = "orders", reads = ["orders"] }},
  {{ name = "bronze", kind = "iceberg_table", catalog = "lake", table = "bronze.orders", reads = ["land"] }},
  {{ name = "conform", kind = "dag", dag_id = "conform", reads = ["bronze"] }},
  {{ name = "view", kind = "trino_view", relation = "lake.gold.orders", reads = ["conform"] }},
]
"""
LARGE = """
refresh = 1
[contexts.bench]
kafka.bootstrap_servers = "{bootstrap}"
[pipelines.p]
context = "bench"
stages = [
  {{ name = "topic-0000", kind = "topic", topic = "topic-0000" }},
  {{ name = "group-000", kind = "consumer_group", group = "group-000", topic = "topic-0000", reads = ["topic-0000"] }},
  {{ name = "topic-0005", kind = "topic", topic = "topic-0005", reads = ["group-000"] }},
]
"""


def large_case(folder: Path, samples: int, times: Times, bootstrap: str) -> dict[str, Any]:
    """Press keys in a console that looks at a large cluster each second."""
    with console(folder, LARGE.format(bootstrap=bootstrap)) as terminal:
        # The group has no consumer, so it becomes stuck and its row is selected; then the rows change no more.
        terminal.until(shows("stuck group-000"), within=60)
        rows = ("stuck group-000", "affected topic-0005", "topic-0000 topic")
        press_in_list(terminal, samples, times, rows, "topic-0000")
        go(terminal, "groups", shows("group-002"))
        press_in_list(terminal, samples, times, ("group-000", "group-001", "group-002"), "group-..0")
        go(terminal, "kafka", shows("PARTITIONS", "topic-0002"))
        press_in_list(terminal, samples, times, ("topic-0000", "topic-0001", "topic-0002"), "topic-...0")
        return {"peak_memory_mb": peak(terminal)}


def peak(terminal: Terminal) -> float:
    """Return the most memory that a program had at once, in MB."""
    (kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{terminal.process.pid}/status").read_text(), re.MULTILINE)
    return round(int(kib) * 1024 / 1e6, 1)


def serve_rows(answer: Connection, rows: int) -> None:
    """Serve Trino's protocol; the benchmark's statement returns that many rows, the console's own statements none."""

    def page(start: int) -> bytes:
        numbers = range(start, start + ROWS_OF_A_PAGE)
        return json.dumps([[n, f"row-{n:07}", "delivered", 21.5 + n % 7, None, "2013-07-01"] for n in numbers]).encode()

    kinds = {
        "id": "bigint",
        "name": "varchar",
        "state": "varchar",
        "celsius": "double",
        "note": "varchar",
        "at": "date",
    }

    def script(statement: str) -> Script:
        pages = range(0, rows, ROWS_OF_A_PAGE) if statement.endswith("FROM million") else range(0)
        return Script(tuple(kinds.items()), map(page, pages))

    answer.send(TrinoServer(script).url)
    answer.recv()


def rows_case(folder: Path, samples: int, times: Times, rows: int) -> dict[str, Any]:
    """Press keys while rows arrive; repeat the statement until each key has been pressed often enough."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    server = processes.Process(target=serve_rows, args=(theirs, rows), daemon=True)
    server.start()
    try:
        settings = f'[contexts.bench.trino]\nurl = "{ours.recv()}"\n'
        with console(folder, settings) as terminal:
            go(terminal, "sql", shows("F5 runs the statement"))
            terminal.press(b"SELECT * FROM million", shows("FROM million"))
            empty = peak(terminal)
            while not times or len(times["help"]) < samples:
                press_while_rows_arrive(terminal, times, rows)
            return {"peak_memory_mb": peak(terminal), "before_the_rows_mb": empty}
    finally:
        server.kill()
        server.join()


def press_while_rows_arrive(terminal: Terminal, times: Times, rows: int) -> None:
    """Run the statement, and press keys until all rows have arrived."""
    terminal.press(F5, shows("rows here"))
    here = opening("command", F2, PROMPT), opening("help", F1, HELP)
    typed = Key("typing", b"9", shows("million9"), BACKSPACE, lacks("million9"))
    in_rows = cursor("row-0000000", "row-0000001", "row-0000002")
    while shows("rows here")(terminal.screen):
        press(terminal, 1, times, typed, *here)
        terminal.press(F6, shows("Export"))
        press(terminal, 1, times, in_rows)
        terminal.press(F6, lacks("Export"))
    terminal.until(shows(f"{rows:,} rows in"))


def p99(values: Sequence[float]) -> float:
    """Return the value below or at which 99 of 100 are."""
    return sorted(values)[max(0, -(-len(values) * 99 // 100) - 1)]


def summary(ours: Times, theirs: Times) -> dict[str, Any]:
    """Return the figures of a case: times in ms, and ratios to the limits and to the peer.

    A key's peer is the peer's key that does the same; that of the help is its prompt, and that of typing its filter.
    """

    def figures(values: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
        median, slow = statistics.median(values), p99(values)
        return {
            "keys": len(values),
            "median_ms": round(median * 1000, 1),
            "p99_ms": round(slow * 1000, 1),
            "median / 50 ms": round(median / MEDIAN_LIMIT, 2),
            "p99 / 100 ms": round(slow / P99_LIMIT, 2),
            "median / peer's": round(median / statistics.median(peer), 2),
            "p99 / peer's": round(slow / p99(peer), 2),
        }

    peers = {**theirs, "help": theirs["command"], "typing": theirs["filter"]}
    return {
        "all": figures(_all(ours), _all(theirs)),
        **{name: figures(found, peers[name]) for name, found in ours.items()},
        "the peer's own": figures(_all(theirs), _all(theirs)),
    }


def _all(times: Times) -> list[float]:
    return [seconds for found in times.values() for seconds in found]


def latency(case: Callable[[Path, int, Times], dict[str, Any]], samples: int) -> dict[str, Any]:
    """Measure a case between two measurements of the peer."""
    ours: Times = defaultdict(list)
    theirs: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        press_in_peer(samples, theirs)
        more = case(Path(folder), samples, ours)
        press_in_peer(samples, theirs)
    return {**summary(ours, theirs), **more}


@dataclass(frozen=True)
class Starter:
    """A program whose start is timed.

    Attributes:
        argv: How it is started.
        shell: What its first frame shows.
        data: What it shows with the first of its figures.
    """

    argv: Sequence[str]
    shell: Good
    data: Good


def starters(folder: Path, bootstrap: str | None) -> dict[str, Starter]:
    """Return what is started: the peers that are there, and the console."""
    recording = folder / "recording.sqlite"
    recorder = record(recording)
    for snapshot in looks(80):
        recorder.write(snapshot)
    recorder.close()
    replay = [sys.executable, "-m", "dataops_tui", "--replay", str(recording)]
    found = {
        "peer": Starter([sys.executable, "-m", "tests.bench.peer"], shows(PEER_LINE), shows("row-0000")),
        "dataops-tui --replay": Starter(replay, SHELL, shows("caught up")),
    }
    harlequin = PEERS / "harlequin/bin/harlequin"
    if harlequin.exists():
        found["harlequin"] = Starter([str(harlequin), "--no-download-tzdata"], shows("Query Editor"), shows("memory"))
    if bootstrap is not None:
        path = folder / "dataops.toml"
        path.write_text(LARGE.format(bootstrap=bootstrap))
        ours = [sys.executable, "-m", "dataops_tui", "--config", str(path)]
        found["dataops-tui"] = Starter(ours, SHELL, shows("kafka ● up"))
        kaskade = PEERS / "kaskade/bin/kaskade"
        if kaskade.exists():
            argv = [str(kaskade), "admin", "-b", bootstrap]
            found["kaskade"] = Starter(argv, lambda screen: bool(text_of(screen).strip()), shows("topic-0000"))
    return found


def start_case(bootstrap: str | None, starts: int) -> dict[str, Any]:
    """Start each program in turn that often; one round before them fills caches and does not count."""
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        own = {f"XDG_{name}_HOME": str(Path(folder) / name.lower()) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        programs = starters(Path(folder), bootstrap)
        for number in range(starts + 1):
            for name, program in programs.items():
                with Terminal(program.argv, own) as terminal:
                    shell = terminal.until(program.shell) - terminal.began
                    data = shell if program.data(terminal.screen) else terminal.until(program.data) - terminal.began
                if number:
                    times[name].append((shell, data))
    medians = {name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in times.items()}
    return {
        name: {
            "first_frame_s": round(shell, 3),
            "first_data_s": round(data, 3),
            **{f"first frame / {peer}'s": round(shell / medians[peer][0], 2) for peer in medians if peer != name},
            **{f"first data / {peer}'s": round(data / medians[peer][1], 2) for peer in medians if peer != name},
        }
        for name, (shell, data) in medians.items()
    }


def measure(asked: argparse.Namespace, bootstrap: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the result of each requested case."""
    for case in asked.cases:
        if case == "start":
            yield case, start_case(bootstrap, asked.starts)
        elif case == "hung":
            yield case, latency(hung_case, asked.samples)
        elif case == "rows":
            yield case, latency(partial(rows_case, rows=asked.rows), asked.samples)
        elif bootstrap is not None:
            yield case, latency(partial(large_case, bootstrap=bootstrap), asked.samples)


def main() -> int:
    """Measure, and write the figures as JSON."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cases", nargs="*", default=CASES, help=f"of {', '.join(CASES)}; all where none is named")
    options.add_argument("--samples", type=int, default=50, help="times that each key is pressed in each place")
    options.add_argument("--topics", type=int, default=1_000, help="of the large cluster (default: %(default)s)")
    options.add_argument("--rows", type=int, default=1_000_000, help="that arrive (default: %(default)s)")
    options.add_argument("--starts", type=int, default=7, help="of each program (default: %(default)s)")
    options.add_argument("--no-broker", action="store_true", help="leave out what needs a broker: large, and kaskade")
    asked = options.parse_args()
    if unknown := set(asked.cases) - set(CASES):
        options.error(f"no such case: {', '.join(sorted(unknown))}")
    found = {}
    with broker(PORT_BASE) if needs_broker(asked) else nullcontext() as kafka:
        if kafka is not None:
            fill(kafka, topics=asked.topics, partitions=10, groups=max(1, asked.topics // 5))
        for case, figures in measure(asked, kafka.bootstrap if kafka else None):
            print(f"{case}: {figures}", file=sys.stderr)
            found[case] = figures
    print(json.dumps(found, indent=2))
    return 0


def needs_broker(asked: argparse.Namespace) -> bool:
    """Return whether a broker is to be started."""
    return not asked.no_broker and bool({"large", "start"} & set(asked.cases))


if __name__ == "__main__":
    sys.exit(main())
