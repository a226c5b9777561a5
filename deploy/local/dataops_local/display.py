"""What starts, how long it takes, and what it waits for: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

GLYPHS = {"waiting": "·", "starting": "…", "ready": "✓", "failed": "✗"}
STYLES = {"waiting": "dim", "starting": "yellow", "ready": "green", "failed": "red"}


@dataclass
class Row:
    """One step."""

    state: str = "waiting"
    detail: str = ""
    began: float | None = None
    took: float | None = None


@dataclass
class Display:
    """All steps; safe to call from several threads."""

    console: Console
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self._live.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the display was made."""
        return time.monotonic() - self._start

    def update(self, name: str, state: str, detail: str = "") -> None:
        """Set what a step does."""
        with self._lock:
            row = self.rows.setdefault(name, Row())
            changed = (row.state, row.detail) != (state, detail)
            if state == "starting" and row.began is None:
                row.began = time.monotonic()
            if state in ("ready", "failed") and row.began is not None:
                row.took = time.monotonic() - row.began
            row.state, row.detail = state, detail
            if changed and not self.console.is_terminal and state != "waiting":
                took = f" in {row.took:.0f} s" if row.took is not None else ""
                self.console.print(f"{self.elapsed:5.0f} s  {name}: {state}{took}{': ' + detail if detail else ''}")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, title=f"local stack · {self.elapsed:.0f} s", title_justify="left")
        for heading in ("", "what", "state", "seconds", ""):
            table.add_column(heading, justify="right" if heading == "seconds" else "left")
        with self._lock:
            for name, row in self.rows.items():
                seconds = row.took if row.took is not None else (time.monotonic() - row.began if row.began else None)
                style = STYLES[row.state]
                shown = "" if seconds is None else f"{seconds:.0f}"
                table.add_row(f"[{style}]{GLYPHS[row.state]}", name, f"[{style}]{row.state}", shown, row.detail)
        return table
