"""Rows on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from dataops_core.cli.terminal import say, write_exact
from dataops_core.items import Item, how_many
from dataops_core.rows import Writer, writer
from dataops_core.values import Columns, Rows

if TYPE_CHECKING:
    from dataops_core.pattern import Pattern

REMARKS = ("note", "error")
"""Columns with remarks on single items, and with the reason why an item cannot be read."""


def rows_writer(output: str) -> Writer:
    """Return a writer of rows in the given output format, such as `table`, `json`, `jsonl` or `csv`."""
    return writer(output, write_exact)


def write_rows(output: str, columns: Columns, rows: Rows) -> None:
    """Write all rows of a list; a table omits empty columns of remarks."""
    if output == "table":
        kept = [n for n, (name, _) in enumerate(columns) if name not in REMARKS or any(row[n] for row in rows)]
        columns, rows = [columns[n] for n in kept], [tuple(row[n] for n in kept) for row in rows]
    out = rows_writer(output)
    if rows:
        out.rows(columns, rows)
    out.end(columns)


def say_unreadable(items: Iterable[Item], nouns: str) -> None:
    """Write to standard error how many items of a list cannot be read, if any."""
    if (text := how_many(items, nouns)) is not None:
        say(f"dataops: {text}")


def name_pattern(wanted: str | None) -> Pattern:
    """Return the pattern of `--filter`; one without it matches all. Raises BadParameter if it is invalid."""
    from dataops_core.pattern import BadPattern, Pattern

    try:
        return Pattern(wanted or "")
    except BadPattern as error:
        raise typer.BadParameter(f"--filter: {error}") from None


def listed(names: Sequence[str], output: str) -> str | list[str]:
    """Return names as one value of a row: a list in JSON, else a text."""
    return list(names) if output in ("json", "jsonl") else " ".join(names)
