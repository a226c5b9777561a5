"""The alerts screen: current findings, one row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll

from dataops_core.health.model import ComponentHealth, HealthSnapshot, PipelineHealth, Status
from dataops_core.health.text import clock
from dataops_tui import styled
from dataops_tui.resource import Row, SnapshotScreen
from dataops_tui.widgets.words import Words
from dataops_tui.workflows.trigger import airflow_of_stage, trigger_dag

ORDER = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING)


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding of a pipeline or a component.

    Attributes:
        where: Name of the pipeline or the component.
        since: `None` if unknown.
        sentence: The finding in one sentence.
        stage: The stage that causes it; `None` if no single stage does.
        evidence: One line each.
        remedy: The suggested action.
        dag_id: The DAG that the remedy triggers.
    """

    check_id: str
    status: Status
    where: str
    since: datetime | None
    sentence: str
    stage: str | None = None
    evidence: tuple[str, ...] = ()
    remedy: str | None = None
    dag_id: str | None = None


class AlertsScreen(SnapshotScreen["tuple[Alert, ...]"]):
    """The findings of the newest health snapshot, the worst first."""

    CRUMB = "alerts"
    BINDINGS = [Binding("t", "trigger", "Trigger", id="alerts.trigger", tooltip="Trigger the DAG of the remedy")]

    @property
    def result(self) -> tuple[Alert, ...] | None:
        """The findings; `None` before the first refresh."""
        return tuple(alerts(self.snapshot)) if self.snapshot else None

    def compose_more(self) -> ComposeResult:
        """Compose the evidence of the selected finding."""
        with VerticalScroll(id="evidence", can_focus=False):
            yield Words(id="because")

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        return ("STATUS", "SINCE", "CHECK", "WHERE", "WHAT") if self.wide else ("STATUS", "SINCE", "CHECK", "WHAT")

    def rows(self, results: tuple[Alert, ...], now: datetime) -> Mapping[str, Row]:
        """Return the findings."""
        return {
            f"{finding.where} {finding.check_id}": Row(self._cells(finding, now), finding, True) for finding in results
        }

    def _cells(self, finding: Alert, now: datetime) -> list[Text]:
        cells = {
            "STATUS": styled.status(finding.status),
            "SINCE": styled.when(finding.since, now),
            "CHECK": styled.plain(finding.check_id),
            "WHERE": styled.plain(finding.where, "dim"),
            "WHAT": styled.plain(finding.sentence),
        }
        return [cells[heading] for heading in self.headings()]

    def draw_more(self, now: datetime) -> None:
        """Draw the evidence and the remedy of the selected finding."""
        because = self.query_one("#because", Words)
        if self.result == ():
            because.show(styled.plain("● no findings", "green"))
            return
        finding = self.finding
        if finding is None:
            because.show(Text())
            return
        lines = [styled.plain(finding.sentence, "bold")]
        lines += [styled.plain(f"since {clock(finding.since, now)}", "dim")] if finding.since else []
        lines += [styled.plain(f"· {line}") for line in finding.evidence]
        lines += [styled.plain(f"remedy  {finding.remedy}")] if finding.remedy else []
        because.show(Text("\n").join(lines))

    @property
    def finding(self) -> Alert | None:
        """The selected finding."""
        return self.row.about if self.row and isinstance(self.row.about, Alert) else None

    def open(self, key: str) -> None:
        """Open the stage that causes the finding, or the raw view."""
        finding = self.finding
        if finding is not None and finding.stage is not None:
            self.console.open_stage(finding.where, finding.stage)
        else:
            self.action_raw()

    def action_trigger(self) -> None:
        """Trigger the DAG of the remedy."""
        finding = self.finding
        if finding is None:
            trigger_dag(self.console, None)
        else:
            on = airflow_of_stage(self.console.settings, finding.where, finding.stage)
            trigger_dag(self.console, finding.dag_id, on)


def alerts(snapshot: HealthSnapshot) -> Iterator[Alert]:
    """Yield the findings of a snapshot, the worst first."""
    results = [f for p in snapshot.pipelines if (f := _of_pipeline(p)) is not None]
    results += [f for c in snapshot.components if (f := _of_component(c)) is not None]
    yield from sorted(results, key=lambda finding: ORDER.index(finding.status))


def _of_pipeline(pipeline: PipelineHealth) -> Alert | None:
    verdict = pipeline.verdict
    if verdict.check_id is None:
        return None
    return Alert(
        check_id=verdict.check_id,
        status=verdict.status,
        where=pipeline.name,
        since=verdict.since,
        sentence=verdict.sentence,
        stage=verdict.stage,
        evidence=verdict.evidence,
        remedy=verdict.remedy.text if verdict.remedy else None,
        dag_id=verdict.remedy.dag_id if verdict.remedy else None,
    )


def _of_component(component: ComponentHealth) -> Alert | None:
    if component.reachable is None or component.error is None:
        return None
    kind = "unhealthy" if component.reachable else "unreachable"
    status = Status.WARNING if component.reachable else Status.CRITICAL
    return Alert(f"{component.name}/{kind}", status, component.name, component.since, component.error)
