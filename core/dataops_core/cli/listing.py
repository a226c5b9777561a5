"""Rows on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataops_core.cli.terminal import say, write_exact
from dataops_core.items import Item, how_many
from dataops_core.rows import Writer, writer
from dataops_core.values import Columns, Rows

ODD = ("note", "error")
"""Columns of what is odd about an item, and of why it cannot be read."""


def rows_writer(output: str) -> Writer:
    """Return what writes rows as `table`, `json`, `jsonl` or `csv`."""
    return writer(output, write_exact)


def write_rows(output: str, columns: Columns, rows: Rows) -> None:
    """Write rows that are all there; a table leaves columns out that only odd items fill, where none does."""
    if output == "table":
        kept = [n for n, (name, _) in enumerate(columns) if name not in ODD or any(row[n] for row in rows)]
        columns, rows = [columns[n] for n in kept], [tuple(row[n] for n in kept) for row in rows]
    out = rows_writer(output)
    if rows:
        out.rows(columns, rows)
    out.end(columns)


def say_unreadable(items: Iterable[Item], nouns: str) -> None:
    """Say how many items of a list cannot be read, if any."""
    if (text := how_many(items, nouns)) is not None:
        say(f"dataops: {text}")


def listed(names: Sequence[str], output: str) -> str | list[str]:
    """Return names as one value of a row: a list where the form has lists."""
    return list(names) if output in ("json", "jsonl") else " ".join(names)
