"""Styled text and tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import StringIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table

from dataops_core.cli.terminal import write_rendered
from dataops_core.plain import visible, visible_lines


class _Console(Console):
    """Rich's console, in which control characters of texts have no effect on the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render like Rich, with control characters of texts as symbols."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))


def show(parts: Iterable[RenderableType]) -> None:
    """Write texts in Rich's markup, and tables."""
    write_rendered(rendered(parts))


def rendered(parts: Iterable[RenderableType]) -> str:
    """Return texts in Rich's markup, and tables, as text for standard output."""
    # Output to a pipe or a file is not truncated.
    terminal = sys.stdout is not None and sys.stdout.isatty()
    buffer = StringIO()
    console = _Console(file=buffer, force_terminal=terminal, width=None if terminal else 1000, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))
    return "\n".join(line.rstrip() for line in buffer.getvalue().split("\n")).rstrip("\n") + "\n"


def table(*headings: str) -> Table:
    """Return a table without lines; a heading that begins with `>` aligns its column right."""
    columns = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        right = heading.startswith(">")
        columns.add_column(heading.removeprefix(">"), justify="right" if right else "left", no_wrap=heading != "WHY")
    return columns


def safe(text: str) -> str:
    """Return untrusted text escaped for Rich's markup, with control characters as symbols."""
    return escape(visible(text))
