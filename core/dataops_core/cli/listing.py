"""Rows on standard output."""

from __future__ import annotations

from collections.abc import Sequence

from dataops_core.cli.terminal import write_exact
from dataops_core.rows import Writer, writer
from dataops_core.values import Columns, Rows


def rows_writer(output: str) -> Writer:
    """Return what writes rows as `table`, `json`, `jsonl` or `csv`."""
    return writer(output, write_exact)


def write_rows(output: str, columns: Columns, rows: Rows) -> None:
    """Write rows that are all there."""
    out = rows_writer(output)
    if rows:
        out.rows(columns, rows)
    out.end(columns)


def listed(names: Sequence[str], output: str) -> str | list[str]:
    """Return names as one value of a row: a list where the form has lists."""
    return list(names) if output in ("json", "jsonl") else " ".join(names)
