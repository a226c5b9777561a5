"""Each screen in each theme at both sizes: its text and its colours as they stand in `snapshots/every/`.

The text is one file for each screen and size; it is the same in each theme, but for `ascii`, which has files of its
own. The colours are one file for each theme and size: each style of a screen, with the first text that has it.
`DATAOPS_WRITE_SNAPSHOTS=1 pytest tests/console/test_every_screen.py` writes them anew; look at the difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import unified_diff
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tests.console.conftest import SIZES
from tests.screen import shown, strips, until_shown
from tests.screenshots import NOW, ago, dressed, history, standing_still, topics
from textual.widgets import Input

from dataops_core.systems.airflow import runs as airflow_runs
from dataops_core.systems.airflow.runs import LogLine, LogPart, Param, TaskInstance
from dataops_core.systems.iceberg import inspect as iceberg_inspect
from dataops_core.systems.iceberg.inspect import Column, FileSizes, Reference, TableDetail, TableSnapshot
from dataops_core.systems.kafka import cluster as kafka_cluster
from dataops_tui.app import DataopsApp
from dataops_tui.navigation import DESTINATIONS
from dataops_tui.themes import THEMES

FOLDER = Path(__file__).parent / "snapshots/every"
VARIANTS: Mapping[str, Mapping[str, object]] = {
    **{theme.name: {"theme": theme.name} for theme in THEMES},
    "no-colour": {},
    "ascii": {"ascii": True},
}
WRITE = bool(os.environ.get("DATAOPS_WRITE_SNAPSHOTS"))
PATIENCE = 15
"""Looks, a tenth of a second apart, that are alike once nothing more is drawn."""
ASCII = str.maketrans({"└": "+", "─": "-", "●": "*"})
TOOK = re.compile(r"in (\d+m \d+s|\d+(\.\d+)?(ms|s|m))\b")
"""How long something took in this run."""


@dataclass(frozen=True)
class View:
    """A screen that is looked at.

    Attributes:
        wait: What it shows.
        typed: The command that leads there.
        keys: What is pressed then.
        leave: What is pressed once it was looked at.
    """

    wait: str
    typed: str = ""
    keys: Sequence[str] = ()
    leave: Sequence[str] = ()


Look = tuple[str, list[str]]
"""Text of a screen, and its styles."""
SCREENS: Mapping[str, View] = {
    "pipelines": View("is stuck", "pipelines"),
    "stage": View("lag (records)", keys=("g", "j", "enter")),
    "kafka": View("payments", "kafka"),
    "topic": View("PARTITION", keys=("enter",)),
    "peek": View("schema 7", "peek orders"),
    "record": View('"trace"', keys=("y",), leave=("escape",)),
    "groups": View("billing", "groups"),
    "subjects": View("payments-value", "subjects"),
    "subject": View('"shop.Customer"', keys=("g", "j", "enter"), leave=("escape",)),
    "dags": View("reconcile", "dags"),
    "runs": View("scheduled__03:18", "dags conform"),
    "tasks": View("load[3]", keys=("enter",)),
    "clear": View("Clear load[3]", keys=("j", "x"), leave=("escape",)),
    "log": View("end of log", keys=("l",), leave=("escape",)),
    "trigger": View("a number of days", "trigger conform", leave=("escape",)),
    "connect": View("connect-2:8083", "connect", keys=("j",)),
    "tables": View("gold.revenue", "tables"),
    "snapshots": View("● current", "tables lake.silver.orders"),
    "refs": View("released", keys=("2",)),
    "schema": View("decimal(12, 2)", keys=("3",)),
    "files": View("data files", keys=("4",)),
    "properties": View("write.format", keys=("5",)),
    "sql": View("3 rows in", "sql SELECT * FROM revenue"),
    "queries": View("queued in", "queries"),
    "query": View("queued  ana", keys=("j", "enter"), leave=("escape",)),
    "alerts": View("land/stuck", "alerts"),
    "events": View("stuck", "events"),
    "xray": View("└─ view", "xray"),
    "audit": View("chain of", "audit"),
    "command": View("pipelines", keys=("colon", "p"), leave=("escape",)),
    "help": View("Active keys", keys=("question_mark",), leave=("escape",)),
}


def task_instances(client: object, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
    done = TaskInstance("extract", -1, "success", "SparkSubmitOperator", 1, 0, ago(300), ago(290), ago(200))
    failed = replace(done, task_id="load", map_index=3, state="failed", tries=2, max_tries=2)
    return (
        done,
        replace(failed, queued_at=ago(195), started_at=ago(190)),
        replace(done, task_id="report", state="upstream_failed", queued_at=None, started_at=None, ended_at=None),
    )


def log(client: object, dag_id: str, run_id: str, task: TaskInstance, token: str | None = None) -> LogPart:
    trace = {"exc_type": "ValueError", "exc_value": "no such town", "frames": []}
    lines = (
        LogLine(ago(199), "info", "412 rows to load", {}),
        LogLine(ago(198), "warning", "the town of 3 rows is empty", {}),
        LogLine(ago(197), "error", "it broke", {"error_detail": [trace]}),
    )
    return LogPart(lines, None)


def params(client: object, dag_id: str) -> tuple[Param, ...]:
    return (
        Param("days", 1, {"type": "integer", "minimum": 1}, "a number of days"),
        Param("town", "Elmira", {"type": "string", "enum": ["Elmira", "Oswego"]}),
    )


def table(client: object, name: str) -> TableDetail:
    added = {"added-records": "412", "total-records": "2451020", "added-data-files": "2", "spark.app.id": "app-7"}
    snapshots = tuple(
        TableSnapshot(9_000 - n, 8_999 - n, ago(100 + 300 * n), "append", n == 0, n != 2, refs, added)
        for n, refs in enumerate((("main",), ("released-1",), (), ()))
    )
    columns = (
        Column(1, "id", "long", True, "of the shop", None, "asc"),
        Column(2, "day", "date", True, None, "identity", None),
        Column(3, "total", "decimal(12, 2)", False, None, None, None),
    )
    refs = (Reference("main", "branch", 9_000, ago(100), None), Reference("released-1", "tag", 8_999, ago(400), 3600.0))
    properties = {"write.format.default": "parquet", "owner": "shop"}
    return TableDetail(name, "s3://lake/silver/orders", 2, snapshots, refs, columns, properties, 2, 1)


def file_sizes(client: object, name: str) -> FileSizes:
    return FileSizes(
        (3, 0, 12, 20, 1, 0, 0), (90_000, 0, 40_000_000, 160_000_000, 9_000_000, 0, 0), (12,) * 7, 2, 0, 4, 4
    )


@contextmanager
def all_of_it() -> Iterator[None]:
    """Let the clock stand still, and what is behind the places answer too."""
    with standing_still():
        patches: Sequence[Any] = [
            *(
                mock.patch.object(airflow_runs, stand_in.__name__, stand_in)
                for stand_in in (task_instances, log, params)
            ),
            mock.patch.object(kafka_cluster, "topic", lambda client, name: topics(client)[0]),
            *(mock.patch.object(iceberg_inspect, stand_in.__name__, stand_in) for stand_in in (table, file_sizes)),
            mock.patch("dataops_tui.screens.tasks.datetime", mock.Mock(now=lambda zone: NOW)),
        ]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


def test_each_place_is_looked_at() -> None:
    assert SCREENS.keys() >= DESTINATIONS.keys()


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
@pytest.mark.parametrize("name", VARIANTS)
async def test_each_screen_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, size: tuple[int, int]
) -> None:
    if name == "no-colour":
        monkeypatch.setenv("NO_COLOR", "1")
    kept = Kept(name, size)
    found: dict[str, Look] = {}
    with all_of_it():
        console = dressed(tmp_path, **VARIANTS[name])
        async with console.app.run_test(size=size, notifications=False) as pilot:
            for snapshot in history():
                console.monitor.push(snapshot)
                await pilot.pause()
            for screen, view in SCREENS.items():
                if view.typed:
                    console.app.run_command(view.typed)
                await pilot.press(*view.keys)
                wait = view.wait.translate(ASCII) if name == "ascii" else view.wait
                await until_shown(console.app, lambda text, wait=wait: wait in text, f"{screen}: {wait}")  # type: ignore[misc]
                found[screen] = await still(console.app, pilot, kept.looks.get(screen))
                await pilot.press(*view.leave)
    if WRITE:
        kept.write(found)
    wrong = [line for screen, styled in found.items() for line in difference(screen, kept.looks.get(screen), styled)]
    assert not wrong, "\n".join(wrong)


class Kept:
    """What a screen looked like, in files."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        at = f"{size[0]}x{size[1]}"
        self._texts = f"ascii-{at}.txt" if name == "ascii" else f"{at}.txt"
        self._colours = FOLDER / f"{name}-{at}.colours"
        colours = self._colours.read_text().split("== ")[1:] if self._colours.exists() else []
        self.looks: dict[str, Look] = {}
        for part in colours:
            screen, *lines = part.rstrip("\n").split("\n")
            self.looks[screen] = (FOLDER / f"{screen}-{self._texts}").read_text().rstrip("\n"), lines

    def write(self, looks: Mapping[str, Look]) -> None:
        """Keep other looks from now on."""
        FOLDER.mkdir(exist_ok=True)
        for screen, (text, _) in looks.items():
            (FOLDER / f"{screen}-{self._texts}").write_text(text + "\n")
        parts = ["\n".join([f"== {screen}", *lines]) + "\n" for screen, (_, lines) in looks.items()]
        self._colours.write_text("".join(parts))
        self.looks = dict(looks)


