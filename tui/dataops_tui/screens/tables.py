"""The screens of Iceberg tables: snapshots, refs, schema, files, properties."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding

from dataops_core.sql.scan import relation
from dataops_core.units import count, duration
from dataops_tui import styled
from dataops_tui.resource import ResourceScreen, Row
from dataops_tui.widgets.words import Words

if TYPE_CHECKING:
    from dataops_core.systems.iceberg.inspect import FileSizes, TableDetail, TableSnapshot, TableSummary

BAR = 30
"""Width of the histogram's longest bar, in columns."""
ROWS = 100
"""LIMIT of the SQL statement that queries a snapshot."""
SECTIONS = ("snapshots", "refs", "schema", "files", "properties")


class TablesScreen(ResourceScreen["dict[str, tuple[TableSummary, ...]]"]):
    """All tables of all catalogs of the context."""

    CRUMB = "tables"
    EVERY = 30.0

    def fetch(self) -> dict[str, tuple[TableSummary, ...]]:
        """Fetch the tables of all catalogs."""
        from dataops_core.systems.iceberg.inspect import tables  # noqa: PLC0415 - a slow import, after the first frame

        results = {name: tables(client) for name, client in self.console.clients.require_catalogs().items()}
        self.console.learn("table", [f"{name}.{table.name}" for name, those in results.items() for table in those])
        return results

    def headings(self) -> tuple[str, ...]:
        """Return the headings."""
        narrow = ("TABLE", "COMMITTED", "ROWS", "FILES")
        return (*narrow, "SIZE", "PER FILE", "SNAPSHOTS") if self.wide else narrow

    def rows(self, results: dict[str, tuple[TableSummary, ...]], now: datetime) -> Mapping[str, Row]:
        """Return the tables."""
        return {
            f"{catalog}.{table.name}": Row(
                [
                    styled.plain(f"{catalog}.{table.name}"),
                    styled.when(table.committed_at, now)
                    if table.unreadable is None
                    else styled.unreadable(table.unreadable),
                    styled.number(table.records),
                    styled.number(table.files),
                    styled.size(table.size),
                    styled.size(table.size / table.files if table.size and table.files else None),
                    styled.number(table.snapshots),
                ][: len(self.headings())],
                table,
                table.unreadable is not None,
                unreadable=table.unreadable is not None,
            )
            for catalog, tables in results.items()
            for table in tables
        }

    def open(self, key: str) -> None:
        """Open the table."""
        self.console.drill(f"tables {key}", TableDetailScreen(key))


