"""Navigation: go to a screen by name, drill down, go back and forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.command import CommandPalette
from textual.screen import Screen

from dataops_core.config import Settings
from dataops_tui.base import ConsoleScreen
from dataops_tui.dialogs.command import Command
from dataops_tui.palette import Palette
from dataops_tui.screens.dags import RunsScreen
from dataops_tui.screens.kafka import GroupScreen, TopicScreen
from dataops_tui.screens.peek import PeekScreen
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.stage import StageScreen
from dataops_tui.screens.tables import TableDetailScreen

HISTORY = 100
"""Length of the history."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A screen that a command names.

    Attributes:
        mode: Textual mode of the screen.
        about: Its description in the help.
        kind: Kind of the object that may follow, e.g. `topic`.
        screen: Returns the screen of the object; gets the words after the command's name.
        alone: Whether the command is valid without an object.
    """

    mode: str
    about: str
    kind: str | None = None
    screen: Callable[..., Screen[Any]] | None = None
    alone: bool = True


DESTINATIONS: Mapping[str, Destination] = {
    "pipelines": Destination("pipelines", "all pipelines with their verdicts"),
    "dags": Destination("dags", "Airflow DAGs; dags DAG lists the runs of one", "DAG", RunsScreen),
    "kafka": Destination("kafka", "Kafka topics; kafka TOPIC lists the partitions of one", "topic", TopicScreen),
    "peek": Destination("kafka", "records of a topic; peek TOPIC 15m starts 15m ago", "topic", PeekScreen, False),
    "groups": Destination("groups", "Kafka consumer groups and their lag", "group", GroupScreen),
    "subjects": Destination("subjects", "schema registry subjects with their newest versions"),
    "connect": Destination("connect", "Kafka Connect connectors and their tasks"),
    "tables": Destination("tables", "Iceberg tables; tables CATALOG.TABLE opens one", "table", TableDetailScreen),
    "queries": Destination("queries", "Trino queries of all users, and why they wait"),
    "alerts": Destination("alerts", "current findings and alerts"),
    "events": Destination("events", "state changes with their reasons"),
    "xray": Destination("xray", "stages and their inputs as a tree"),
    "audit": Destination("audit", "audit log of executed and refused actions"),
}
ARGUMENTS: Mapping[str, str] = {
    **{name: each.kind for name, each in DESTINATIONS.items() if each.kind is not None and not each.alone},
    "pipeline": "pipeline",
    "stage": "stage",
    "trigger": "DAG",
    "component": "component",
    "context": "context",
    "theme": "theme",
}
"""Kind of the object that a command requires, by command."""
ALIASES = {
    "topics": "kafka",
    "topic": "kafka",
    "group": "groups",
    "subject": "subjects",
    "dag": "dags",
    "table": "tables",
    "lineage": "xray",
}


def refusal(typed: str) -> str:
    """Return why a text is not a valid command."""
    verb, _, rest = typed.partition(" ")
    if verb in ARGUMENTS and not rest.strip():
        return f"{verb} needs a {ARGUMENTS[verb]}: {verb} {ARGUMENTS[verb].upper()}"
    return f'no such command: "{typed}"; ":" lists them'


def sql_screen() -> Screen[Any]:
    """Return the SQL screen."""
    from dataops_tui.screens.sql import SqlScreen  # noqa: PLC0415 - a slow import, after the first frame

    return SqlScreen()


class Navigator(App[None]):
    """The destinations, the history of visited screens, and the names for completion."""

    BINDINGS = [
        Binding(
            "alt+left,minus", "earlier", "Back", id="app.back", show=False, tooltip="Go back to the previous screen"
        ),
        Binding(
            "alt+right,plus", "later", "Forward", id="app.forward", show=False, tooltip="Go forward to the next screen"
        ),
    ]

    settings: Settings
    context_name: str

    def __init__(self) -> None:
        super().__init__()
        self._visited: list[str] = ["pipelines"]
        self._at = 0
        self._known: dict[str, set[str]] = {}

    def learn(self, kind: str, names: Iterable[str]) -> None:
        """Remember names of objects of a kind, to complete commands with."""
        self._known.setdefault(kind, set()).update(names)

    def is_listed(self, kind: str, name: str) -> bool:
        """Return whether a list has shown that name."""
        return name in self._known.get(kind, ())

    def forget_names(self) -> None:
        """Forget all names, as they belong to another component."""
        self._known.clear()

    def forget(self) -> None:
        """Forget all names and the history, as they belong to another context."""
        self.forget_names()
        self._visited, self._at = ["pipelines"], 0

    def destination_commands(self) -> Iterator[Command]:
        """Yield the commands that open a screen."""
        for verb, destination in DESTINATIONS.items():
            if destination.alone:
                yield Command(verb, destination.about)
            for name in sorted(self._known.get(destination.kind or "", ())):
                yield Command(f"{verb} {name}", f"{'records of ' if verb == 'peek' else ''}a {destination.kind}")

    def go(self, typed: str) -> bool:
        """Go to a screen by its name, and remember it; return whether it exists."""
        if self._show(typed):
            self._remember(typed)
            return True
        return False

    def drill(self, typed: str, screen: Screen[None]) -> None:
        """Open a screen from the current one; `typed` is the command that opens it directly."""
        if self.open_once(screen):
            self._remember(typed)

    def open_once(self, screen: Screen[None]) -> bool:
        """Open a screen unless it is already the current one; return whether it was opened."""
        shown: Screen[Any] = self.screen
        if (
            isinstance(shown, ConsoleScreen)
            and isinstance(screen, ConsoleScreen)
            and type(shown) is type(screen)
            and shown.crumb() == screen.crumb()
        ):
            return False
        self.push_screen(screen)
        return True

    def open_sql(self, statement: str, *, run: bool = True) -> None:
        """Open a statement in a separate tab of the SQL screen, and run it."""

        async def go() -> None:
            await self.switch_mode("sql")
            from dataops_tui.screens.sql import SqlScreen  # noqa: PLC0415 - as above

            if statement and isinstance(self.screen, SqlScreen):
                self.screen.put(statement, run=run)

        self.call_next(go)

    def open_pipeline(self, name: str) -> None:
        """Show a pipeline of this context, or report that it does not exist."""
        here = [n for n, p in self.settings.pipelines.items() if p.context == self.context_name]
        if name not in here:
            self.notify(f'no such pipeline: "{name}"; available: {", ".join(here)}', severity="error", markup=False)
            return

        async def go() -> None:
            await self.switch_mode("pipelines")
            for screen in self.screen_stack:
                if isinstance(screen, PipelinesScreen):
                    screen.choose(name)

        self.call_next(go)

    def find_stage(self, name: str) -> None:
        """Show a stage of any pipeline of this context, or report that it does not exist."""
        for pipeline, settings in self.settings.pipelines.items():
            if settings.context == self.context_name and any(s.name == name for s in settings.stages):
                self.open_stage(pipeline, name)
                return
        self.notify(f'no such stage: "{name}"', severity="error", markup=False)

    def open_stage(self, pipeline: str, stage: str) -> None:
        """Show everything that is known about a stage."""
        self.open_once(StageScreen(pipeline, stage))

    def action_command_palette(self) -> None:
        """Search the commands."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(id="--command-palette"))

    def action_earlier(self) -> None:
        """Go back to the previous screen."""
        self._step(-1)

    def action_later(self) -> None:
        """Go forward to the next screen."""
        self._step(1)

    def _step(self, step: int) -> None:
        if 0 <= self._at + step < len(self._visited):
            self._at += step
            self._show(self._visited[self._at])
        else:
            self.notify("no previous screen" if step < 0 else "no next screen", timeout=1)

    def _remember(self, typed: str) -> None:
        if self._visited[self._at] != typed:
            self._visited = [*self._visited[: self._at + 1], typed][-HISTORY:]
            self._at = len(self._visited) - 1

    def _show(self, typed: str) -> bool:
        verb, _, rest = typed.partition(" ")
        destination = DESTINATIONS.get(ALIASES.get(verb, verb))
        if destination is None or (not rest and not destination.alone) or (rest and destination.screen is None):
            return False
        rest = rest.strip()  # one name, which may contain blanks; only peek accepts a second argument, the start
        words = rest.split(maxsplit=1) if destination.screen is PeekScreen else [rest]
        inner = destination.screen(*words) if destination.screen and rest else None

        async def show() -> None:
            await self.switch_mode(destination.mode)
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            if inner is not None:
                await self.push_screen(inner)

        self.call_next(show)
        return True
