"""The audit screen: executed and refused actions of the console and the command line, and the check of the file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from dataops_core.actions.audit import AuditTrail
from dataops_core.health.text import clock
from dataops_tui import styled
from dataops_tui.resource import ResourceScreen, Row

NEWEST = 1000
"""Maximum number of entries that are shown; the check covers the whole file."""
OUTCOMES = {"done": "green", "allowed": "green", "refused": "yellow", "failed": "red"}


class AuditScreen(ResourceScreen[AuditTrail]):
    """The entries of the audit file, newest first."""

    CRUMB = "audit"

    def fetch(self) -> AuditTrail:
        """Read the audit file and check its hash chain."""
        return self.console.policy.audit.read(NEWEST)

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        wide = ("AT", "OUTCOME", "ACTION", "WHAT", "CONTEXT", "USER", "REASON")
        return wide if self.wide else ("AT", "OUTCOME", "ACTION", "WHAT")

    def rows(self, result: AuditTrail, now: datetime) -> Mapping[str, Row]:
        """Return the entries."""
        return {
            str(number): Row(self._cells(entry, now), entry, entry.get("outcome") in ("refused", "failed"))
            for number, entry in reversed(result.entries)
        }

    def _cells(self, entry: Mapping[str, Any], now: datetime) -> list[Text]:
        outcome = str(entry.get("outcome", styled.UNKNOWN))
        what = entry.get("statement") or entry.get("dag_id") or entry.get("target") or styled.UNKNOWN
        cells = {
            "AT": styled.plain(_at(entry, now), "dim"),
            "OUTCOME": styled.plain(outcome, OUTCOMES.get(outcome, "")),
            "ACTION": styled.plain(str(entry.get("action", styled.UNKNOWN)).replace("_", " ")),
            "WHAT": styled.plain(" ".join(str(what).split())),
            "CONTEXT": styled.plain(str(entry.get("context", styled.UNKNOWN)), "dim"),
            "USER": styled.plain(str(entry.get("user", styled.UNKNOWN)), "dim"),
            "REASON": styled.plain(str(entry.get("reason", ""))),
        }
        return [cells[heading] for heading in self.headings()]

    def open(self, key: str) -> None:
        """Show all values of the entry."""
        self.action_raw()

    def status_line(self, now: datetime) -> Text:
        """Return the status line with the result of the check."""
        text = super().status_line(now)
        if self.result is None:
            return text
        report = self.result.report
        whole = (f"● the chain of {report.lines:,} lines is intact  ", "not dim green")
        broken = (f"✖ {report.problem}; {report.lines:,} lines before it are intact  ", "not dim red bold")
        return Text.assemble(broken if report.problem else whole, text)


def _at(entry: Mapping[str, Any], now: datetime) -> str:
    try:
        return clock(datetime.fromisoformat(str(entry.get("at"))), now)
    except ValueError:
        return styled.UNKNOWN
