"""The screens of a run's tasks, with their timing, and of a task's log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.errors import NotFound
from dataops_core.health.text import ago, clock
from dataops_core.plain import visible
from dataops_core.units import count
from dataops_tui import styled
from dataops_tui.background import in_background
from dataops_tui.base import ConsoleScreen
from dataops_tui.messages import LogGrown, WorkFailed
from dataops_tui.resource import FETCHING, ResourceScreen, Row
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.log_view import Line, LogView
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.change import change

if TYPE_CHECKING:
    from dataops_core.systems.airflow.client import AirflowClient
    from dataops_core.systems.airflow.runs import LogLine, TaskInstance

BAR = 40
"""Width of a task's bar, in columns."""
LOG_EVERY = 2.0
"""Seconds between two polls of a growing log."""
MANY = 100
"""Number of lines in a part from which the next part is requested at once."""
LEVELS = {"error": "red", "critical": "red bold", "warning": "yellow", "debug": "dim"}


class TasksScreen(ResourceScreen["tuple[TaskInstance, ...]"]):
    """The tasks of one run, first started first."""

    COMPONENT = "airflow"
    MARKABLE = True
    BINDINGS = [
        Binding("l", "open", "Log", id="tasks.log", show=False, tooltip="Follow the task's log"),
        Binding("x", "clear", "Clear", id="tasks.clear", tooltip="Clear the selected or the marked tasks"),
    ]

    def __init__(self, dag_id: str, run_id: str) -> None:
        super().__init__()
        self._dag_id = dag_id
        self._run_id = run_id

    def crumb(self) -> str:
        """Return the run's id."""
        return self._run_id

    def fetch(self) -> tuple[TaskInstance, ...]:
        """Fetch the run's tasks from Airflow."""
        from dataops_core.systems.airflow.runs import task_instances  # noqa: PLC0415 - a slow import

        return task_instances(self.console.clients.require_airflow(), self._dag_id, self._run_id)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        narrow = ("STATE", "TASK", "TRY", "WAITED", "TOOK")
        return (*narrow, "QUEUED ░ RUNNING █", "OPERATOR") if self.wide else narrow

    def rows(self, results: tuple[TaskInstance, ...], now: datetime) -> Mapping[str, Row]:
        """Return the tasks."""
        times = [at for task in results for at in (task.queued_at, task.started_at, task.ended_at) if at is not None]
        running = any(task.started_at is not None and task.ended_at is None for task in results)
        begin, end = min(times, default=now), now if running else max(times, default=now)
        rows = {}
        for task in results:
            cells = [
                styled.task_state(task.state or "none")
                if task.unreadable is None
                else styled.unreadable(task.unreadable),
                styled.plain(task.key),
                Text(f"{task.tries} of {task.max_tries + 1}"),
                styled.seconds(_between(task.queued_at, task.started_at or (now if task.state == "queued" else None))),
                styled.seconds(_between(task.started_at, task.ended_at or now)),
                _bar(task, begin, end),
                styled.plain(task.operator or styled.UNKNOWN, "dim"),
            ]
            missing = task.unreadable is not None
            faulty = missing or task.state in ("failed", "upstream_failed")
            rows[task.key] = Row(cells[: len(self.headings())], task, faulty, unreadable=missing)
        return rows

    def open(self, key: str) -> None:
        """Open the task's log."""
        row = self._rows.get(key)
        if row is not None:
            self.console.drill(f"dags {self._dag_id}", LogScreen(self._dag_id, self._run_id, row.about))

    def url(self, key: str | None) -> str | None:
        """Return the task's page in Airflow."""
        return self.console.clients.airflow_page(self._dag_id, self._run_id, key.partition("[")[0] if key else None)

    def action_clear(self) -> None:
        """Clear the selected tasks and their downstream tasks, so that they run again."""
        airflow, chosen = self.console.clients.airflow, self.table.chosen
        if airflow is None or not chosen or self.result is None:
            return
        tasks = [task for task in self.result if task.key in chosen]
        call = clear_call(airflow, self._dag_id, self._run_id, tasks)
        clear = partial(self.console.policy.clear_failed, airflow, self._dag_id, self._run_id, tasks)

        def do(confirmed: str | None) -> str:
            return f"{clear(confirmed=confirmed)} tasks of {self._run_id} cleared"

        change(self.console, f"Clear {styled.abbreviated(chosen)} and downstream tasks", [call], do)
        self.table.unmark()


