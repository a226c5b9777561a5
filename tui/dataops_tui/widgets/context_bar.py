"""The top line: context, access mode, path, status and its age."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from dataops_core.config import ContextSettings
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.text import ago, clock
from dataops_core.times import offset_text
from dataops_core.units import duration
from dataops_tui import styled

if TYPE_CHECKING:
    from dataops_tui.time_travel import Past

YELLOW = "bold yellow"
"""Style of the past."""
STALE_ROUNDS = 3
"""Refresh intervals without a snapshot after which the newest one is marked as stale."""


class ContextBar(Static):
    """The top line of every screen."""

    def show(
        self,
        context: str,
        settings: ContextSettings,
        snapshot: HealthSnapshot | None,
        now: datetime,
        refresh: float,
        crumb: str,
        past: Past | None = None,
        follows: bool = True,
    ) -> None:
        """Show the context, the path and the status at `now`.

        Args:
            context: Name of the context.
            settings: Settings of the context, for the access mode.
            snapshot: The health snapshot of the screen.
            now: The time.
            refresh: Seconds between two snapshots.
            crumb: Path of the screen.
            past: The selected moment of the past; `None` while the console is live.
            follows: Whether the screen shows that moment; otherwise it is live.
        """
        left = Text.assemble((" dataops-tui ", "bold reverse"), "  ", styled.plain(context, "bold"), "  ")
        if past is not None or settings.read_only:
            left.append("read-only", "cyan")
        elif settings.production:
            left.append("PRODUCTION", "red bold")
        else:
            left.append("read-write", "yellow")
        left.append(f"  {crumb}", "dim")
        right = Text("first refresh …", "dim")
        if past is not None and not follows:
            at = clock(past.snapshot.taken_at, now)
            right = Text.assemble(("LIVE HERE", "bold green"), (f", the pipelines {_when(past)} {at}", YELLOW), " ")
        elif past is not None:
            right = Text.assemble(
                (_position(past, now), "reverse " + YELLOW), "  ", styled.status(past.snapshot.status), " "
            )
        elif snapshot is not None:
            age = max(0.0, (now - snapshot.taken_at).total_seconds())
            stale = age > STALE_ROUNDS * refresh + 1
            note = f"STALE: last refresh {duration(age)} ago" if stale else f"refreshed {duration(age)} ago"
            right = Text.assemble(styled.status(snapshot.status), "  ", (note, "red bold" if stale else "dim"), " ")
            if not stale:
                right = Text.assemble(("LIVE", "bold green"), "  ", right)
        if offset := offset_text(now):
            right.append(f" {offset} ", "dim")
        bar = Table.grid(expand=True)
        bar.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        bar.add_row(left, right)
        self.update(bar, layout=False)


def _when(past: Past) -> str:
    return "REPLAY" if past.replay else "PAUSED at"


def _position(past: Past, now: datetime) -> str:
    """Return the selected moment of the past."""
    at = past.snapshot.taken_at
    shown = f" {_when(past)} {clock(at, now)} "
    if past.replay:
        return f"{shown}({past.index + 1}/{len(past.history.moments)}) "
    return f"{shown}({ago(at, now)}) "
