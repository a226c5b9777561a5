"""Glyphs and colours of the status of a diagnosis."""

from __future__ import annotations

from dataops_core.diagnostics.base import Status

GLYPHS = {Status.OK: "●", Status.WARNING: "▲", Status.UNKNOWN: "?", Status.FAILED: "✖", Status.NOT_USED: "-"}
COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.UNKNOWN: "magenta",
    Status.FAILED: "red",
    Status.NOT_USED: "dim",
}


def marked(status: Status, text: str = "") -> str:
    """Return the glyph of a status and a text in the colour of the status, in Rich's markup."""
    return f"[{COLOURS[status]}]{GLYPHS[status]}{text}[/]"
