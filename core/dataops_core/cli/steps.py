"""The glyph and the colour of a diagnosis's result."""

from __future__ import annotations

from dataops_core.diagnostics.doctor import Result

GLYPHS = {Result.OK: "●", Result.WARNING: "▲", Result.UNKNOWN: "?", Result.FAILED: "✖", Result.NOT_USED: "-"}
COLOURS = {
    Result.OK: "green",
    Result.WARNING: "yellow",
    Result.UNKNOWN: "magenta",
    Result.FAILED: "red",
    Result.NOT_USED: "dim",
}


def marked(result: Result, text: str = "") -> str:
    """Return the glyph of a result, and a text, in the result's colour, in Rich's markup."""
    return f"[{COLOURS[result]}]{GLYPHS[result]}{text}[/]"
