"""Read tables, snapshots, references, schemas and files of a catalog for display, without a scan."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError, RESTError
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from dataops_core.errors import DataopsError
from dataops_core.items import why
from dataops_core.systems.iceberg import sdk
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.iceberg.files import LiveFiles, live_files
from dataops_core.systems.iceberg.table import count_of
from dataops_core.times import Moment, moment, seconds

OF_THE_CATALOG = (*sdk.LOGGED_OUT, requests.exceptions.ConnectionError, requests.exceptions.Timeout, DataopsError)
"""Errors that concern all tables of a catalog."""
MAX_TABLES = 200
"""Maximum number of tables whose metadata a list reads; further tables only have their name."""
AT_ONCE = 8
"""Number of tables whose metadata is read concurrently."""
MAX_MANIFESTS = 500
"""Maximum number of manifests that are read for file sizes."""
KIB = 1024
BUCKETS = (64 * KIB, 1024 * KIB, 8 * KIB**2, 32 * KIB**2, 128 * KIB**2, 512 * KIB**2)
"""Upper file sizes in bytes of the histogram's bars; the last bar holds larger files."""


@dataclass(frozen=True, slots=True)
class TableSummary:
    """A table in a list of all.

    Attributes:
        committed_at: Time of the current snapshot; `None` without one, or if the metadata was not read.
        records: Rows, without subtracting deleted rows.
        size: Bytes of the data files.
        files: Number of data files.
        snapshots: Number of retained snapshots.
        read: Whether the metadata was read. Otherwise only the name is known.
        unreadable: Why it cannot be read; `None` if it can be read, or was not read.
    """

    name: str
    committed_at: Moment | None = None
    records: int | None = None
    size: int | None = None
    files: int | None = None
    snapshots: int | None = None
    read: bool = False
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class TableSnapshot:
    """One snapshot.

    Attributes:
        operation: `append`, `overwrite`, `replace` or `delete`.
        current: Whether it is the current snapshot.
        on_branch: Whether it belongs to the history of the main branch.
        refs: Names of the branches and tags that point to it.
    """

    snapshot_id: int
    parent_id: int | None
    at: Moment
    operation: str | None
    current: bool
    on_branch: bool
    refs: tuple[str, ...]
    summary: Mapping[str, str]

    @property
    def by(self) -> str | None:
        """The Spark application or Trino query that committed it, if the summary has it."""
        return self.summary.get("spark.app.id") or self.summary.get("trino_query_id")

    def count(self, name: str) -> int | None:
        """Return a number of its summary, such as `added-records`, or `None`."""
        return count_of(self.summary.get(name))


@dataclass(frozen=True, slots=True)
class Reference:
    """A branch or a tag."""

    name: str
    kind: str
    snapshot_id: int
    at: Moment | None
    max_age: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the current schema.

    Attributes:
        partitioned: Partition transform, such as `day`; `None` without one.
        sorted: Sort direction, such as `asc`; `None` without one.
    """

    field_id: int
    name: str
    kind: str
    required: bool
    doc: str | None
    partitioned: str | None
    sorted: str | None


@dataclass(frozen=True, slots=True)
class TableDetail:
    """The metadata of a table.

    Attributes:
        snapshots: Newest first.
        schemas: Number of schemas in its history, including the current one.
    """

    name: str
    location: str
    format_version: int
    snapshots: tuple[TableSnapshot, ...]
    refs: tuple[Reference, ...]
    columns: tuple[Column, ...]
    properties: Mapping[str, str]
    schemas: int
    specs: int


@dataclass(frozen=True, slots=True)
class FileSizes:
    """The files of the current snapshot by size.

    Attributes:
        files: Data files in each of `BUCKETS`, and those larger than all of them.
        sizes: Bytes per bucket.
        records: Rows per bucket.
        position_deletes: Number of position delete files.
        equality_deletes: Number of equality delete files.
        manifests: Number of manifests of the snapshot.
        read: Number of manifests that were read, at most `MAX_MANIFESTS`.
    """

    files: tuple[int, ...]
    sizes: tuple[int, ...]
    records: tuple[int, ...]
    position_deletes: int
    equality_deletes: int
    manifests: int
    read: int


def tables(client: CatalogClient) -> tuple[TableSummary, ...]:
    """Return all tables by name; raise ClientError."""
    return client.ask(_tables)


def table(client: CatalogClient, name: str) -> TableDetail:
    """Return a table's metadata; raise NotFound or another ClientError."""
    return client.ask(lambda catalog: _detail(catalog.load_table(name), name))


def file_sizes(client: CatalogClient, name: str) -> FileSizes:
    """Return the files of a table's current snapshot by size; raise NotFound or another ClientError."""
    return client.ask(lambda catalog: _sizes(catalog.load_table(name)))


