"""The console: its state, its navigation and its commands."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.binding import Binding
from textual.filter import LineFilter
from textual.reactive import reactive
from textual.screen import Screen

from dataops_core.actions import ActionPolicy
from dataops_core.config import Settings, context_of
from dataops_core.gc_tuning import IDLE_SECONDS, IdleCollector
from dataops_core.health.events import Event, changes
from dataops_core.health.model import HealthSnapshot
from dataops_core.plain import encodable
from dataops_tui.background import in_background
from dataops_tui.base import ConsoleScreen
from dataops_tui.browser import has_window
from dataops_tui.dialogs.command import Command, CommandPrompt
from dataops_tui.dialogs.help import HelpScreen
from dataops_tui.fault_guard import FaultGuard
from dataops_tui.keys import is_typed
from dataops_tui.messages import (
    BackfillPlanned,
    Changed,
    Connected,
    DagChecked,
    DagTriggered,
    SnapshotArrived,
    WorkFailed,
)
from dataops_tui.navigation import ARGUMENTS, DESTINATIONS, Navigator, refusal, sql_screen
from dataops_tui.ordered_input import OrderedInput
from dataops_tui.palette import ConsoleCommands
from dataops_tui.resource import ResourceScreen
from dataops_tui.screens.alerts import AlertsScreen
from dataops_tui.screens.audit import AuditScreen
from dataops_tui.screens.connect import ConnectScreen
from dataops_tui.screens.dags import DagsScreen
from dataops_tui.screens.events import EventsScreen
from dataops_tui.screens.kafka import GroupsScreen, TopicsScreen
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.queries import QueriesScreen
from dataops_tui.screens.subjects import SubjectsScreen
from dataops_tui.screens.tables import TablesScreen
from dataops_tui.screens.xray import XrayScreen
from dataops_tui.themed import Themed
from dataops_tui.themes import THEMES, AsciiOnly, NoControls
from dataops_tui.time_travel import TimeTravel
from dataops_tui.watching import ConnectedClients, Watching
from dataops_tui.workflows.backfill import backfill_planned
from dataops_tui.workflows.change import changed
from dataops_tui.workflows.trigger import dag_checked, dag_of_stage, dag_triggered, trigger_typed_dag

if TYPE_CHECKING:  # the clients bring their vendors' SDKs, which take seconds to import
    from dataops_core.systems.trino.client import TrinoClient


EVENTS = 1000
"""State changes that are kept in memory."""
SQL = ("sql", "run SQL in Trino; `sql SELECT …` runs the statement")
"""The only destination whose argument is a statement, not a name."""
CONTEXT_SUFFIX = re.compile(r"(?P<rest>.*?)\s*@(?P<context>\S+)")
"""`kafka orders @prod`: a command in another context."""


class DataopsApp(OrderedInput, FaultGuard, TimeTravel, Themed, Navigator):
    """The console.

    Args:
        settings: The settings.
        context: Name of the context.
        watch: Returns the monitor of that context. The app calls it in the background, because it imports the vendors'
            clients; the screen is drawn before.
        policy: Allows or refuses each action, and audits it. Default: a policy with the default audit file.
        watch_other: Returns the monitor of another context. `None` disables switching the context.
    """

    CSS_PATH = "app.tcss"
    TITLE = "dataops-tui"
    COMMANDS = {ConsoleCommands}
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "pipelines": PipelinesScreen,
        "dags": DagsScreen,
        "sql": sql_screen,
        "kafka": TopicsScreen,
        "groups": GroupsScreen,
        "subjects": SubjectsScreen,
        "connect": ConnectScreen,
        "tables": TablesScreen,
        "alerts": AlertsScreen,
        "events": EventsScreen,
        "xray": XrayScreen,
        "audit": AuditScreen,
        "queries": QueriesScreen,
    }
    DEFAULT_MODE = "pipelines"
    BINDINGS = [
        Binding(
            "colon",
            "prompt",
            "Command",
            id="app.command",
            key_display=":",
            tooltip="Type a command",
            priority=True,
        ),
        Binding("question_mark", "help", "Help", id="app.help", key_display="?", tooltip="Show all keys"),
        Binding("ctrl+r", "refresh", "Refresh", id="app.refresh", show=False, tooltip="Refresh now"),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Quit the console"),
        Binding("ctrl+q", "quit", "Quit", id="app.leave", show=False, priority=True, tooltip="Quit the console"),
        Binding("f1", "help", "Help", id="app.f1", show=False, tooltip="Show all keys, also while typing"),
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", show=False, tooltip="Search the commands"),
        Binding("f2", "command", "Command", id="app.f2", show=False, tooltip="Type a command, also while typing"),
    ]
    snapshot: reactive[HealthSnapshot | None] = reactive(None)

    def __init__(
        self,
        settings: Settings,
        context: str | None,
        watch: Callable[[], Watching],
        policy: ActionPolicy | None = None,
        watch_other: Callable[[str], Watching] | None = None,
        *,
        utf8: bool = True,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.context_name, self.context_settings = context_of(settings, context)
        self.monitor: Watching | None = None
        """`None` until it is connected."""
        self._watched: list[Watching] = []
        self._components: dict[str, str] = {}
        """The component that the user has selected, by kind."""
        self._watch = watch
        self._watch_other = watch_other
        self.theme = settings.console.theme
        self._no_controls, self._ascii = NoControls(), AsciiOnly(settings.console.ascii, strict=not utf8)
        self.set_keymap(settings.console.keys)
        self.policy = policy or ActionPolicy(self.context_name, self.context_settings, audit=settings.audit)
        self.events: deque[Event] = deque(maxlen=EVENTS)
        """State changes since the console was started, oldest first."""
        self._collector = IdleCollector()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filters that every drawn line passes."""
        drawn = [self._no_controls, *([self._ascii] if self._ascii.enabled else [])]
        return [*super().get_line_filters(), *drawn]

    def copy_to_clipboard(self, text: str) -> None:
        """Copy a text through the terminal; escape lone surrogates, which UTF-8 cannot encode."""
        super().copy_to_clipboard(encodable(text, "utf-8"))

    def on_mount(self) -> None:
        """Connect to the context."""
        self._connect(self._watch)
        self.set_interval(IDLE_SECONDS, self._collector.collect)

    async def on_event(self, event: events.Event) -> None:
        """Report input to the idle collector, then dispatch the event."""
        if isinstance(event, events.InputEvent):
            self._collector.pressed()
        await super().on_event(event)

    def _connect(self, watch: Callable[[], Watching], before: Watching | None = None) -> None:
        context = self.context_name

        def arrived(snapshot: HealthSnapshot) -> None:
            if self.context_name == context:
                self.post_message(SnapshotArrived(snapshot))

        def work() -> None:
            if before is not None:
                before.stop()
            monitor = watch()
            self._watched.append(monitor)
            monitor.start(arrived)
            self.post_message(Connected(monitor, context))

        in_background(self, "connecting", work)

    @on(Connected)
    def _connected(self, message: Connected) -> None:
        if message.context != self.context_name:  # the user has selected another context meanwhile
            in_background(self, "leaving", message.monitor.stop)
            return
        self.monitor = message.monitor
        self._load()

    def _load(self) -> None:
        if isinstance(self.screen, ResourceScreen):
            self.screen.load()

    def on_unmount(self) -> None:
        """Stop the monitor."""
        if self.monitor is not None:
            self.monitor.stop()

    def leave(self, return_code: int) -> None:
        """Quit with an exit code, from any thread."""
        self.call_later(self.exit, None, return_code)

    def running_statements(self) -> int:
        """Return the number of statements that run in Trino, including those of probes and completions."""
        return sum(len(client.running) for client in self._trinos())

    def stop_statements(self, within: float) -> list[str]:
        """Cancel all running Trino statements, in any context; return one line per statement that may still run."""
        return [line for client in self._trinos() for line in client.close(within)]

    @property
    def clients(self) -> ConnectedClients:
        """The clients of the context."""
        return ConnectedClients(self.monitor, self.context_settings, self._components)

    def _trinos(self) -> list[TrinoClient]:
        return [client for monitor in self._watched for client in monitor.clients.all("trino").values()]

    @on(SnapshotArrived)
    def _take(self, message: SnapshotArrived) -> None:
        self.events.extend(changes(self.snapshot, message.snapshot))
        self.snapshot = message.snapshot

    def action_refresh(self) -> None:
        """Refresh now."""
        self.reload()
        self.notify("refreshing", timeout=3)

    def reload(self) -> None:
        """Refresh the health snapshot and the current list."""
        if self.monitor is not None:
            self.monitor.refresh()
        self._load()

    def action_home(self) -> None:
        """Go to the pipelines."""
        self.go("pipelines")

    def action_help(self) -> None:
        """Show the active keys."""
        keys: dict[str, list[str]] = {}
        for active in self.screen.active_bindings.values():
            about = active.binding.tooltip or active.binding.description
            if about and active.enabled and active.binding.id:
                keys.setdefault(about, []).append(self.get_key_display(active.binding))
        screens = [*((name, each.about) for name, each in DESTINATIONS.items()), SQL]
        self.push_screen(HelpScreen([(", ".join(shown), about) for about, shown in keys.items()], screens))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the `:` binding while the user types text."""
        if action == "prompt" and is_typed(self.focused, "colon", ":"):
            return False
        return super().check_action(action, parameters)

    def action_prompt(self) -> None:
        """Ask for a command."""
        self.action_command()

    def action_command(self) -> None:
        """Ask for a command."""
        self.push_screen(CommandPrompt(self.commands()), self._run_typed)

    def commands(self) -> list[Command]:
        """Return all commands that are available now."""
        results = [
            *self.destination_commands(),
            Command(*SQL),
            Command("refresh", "refresh now"),
            Command("help", "show the active keys"),
            Command("quit", "quit the console"),
        ]
        here = {name: p for name, p in self.settings.pipelines.items() if p.context == self.context_name}
        for name, pipeline in here.items():
            results.append(Command(f"pipeline {name}", pipeline.title))
            results += [Command(f"stage {stage.name}", f"a stage of {name}") for stage in pipeline.stages]
        dags = {dag_id for p in here.values() for s in p.stages if (dag_id := dag_of_stage(s)) is not None}
        results += [Command(f"trigger {dag_id}", "trigger the DAG") for dag_id in sorted(dags)]
        for kind, names in self.clients.choices().items():
            about = f"show this {kind.capitalize().replace('_', ' ')} on the screens"
            results += [Command(f"component {name}", about) for name in names]
        results += [Command(f"theme {theme.name}", "change the colours") for theme in THEMES]
        if self._watch_other is not None:
            results += [Command(f"context {name}", "switch to another context") for name in self.settings.contexts]
        return results

    def _run_typed(self, typed: str | None) -> None:
        if typed is not None:
            self.run_command(typed)

    def run_command(self, typed: str) -> None:
        """Run a command, or report that it does not exist."""
        verb, _, rest = typed.partition(" ")
        typed_at = CONTEXT_SUFFIX.fullmatch(typed)
        verbs: dict[str, Callable[[str], object]] = {
            "sql": self.open_sql,
            "refresh": lambda _: self.action_refresh(),
            "help": lambda _: self.action_help(),
            "quit": lambda _: self.exit(),
            "q": lambda _: self.exit(),
            "pipeline": self.open_pipeline,
            "stage": self.find_stage,
            "trigger": partial(trigger_typed_dag, self),
            "component": self._choose_component,
            "context": self.switch_context,
            "theme": self.choose_theme,
        }
        if typed_at is not None and verb != "sql":
            if self.switch_context(typed_at["context"]) and typed_at["rest"] and not self.go(typed_at["rest"]):
                self._refuse(typed_at["rest"])
        elif verb in verbs and (rest.strip() or verb not in ARGUMENTS):
            verbs[verb](rest.strip())
        elif not self.go(typed):
            self._refuse(typed)

    def _refuse(self, typed: str) -> None:
        self.notify(refusal(typed), severity="error", markup=False)

    def _choose_component(self, name: str) -> None:
        choices = self.clients.choices()
        kind = next((kind for kind, names in choices.items() if name in names), None)
        if kind is None:
            there = ", ".join(name for names in choices.values() for name in names)
            choice = f"available: {there}" if there else "this context has one component of each kind"
            self.notify(f'no such component: "{name}"; {choice}', severity="error", markup=False)
            return
        if kind == "kafka":  # its own schema registry is shown again
            self._components.pop("schema_registry", None)
        self._components[kind] = name
        self.forget_names()

        async def show() -> None:
            # An open topic or DAG belongs to the previous component.
            while (
                isinstance(shown := self.screen, ConsoleScreen)
                and kind == shown.COMPONENT
                and len(self.screen_stack) > 1
            ):
                await self.pop_screen()
            self._load()

        self.call_next(show)

    def switch_context(self, name: str) -> bool:
        """Switch to another context; return whether it exists."""
        if self._watch_other is None or name not in self.settings.contexts:
            there = ", ".join(self.settings.contexts if self._watch_other else [self.context_name])
            self.notify(f'no such context: "{name}"; available: {there}', severity="error", markup=False)
            return False
        if name != self.context_name:
            before, self.monitor, self.snapshot = self.monitor, None, None
            self.context_name, self.context_settings = context_of(self.settings, name)
            self.policy = ActionPolicy(
                self.context_name, self.context_settings, self.policy.audit.path, self.settings.audit
            )
            self.events.clear()
            self.forget()
            self._components.clear()
            self._connect(partial(self._watch_other, name), before)
            self.go("pipelines")
        return True

    def browse(self, url: str | None) -> None:
        """Open a page in a graphical web browser, or show its address where no such browser is available."""
        if url is None:
            self.notify("this row has no web page", severity="warning")
        elif self.is_web or has_window():
            self.open_url(url)
        else:
            self.notify(url, title="no web browser available; open this address", timeout=15, markup=False)

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        changed(self, message)

    @on(DagChecked)
    def _dag_checked(self, message: DagChecked) -> None:
        dag_checked(self, message)

    @on(DagTriggered)
    def _dag_triggered(self, message: DagTriggered) -> None:
        dag_triggered(self, message)

    @on(BackfillPlanned)
    def _backfill_planned(self, message: BackfillPlanned) -> None:
        backfill_planned(self, message)

    @on(WorkFailed)
    def _failed(self, message: WorkFailed) -> None:
        self.notify(f"{message.what}: {message.error}", severity="error", timeout=10, markup=False)