def clear_call(airflow: AirflowClient, dag_id: str, run_id: str, tasks: Sequence[TaskInstance] = ()) -> str:
    """Return the API call that clears tasks."""
    from dataops_core.systems.airflow.runs import clearing  # noqa: PLC0415 - as above

    return f"POST {airflow.api_url}/dags/{dag_id}/clearTaskInstances {json.dumps(clearing(run_id, tasks))}"


class LogScreen(ConsoleScreen):
    """The log of a task's newest try."""

    COMPONENT = "airflow"
    FOLLOWS_TIME = False

    BINDINGS = [
        Binding("escape", "dismiss", "Back", id="log.back", tooltip="Go back to the tasks"),
        Binding("f", "follow", "Follow", id="log.follow", tooltip="Follow the end of the log, or stop following"),
        Binding("c", "copy", "Copy", id="log.copy", tooltip="Copy the log"),
        Binding("slash", "filter", "Search", id="log.search", tooltip="Search the log", priority=True),
        Binding("n", "step(1)", "Next", id="log.next", show=False, tooltip="Next line that matches"),
        Binding("N", "step(-1)", "Previous", id="log.previous", show=False, tooltip="Previous line that matches"),
        Binding("g", "top", "Top", id="log.top", show=False, tooltip="First line"),
        Binding("G", "bottom", "Bottom", id="log.bottom", show=False, tooltip="Last line"),
    ]

    def __init__(self, dag_id: str, run_id: str, task: TaskInstance) -> None:
        super().__init__()
        self._dag_id = dag_id
        self._run_id = run_id
        self._instance = task
        self._token: str | None = None
        self._ended = False
        self._fetching = False
        self._failed: str | None = None
        self._waits = False
        self._read_at: datetime | None = None

    def crumb(self) -> str:
        """Return the task, and that this is its log."""
        return f"{self._instance.key} log"

    def compose_body(self) -> ComposeResult:
        """Compose the log, the search line and the status line."""
        yield LogView(id="log")
        yield FilterLine("regular expression to search for; n next, N previous, Enter keeps it, Escape clears it")
        yield Words(id="status-line")

    @property
    def view(self) -> LogView:
        """The log."""
        return self.query_one(LogView)

    def on_mount(self) -> None:
        """Fetch now, and poll until the end of the log."""
        self.view.focus()
        self.load()
        self.set_interval(LOG_EVERY, self.load)

    def load(self) -> None:
        """Fetch new lines, unless a fetch is running or the log has ended."""
        if self._fetching or self._ended:
            return
        self._fetching = True
        token, has_lines = self._token, bool(self.view.lines)

        def work() -> None:
            from dataops_core.systems.airflow.runs import log  # noqa: PLC0415 - as above

            try:
                part = log(self.console.clients.require_airflow(), self._dag_id, self._run_id, self._instance, token)
            except NotFound:
                if self._instance.tries or has_lines:
                    raise
                part = None  # the task waits for its first try
            now = styled.utc_now()
            lines = [row for line in part.lines for row in _lines(line, now)] if part is not None else []
            self.post_message(LogGrown(part is not None, lines, part.token if part is not None else None, now))

        in_background(self, FETCHING, work)

    @on(LogGrown)
    def _grown(self, message: LogGrown) -> None:
        self._fetching, self._failed, self._read_at, self._waits = False, None, message.at, not message.started
        if message.started:
            self._token, self._ended = message.token, message.token is None
            before = len(self.view.lines) + self.view.missing
            self.view.add(message.lines)
            self._search_on(before - self.view.missing)
            if len(message.lines) >= MANY:
                self.load()
        self._redraw()

    @on(WorkFailed)
    def _complain(self, message: WorkFailed) -> None:
        message.stop()
        self._fetching, self._failed = False, message.error
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Draw the status line."""
        view = self.view
        status = Text(f"try {max(self._instance.tries, 1)}, {count(len(view.lines))} lines", "dim")
        if view.missing:
            status.append(f"  the first {count(view.missing)} lines are missing: the log is too long", "not dim yellow")
        if self.query_one(FilterLine).value:
            result = f"{view.hit or 0} of {count(len(view.hits))} lines that match" if view.hits else "no line matches"
            status.append(f"  {result}", "not dim yellow")
        status.append(f"  updated {ago(self._read_at, now)}" if self._read_at else "  loading …")
        if self._waits:
            status.append("  no log yet: the task has not started", "not dim yellow")
        elif self._ended:
            status.append("  end of log", "not dim")
        elif view.follows:
            status.append("  ● following", "not dim green")
        else:
            status.append("  ‖ not following (f follows)", "not dim yellow")
        if self._failed is not None:
            status = Text.assemble(styled.plain(self._failed, "red"), "  ", status)
        self.query_one("#status-line", Words).show(status)

    def action_filter(self) -> None:
        """Open the search line."""
        self.query_one(FilterLine).open()

    @on(FilterLine.Filtered)
    def _search(self) -> None:
        self.view.search(self._hits(0))
        self._redraw()

    def _search_on(self, start: int) -> None:
        if self.query_one(FilterLine).value:
            self.view.hits += self._hits(max(0, start))

    def _hits(self, start: int) -> list[int]:
        search = self.query_one(FilterLine)
        if not search.value:
            return []
        kept = search.keep([line.text for line in self.view.lines[start:]])
        return list(compress(range(start, len(self.view.lines)), kept))

    def action_step(self, by: int) -> None:
        """Go to the next or the previous line that matches."""
        self.view.step(by)
        self._redraw()

    def action_follow(self) -> None:
        """Follow the end of the log, or stop following."""
        self.view.follows = not self.view.follows
        if self.view.follows:
            self.view.to_end()
        self._redraw()

    def action_copy(self) -> None:
        """Copy the log through the terminal (OSC 52)."""
        self.app.copy_to_clipboard("\n".join(line.text for line in self.view.lines))
        self.notify(f"copied {count(len(self.view.lines))} lines", timeout=2)

    def action_top(self) -> None:
        """Go to the first line."""
        self.view.follows = False
        self.view.scroll_home(animate=False)
        self._redraw()

    def action_bottom(self) -> None:
        """Go to the last line, and follow the end of the log."""
        self.view.follows = True
        self.view.to_end()
        self._redraw()


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin is not None and end is not None else None


def _bar(task: TaskInstance, begin: datetime, end: datetime) -> Text:
    """Return a bar that shows when a task was queued and running, relative to its run."""
    span = max((end - begin).total_seconds(), 1.0)

    def column(at: datetime | None) -> int:
        return round(BAR * min(max(((at or end) - begin).total_seconds() / span, 0.0), 1.0))

    if task.queued_at is None and task.started_at is None:
        return Text("")
    started = column(task.started_at)
    queued = min(column(task.queued_at), started) if task.queued_at is not None else started
    ended = max(column(task.ended_at), started + 1) if task.started_at is not None else started
    _, colour = styled.TASK_STATES.get(task.state or "none", styled.OTHER_STATE)
    return Text.assemble(" " * queued, ("░" * (started - queued), "cyan"), ("█" * (ended - started), colour))


def _lines(line: LogLine, now: datetime) -> Iterator[Line]:
    at = f"{clock(line.at, now, offset=False)} " if line.at else ""
    colour = LEVELS.get((line.level or "").lower(), "")
    first, *others = line.text.splitlines() or [""]
    level = f"{line.level.upper()} " if line.level else ""
    yield Line(at + visible((level + first).expandtabs()), len(at), colour)
    yield from (Line(visible(other.expandtabs()), 0, colour) for other in others)
    yield from (Line(visible(detail), 0, "red") for detail in line.traceback)
