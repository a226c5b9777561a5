"""The home screen: a pipeline's stages, its verdict and the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import compress

from rich.color import Color
from rich.console import RenderableType
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.renderables.sparkline import Sparkline

from dataops_core.health.evidence import evidence
from dataops_core.health.model import WORST_FIRST, ComponentHealth, PipelineHealth, Remedy, StageHealth, StageState
from dataops_core.health.paths import ends
from dataops_core.health.text import STATE_COLOURS, ago, clock, reason
from dataops_core.plain import visible
from dataops_core.units import duration
from dataops_tui import styled
from dataops_tui.base import ConsoleScreen
from dataops_tui.widgets.filter_line import FilterLine
from dataops_tui.widgets.live_table import LiveTable
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.trigger import suggested_dag, trigger_dag

WIDE = 120
"""Minimum width, in columns, of the screen for trends and reasons."""
AGE = "DATA AGE"
NARROW_HEADINGS = ("STATE", "STAGE", "LAG", AGE, "BACKLOG", "CHECKED")
TREND = "LAG, 5 MIN"
WIDE_HEADINGS = ("STATE", "STAGE", "KIND", "LAG", AGE, "BACKLOG", "RATE", TREND, "SINCE", "CHECKED", "WHY")


class ChainTable(LiveTable):
    """The table of a pipeline's stages, upstream first."""

    BINDINGS = [Binding("enter", "select_cursor", "Stage", id="home.open", tooltip="Show all values of the stage")]


