"""The console: holds the newest health snapshot, and knows where to go and what may be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from textual import on
from textual.binding import Binding
from textual.reactive import reactive
from textual.screen import Screen

from dataops_core.actions import Gate
from dataops_core.config import DagStage, Settings, context_of
from dataops_core.health.model import HealthSnapshot, PipelineHealth
from dataops_tui.background import in_background
from dataops_tui.dialogs.command import Command, CommandPrompt
from dataops_tui.dialogs.confirm import TriggerDialog
from dataops_tui.dialogs.help import HelpScreen
from dataops_tui.messages import Connected, DagTriggered, SnapshotArrived, WorkFailed
from dataops_tui.screens.dags import DagsScreen
from dataops_tui.screens.pipelines import PipelinesScreen
from dataops_tui.screens.sql import SqlScreen
from dataops_tui.screens.stage import StageScreen
from dataops_tui.time_travel import TimeTravel

if TYPE_CHECKING:  # the clients bring their vendors' SDKs, which take seconds to import
    from dataops_core.clients.airflow import AirflowClient
    from dataops_core.clients.trino import TrinoClient
    from dataops_core.health.recording import Recording
    from dataops_core.probes import Clients


class Watching(Protocol):
    """What the console needs of `dataops_core.recorded.RecordedMonitor`."""

    not_recorded: str | None
    """Why nothing is recorded although it should be; `None` if all is well."""
    replays: bool
    """Whether there is nothing but a recording."""

    @property
    def clients(self) -> Clients:
        """The clients of the context."""

    def recording(self) -> Recording:
        """Return what is recorded; raises RecordingError."""

    def start(self, on_snapshot: Callable[[HealthSnapshot], None]) -> None:
        """Watch in the background."""

    def refresh(self) -> None:
        """Look again now."""

    def stop(self) -> None:
        """Stop watching."""


class DataopsApp(TimeTravel):
    """The console.

    Args:
        settings: The settings.
        context: Name of the context.
        watch: Makes what watches that context. It is called in the background, as it imports the vendors' clients: the
            screen is there at once, and what is known comes after.
        gate: What actions pass; the user's own audit file where not given.
    """

    CSS_PATH = "app.tcss"
    TITLE = "dataops-tui"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "pipelines": PipelinesScreen,
        "dags": DagsScreen,
        "sql": SqlScreen,
    }
    DEFAULT_MODE = "pipelines"
    BINDINGS = [
        Binding("colon", "command", "Command", id="app.command", key_display=":", tooltip="Type a command"),
        Binding("question_mark", "help", "Help", id="app.help", key_display="?", tooltip="Show all keys"),
        Binding("ctrl+r", "look_again", "Refresh", id="app.refresh", show=False, tooltip="Look again now"),
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave the console"),
        Binding("ctrl+q", "quit", "Quit", id="app.leave", show=False, priority=True, tooltip="Leave the console"),
        Binding("f1", "help", "Help", id="app.f1", show=False, tooltip="Show all keys, also while typing"),
        Binding("f2", "command", "Command", id="app.f2", show=False, tooltip="Type a command, also while typing"),
    ]
    snapshot: reactive[HealthSnapshot | None] = reactive(None)

    def __init__(
        self, settings: Settings, context: str | None, watch: Callable[[], Watching], gate: Gate | None = None
    ) -> None:
        super().__init__()
        self.settings = settings
        self.context_name, self.context_settings = context_of(settings, context)
        self.monitor: Watching | None = None
        """What watches; `None` until it has been made."""
        self._watch = watch
        self.gate = gate or Gate(self.context_name, self.context_settings)

    def on_mount(self) -> None:
        """Watch from now on."""

        def arrived(snapshot: HealthSnapshot) -> None:
            self.post_message(SnapshotArrived(snapshot))

        def work() -> None:
            monitor = self._watch()
            monitor.start(arrived)
            self.post_message(Connected(monitor))

        in_background(self, "connecting", work)

    @on(Connected)
    def _connected(self, message: Connected) -> None:
        self.monitor = message.monitor
        if isinstance(self.screen, DagsScreen):
            self.screen.load()

    def on_unmount(self) -> None:
        """Stop watching."""
        if self.monitor is not None:
            self.monitor.stop()

    @property
    def airflow(self) -> AirflowClient | None:
        """The client of Airflow; see `why_not` where there is none."""
        return self.monitor.clients.airflow if self.monitor else None

    @property
    def trino(self) -> TrinoClient | None:
        """The client of Trino; see `why_not` where there is none."""
        return self.monitor.clients.trino if self.monitor else None

    def why_not(self, name: Literal["Airflow", "Trino"]) -> str:
        """Say why there is no client of that name."""
        if self.replays:
            return f"this is a recording: there is no {name}"
        if getattr(self.context_settings, name.lower()) is None:
            return f"this context has no {name}"
        return "still connecting; try again in a moment"

    @on(SnapshotArrived)
    def _take(self, message: SnapshotArrived) -> None:
        self.snapshot = message.snapshot

    def action_look_again(self) -> None:
        """Look again now."""
        if self.monitor is not None:
            self.monitor.refresh()
        self.notify("looking again", timeout=1)

    def action_home(self) -> None:
        """Go to the pipelines."""
        self.switch_mode("pipelines")

    def action_help(self) -> None:
        """Show the keys that work right now."""
        keys: dict[str, list[str]] = {}
        for active in self.screen.active_bindings.values():
            about = active.binding.tooltip or active.binding.description
            if about and active.enabled and active.binding.id:
                keys.setdefault(about, []).append(self.get_key_display(active.binding))
        self.push_screen(HelpScreen([(", ".join(shown), about) for about, shown in keys.items()]))

    def action_command(self) -> None:
        """Ask for a command."""
        self.push_screen(CommandPrompt(self.commands()), self._run_typed)

    def commands(self) -> list[Command]:
        """Return everything that can be typed now."""
        found = [
            Command("pipelines", "all pipelines and the verdict"),
            Command("dags", "Airflow's DAGs"),
            Command("sql", "run SQL in Trino; sql SELECT … runs it at once"),
            Command("refresh", "look again now"),
            Command("help", "the keys that work right now"),
            Command("quit", "leave the console"),
        ]
        here = {name: p for name, p in self.settings.pipelines.items() if p.context == self.context_name}
        for name, pipeline in here.items():
            found.append(Command(f"pipeline {name}", pipeline.title))
            found += [Command(f"stage {stage.name}", f"a stage of {name}") for stage in pipeline.stages]
        dags = {s.dag_id for p in here.values() for s in p.stages if isinstance(s, DagStage)}
        found += [Command(f"trigger {dag_id}", "trigger the DAG") for dag_id in sorted(dags)]
        return found

    def _run_typed(self, typed: str | None) -> None:
        if typed is None:
            return
        verb, _, rest = typed.partition(" ")
        rest = rest.strip()
        match verb:
            case "pipelines" | "dags":
                self.switch_mode(verb)
            case "sql":
                self._go_sql(rest)
            case "refresh":
                self.action_look_again()
            case "help":
                self.action_help()
            case "quit" | "q":
                self.exit()
            case "pipeline":
                self._go_pipeline(rest)
            case "stage":
                self._go_stage(rest)
            case "trigger":
                self.trigger(rest or None)
            case _:
                self.notify(f'no such command: "{typed}"; ":" lists them', severity="error", markup=False)

    def _go_sql(self, statement: str) -> None:
        async def go() -> None:
            await self.switch_mode("sql")
            if statement and isinstance(self.screen, SqlScreen):
                self.screen.put(statement)

        self.call_next(go)

    def _go_pipeline(self, name: str) -> None:
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

    def _go_stage(self, name: str) -> None:
        for pipeline, settings in self.settings.pipelines.items():
            if settings.context == self.context_name and any(s.name == name for s in settings.stages):
                self.open_stage(pipeline, name)
                return
        self.notify(f'no such stage: "{name}"', severity="error", markup=False)

    def open_stage(self, pipeline: str, stage: str) -> None:
        """Show everything that is known about a stage."""
        self.push_screen(StageScreen(pipeline, stage))

    def dag_of(self, pipeline: PipelineHealth, stage: str | None) -> str | None:
        """Return the DAG of a stage, else the one that the verdict suggests; `None` if there is neither."""
        known = self.settings.pipelines.get(pipeline.name)
        for settings in known.stages if known else ():
            if settings.name == stage and isinstance(settings, DagStage):
                return settings.dag_id
        remedy = pipeline.verdict.remedy
        return remedy.dag_id if remedy else None

    def trigger(self, dag_id: str | None) -> None:
        """Trigger a DAG, once it is confirmed."""
        airflow = self.airflow
        if dag_id is None:
            self.notify("no DAG here: put the cursor on one", severity="warning")
            return
        if airflow is None:
            self.notify(self.why_not("Airflow"), severity="error")
            return
        word = self.gate.confirmation()
        if word is None:
            self._trigger(airflow, dag_id, {}, None)  # the gate refuses, and audits it
            return
        dialog = TriggerDialog(self.context_name, dag_id, airflow.target, word)

        def confirmed(typed: str | None) -> None:
            if typed is not None:
                self._trigger(airflow, dag_id, dialog.conf, typed)

        self.push_screen(dialog, confirmed)

    def _trigger(self, airflow: AirflowClient, dag_id: str, conf: dict[str, object], confirmed: str | None) -> None:
        def work() -> None:
            self.post_message(DagTriggered(self.gate.trigger_dag(airflow, dag_id, conf, confirmed)))

        in_background(self, f"triggering {dag_id}", work)

    @on(DagTriggered)
    def _triggered(self, message: DagTriggered) -> None:
        self.notify(f"{message.run.dag_id}: {message.run.run_id} is {message.run.state}", markup=False)
        if self.monitor is not None:
            self.monitor.refresh()
        if isinstance(self.screen, DagsScreen):
            self.screen.load()

    @on(WorkFailed)
    def _failed(self, message: WorkFailed) -> None:
        self.notify(f"{message.what}: {message.error}", severity="error", timeout=10, markup=False)
