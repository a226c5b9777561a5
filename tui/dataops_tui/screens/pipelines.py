"""Home: the pipeline as its chain of stages, the verdict in one sentence, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.color import Color
from rich.console import RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.renderables.sparkline import Sparkline

from dataops_core.health.model import WORST_FIRST, ComponentHealth, PipelineHealth, StageHealth, Status
from dataops_core.health.text import STATE_COLOURS, ago, clock, duration, reason
from dataops_tui import look
from dataops_tui.base import ConsoleScreen
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words

WIDE = 120
"""Columns from which on the table has room for trends and reasons."""
NARROW_HEADINGS = ("STATE", "STAGE", "LAG", "WAITING", "RATE", "SEEN")
TREND = "LAG, 5 MIN"
WIDE_HEADINGS = ("STATE", "STAGE", "KIND", "LAG", "WAITING", "RATE", TREND, "SINCE", "SEEN", "WHY")
BORDERS = {Status.OK: "success", Status.WARNING: "warning", Status.CRITICAL: "error", Status.UNKNOWN: "accent"}


class ChainTable(LiveTable):
    """The stages of a pipeline, upstream first."""

    BINDINGS = [
        Binding("enter", "select_cursor", "Stage", id="home.open", tooltip="Show everything known about the stage")
    ]


class PipelinesScreen(ConsoleScreen):
    """All pipelines of the context; the worst one first under the cursor."""

    CRUMB = "pipelines"
    BINDINGS = [
        Binding(
            "slash", "filter", "Filter", id="home.filter", tooltip="Show only the stages that match", priority=True
        ),
        Binding("t", "trigger", "Trigger", id="home.trigger", tooltip="Trigger the stage's DAG, or the verdict's"),
        Binding("c", "copy", "Copy remedy", id="home.copy", tooltip="Copy the command that the verdict suggests"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chosen: str | None = None

    def compose_body(self) -> ComposeResult:
        """Lay out: pipelines (where there are several), verdict, chain, evidence, components."""
        yield LiveTable(id="pipelines")
        yield Words(id="title")
        yield Words(id="verdict")
        yield ChainTable(id="chain")
        yield FilterLine()
        with VerticalScroll(id="evidence", can_focus=False):
            yield Words(id="because")
        yield Words(id="components")

    def on_mount(self) -> None:
        """Start on the chain."""
        self.query_one("#pipelines").display = False
        self.query_one("#verdict").display = False
        self.query_one("#chain").focus()

    @property
    def pipeline(self) -> PipelineHealth | None:
        """The pipeline that is shown: the chosen one, else the worst."""
        found = self.snapshot.pipelines if self.snapshot else ()
        worst = min(found, key=lambda p: WORST_FIRST.index(p.verdict.status), default=None)
        return next((p for p in found if p.name == self._chosen), worst)

    def choose(self, name: str) -> None:
        """Show the named pipeline."""
        self._chosen = name
        self._redraw()

    @on(FilterLine.Filtered)
    def _filtered(self) -> None:
        self._redraw()

    @on(LiveTable.RowHighlighted, "#pipelines")
    def _choose(self, event: LiveTable.RowHighlighted) -> None:
        if event.row_key.value is not None and self.query_one("#pipelines").has_focus:
            self.choose(event.row_key.value)

    @on(LiveTable.RowSelected, "#chain")
    def _open(self) -> None:
        self.action_open()

    @on(LiveTable.RowHighlighted, "#chain")
    def _explain(self) -> None:
        self._redraw()

    def draw(self, now: datetime) -> None:
        """Show the newest snapshot."""
        snapshot, pipeline = self.snapshot, self.pipeline
        if snapshot is None or pipeline is None:
            self._draw_nothing()
            return
        overview = self.query_one("#pipelines", LiveTable)
        overview.display = len(snapshot.pipelines) > 1
        if overview.display:
            overview.show(("STATUS", "PIPELINE", "DATA AGE", "VERDICT"), _overview(snapshot.pipelines))
        self.query_one("#title", Words).show(_title(pipeline))
        verdict = self.query_one("#verdict", Words)
        verdict.display = True
        verdict.show(_verdict(pipeline))
        verdict.set_classes(f"-{pipeline.verdict.status.value}")
        headings = WIDE_HEADINGS if self.size.width >= WIDE else NARROW_HEADINGS
        keep = self.query_one(FilterLine).matches
        stages = [s for s in pipeline.stages if keep(f"{s.name} {s.kind} {look.state(s.state).plain}")]
        self.query_one("#chain", LiveTable).show(headings, {s.name: _stage(s, now, headings) for s in stages})
        self.query_one("#because", Words).show(self._because(pipeline, now))
        self.query_one("#components", Words).show(_components(snapshot.components))

    def _draw_nothing(self) -> None:
        app = self.console
        if self.snapshot is not None:
            text = f'The context "{app.context_name}" has no pipelines: declare them under [pipelines.NAME].'
        else:
            stages = sum(len(p.stages) for p in app.settings.pipelines.values() if p.context == app.context_name)
            text = f"Looking at {stages} stages for the first time …"
        self.query_one("#title", Words).show(look.plain(text))

    def _because(self, pipeline: PipelineHealth, now: datetime) -> Text:
        verdict, remedy = pipeline.verdict, pipeline.verdict.remedy
        lines = []
        stage = self.selected
        if stage is not None:
            since = f", since {clock(stage.since, now)}" if stage.since else ""
            lines.append(Text.assemble((f"{stage.name}  ", "bold"), look.plain(reason(stage) + since)))
        of_another = stage is not None and verdict.stage is not None and stage.name != verdict.stage
        if stage is not None and of_another:
            lines += _named("found", [found.sentence for found in stage.findings])
        # What follows is about the stage that the verdict names, not about the one under the cursor.
        lines += _named("verdict" if of_another else "evidence", verdict.evidence)
        lines += _named("affected", [", ".join(verdict.blast_radius)] if verdict.blast_radius else [])
        lines += _named("remedy", [remedy.text] if remedy else [])
        if remedy is not None and remedy.command is not None:
            lines.append(look.plain(f"{'':<10}$ {remedy.command}", "cyan"))
        return Text("\n").join(lines)

    @property
    def selected(self) -> StageHealth | None:
        """The stage under the cursor."""
        key = self.query_one("#chain", LiveTable).cursor_key
        return next((s for s in self.pipeline.stages if s.name == key), None) if self.pipeline else None

    def action_open(self) -> None:
        """Open the stage under the cursor."""
        if self.pipeline is not None and self.selected is not None:
            self.console.open_stage(self.pipeline.name, self.selected.name)

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.query_one(FilterLine).open()

    def action_trigger(self) -> None:
        """Trigger the DAG of the stage under the cursor, else the one that the verdict suggests."""
        if self.pipeline is not None:
            stage = self.selected.name if self.selected else None
            self.console.trigger(self.console.dag_of(self.pipeline, stage))

    def action_copy(self) -> None:
        """Copy the remedy's command through the terminal (OSC 52)."""
        remedy = self.pipeline.verdict.remedy if self.pipeline else None
        if remedy is None or remedy.command is None:
            self.notify("the verdict suggests no command", severity="warning")
        else:
            self.app.copy_to_clipboard(remedy.command)
            self.notify("copied the command")


