"""Where one can go in the console: by name, by drilling in, and back and forward again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from dataops_core.config import Settings
from dataops_tui.base import ConsoleScreen
from dataops_tui.dialogs.command import Command
from dataops_tui.screens.dags import RunsScreen
from dataops_tui.screens.kafka import GroupScreen, TopicScreen
from dataops_tui.screens.peek import PeekScreen
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.stage import StageScreen
from dataops_tui.screens.tables import TableDetailScreen

HISTORY = 100
"""Places that are remembered."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that has a name.

    Attributes:
        mode: The mode that it belongs to.
        about: What is to be seen there.
        kind: What kind of thing may be named after it, e.g. `topic`.
        screen: Makes the screen of the thing that is named; gets all words after the place's own.
        alone: Whether it can be gone to without naming a thing.
    """

    mode: str
    about: str
    kind: str | None = None
    screen: Callable[..., Screen[Any]] | None = None
    alone: bool = True


DESTINATIONS: Mapping[str, Destination] = {
    "pipelines": Destination("pipelines", "all pipelines with their verdicts"),
    "dags": Destination("dags", "Airflow's DAGs; dags DAG its runs", "DAG", RunsScreen),
    "kafka": Destination("kafka", "Kafka's topics; kafka TOPIC its partitions", "topic", TopicScreen),
    "peek": Destination("kafka", "a topic's records; peek TOPIC 15m starts 15 minutes ago", "topic", PeekScreen, False),
    "groups": Destination("groups", "Kafka's consumer groups and their lag", "group", GroupScreen),
    "tables": Destination("tables", "Iceberg's tables; tables CATALOG.TABLE one of them", "table", TableDetailScreen),
    "queries": Destination("queries", "Trino's queries of all users, and why they wait"),
    "alerts": Destination("alerts", "current findings and alerts"),
    "events": Destination("events", "state changes with their reasons"),
    "xray": Destination("xray", "stages and their inputs as a tree"),
    "audit": Destination("audit", "audit log of executed and refused actions"),
}
ARGUMENTS: Mapping[str, str] = {
    **{name: place.kind for name, place in DESTINATIONS.items() if place.kind is not None and not place.alone},
    "pipeline": "pipeline",
    "stage": "stage",
    "trigger": "DAG",
    "component": "component",
    "context": "context",
    "theme": "theme",
}
"""Commands that need an object, and its kind."""
ALIASES = {"topics": "kafka", "topic": "kafka", "group": "groups", "dag": "dags", "table": "tables", "lineage": "xray"}


def refusal(typed: str) -> str:
    """Return why a text is no command."""
    verb, _, rest = typed.partition(" ")
    if verb in ARGUMENTS and not rest.strip():
        return f"{verb} needs a {ARGUMENTS[verb]}: {verb} {ARGUMENTS[verb].upper()}"
    return f'no such command: "{typed}"; ":" lists them'


def sql_screen() -> Screen[Any]:
    """Return the SQL screen."""
    from dataops_tui.screens.sql import SqlScreen  # noqa: PLC0415 - its editor and tabs, not before the first frame

    return SqlScreen()


class Navigator(App[None]):
    """Knows the places, and the way that was taken."""

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
        """Remember names of things of a kind, to complete commands with."""
        self._known.setdefault(kind, set()).update(names)

    def is_listed(self, kind: str, name: str) -> bool:
        """Return whether a list has had that name."""
        return name in self._known.get(kind, ())

    def forget_names(self) -> None:
        """Forget all names of things: they are another component's."""
        self._known.clear()

    def forget(self) -> None:
        """Forget all names and the way: they are another context's."""
        self.forget_names()
        self._visited, self._at = ["pipelines"], 0

    def destination_commands(self) -> Iterator[Command]:
        """Yield what can be typed to go somewhere."""
        for name, place in DESTINATIONS.items():
            if place.alone:
                yield Command(name, place.about)
            for thing in sorted(self._known.get(place.kind or "", ())):
                yield Command(f"{name} {thing}", f"{'records of ' if name == 'peek' else ''}a {place.kind}")

    def go(self, typed: str) -> bool:
        """Go to a screen by its name, and remember it; returns whether it exists."""
        if self._show(typed):
            self._remember(typed)
            return True
        return False

    def drill(self, typed: str, screen: Screen[None]) -> None:
        """Go further in from where one is; `typed` is what leads there directly."""
        if self.open_once(screen):
            self._remember(typed)

    def open_once(self, screen: Screen[None]) -> bool:
        """Open a screen unless the same one is shown already; returns whether it was opened."""
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
        """Put a statement into a tab of the SQL screen of its own, and run it."""

        async def go() -> None:
            await self.switch_mode("sql")
            from dataops_tui.screens.sql import SqlScreen  # noqa: PLC0415 - as above

            if statement and isinstance(self.screen, SqlScreen):
                self.screen.put(statement, run=run)

        self.call_next(go)

    def open_pipeline(self, name: str) -> None:
        """Show a pipeline of this context, or say that there is no such one."""
        here = [n for n, p in self.settings.pipelines.items() if p.context == self.context_name]
        if name not in here:
            self.notify(f'no such pipeline: "{name}"; there is {", ".join(here)}', severity="error", markup=False)
            return

        async def go() -> None:
            await self.switch_mode("pipelines")
            for screen in self.screen_stack:
                if isinstance(screen, PipelinesScreen):
                    screen.choose(name)

        self.call_next(go)

    def find_stage(self, name: str) -> None:
        """Show a stage of any pipeline of this context, or say that there is no such one."""
        for pipeline, settings in self.settings.pipelines.items():
            if settings.context == self.context_name and any(s.name == name for s in settings.stages):
                self.open_stage(pipeline, name)
                return
        self.notify(f'no such stage: "{name}"', severity="error", markup=False)

    def open_stage(self, pipeline: str, stage: str) -> None:
        """Show everything that is known about a stage."""
        self.open_once(StageScreen(pipeline, stage))

    def action_earlier(self) -> None:
        """Go back to the previous screen."""
        self._step(-1)

    def action_later(self) -> None:
        """Go to the place that one came back from."""
        self._step(1)

    def _step(self, step: int) -> None:
        if 0 <= self._at + step < len(self._visited):
            self._at += step
            self._show(self._visited[self._at])
        else:
            self.notify("there is nothing " + ("before this" if step < 0 else "after this"), timeout=1)

    def _remember(self, typed: str) -> None:
        if self._visited[self._at] != typed:
            self._visited = [*self._visited[: self._at + 1], typed][-HISTORY:]
            self._at = len(self._visited) - 1

    def _show(self, typed: str) -> bool:
        verb, _, rest = typed.partition(" ")
        place = DESTINATIONS.get(ALIASES.get(verb, verb))
        if place is None or (not rest and not place.alone) or (rest and place.screen is None):
            return False
        rest = rest.strip()  # one name, which may hold blanks; only the peek is told where to begin as well
        words = rest.split(maxsplit=1) if place.screen is PeekScreen else [rest]
        inner = place.screen(*words) if place.screen and rest else None

        async def show() -> None:
            await self.switch_mode(place.mode)
            while len(self.screen_stack) > 1:
                await self.pop_screen()
            if inner is not None:
                await self.push_screen(inner)

        self.call_next(show)
        return True