def difference(screen: str, was: Look | None, now: Look) -> list[str]:
    """Return how a screen differs, line by line."""
    text, colours = was or ("", [])
    found = [*unified_diff(text.split("\n"), now[0].split("\n"), screen, "and now", lineterm="")]
    return [*found, *unified_diff(colours, now[1], f"{screen}'s colours", "and now", lineterm="")]


async def still(app: DataopsApp, pilot: Any, wanted: Look | None) -> Look:
    """Return text and colours once they are as they were, or once nothing more is drawn."""
    for line in app.screen.query(Input):
        line.cursor_blink = False
    looks: list[Look] = []
    while len(looks) < PATIENCE or looks[-1] != looks[-PATIENCE]:
        await pilot.pause(0.1 if looks else None)
        text = TOOK.sub("in …", shown(app)).rstrip("\n")
        looks.append((text, styles(app)))
        if looks[-1] == wanted:
            break
    return looks[-1]


def styles(app: DataopsApp) -> list[str]:
    """Return each style that is on the screen, with the first text that has it."""
    found: dict[str, str] = {}
    for strip in strips(app):
        for segment in strip:
            if segment.text.strip():
                found.setdefault(str(segment.style), segment.text.strip()[:24])
    return [f"{style}: {TOOK.sub('in …', text)}" for style, text in found.items()]
