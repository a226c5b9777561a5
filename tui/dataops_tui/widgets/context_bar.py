"""The top line: which context this is, what may be done in it, how it is, and how old that is."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table
from rich.text import Text
from textual.widgets import Static

from dataops_core.config import ContextSettings
from dataops_core.health.model import HealthSnapshot
from dataops_core.health.text import duration
from dataops_tui import look

STALE_ROUNDS = 3
"""Rounds without a snapshot after which the newest one is called stale."""


class ContextBar(Static):
    """One line."""

    def show(
        self,
        context: str,
        settings: ContextSettings,
        snapshot: HealthSnapshot | None,
        now: datetime,
        refresh: float,
        crumb: str,
    ) -> None:
        """Show the state of things at `now`."""
        left = Text.assemble((" dataops-tui ", "bold reverse"), "  ", (context, "bold"), "  ")
        if settings.read_only:
            left.append("read-only", "cyan")
        elif settings.production:
            left.append("PRODUCTION", "red bold")
        else:
            left.append("changes allowed", "yellow")
        left.append(f"  {crumb}", "dim")
        right = Text("looking for the first time …", "dim")
        if snapshot is not None:
            age = max(0.0, (now - snapshot.taken_at).total_seconds())
            stale = age > STALE_ROUNDS * refresh + 1
            seen = f"STALE: seen {duration(age)} ago" if stale else f"seen {duration(age)} ago"
            right = Text.assemble(look.status(snapshot.status), "  ", (seen, "red bold" if stale else "dim"), " ")
        bar = Table.grid(expand=True)
        bar.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        bar.add_column(no_wrap=True, justify="right")
        bar.add_row(left, right)
        self.update(bar)
