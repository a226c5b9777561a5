"""The xray screen: stages and their inputs as a tree, with the state of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from dataops_core.health.events import BAD
from dataops_core.health.model import HealthSnapshot, PipelineHealth, StageHealth
from dataops_core.health.text import reason
from dataops_tui import styled
from dataops_tui.resource import Row, SnapshotScreen


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tree.

    Attributes:
        branch: The tree lines in front of the name.
        again: Whether the stage is drawn in full above, because it reads several stages.
    """

    pipeline: str
    stage: StageHealth
    branch: str
    again: bool


class XrayScreen(SnapshotScreen[HealthSnapshot]):
    """All pipelines of the context."""

    CRUMB = "xray"

    @property
    def result(self) -> HealthSnapshot | None:
        """The newest health snapshot."""
        return self.snapshot

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        narrow = ("LINEAGE", "STATE", "LAG", "DATA AGE")
        return ("LINEAGE", "KIND", *narrow[1:], "WHY") if self.wide else narrow

    def rows(self, result: HealthSnapshot, now: datetime) -> Mapping[str, Row]:
        """Return the lines of the tree."""
        rows: dict[str, Row] = {}
        for pipeline in result.pipelines:
            title = Text.assemble(styled.status(pipeline.verdict.status), "  ", styled.plain(pipeline.name, "bold"))
            blank = [Text("")] * (len(self.headings()) - 1)
            rows[pipeline.name] = Row([title, *blank], pipeline.verdict, pipeline.verdict.check_id is not None)
            for number, node in enumerate(tree(pipeline)):
                faulty = node.stage.state in BAD
                rows[f"{pipeline.name}/{node.stage.name}/{number}"] = Row(self._cells(node), node, faulty)
        return rows

    def _cells(self, node: Node) -> list[Text]:
        stage = node.stage
        name = Text.assemble(
            (node.branch, "dim"), styled.plain(stage.name), (" (see above)" if node.again else "", "dim")
        )
        cells = {
            "LINEAGE": name,
            "KIND": styled.plain(stage.kind.replace("_", " "), "dim"),
            "STATE": styled.state(stage.state),
            "LAG": styled.seconds(stage.hop_lag),
            "DATA AGE": styled.seconds(stage.data_age),
            "WHY": styled.plain(reason(stage), "dim"),
        }
        return [cells[heading] for heading in self.headings()]

    def open(self, key: str) -> None:
        """Open the stage."""
        node = self._rows[key].about
        if isinstance(node, Node):
            self.console.open_stage(node.pipeline, node.stage.name)


def tree(pipeline: PipelineHealth) -> Iterator[Node]:
    """Yield the lines of a pipeline's tree; a stage that reads several stages is drawn in full once."""
    readers: dict[str, list[StageHealth]] = {stage.name: [] for stage in pipeline.stages}
    for stage in pipeline.stages:
        for upstream in stage.reads:
            readers[upstream].append(stage)
    drawn: set[str] = set()

    def walk(stage: StageHealth, lead: str, *, last: bool) -> Iterator[Node]:
        again = stage.name in drawn
        drawn.add(stage.name)
        yield Node(pipeline.name, stage, lead + ("└─ " if last else "├─ "), again)
        if not again:
            below = readers[stage.name]
            for reader in below:
                yield from walk(reader, lead + ("   " if last else "│  "), last=reader is below[-1])

    sources = [stage for stage in pipeline.stages if not stage.reads]
    for source in sources:
        yield from walk(source, "", last=source is sources[-1])
