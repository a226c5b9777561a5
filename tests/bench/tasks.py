"""`make bench-tasks`: what an operator asks at night, in keys and seconds, beside the tool that each component has.

It wants the local stack (`make up`), stops `land_readings` for the first questions and starts it again after them. Each
task begins on the home screen. Keys are what is pressed, a typed text with each of its letters; seconds are from the
first key to the frame that has the answer, without the time in which one reads. The peer's keys are those of its
command, its seconds until that has ended; where a peer is a web page, or is not there, it is named and not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import end_cleanly
from tests.bench.terminal import Good, NotShown, Terminal, lacks, shows, text_of

from dataops_core.config import resolve_secret
from dataops_core.systems.iceberg.settings import CatalogSettings
from dataops_core.systems.registry import load_settings

ESCAPE, TAB, ENTER, F2, F5, F6, F9 = b"\x1b", b"\t", b"\r", b"\x1bOQ", b"\x1b[15~", b"\x1b[17~", b"\x1b[20~"
BACK_TAB, CTRL_K, CTRL_Z = b"\x1b[Z", b"\x0b", b"\x1a"
KEY = re.compile(rb"\x1b(?:\[[0-9;]*[~A-Za-z]|O[A-Z])|.", re.DOTALL)
"""One key as the terminal sends it."""
SLOW = (
    "SELECT count(*) FROM UNNEST(sequence(1, 10000)) a (x) CROSS JOIN UNNEST(sequence(1, 10000)) b (y)"
    " CROSS JOIN UNNEST(sequence(1, 10000)) c (z) WHERE x * y * z % 7 = 1"
)
"""A statement that takes hours."""
MINUTES = 60.0
PROMPT = "a command, e.g. dags"

Step = tuple[bytes, Good]
"""Keys, and what the screen shows then."""


@dataclass(frozen=True)
class Peer:
    """What one would do without the console.

    Attributes:
        tool: The tool that does it best.
        how: What is typed, or where one clicks.
        argv: The same to be run here; `None` where that is no program, or it is not there.
    """

    tool: str
    how: str
    argv: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Task:
    """A question of an operator.

    Attributes:
        question: In words.
        steps: What is pressed in the console, one after the other.
        peer: How it is done without.
        stuck: Whether it is asked while `land_readings` is stopped.
        busy: Whether it is asked while Trino works on a statement that takes hours.
    """

    question: str
    steps: Sequence[Step]
    peer: Peer
    stuck: bool = False
    busy: bool = False


@dataclass
class Local:
    """The local stack."""

    state: Path
    port_base: int
    programs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder = self.state / "programs"
        self.programs = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
        if not self.programs:
            sys.exit(f"there is no local stack in {self.state}: make up")

    @property
    def config(self) -> Path:
        return self.state / "dataops.toml"

    def do(self, *words: str) -> None:
        """Run a command of the local stack."""
        command = [sys.executable, "-m", "dataops_local", "--state", str(self.state), "--port-base"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(("deploy/local", os.environ.get("PYTHONPATH", "")))}
        subprocess.run([*command, str(self.port_base), *words], check=True, stdout=subprocess.DEVNULL, env=env)

    def airflow(self, *arguments: str) -> tuple[str, ...]:
        """Return a command of Airflow's own program."""
        argv: Sequence[str] = self.programs["airflow-api"]["argv"]  # type: ignore[assignment]
        return (str(argv[0]), *arguments)

    def catalog(self) -> dict[str, str]:
        """Return the environment in which PyIceberg finds the catalog `lake`."""
        (context,) = load_settings(self.config).contexts.values()
        properties = context.of(CatalogSettings)["lake"].properties.items()
        names = {name: name.upper().replace(".", "__").replace("-", "_") for name, _ in properties}
        found = {f"PYICEBERG_CATALOG__LAKE__{names[name]}": resolve_secret(value) for name, value in properties}
        return {**os.environ, **found}

    def env(self, program: str) -> dict[str, str]:
        """Return the environment of a program."""
        return {**os.environ, **self.programs[program]["env"]}  # type: ignore[dict-item]


def command(text: str, good: Good) -> Step:
    """Return the step that types a command."""
    return b":" + text.encode() + ENTER, good


def either(*texts: str) -> Good:
    """Return what tells whether one of these texts is on a screen."""
    return lambda screen: any(text in text_of(screen) for text in texts)


