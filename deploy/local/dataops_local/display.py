"""The progress of the start, with usual durations: a live table on a terminal, otherwise plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dataops_core.units import duration

GLYPHS = {"waiting": "·", "starting": "…", "ready": "✓", "failed": "✗"}
REMIND_SECONDS = 10.0
"""Seconds after which plain lines repeat the pending steps."""
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
    usual: Callable[[str], float | None] = lambda _: None
    """Returns the usual duration of a step in seconds."""
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._start = self._reminded = time.monotonic()
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
        """Set the state of a step."""
        with self._lock:
            row = self.rows.setdefault(name, Row())
            changed = (row.state, row.detail) != (state, detail)
            if state == "starting" and row.began is None:
                row.began = time.monotonic()
            if state in ("ready", "failed") and row.began is not None:
                row.took = time.monotonic() - row.began
            row.state, row.detail = state, detail
            if self.console.is_terminal:
                return
            if changed and state != "waiting":
                took = f" in {duration(row.took)}" if row.took is not None else ""
                usual = self._usually(name) if state == "starting" else ""
                self._say(f"{name}: {state}{took}{usual}{': ' + detail if detail else ''}")
            elif time.monotonic() - self._reminded >= REMIND_SECONDS:
                self._say(self.waiting_for())

    def waiting_for(self) -> str:
        """Return the steps that are starting, with their elapsed and usual durations."""
        now = time.monotonic()
        parts = [
            f"{name} for {duration(now - row.began)}{self._usually(name)}"
            for name, row in self.rows.items()
            if row.state == "starting" and row.began is not None
        ]
        return f"waiting for {', '.join(parts)}" if parts else "waiting"

    def took(self) -> dict[str, float]:
        """Return the seconds of each step that is ready."""
        return {name: row.took for name, row in self.rows.items() if row.state == "ready" and row.took is not None}

    def _usually(self, name: str) -> str:
        seconds = self.usual(name)
        return f" (usually {duration(max(1, seconds))})" if seconds is not None else ""

    def _say(self, text: str) -> None:
        self._reminded = time.monotonic()
        self.console.print(f"{duration(self.elapsed):>7}  {text}", soft_wrap=True)

    def _table(self) -> Table:
        with self._lock:
            title = f"local stack · {duration(self.elapsed)} · {self.waiting_for()}"
            table = Table(box=None, pad_edge=False, title=title, title_justify="left")
            for heading in ("", "step", "state", "time", "usually", ""):
                table.add_column(heading, justify="right" if heading in ("time", "usually") else "left")
            for name, row in self.rows.items():
                seconds = row.took if row.took is not None else (time.monotonic() - row.began if row.began else None)
                style = STYLES[row.state]
                shown = "" if seconds is None else duration(seconds)
                usual = self.usual(name)
                usually = "" if usual is None else duration(usual)
                table.add_row(
                    f"[{style}]{GLYPHS[row.state]}", name, f"[{style}]{row.state}", shown, usually, row.detail
                )
        return table
