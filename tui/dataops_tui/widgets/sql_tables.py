"""Tables of the SQL screen: the stages of a query, a full row, and the statistics of the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dataops_core.plain import visible
from dataops_core.sql.results import Result
from dataops_core.sql.statistics import ColumnStatistics
from dataops_core.systems.trino.responses import splits
from dataops_core.units import count, duration
from dataops_core.values import as_text, shown
from dataops_tui import styled

if TYPE_CHECKING:
    from dataops_core.systems.trino.responses import QueryProgress

LONGEST = 20_000
"""Maximum characters of a value in the view of a full row."""
_STATISTICS = ("COLUMN", "TYPE", "NULL", "DISTINCT", "SMALLEST", "LARGEST", "LONGEST")


def stages_table(progress: QueryProgress) -> Table:
    """Return the stages of a query, each before its inputs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("STAGE", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    for heading in ("SPLITS", "ROWS", "BYTES", "CPU"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in progress.stages:
        table.add_row(
            "  " * stage.depth + ("└ " if stage.depth else "") + visible(stage.number),
            visible(stage.state.lower()),
            splits(stage),
            count(stage.rows),
            styled.size(stage.bytes),
            duration(stage.cpu, precise=True),
        )
    return table


def row_text(result: Result, row: int) -> str:
    """Return all values of a row, each with its name and type."""
    lines = []
    for (name, kind), value in zip(result.columns, result.row(row), strict=True):
        text = "NULL" if value is None else shown(value)
        more = f" … and {count(len(text) - LONGEST)} characters more" if len(text) > LONGEST else ""
        lines.append(f"{name}  ({kind})\n    {visible(text[:LONGEST])}{more}")
    return "\n".join(lines)


def _statistics_cells(column: ColumnStatistics) -> tuple[str, ...]:
    nulls = f"{count(column.nulls)} ({column.nulls / column.rows:.0%})" if column.nulls else "0"
    distinct = ("" if column.exact else "≈ ") + count(column.distinct)
    extremes = [
        styled.UNKNOWN if value is None else visible(as_text(value)) for value in (column.smallest, column.largest)
    ]
    return (visible(column.name), visible(column.kind), nulls, distinct, *extremes, count(column.length))


def statistics_table(columns: tuple[ColumnStatistics, ...]) -> Table:
    """Return the statistics as a table, one line for each column."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in _STATISTICS:
        right = heading in ("NULL", "DISTINCT", "LONGEST")
        long = heading in ("TYPE", "SMALLEST", "LARGEST")  # these wrap on a narrow screen
        table.add_column(heading, justify="right" if right else "left", no_wrap=not long, overflow="fold")
    for column in columns:
        table.add_row(*(Text(cell) for cell in _statistics_cells(column)))
    return table


def statistics_text(columns: tuple[ColumnStatistics, ...]) -> str:
    """Return the statistics as tab-separated text, for copying."""
    return "\n".join("\t".join(cells) for cells in (_STATISTICS, *map(_statistics_cells, columns)))