def tasks(local: Local) -> tuple[Task, ...]:
    """Return the tasks, those that are asked while something is stuck first."""
    web = "clicks"
    dag = "conform_readings"
    return (
        Task(
            "Where is the data stuck, and since when?",
            ((b"", shows("is stuck since")),),
            Peer("none", "Kafka's lag, Spark's page, the table's snapshots and Airflow's grid, by hand"),
            stuck=True,
        ),
        Task("What does that hurt downstream?", ((b"", shows("affected ")),), Peer("none", "from memory"), stuck=True),
        Task(
            "What ends it? Onto the clipboard.",
            ((b"c", shows("command copied")),),
            Peer("none", "the team's wiki"),
            stuck=True,
        ),
        Task(
            "What did it look like when it began?",
            ((b"{", shows("PAUSED at")),),
            Peer("Grafana", f"{web}: each dashboard, the time range in each"),
            stuck=True,
        ),
        Task(
            "What is wrong anywhere, the worst first?",
            (command("alerts", shows("SINCE", "CHECK", "land_readings")),),
            Peer("Alertmanager", f"{web}: its list of alerts"),
            stuck=True,
        ),
        Task(
            "Which partition has how much, and are its replicas in sync?",
            (command("kafka logger-readings", shows("LEADER", "consumer group")),),
            Peer("Kafka's tools", "kafka-topics.sh --bootstrap-server $B --describe --topic logger-readings"),
        ),
        Task(
            "What came in just now? Without moving anybody's offset.",
            (command("peek logger-readings", shows("temperature_c")),),
            Peer("kcat", "kcat -b $B -t logger-readings -C -o -20 -e"),
        ),
        Task(
            "What did one logger send in the last quarter of an hour?",
            (
                command("peek logger-readings 15m", shows("temperature_c")),
                (b"/BL-0701-03\r", shows("filtered")),
            ),
            Peer("kcat", "kcat -b $B -t logger-readings -C -o s@$(date -d '15 min ago' +%s000) -e | grep BL-0701-03"),
        ),
        Task(
            "Which records were rejected, and why?",
            (command("stage bronze.readings", shows("lag (records)")), (b"x", shows("out-of-range"))),
            Peer("Trino's CLI", "SELECT reason, payload FROM lake.bronze.rejected_readings LIMIT 500;"),
        ),
        Task(
            "Which DAG fails?",
            (command("dags", shows(dag, "SCHEDULE")), (CTRL_Z, shows("only problems"))),
            Peer(
                "Airflow's CLI",
                "airflow dags list-runs conform_readings --state failed",
                local.airflow("dags", "list-runs", dag, "--state", "failed"),
            ),
        ),
        Task(
            "What does the newest run's task say?",
            (
                command(f"dags {dag}", shows("RUN", "success")),
                (ENTER, shows("TASK", f"{dag} ")),
                (b"l", shows("try ", " lines")),
            ),
            Peer("Airflow's page", f"{web}: DAGs, the DAG, the run, the task, its log"),
        ),
        Task(
            "Run a DAG now.",
            (
                command(f"trigger {dag}", shows("Confirm")),
                (BACK_TAB + ENTER, shows("manual__")),
            ),
            Peer("Airflow's CLI", f"airflow dags trigger {dag}", local.airflow("dags", "trigger", dag)),
        ),
        Task(
            "What runs in Trino, and what does it wait for?",
            (command("queries", shows("QUERY", "running", "UNNEST")),),
            Peer("Trino's page", f"{web}: log in; the list of queries"),
            busy=True,
        ),
        Task(
            "End the query that blocks the others.",
            (
                # what the screen has from the task before shows that task's query as running until the first refresh
                command("queries", shows("QUERY", "running", "UNNEST", "updated 0s ago")),
                (b"/UNNEST\r", shows("UNNEST")),
                (CTRL_K, shows("Confirm")),
                (BACK_TAB + ENTER, shows("killed ")),
            ),
            Peer("Trino's page", f"{web}: the query, kill; or CALL system.runtime.kill_query('ID', 'why');"),
            busy=True,
        ),
        Task(
            "What did the table look like before the last commit?",
            (
                command("tables lake.silver.readings", shows("SNAPSHOT", "current")),
                (b"j" + ENTER, shows("FOR VERSION AS OF", "rows in")),
            ),
            Peer(
                "Trino's CLI",
                'SELECT snapshot_id FROM lake.silver."readings$snapshots" ORDER BY committed_at DESC LIMIT 2;'
                " SELECT * FROM lake.silver.readings FOR VERSION AS OF ID LIMIT 500;",
            ),
        ),
        Task(
            "Has the table too many small files?",
            (
                command("tables lake.bronze.readings", shows("SNAPSHOT", "current")),
                (b"4", shows("SHARE OF FILES", "data files")),
            ),
            Peer(
                "PyIceberg's CLI",
                "pyiceberg --catalog lake files bronze.readings",
                (sys.executable, "-m", "pyiceberg.cli.console", "--catalog", "lake", "files", "bronze.readings"),
            ),
        ),
        Task(
            "What do its columns hold: NULLs, smallest, largest?",
            (
                command("sql SELECT * FROM lake.silver.readings LIMIT 5000", shows("rows in")),
                (F6 + b"i", shows("NULL", "DISTINCT")),
            ),
            Peer("Trino's CLI", "SHOW STATS FOR lake.silver.readings;"),
        ),
        Task(
            "Why is a query slow?",
            (
                command("sql SELECT count(*) FROM lake.silver.readings", shows("1 rows in")),
                (F9, either("Aggregate", "TableScan")),
            ),
            Peer("Trino's page", f"{web}: the query, its live plan"),
        ),
        Task(
            "What changed its state, and when?",
            (command("events", shows("WAS", "WHY", "land_readings")),),
            Peer("none", "the logs of each"),
        ),
        Task(
            "Who did what here?",
            (command("audit", shows("chain of", "trigger")),),
            Peer("Airflow's CLI", "the audit log is a page: clicks; Trino's and Kafka's are files"),
        ),
    )


