"""A real Iceberg table in a folder, without a catalog's server; for tests of what reads tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog, MetastoreCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.settings import CatalogSettings

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "town", StringType(), doc="where it goes"),
)


class FolderCatalog(MetastoreCatalog):
    """What PyIceberg needs to make tables and to commit to them; the pointers are kept in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__("lake", warehouse=f"file://{folder}")
        self.pointers: dict[tuple[str, ...], str] = {}

    def list_namespaces(self, namespace: Any = ()) -> list[Any]:
        return [] if namespace else sorted({name[:1] for name in self.pointers})

    def list_tables(self, namespace: Any) -> list[Any]:
        return [name for name in self.pointers if name[:1] == namespace]

    def load_table(self, identifier: Any) -> Table:
        name = Catalog.identifier_to_tuple(identifier)
        if name not in self.pointers:
            raise NoSuchTableError(f"Table does not exist: {'.'.join(name)}")
        location = self.pointers[name]
        io = load_file_io(self.properties, location)
        return Table(name, FromInputFile.table_metadata(io.new_input(location)), location, io, self)

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        name = table.name()
        current = self.load_table(name) if name in self.pointers else None
        staged = self._update_and_stage_table(current, name, requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self.pointers[name] = staged.metadata_location
        return CommitTableResponse(metadata=staged.metadata, metadata_location=staged.metadata_location)

    def create(self, name: str, properties: dict[str, str] | None = None) -> Table:
        """Make a table that is partitioned by town."""
        spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "town"))
        location = f"{self.properties['warehouse']}/{name}"
        staged = self._create_staged_table(name, SCHEMA, location, spec, properties=properties or {})
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self.pointers[staged.name()] = staged.metadata_location
        return self.load_table(name)


FolderCatalog.__abstractmethods__ = frozenset()  # what is left out is never asked for here


def rows(*towns: str) -> pa.Table:
    """Return one row for each town."""
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("town", pa.string())])
    return pa.table({"id": list(range(len(towns))), "town": list(towns)}, schema=schema)


def lake(folder: Path) -> CatalogClient:
    """Return the client of a catalog with `gold.shipments` (three commits, a tag, a branch) and an empty table."""
    catalog = FolderCatalog(folder)
    table = catalog.create("gold.shipments", {"owner": "quality"})
    table.append(rows("Ames", "Bath"))
    table.append(rows("Ames"))
    with table.manage_snapshots() as manage:
        manage.create_tag(table.current_snapshot().snapshot_id, "released-1")
        manage.create_branch(table.current_snapshot().snapshot_id, "audit", max_ref_age_ms=3_600_000)
    table.overwrite(rows("Cork"))
    catalog.create("gold.empty")
    client = CatalogClient("lake", CatalogSettings(properties={"type": "rest", "uri": "http://lake"}))
    client._catalog = catalog
    return client