def _named(name: str, texts: Sequence[str]) -> list[Text]:
    """Return what the verdict tells under a name, which stands before the first of its lines."""
    return [
        Text.assemble((f"{'' if number else name:<10}", "bold"), look.plain(text)) for number, text in enumerate(texts)
    ]


def _overview(pipelines: tuple[PipelineHealth, ...]) -> dict[str, list[RenderableType]]:
    return {
        p.name: [
            look.status(p.verdict.status),
            look.plain(p.name),
            look.seconds(p.data_age),
            look.plain(p.verdict.sentence),
        ]
        for p in pipelines
    }


def _title(pipeline: PipelineHealth) -> Text:
    age = look.UNKNOWN if pipeline.data_age is None else duration(pipeline.data_age)
    late = pipeline.objective is not None and pipeline.data_age is not None and pipeline.data_age > pipeline.objective
    text = Text.assemble(
        look.plain(pipeline.title or pipeline.name, "bold"),
        "   data age ",
        (age, "bold red" if late else "bold"),
    )
    if pipeline.objective is not None:
        text.append(f" (promised {duration(pipeline.objective)})", "dim")
    return text


def _verdict(pipeline: PipelineHealth) -> Text:
    return Text.assemble(look.status(pipeline.verdict.status), "  ", look.plain(pipeline.verdict.sentence))


def _stage(stage: StageHealth, now: datetime, headings: tuple[str, ...]) -> list[RenderableType]:
    seen = stage.observation
    dim = "dim" if stage.affected_by else ""
    stale = stage.error is not None
    cells: dict[str, RenderableType] = {
        "STATE": look.state(stage.state),
        "STAGE": look.plain(("↳ " if stage.affected_by else "") + stage.name, dim),
        "KIND": look.plain(stage.kind.replace("_", " "), "dim"),
        "LAG": look.seconds(stage.hop_lag),
        "WAITING": look.number(seen.lag_records if seen and not stale else None),
        "RATE": look.number(stage.rate, "/s"),
        TREND: _trend(stage),
        "SINCE": clock(stage.since, now) if stage.since else look.UNKNOWN,
        "SEEN": look.right(ago(stage.observed_at, now), "red" if stale else "dim"),
        "WHY": look.plain(reason(stage), dim),
    }
    return [cells[heading] for heading in headings]


def _trend(stage: StageHealth) -> RenderableType:
    lags = [sample.lag for sample in stage.samples if sample.lag is not None]
    if len(lags) < 2:
        return Text(look.UNKNOWN)
    colour = Color.parse(STATE_COLOURS[stage.state])
    # as wide as its heading, which alone tells how wide the column is: the newest bars are the last
    return Sparkline(lags, width=len(TREND), min_color=colour, max_color=colour)


def _components(components: tuple[ComponentHealth, ...]) -> Text:
    parts = []
    for component in components:
        if component.reachable is None:
            mark = ("? unknown", "magenta")
        elif not component.reachable:
            mark = ("✖ does not answer", "red bold")
        elif component.error is not None:
            mark = ("✖ unhealthy", "red bold")
        else:
            mark = ("● answers", "green")
        parts.append(Text.assemble(look.plain(component.name, "bold"), " ", mark))
    return Text("   ").join(parts)
