"""The time line: the status around the selected moment of the past, and the state changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text
from textual.widgets import Static

from dataops_core.health.model import WORST_FIRST, StageState, Status
from dataops_core.health.text import STATUS_COLOURS, clock
from dataops_tui import styled

if TYPE_CHECKING:
    from dataops_core.recorder.recording import Change, Moment
    from dataops_tui.time_travel import History, Past

WINDOW = timedelta(hours=1)
"""Length of the part of a long recording that is shown, with the selected moment in the middle."""
MARKS = {Status.OK: "─", Status.WARNING: "▲", Status.CRITICAL: "■", Status.UNKNOWN: "?", Status.STARTING: "…"}
NOTHING = " "
"""Mark of a gap in the recording."""


class TimeLine(Static):
    """Two lines: the bar, and the state changes at the selected moment, or before and after it."""

    def show(self, past: Past | None) -> None:
        """Show a moment; hide the time line while the console is live."""
        self.display = past is not None
        if past is not None:
            width = self.app.size.width - 2  # without the padding; the widget has no size before it is shown
            self.update(Group(_bar(past, width), _changes(past, width)), layout=False)


def _bar(past: Past, width: int) -> Text:
    moments, at = past.history.moments, past.snapshot.taken_at
    start, end = moments[0].at, moments[-1].at
    if end - start > WINDOW:
        start = max(start, min(at, end - WINDOW / 2) - WINDOW / 2)
        end = start + WINDOW
    left, right = f"{clock(start, at)} ", f" {clock(end, at)}"
    cells = max(10, width - len(left) - len(right))
    statuses = _cells(past.history, start, end, cells)
    here = _cell(at, start, end, cells)
    bar = Text(left, "dim", no_wrap=True)
    for index, status in enumerate(statuses):
        mark, style = (NOTHING, "") if status is None else (MARKS[status], STATUS_COLOURS[status])
        bar.append("┃" if index == here else mark, f"bold reverse {style}" if index == here else style)
    return bar.append(right, "dim")


def _cell(at: datetime, start: datetime, end: datetime, cells: int) -> int:
    span = (end - start) / cells
    return min(cells - 1, int((at - start) / span)) if span else 0


def _cells(history: History, start: datetime, end: datetime, cells: int) -> list[Status | None]:
    """Return the worst status in each cell of the bar; a snapshot counts until the next one or a gap."""
    results: list[Status | None] = [None] * cells
    first, last = history.index_at(start), history.index_at(end)
    ends = {gap.start for gap in history.gaps}
    for index in range(max(0, first - 1), min(last + 1, len(history.moments))):
        moment = history.moments[index]
        begin = _cell(max(moment.at, start), start, end, cells)
        until = begin
        if index + 1 < len(history.moments) and moment.at not in ends:
            until = max(begin, _cell(min(history.moments[index + 1].at, end), start, end, cells) - 1)
        if moment.at < start and until == begin:
            continue
        for cell in range(begin, until + 1):
            before = results[cell]
            results[cell] = moment.status if before is None else min(before, moment.status, key=WORST_FIRST.index)
    return results


def _changes(past: Past, width: int) -> Text:
    """Return the state changes, and the keys at the right end."""
    keys = "[ ] snapshot  { } change" + ("" if past.replay else "  Esc live")
    changes_here = _changes_text(past)
    changes_here.truncate(max(0, width - len(keys) - 2), overflow="ellipsis", pad=True)
    return Text.assemble(changes_here, "  ", (keys, "dim"), no_wrap=True)


def _changes_text(past: Past) -> Text:
    history, moment = past.history, past.history.moments[past.index]
    here = _at(history, moment)
    if here:
        return Text.assemble(("changed here  ", "bold"), styled.plain("; ".join(map(_change, here))))
    parts = []
    for key, step in (("{", -1), ("}", 1)):
        index = history.turn(past.index, step)
        changes = _at(history, history.moments[index])
        if changes and index != past.index:
            at = clock(changes[0].at, moment.at)
            parts.append(Text.assemble((f"{key} ", "bold"), styled.plain(f"{at} {_change(changes[0])}")))
    return Text("   ").join(parts) if parts else Text("no state changes", "dim")


def _at(history: History, moment: Moment) -> list[Change]:
    """Return the changes at a moment: stages that cause the verdict, the verdict, affected stages."""
    results = [change for change in history.changes if change.moment == moment.id]
    affected = StageState.AFFECTED.value
    return sorted(results, key=lambda change: (affected in (change.before, change.after), change.subject == "verdict"))


def _change(change: Change) -> str:
    before = (change.before or "unknown").replace("_", " ")
    name = f"{change.name}'s verdict" if change.subject == "verdict" else change.name
    return f"{name} {before} → {change.after.replace('_', ' ')}"
