"""Kafka Connect's connectors and their tasks: restart, pause and resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.errors import ClientError
from dataops_core.plain import visible
from dataops_core.systems.connect.requests import Change
from dataops_tui import styled
from dataops_tui.console import Console
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.change import change

if TYPE_CHECKING:
    from dataops_core.systems.connect.client import ConnectClient
    from dataops_core.systems.connect.responses import Connector, Task

STATES = {
    "RUNNING": ("●", "green"),
    "FAILED": ("✖", "red"),
    "PAUSED": ("‖", "magenta"),
    "STOPPED": ("‖", "magenta"),
    "UNASSIGNED": ("○", "yellow"),
    "RESTARTING": ("↻", "yellow"),
    "DESTROYED": ("◇", "dim"),
}
"""Glyph and colour of the states of connectors and tasks."""
TASK_HEADINGS = ("TASK", "STATE", "WORKER", "CAUSE")
WIDE_HEADINGS = ("CONNECTOR", "STATE", "TASKS", "TYPE", "WORKER", "CAUSE")
HEADINGS = ("CONNECTOR", "STATE", "TASKS", "CAUSE")


class ConnectScreen(ResourceScreen["tuple[Connector, ...]"]):
    """All connectors, and the tasks of the selected one."""

    COMPONENT = "connect"
    CRUMB = "connect"
    MARKABLE = True
    EMPTY = "no connectors"
    BINDINGS = [
        Binding(
            "r",
            "restart",
            "Restart",
            id="connect.restart",
            tooltip="Restart the failed tasks of the selected or the marked connectors",
        ),
        Binding(
            "p", "pause", "Pause", id="connect.pause", tooltip="Pause or resume the selected or the marked connectors"
        ),
    ]

    def compose_more(self) -> ComposeResult:
        """Add the tasks of the selected connector."""
        yield Words(id="tasks-title")
        yield LiveTable(id="tasks")

    def fetch(self) -> tuple[Connector, ...]:
        """Ask Kafka Connect."""
        return self.console.clients.connect.connectors()

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return WIDE_HEADINGS if self.wide else HEADINGS

    def rows(self, results: tuple[Connector, ...], now: datetime) -> Mapping[str, Row]:
        """Return the connectors."""
        return {
            connector.name: Row([_cells(connector)[name] for name in self.headings()], connector, _faulty(connector))
            for connector in results
        }

    def draw_more(self, now: datetime) -> None:
        """Show the tasks of the selected connector."""
        selected = self._named(self.table.cursor_key)
        self.query_one("#tasks-title", Words).show(
            styled.plain(f"tasks of {selected.name}" if selected is not None else "", "bold")
        )
        tasks = {str(task.number): _task(task) for task in selected.tasks} if selected is not None else {}
        self.query_one("#tasks", LiveTable).show(TASK_HEADINGS, tasks)

    def open(self, key: str) -> None:
        """Show all values of the connector and its tasks."""
        self.action_raw()

    def url(self, key: str | None) -> str | None:
        """Return the address of the connector's status."""
        try:
            return f"{self.console.clients.connect.target}/connectors/{quote(key, safe='')}/status" if key else None
        except ClientError:
            return None

    def action_restart(self) -> None:
        """Restart what has failed of the chosen connectors; the whole connector where nothing has."""
        chosen = self._chosen()
        failed = [each for each in chosen if each.state == "FAILED" or each.of_state("FAILED")]
        if failed:
            _change(self.console, "Restart the failed tasks of", Change.RESTART_FAILED, failed)
        else:
            _change(self.console, "Restart", Change.RESTART, chosen)
        self.table.unmark()

    def action_pause(self) -> None:
        """Pause the chosen connectors, or resume them if the first one is paused or stopped."""
        chosen = self._chosen()
        resumes = bool(chosen) and chosen[0].state in ("PAUSED", "STOPPED")
        _change(self.console, "Resume" if resumes else "Pause", Change.RESUME if resumes else Change.PAUSE, chosen)
        self.table.unmark()

    def _named(self, name: str | None) -> Connector | None:
        return next((each for each in self.result or () if each.name == name), None)

    def _chosen(self) -> list[Connector]:
        return [each for name in self.table.chosen if (each := self._named(name)) is not None]


def _change(console: Console, title: str, what: Change, connectors: Sequence[Connector]) -> None:
    """Change connectors, once it is confirmed; the first request that fails ends it."""
    if not connectors:
        console.notify("no connector selected: move the cursor to one", severity="warning")
        return
    try:
        client: ConnectClient = console.clients.connect
    except ClientError as error:
        console.notify(str(error), severity="error", markup=False)
        return
    names = [each.name for each in connectors]
    policy = console.policy

    def do(confirmed: str | None) -> str:
        for name in names:
            policy.change_connector(client, name, what, confirmed)
        return f"{what.verb} requested for {styled.abbreviated(names)}"

    calls = [f"{what.method} {client.target}{what.path(name)}" for name in names]
    change(console, f"{title} {styled.abbreviated(names)}", calls, do)


def _faulty(connector: Connector) -> bool:
    """Return whether it has failed, in whole or in part, or does nothing although it is RUNNING."""
    return (
        connector.state == "FAILED"
        or bool(connector.of_state("FAILED"))
        or (connector.state == "RUNNING" and not connector.tasks)
    )


def _cells(connector: Connector) -> Mapping[str, Text]:
    cause = connector.first_cause
    return {
        "CONNECTOR": styled.plain(connector.name),
        "STATE": _state(connector.state),
        "TASKS": _tasks(connector),
        "TYPE": styled.plain(connector.kind or styled.UNKNOWN, "dim"),
        "WORKER": styled.plain(connector.worker or styled.UNKNOWN, "dim"),
        "CAUSE": styled.plain(cause or styled.UNKNOWN, "red" if cause is not None else "dim"),
    }


def _tasks(connector: Connector) -> Text:
    """Return how many tasks are in which state: `2 running, 1 failed`."""
    if not connector.tasks:
        return Text("none", "red" if connector.state == "RUNNING" else "dim")
    states = [task.state for task in connector.tasks]
    counts = [f"{states.count(state)} {state.lower()}" for state in STATES if state in states]
    return Text(", ".join(counts), "red" if "FAILED" in states else "")


def _task(task: Task) -> list[Text]:
    return [
        styled.right(str(task.number)),
        _state(task.state),
        styled.plain(task.worker or styled.UNKNOWN, "dim"),
        styled.plain(task.cause or styled.UNKNOWN, "red" if task.cause is not None else "dim"),
    ]


def _state(state: str) -> Text:
    glyph, colour = STATES.get(state, styled.OTHER_STATE)
    return Text(f"{glyph} {visible(state.lower())}", colour)