def _tables(catalog: Catalog) -> tuple[TableSummary, ...]:
    names: list[str] = []
    closed: list[TableSummary] = []
    for namespace in _namespaces(catalog, ()):
        try:
            names += [".".join(table) for table in catalog.list_tables(namespace)]
        except OF_THE_CATALOG:
            raise
        except Exception as error:  # noqa: BLE001 - an unreadable namespace must not hide the others
            closed.append(TableSummary(f"{'.'.join(namespace)}.*", unreadable=why(error)))
    names.sort()

    def read(name: str) -> TableSummary:
        try:
            return _summary(catalog.load_table(name), name)
        except NoSuchTableError:  # dropped since it was listed
            return TableSummary(name)
        except OF_THE_CATALOG:
            raise
        except Exception as error:  # noqa: BLE001 - an unreadable table must not hide the others
            return TableSummary(name, unreadable=why(error))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = tuple(pool.map(read, names[:MAX_TABLES]))
    return (*results, *(TableSummary(name) for name in names[MAX_TABLES:]), *closed)


def _namespaces(catalog: Catalog, parent: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    try:
        below = catalog.list_namespaces(parent)
    except (NoSuchNamespaceError, RESTError):
        if not parent:
            raise
        return  # a catalog without nested namespaces
    for namespace in below:
        if len(namespace) > len(parent):
            yield namespace
            yield from _namespaces(catalog, namespace)


def _summary(table: Table, name: str) -> TableSummary:
    snapshot = table.current_snapshot()
    about = _of(snapshot, {}) if snapshot else None
    return TableSummary(
        name=name,
        committed_at=_millis(snapshot.timestamp_ms) if snapshot else None,
        records=about.count("total-records") if about else 0,
        size=about.count("total-files-size") if about else 0,
        files=about.count("total-data-files") if about else 0,
        snapshots=len(table.metadata.snapshots),
        read=True,
    )


def _detail(table: Table, name: str) -> TableDetail:
    metadata = table.metadata
    refs: dict[int, list[str]] = {}
    for ref_name, ref in metadata.refs.items():
        refs.setdefault(ref.snapshot_id, []).append(ref_name)
    current = table.current_snapshot()
    history = {entry.snapshot_id for entry in _ancestors(table, current)}
    results = [
        _of(
            s,
            refs,
            current=current is not None and s.snapshot_id == current.snapshot_id,
            on_branch=s.snapshot_id in history,
        )
        for s in metadata.snapshots
    ]
    times = {snapshot.snapshot_id: snapshot.at for snapshot in results}
    return TableDetail(
        name=name,
        location=metadata.location,
        format_version=metadata.format_version,
        snapshots=tuple(sorted(results, key=lambda snapshot: seconds(snapshot.at), reverse=True)),
        refs=tuple(
            Reference(
                ref_name,
                ref.snapshot_ref_type.value,
                ref.snapshot_id,
                times.get(ref.snapshot_id),
                ref.max_ref_age_ms / 1000 if ref.max_ref_age_ms is not None else None,
            )
            for ref_name, ref in sorted(metadata.refs.items())
        ),
        columns=tuple(_columns(table)),
        properties=dict(sorted(metadata.properties.items())),
        schemas=len(metadata.schemas),
        specs=len(metadata.partition_specs),
    )


def _ancestors(table: Table, snapshot: Snapshot | None) -> Iterator[Snapshot]:
    known = {s.snapshot_id: s for s in table.metadata.snapshots}
    while snapshot is not None:
        yield snapshot
        snapshot = known.pop(snapshot.parent_snapshot_id, None) if snapshot.parent_snapshot_id is not None else None


def _of(
    snapshot: Snapshot, refs: Mapping[int, list[str]], *, current: bool = False, on_branch: bool = False
) -> TableSnapshot:
    summary = snapshot.summary
    return TableSnapshot(
        snapshot_id=snapshot.snapshot_id,
        parent_id=snapshot.parent_snapshot_id,
        at=_millis(snapshot.timestamp_ms),
        operation=summary.operation.value if summary else None,
        current=current,
        on_branch=on_branch,
        refs=tuple(sorted(refs.get(snapshot.snapshot_id, ()))),
        summary=dict(summary.additional_properties) if summary else {},
    )


def _columns(table: Table) -> Iterator[Column]:
    parts = {field.source_id: str(field.transform) for field in table.spec().fields}
    order = {field.source_id: field.direction.value.lower() for field in table.sort_order().fields}
    for field in table.schema().fields:
        yield Column(
            field_id=field.field_id,
            name=field.name,
            kind=str(field.field_type),
            required=field.required,
            doc=field.doc,
            partitioned=parts.get(field.field_id),
            sorted=order.get(field.field_id),
        )


def _sizes(table: Table) -> FileSizes:
    snapshot = table.current_snapshot()
    result = live_files(table, snapshot, MAX_MANIFESTS) if snapshot is not None else LiveFiles((), (), 0, 0)
    files, sizes, records = Counter[int](), Counter[int](), Counter[int]()
    for size, rows in result.data:
        bucket = bisect_left(BUCKETS, size)
        files[bucket] += 1
        sizes[bucket] += size
        records[bucket] += rows
    buckets = range(len(BUCKETS) + 1)
    return FileSizes(
        files=tuple(files[bucket] for bucket in buckets),
        sizes=tuple(sizes[bucket] for bucket in buckets),
        records=tuple(records[bucket] for bucket in buckets),
        position_deletes=result.deletes.count(DataFileContent.POSITION_DELETES),
        equality_deletes=result.deletes.count(DataFileContent.EQUALITY_DELETES),
        manifests=result.manifests,
        read=result.read,
    )


def _millis(millis: int) -> Moment:
    return moment(millis, "ms")