class PipelinesScreen(ConsoleScreen):
    """All pipelines of the context; the worst one is selected first."""

    CRUMB = "pipelines"
    BINDINGS = [
        Binding("slash", "filter", "Filter", id="home.filter", tooltip="Filter the stages", priority=True),
        Binding("t", "trigger", "Trigger", id="home.trigger", tooltip="Trigger the DAG of the stage or of the verdict"),
        Binding("c", "copy", "Copy remedy", id="home.copy", tooltip="Copy the command of the remedy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chosen: str | None = None
        self._led_in: str | None = None
        self._led_to: str | None = None
        """Stage to which the console moved the cursor in the pipeline `_led_in`; `None` before it did."""
        self._moved = False
        """Whether the user has moved the cursor since."""

    def compose_body(self) -> ComposeResult:
        """Compose pipelines (if there are several), verdict, stages, evidence and components."""
        yield LiveTable(id="pipelines")
        yield Words(id="title")
        yield Words(id="verdict")
        yield ChainTable(id="chain")
        yield FilterLine()
        with VerticalScroll(id="evidence", can_focus=False):
            yield Words(id="because")
        yield Words(id="components")

    def on_mount(self) -> None:
        """Focus the stages."""
        self.query_one("#pipelines").display = False
        self.query_one("#verdict").display = False
        self.query_one("#chain").focus()

    @property
    def pipeline(self) -> PipelineHealth | None:
        """The current pipeline: the selected one, or the worst."""
        result = self.snapshot.pipelines if self.snapshot else ()
        worst = min(result, key=lambda p: WORST_FIRST.index(p.verdict.status), default=None)
        return next((p for p in result if p.name == self._chosen), worst)

    def choose(self, name: str) -> None:
        """Select a pipeline by its name."""
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
        """Draw the snapshot."""
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
        texts = [f"{s.name} {s.kind} {styled.state(s.state).plain}" for s in pipeline.stages]
        stages = list(compress(pipeline.stages, self.query_one(FilterLine).keep(texts)))
        self.query_one("#chain", LiveTable).show(headings, {s.name: _stage(s, now, headings) for s in stages})
        self._lead_to_culprit(pipeline)
        self.query_one("#because", Words).show(self._because(pipeline, now))
        self.query_one("#components", Words).show(_components(snapshot.components))

    def _lead_to_culprit(self, pipeline: PipelineHealth) -> None:
        """Move the cursor to the stage that causes the verdict, unless the user has moved it."""
        chain = self.query_one("#chain", LiveTable)
        if self._led_in != pipeline.name:
            self._led_in, self._led_to, self._moved = pipeline.name, None, False
            chain.move_cursor(row=0, animate=False)
        at, culprit = self._led_to, _culprit(pipeline)
        self._moved = self._moved or (chain.cursor_key != at if at is not None else chain.cursor_row > 0)
        if not self._moved and culprit is not None and culprit != at and chain.move_to(culprit):
            self._led_to = culprit

    def _draw_nothing(self) -> None:
        app = self.console
        if self.snapshot is not None:
            text = f'The context "{app.context_name}" has no pipelines: declare them under [pipelines.NAME].'
        else:
            stages = sum(len(p.stages) for p in app.settings.pipelines.values() if p.context == app.context_name)
            text = f"Probing {stages} stages for the first time …"
        self.query_one("#title", Words).show(styled.plain(text))

    def _because(self, pipeline: PipelineHealth, now: datetime) -> Text:
        """Return the evidence and findings of the selected stage, or the verdict's evidence about it."""
        stage, verdict = self.selected, pipeline.verdict
        if stage is None:
            return Text("\n").join(_named("evidence", verdict.evidence))
        since = f", since {clock(stage.since, now)}" if stage.since else ""
        lines = [Text.assemble((f"{visible(stage.name)}  ", "bold"), styled.plain(reason(stage) + since))]
        if _is_about(pipeline, stage):
            lines += _named("evidence", verdict.evidence)
            lines += _named("affected", [", ".join(verdict.blast_radius)] if verdict.blast_radius else [])
            return Text("\n").join(lines)
        lines += _named("evidence", evidence(stage, now))
        for result in stage.findings:
            lines += _named("finding", [result.sentence, *result.evidence])
            lines += _remedy(result.remedy)
        return Text("\n").join(lines)

    @property
    def selected(self) -> StageHealth | None:
        """The selected stage."""
        key = self.query_one("#chain", LiveTable).cursor_key
        return next((s for s in self.pipeline.stages if s.name == key), None) if self.pipeline else None

    def action_open(self) -> None:
        """Open the selected stage."""
        if self.pipeline is not None and self.selected is not None and self.app.screen is self:
            self.console.open_stage(self.pipeline.name, self.selected.name)

    def action_filter(self) -> None:
        """Open the filter line."""
        self.query_one(FilterLine).open()

    def action_trigger(self) -> None:
        """Trigger the DAG of the selected stage, or the one that the verdict suggests."""
        if self.pipeline is not None:
            stage = self.selected.name if self.selected else None
            trigger_dag(self.console, *suggested_dag(self.console.settings, self.pipeline, stage))

    def action_copy(self) -> None:
        """Copy the remedy's command through the terminal (OSC 52)."""
        remedy = self.pipeline.verdict.remedy if self.pipeline else None
        if remedy is None or remedy.command is None:
            self.notify("the verdict has no command to copy", severity="warning")
        else:
            self.app.copy_to_clipboard(remedy.command)
            self.notify("command copied")


def _culprit(pipeline: PipelineHealth) -> str | None:
    """Return the stage that causes the verdict, or the first stage that the verdict's cause affects."""
    if pipeline.verdict.stage is not None:
        return pipeline.verdict.stage
    return next((stage.name for stage in pipeline.stages if _is_about(pipeline, stage)), None)


def _is_about(pipeline: PipelineHealth, stage: StageHealth) -> bool:
    """Return whether the verdict's evidence concerns a stage."""
    verdict = pipeline.verdict
    if verdict.check_id is None:
        return False
    if verdict.stage is not None or stage.own_state in (StageState.CAUGHT_UP, StageState.IDLE):
        return verdict.stage == stage.name
    return stage.state is StageState.UNKNOWN or stage.affected_by == verdict.component is not None


def _named(name: str, texts: Sequence[str]) -> list[Text]:
    """Return lines, with a name in front of the first one."""
    return [
        Text.assemble((f"{'' if number else name:<10}", "bold"), styled.plain(text))
        for number, text in enumerate(texts)
    ]


def _remedy(remedy: Remedy | None) -> list[Text]:
    """Return the remedy, and its command below."""
    if remedy is None:
        return []
    command = [styled.plain(f"{'':<10}$ {remedy.command}", "cyan")] if remedy.command is not None else []
    return [*_named("remedy", [remedy.text]), *command]


def _overview(pipelines: tuple[PipelineHealth, ...]) -> dict[str, list[RenderableType]]:
    return {
        p.name: [
            styled.status(p.verdict.status),
            styled.plain(p.name),
            styled.seconds(p.data_age),
            styled.plain(p.verdict.sentence),
        ]
        for p in pipelines
    }


def _title(pipeline: PipelineHealth) -> Text:
    age = styled.UNKNOWN if pipeline.data_age is None else duration(pipeline.data_age)
    late = pipeline.objective is not None and pipeline.data_age is not None and pipeline.data_age > pipeline.objective
    text = Text.assemble(
        styled.plain(pipeline.title or pipeline.name, "bold"),
        "   data age ",
        (age, "bold red" if late else "bold"),
    )
    if pipeline.objective is not None:
        text.append(f" (objective {duration(pipeline.objective)})", "dim")
    last = ends(pipeline.stages)
    if len(last) > 1:
        ages = (f"{s.name} {styled.UNKNOWN if s.data_age is None else duration(s.data_age)}" for s in last)
        text.append_text(styled.plain(f"   {', '.join(ages)}", "dim"))
    return text


def _verdict(pipeline: PipelineHealth) -> Text:
    """Return the verdict with its remedy."""
    verdict = pipeline.verdict
    sentence = Text.assemble(styled.status(verdict.status), "  ", styled.plain(verdict.sentence))
    return Text("\n").join([sentence, *_remedy(verdict.remedy)])


def _stage(stage: StageHealth, now: datetime, headings: tuple[str, ...]) -> list[RenderableType]:
    observation = stage.observation
    dim = "dim" if stage.state is StageState.AFFECTED else ""
    stale = stage.error is not None
    cells: dict[str, RenderableType] = {
        "STATE": styled.state(stage.state),
        "STAGE": styled.plain(stage.name, dim),
        "KIND": styled.plain(stage.kind.replace("_", " "), "dim"),
        "LAG": styled.seconds(stage.hop_lag),
        AGE: styled.seconds(stage.data_age),
        "BACKLOG": styled.number(observation.lag_records if observation and not stale else None),
        "RATE": styled.number(stage.rate, "/s"),
        TREND: _trend(stage),
        "SINCE": clock(stage.since, now, offset=False) if stage.since else styled.UNKNOWN,
        "CHECKED": styled.right(ago(stage.observed_at, now), "red" if stale else "dim"),
        "WHY": styled.plain(reason(stage), dim),
    }
    return [cells[heading] for heading in headings]


def _trend(stage: StageHealth) -> RenderableType:
    lags = [sample.lag for sample in stage.samples if sample.lag is not None]
    if len(lags) < 2:
        return Text(styled.UNKNOWN)
    colour = Color.parse(STATE_COLOURS[stage.state])
    # as wide as its heading, which sets the width of the column; the newest bars are at the right
    return Sparkline(lags, width=len(TREND), min_color=colour, max_color=colour)


def _components(components: tuple[ComponentHealth, ...]) -> Text:
    parts = []
    for component in components:
        if component.reachable is None:
            mark = ("? unknown", "magenta")
        elif not component.reachable:
            mark = ("✖ unavailable", "red bold")
        elif component.error is not None:
            mark = ("✖ unhealthy", "red bold")
        else:
            mark = ("● up", "green")
        parts.append(Text.assemble(styled.plain(component.name, "bold"), " ", mark))
    return Text("   ").join(parts)