def keys(written: bytes) -> int:
    """Return how many keys these bytes are."""
    return len(KEY.findall(written))


def home(terminal: Terminal) -> None:
    """Go back to the home screen, whatever is shown."""
    for _ in range(6):  # a dialog, and the past, are left before a command can be typed
        terminal.write(ESCAPE)
        try:
            terminal.until(lambda screen: False, 2.0)
        except NotShown:
            terminal.write(F2)
        try:
            terminal.until(shows(PROMPT), 3.0)
        except NotShown:
            continue
        terminal.write(b"pipelines" + ENTER)
        terminal.until(lambda screen: shows("data age")(screen) and lacks(PROMPT)(screen))
        return


def perform(terminal: Terminal, task: Task) -> tuple[int, float]:
    """Do a task; return its keys and seconds. Raises NotShown where the console does not answer it."""
    number, seconds = 0, 0.0
    for written, good in task.steps:
        number += keys(written)
        terminal.settle()
        began = time.perf_counter()
        for key in KEY.findall(written):
            terminal.write(key)
        seconds += max(0.0, terminal.until(good, 60) - began) if written else 0.0
    return number, seconds


def timed(peer: Peer, env: Mapping[str, str]) -> float | None:
    """Return the seconds that a peer's command takes; `None` where it cannot be run here."""
    if peer.argv is None:
        return None
    began = time.perf_counter()
    done = subprocess.run(peer.argv, env=dict(env), capture_output=True, timeout=120, check=False)
    return time.perf_counter() - began if done.returncode == 0 else None


@contextmanager
def slow_query(local: Local) -> Iterator[None]:
    """Have Trino work on a statement that takes hours."""
    command = [sys.executable, "-m", "dataops_core.cli.app", "--config", str(local.config), "sql", SLOW]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def measured(local: Local, chosen: Callable[[Task], bool]) -> Iterator[tuple[Task, int, float | None, float | None]]:
    """Do the tasks one after the other; yield each with its keys, its seconds (`None`: no answer) and its peer's."""
    with tempfile.TemporaryDirectory() as folder:
        own = {f"XDG_{name}_HOME": f"{folder}/{name.lower()}" for name in ("CACHE", "CONFIG", "DATA", "STATE")}
        argv = [sys.executable, "-m", "dataops_tui", "--config", str(local.config)]
        with Terminal(argv, own) as terminal:
            started = terminal.until(shows("LIVE", "data age")) - terminal.began
            terminal.until(shows("is stuck since"), 2 * MINUTES)
            resumed = False
            for number, task in enumerate(tasks(local)):
                if not chosen(task):
                    continue
                if not task.stuck and not resumed:
                    local.do("start", "land_readings")
                    resumed = True
                home(terminal)
                seconds: float | None
                with slow_query(local) if task.busy else nullcontext():
                    try:
                        found, seconds = perform(terminal, task)
                    except NotShown as error:
                        found, seconds = sum(keys(written) for written, _ in task.steps), None
                        sys.stderr.write(f"{task.question} {error}\n")
                if number == 0 and seconds is not None:
                    seconds = started
                env = local.env("airflow-api") if "Airflow" in task.peer.tool else local.catalog()
                yield task, found, seconds, timed(task.peer, env)


def row(task: Task, number: int, seconds: float | None, theirs: float | None) -> str:
    """Return a line of the table."""
    peer = task.peer
    clicks = peer.tool == "none" or "clicks" in peer.how
    typed = "" if clicks else str(len(peer.how) + 1)
    how = (peer.how if clicks else f"`{peer.how}`").replace("|", "\\|")
    took = "" if theirs is None else f"{theirs:.1f}"
    ours = "no answer" if seconds is None else f"{seconds:.1f}"
    return f"| {task.question} | {number} | {ours} | {peer.tool}: {how} | {typed} | {took} |"


HEAD = """| question | keys | seconds | without the console | its keys | its seconds |
|---|---|---|---|---|---|"""


def main() -> int:
    """Do the tasks, and write the table."""
    end_cleanly()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--state", type=Path, default=Path(".local/demo"))
    options.add_argument("--port-base", type=int, default=19000)
    options.add_argument("--only", default="", help="only questions that hold this text")
    asked = options.parse_args()
    local = Local(asked.state.resolve(), asked.port_base)
    local.do("stop", "land_readings")
    answered = True
    try:
        print(HEAD)
        for task, number, seconds, theirs in measured(local, lambda task: asked.only.lower() in task.question.lower()):
            print(row(task, number, seconds, theirs), flush=True)
            answered = answered and seconds is not None
    finally:
        local.do("start", "land_readings")
    return 0 if answered else 1


if __name__ == "__main__":
    sys.exit(main())
