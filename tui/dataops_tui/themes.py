"""The console's colours, and its line filters: no control characters, ASCII only."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from dataops_core.plain import visible

THEMES = (
    Theme(
        name="dark",
        primary="#4f8fd0",
        secondary="#7a8fa6",
        warning="#e0af38",
        error="#e5534b",
        success="#57ab5a",
        accent="#7fb4f0",
        foreground="#d6dde4",
        background="#12161b",
        surface="#1a2027",
        panel="#212932",
        dark=True,
    ),
    Theme(
        name="light",
        primary="#2563a8",
        secondary="#5c6b7a",
        warning="#9a6700",
        error="#c0281f",
        success="#1a7f37",
        accent="#1f5fae",
        foreground="#1c2127",
        background="#fbfcfd",
        surface="#f0f3f6",
        panel="#e3e8ee",
        dark=False,
    ),
    Theme(
        name="high-contrast",
        primary="#00b7ff",
        secondary="#ffffff",
        warning="#ffd400",
        error="#ff5c5c",
        success="#00ff66",
        accent="#00e5ff",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        dark=True,
        text_alpha=1.0,
    ),
)

ANSI_DARK = TerminalTheme(
    (18, 22, 27),
    (214, 221, 228),
    [
        (26, 32, 39), (255, 128, 122), (92, 207, 110), (230, 190, 80),
        (110, 160, 240), (220, 140, 240), (90, 200, 215), (214, 221, 228),
    ],
)  # fmt: skip
"""The ANSI colours on a dark background."""
ANSI_LIGHT = TerminalTheme(
    (251, 252, 253),
    (28, 33, 39),
    [
        (28, 33, 39), (176, 26, 18), (20, 110, 48), (133, 89, 0),
        (31, 95, 174), (130, 50, 150), (0, 100, 120), (28, 33, 39),
    ],
)  # fmt: skip
"""The ANSI colours on a light background."""
_SIGNS = {"●": "*", "○": "o", "◐": "%", "▲": "^", "■": "#", "✖": "x", "◌": "~", "↻": "@", "◇": "<", "▼": "v", "✓": "+"}
_SIGNS |= {"·": ".", "‖": "=", "↳": ">", "░": ":", "…": "~", "▁": "_", "▂": "_", "▃": "_", "▄": "=", "▅": "=", "▆": "="}


def _drawing(code: int) -> str:
    """Return the ASCII replacement of a box-drawing character."""
    words = unicodedata.name(chr(code)).split()
    if words[0] != "BOX":
        return "#"
    return "-" if words[-1] == "HORIZONTAL" else "|" if words[-1] == "VERTICAL" else "+"


_STAND_INS = {code: _drawing(code) for code in range(0x2500, 0x25A0)} | {
    ord(sign): letter for sign, letter in _SIGNS.items()
}
"""ASCII replacement by code point; each is one character, so that the layout stays."""


class NoControls(LineFilter):
    """A filter that keeps control characters of any widget's text from the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - as its base class
        """Replace unprintable characters by their symbols; the length of the line stays."""
        if all(text.isprintable() and (style is None or _is_harmless(style.link)) for text, style, _ in segments):
            return segments
        shown = [
            Segment(visible(text), style if style is None or _is_harmless(style.link) else style.update_link(None))
            for text, style, _ in segments
        ]
        return Segment.adjust_line_length(shown, sum(segment.cell_length for segment in segments))


def _is_harmless(link: str | None) -> bool:
    return link is None or link.isprintable()


class AsciiOnly(LineFilter):
    """A filter that replaces the console's glyphs and lines by ASCII.

    Args:
        enabled: Whether it replaces them.
        strict: Whether all other non-ASCII text becomes `?`, for a terminal without UTF-8.
    """

    def __init__(self, enabled: bool, strict: bool = False) -> None:
        super().__init__(enabled or strict)
        self._strict = strict

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - as its base class
        """Replace non-ASCII characters that have an ASCII replacement."""
        drawn = _strictly_ascii if self._strict else _ascii
        return [Segment(drawn(text), style, control) for text, style, control in segments]


@lru_cache(4096)
def _ascii(text: str) -> str:
    return text if text.isascii() else text.translate(_STAND_INS)


@lru_cache(4096)
def _strictly_ascii(text: str) -> str:
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in _ascii(text))
