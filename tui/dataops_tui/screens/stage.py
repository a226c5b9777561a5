"""The stage screen: all values of a stage and their age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Sparkline, Static

from dataops_core.health.model import PipelineHealth, StageHealth
from dataops_core.health.stage_values import stage_values
from dataops_core.health.text import ago, clock, reason
from dataops_core.units import duration
from dataops_tui import styled
from dataops_tui.base import ConsoleScreen
from dataops_tui.workflows.rejected import show_rejected
from dataops_tui.workflows.trigger import suggested_dag, trigger_dag


class StageScreen(ConsoleScreen):
    """One stage: state, trend of the lag, values."""

    BINDINGS = [
        Binding("escape", "app.back", "Back", id="stage.back", tooltip="Go back to the pipeline"),
        Binding("t", "trigger", "Trigger", id="stage.trigger", tooltip="Trigger the stage's DAG"),
        Binding("x", "rejected", "Rejected", id="stage.rejected", tooltip="Show rejected records with their reasons"),
    ]

    def __init__(self, pipeline: str, stage: str) -> None:
        super().__init__()
        self._pipeline = pipeline
        self._stage = stage

    def compose_body(self) -> ComposeResult:
        """Compose state, trend and values."""
        yield Static(id="state")
        yield Static(id="trend-title")
        yield Sparkline([], id="trend")
        with VerticalScroll():
            yield Static(id="figures")

    def crumb(self) -> str:
        """Return the pipeline and the stage."""
        return f"{self._pipeline} / {self._stage}"

    def draw(self, now: datetime) -> None:
        """Draw the stage of the snapshot."""
        result = self._find()
        if result is None:
            return
        _, stage = result
        self.query_one("#state", Static).update(
            Text.assemble(styled.state(stage.state), "  ", styled.plain(reason(stage)))
        )
        self._draw_trend(stage)
        self.query_one("#figures", Static).update(Group(_table(stage_values(stage, now)), *_notes(stage, now)))

    def _draw_trend(self, stage: StageHealth) -> None:
        points = [(sample.at, sample.lag) for sample in stage.samples if sample.lag is not None]
        highest = max((lag for _, lag in points), default=0.0)
        enough = len(points) > 2 and highest > 0
        title = self.query_one("#trend-title", Static)
        trend = self.query_one(Sparkline)
        title.display = trend.display = enough
        if enough:
            span = (points[-1][0] - points[0][0]).total_seconds()
            title.update(Text(f"hop lag over the last {duration(span)}, maximum {duration(highest)}", "dim"))
            trend.data = [lag for _, lag in points]

    def action_trigger(self) -> None:
        """Trigger the stage's DAG."""
        result = self._find()
        if result is not None:
            trigger_dag(self.console, *suggested_dag(self.console.settings, result[0], self._stage))

    def action_rejected(self) -> None:
        """Show the records that the stage or a downstream stage has rejected, with their reasons."""
        show_rejected(self.console, lambda pipeline, stage: (pipeline, stage.name) == (self._pipeline, self._stage))

    def _find(self) -> tuple[PipelineHealth, StageHealth] | None:
        try:
            pipeline = self.snapshot.pipeline(self._pipeline) if self.snapshot else None
            return (pipeline, pipeline.stage(self._stage)) if pipeline else None
        except KeyError:
            return None


def _notes(stage: StageHealth, now: datetime) -> Iterator[Text]:
    observation = stage.observation
    if observation is None:
        return
    stale = f" (observed {ago(stage.observed_at, now)})" if stage.error is not None else ""
    for note in observation.notes:
        yield styled.plain(f"· {note}{stale}")
    for advance in reversed(observation.advances[-5:]):
        yield styled.plain(f"· advanced at {clock(advance.at, now)} to {clock(advance.progress_time, now)}", "dim")


def _table(rows: Iterator[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(name, styled.plain(value))
    return table