class TableDetailScreen(ResourceScreen["tuple[TableDetail, FileSizes]"]):
    """One table, in sections."""

    EVERY = 30.0
    BINDINGS = [
        Binding("1", "section('snapshots')", "Snapshots", id="iceberg.snapshots", tooltip="Show the snapshots"),
        Binding("2", "section('refs')", "Refs", id="iceberg.refs", tooltip="Show branches and tags"),
        Binding("3", "section('schema')", "Schema", id="iceberg.schema", tooltip="Show columns and partitioning"),
        Binding("4", "section('files')", "Files", id="iceberg.files", tooltip="Show the files by size"),
        Binding("5", "section('properties')", "Properties", id="iceberg.properties", tooltip="Show the properties"),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._catalog, _, self._table = name.partition(".")
        self._section = SECTIONS[0]

    def crumb(self) -> str:
        """Return the table's name."""
        return self._table

    def compose_more(self) -> ComposeResult:
        """Compose the title of the section."""
        yield Words(id="section")

    def fetch(self) -> tuple[TableDetail, FileSizes]:
        """Fetch the table from its catalog."""
        from dataops_core.systems.iceberg.inspect import file_sizes, table  # noqa: PLC0415 - as above

        client = self.console.clients.require_catalog(self._catalog)
        return table(client, self._table), file_sizes(client, self._table)

    def headings(self) -> tuple[str, ...]:
        """Return the headings of the section."""
        match self._section:
            case "snapshots":
                narrow = ("AT", "OPERATION", "ADDED", "ROWS", "SNAPSHOT")
                return (*narrow, "FILES", "REFS", "BY") if self.wide else narrow
            case "refs":
                return ("NAME", "KIND", "AT", "KEPT FOR", "SNAPSHOT")
            case "schema":
                return ("ID", "COLUMN", "TYPE", "NULL", "PARTITION", "SORT", "DOC")
            case "files":
                return ("UP TO", "FILES", "SIZE", "ROWS", "SHARE OF FILES")
            case _:
                return ("PROPERTY", "VALUE")

    def rows(self, results: tuple[TableDetail, FileSizes], now: datetime) -> Mapping[str, Row]:
        """Return the rows of the section."""
        detail, sizes = results
        match self._section:
            case "snapshots":
                width = len(self.headings())
                return {str(s.snapshot_id): Row(_snapshot(s, now)[:width], s) for s in detail.snapshots}
            case "refs":
                return {
                    ref.name: Row(
                        [
                            styled.plain(ref.name, "bold"),
                            styled.plain(ref.kind),
                            styled.at(ref.at, now),
                            styled.plain("always" if ref.max_age is None else duration(ref.max_age)),
                            styled.plain(str(ref.snapshot_id), "dim"),
                        ],
                        ref,
                    )
                    for ref in detail.refs
                }
            case "schema":
                return {
                    column.name: Row(
                        [
                            styled.number(column.field_id),
                            styled.plain(column.name, "bold" if column.partitioned else ""),
                            styled.plain(column.kind, "cyan"),
                            Text("never" if column.required else "yes", "" if column.required else "dim"),
                            styled.plain(column.partitioned or ""),
                            styled.plain(column.sorted or ""),
                            styled.plain(column.doc or "", "dim"),
                        ],
                        column,
                    )
                    for column in detail.columns
                }
            case "files":
                return _histogram(sizes)
            case _:
                return {
                    name: Row([styled.plain(name), styled.plain(value)], {name: value})
                    for name, value in detail.properties.items()
                }

    def draw_more(self, now: datetime) -> None:
        """Draw the titles of the sections, and the totals of the current one."""
        tabs = Text("  ").join(
            Text(f"{number} {name}", "bold reverse" if name == self._section else "dim")
            for number, name in enumerate(SECTIONS, start=1)
        )
        about = styled.plain(self._about(*self.result), "dim") if self.result else Text()
        self.query_one("#section", Words).show(Text.assemble(tabs, "\n", about))

    def _about(self, detail: TableDetail, sizes: FileSizes) -> str:
        match self._section:
            case "snapshots":
                return f"{detail.location}  format {detail.format_version}; Enter queries a snapshot with SQL"
            case "schema":
                return f"{detail.schemas} schemas and {detail.specs} partition specs so far"
            case "files":
                deletes = (
                    f"{count(sizes.position_deletes)} position and {count(sizes.equality_deletes)} equality deletes"
                )
                part = "" if sizes.read == sizes.manifests else f", of which {count(sizes.read)} were read"
                return f"{count(sum(sizes.files))} data files, {deletes}, {count(sizes.manifests)} manifests{part}"
            case _:
                return ""

    def action_section(self, name: str) -> None:
        """Switch to a section."""
        self._section = name
        self.fill()

    def open(self, key: str) -> None:
        """Query the table as of a snapshot, a branch or a tag; in other sections, show the raw row."""
        if self._section not in ("snapshots", "refs"):
            self.action_raw()
            return
        literal = "'" + key.replace("'", "''") + "'"
        version = key if self._section == "snapshots" else literal
        name = relation(self._catalog, *self._table.split("."))
        self.console.open_sql(f"SELECT * FROM {name} FOR VERSION AS OF {version} LIMIT {ROWS}")


def _snapshot(snapshot: TableSnapshot, now: datetime) -> list[Text]:
    colour = "bold green" if snapshot.current else "" if snapshot.on_branch else "dim"
    removed = snapshot.count("deleted-records")
    added = snapshot.count("added-records")
    change = styled.SortableText(f"+{count(added or 0)}" + (f" -{count(removed)}" if removed else ""), added)
    return [
        styled.at(snapshot.at, now, colour),
        styled.plain((snapshot.operation or styled.UNKNOWN) + (" ● current" if snapshot.current else ""), colour),
        change,
        styled.number(snapshot.count("total-records")),
        styled.plain(str(snapshot.snapshot_id), "dim"),
        styled.number(snapshot.count("total-data-files")),
        styled.plain(", ".join(snapshot.refs), "bold"),
        styled.plain(snapshot.by or styled.UNKNOWN, "dim"),
    ]


def _histogram(sizes: FileSizes) -> dict[str, Row]:
    from dataops_core.systems.iceberg.inspect import BUCKETS  # noqa: PLC0415 - as above

    names = [f"up to {styled.size(most).plain}" for most in BUCKETS] + [f"over {styled.size(BUCKETS[-1]).plain}"]
    most = max(sizes.files, default=0) or 1
    return {
        name: Row(
            [
                styled.plain(name),
                styled.number(sizes.files[n]),
                styled.size(sizes.sizes[n]),
                styled.number(sizes.records[n]),
                Text("█" * round(BAR * sizes.files[n] / most), "cyan"),
            ]
        )
        for n, name in enumerate(names)
    }
