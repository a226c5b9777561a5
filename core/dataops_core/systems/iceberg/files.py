"""Read number, size and existence of an Iceberg table's files, without a scan.

Manifests never change, so their content is cached by path. After a commit only the manifest list and new manifests are
read.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from pyiceberg.avro.file import AvroFile, AvroFileHeader
from pyiceberg.avro.resolver import ReadSchemaResolver, SchemaPartnerAccessor
from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    MANIFEST_ENTRY_SCHEMAS,
    DataFileContent,
    ManifestContent,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.schema import Schema, visit_with_partner
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, NestedField, StructType
from pyiceberg.utils.concurrent import ExecutorFactory
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

from dataops_core.bounded import loads

MANIFESTS_KEPT = 4096
"""Maximum number of manifests whose file sizes are cached, 8 bytes each."""
PATHS_KEPT = 8
"""Maximum number of manifests whose file paths are cached."""
_MANIFESTS: WeakValueDictionary[str, ManifestFile] = WeakValueDictionary()
"""The manifests of the cached lists, by path: the lists of a table share most of them. PyIceberg shares 128 in all."""
_DECODING = Lock()
"""Decodes one manifest at a time: concurrent threads would spend half of their time on switching."""
STATUS, DATA_FILE = 0, 2
PATH, RECORDS, SIZE, UPPER_BOUNDS, CONTENT = 100, 103, 104, 128, 134

AVRO_SCHEMA = "avro.schema"
"""Header key of an Avro file's schema (Avro spec, object container files)."""


@lru_cache(maxsize=1024)
def _parsed(schema: str) -> Schema:
    return AvroSchemaConversion().avro_to_iceberg(loads(schema))


def _schema(header: AvroFileHeader) -> Schema:
    result = header.meta.get(AVRO_SCHEMA)
    if result is None:
        raise ValueError("no schema in the header of the Avro file")
    return _parsed(result)


# PyIceberg 0.12 caches each reader forever, by its schema. Equal map types have different hashes, so the cache grows
# with each manifest. Each schema is therefore parsed only once.
AvroFileHeader.get_schema = _schema  # type: ignore[assignment,method-assign]


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The live data files of a snapshot.

    Attributes:
        held: Bytes of the data files.
        small: Number of small data files.
        records: Rows in them, without subtracting deleted rows.
        upper_bound: Largest value of the requested column, in the encoding of a manifest.
    """

    manifests: int
    data_files: int
    held: int
    small: int
    records: int
    upper_bound: bytes | None


@dataclass(frozen=True, slots=True)
class _Summary:
    """Sizes, rows and upper bound of the live files of one manifest."""

    sizes: array[int]
    records: int
    upper_bound: bytes | None


class ByPath:
    """The file IO for a file that never changes. All instances are equal, so a cache uses only the path as key.

    A cache keeps its keys as long as its values. File IO holds connections, so it can be taken only once and is not
    kept.
    """

    def __init__(self, io: FileIO) -> None:
        self._io = [io]

    def take(self) -> FileIO:
        """Return the file IO; it can be taken only once."""
        return self._io.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByPath)

    def __hash__(self) -> int:
        return 0


class _List(ByPath):
    """A snapshot with the file IO for its manifest list."""

    def __init__(self, snapshot: Snapshot, io: FileIO) -> None:
        super().__init__(io)
        self.snapshot = snapshot


def table_files(table: Table, snapshot: Snapshot, small: float, bound_of: int | None = None) -> TableFiles:
    """Return the files of a snapshot, from its manifests.

    Args:
        table: The table.
        snapshot: One of its snapshots.
        small: Bytes below which a file is small.
        bound_of: Id of the column whose upper bound to return.
    """
    manifests = _data_manifests(table, snapshot)

    def summary(manifest: ManifestFile) -> _Summary:
        return _summary(manifest.manifest_path, bound_of, ByPath(table.io))

    results = list(ExecutorFactory.get_or_create().map(summary, manifests))
    bounds = [s.upper_bound for s in results if s.upper_bound is not None]
    return TableFiles(
        manifests=len(manifests),
        data_files=sum(len(s.sizes) for s in results),
        held=sum(sum(s.sizes) for s in results),
        small=sum(sum(size < small for size in s.sizes) for s in results),
        records=sum(s.records for s in results),
        upper_bound=max(bounds, key=signed, default=None),
    )


@dataclass(frozen=True, slots=True)
class LiveFiles:
    """The live files of a snapshot.

    Attributes:
        data: Bytes and rows of each data file.
        deletes: Kind of each delete file.
        manifests: Number of manifests of the snapshot.
        read: Number of manifests that were read.
    """

    data: tuple[tuple[int, int], ...]
    deletes: tuple[DataFileContent, ...]
    manifests: int
    read: int


def live_files(table: Table, snapshot: Snapshot, most: int) -> LiveFiles:
    """Return the live files of a snapshot, from at most `most` manifests."""
    listed = _manifest_list(snapshot.manifest_list, _List(snapshot, table.io))
    some = listed[:most]

    def counts(manifest: ManifestFile) -> tuple[array[int], ...]:
        fields = (SIZE, RECORDS) if manifest.content is ManifestContent.DATA else (CONTENT,)
        return _counts(manifest.manifest_path, fields, ByPath(table.io))

    results = list(zip(some, ExecutorFactory.get_or_create().map(counts, some), strict=True))
    data = (zip(*each, strict=True) for m, each in results if m.content is ManifestContent.DATA)
    deletes = (kind for m, each in results if m.content is not ManifestContent.DATA for kind in each[0])
    return LiveFiles(
        tuple(chain.from_iterable(data)),
        tuple(map(DataFileContent, deletes)),
        len(listed),
        len(some),
    )


class FileWatch:
    """Checks a few data files of a table in the store at each refresh, in rotation, and keeps the missing ones."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._next: tuple[int, int] = (0, 0)
        self._missing: dict[str, str] = {}

    def check(self, table: Table, snapshot: Snapshot, number: int) -> tuple[str, ...]:
        """Check `number` files of the snapshot; return the paths of all known missing files."""
        manifests = _data_manifests(table, snapshot)
        with self._lock:
            live = {m.manifest_path for m in manifests}
            again = {path: at for path, at in self._missing.items() if at in live}
            due = {path: at for at, path in self._due(manifests, table.io, number)}
            checked = {**due, **again}
            there = ExecutorFactory.get_or_create().map(lambda path: table.io.new_input(path).exists(), checked)
            self._missing = {
                path: at for (path, at), is_there in zip(checked.items(), there, strict=True) if not is_there
            }
            return tuple(self._missing)

    def _due(self, manifests: Sequence[ManifestFile], io: FileIO, number: int) -> Iterator[tuple[str, str]]:
        """Yield the manifest and path of the next files, at most one round."""
        at, first = self._next
        for step in range(len(manifests) + 1):  # the first one may be half done
            if step or at >= len(manifests):
                at, first = (at + 1 if at + 1 < len(manifests) else 0), 0
            manifest = manifests[at]
            paths = _paths(manifest.manifest_path, ByPath(io))
            some = paths[first : first + number]
            yield from ((manifest.manifest_path, path) for path in some)
            number -= len(some)
            self._next = (at, first + len(some))
            if number <= 0:
                return


def _data_manifests(table: Table, snapshot: Snapshot) -> list[ManifestFile]:
    listed = _manifest_list(snapshot.manifest_list, _List(snapshot, table.io))
    return [manifest for manifest in listed if manifest.content is ManifestContent.DATA]


@lru_cache(maxsize=64)
def _manifest_list(path: str, source: _List) -> list[ManifestFile]:  # noqa: ARG001 - the cache's key
    return [_MANIFESTS.setdefault(each.manifest_path, each) for each in source.snapshot.manifests(source.take())]


@lru_cache(maxsize=MANIFESTS_KEPT)
def _summary(path: str, bound_of: int | None, source: ByPath) -> _Summary:
    sizes = array("q")
    records, bound = 0, None
    fields = (SIZE, RECORDS) if bound_of is None else (SIZE, RECORDS, UPPER_BOUNDS)
    for file in _live(path, source.take(), fields):
        sizes.append(file[0])
        records += file[1]
        if bound_of is not None:
            value = (file[2] or {}).get(bound_of)
            if value is not None and (bound is None or signed(value) > signed(bound)):
                bound = value
    return _Summary(sizes, records, bound)


@lru_cache(maxsize=MANIFESTS_KEPT)
def _counts(path: str, fields: tuple[int, ...], source: ByPath) -> tuple[array[int], ...]:
    results = tuple(array("q") for _ in fields)
    for file in _live(path, source.take(), fields):
        for column, number in zip(results, range(len(fields)), strict=True):
            column.append(file[number])
    return results


@lru_cache(maxsize=PATHS_KEPT)
def _paths(path: str, source: ByPath) -> tuple[str, ...]:
    return tuple(file[0] for file in _live(path, source.take(), (PATH,)))


def _live(path: str, io: FileIO, fields: tuple[int, ...]) -> Iterator[Record]:
    """Yield these fields of each live entry's data file; other fields are skipped without decoding."""
    with AvroFile[Record](io.new_input(path)) as entries, _DECODING:  # the file has been read here
        entries.reader = visit_with_partner(  # type: ignore[misc] # PyIceberg calls it like this
            entries.schema, _projection(fields), ReadSchemaResolver({}), _Accessor()
        )
        for entry in entries:
            if entry[0] != ManifestEntryStatus.DELETED.value:
                yield entry[1]


class _Accessor(SchemaPartnerAccessor):
    """Allows a projection without structs, maps and lists, which PyIceberg's accessor rejects."""

    def field_partner(self, partner: IcebergType | None, field_id: int, field_name: str) -> IcebergType | None:
        return None if partner is None else super().field_partner(partner, field_id, field_name)

    def map_key_partner(self, partner_map: IcebergType | None) -> IcebergType | None:
        return None if partner_map is None else super().map_key_partner(partner_map)

    def map_value_partner(self, partner_map: IcebergType | None) -> IcebergType | None:
        return None if partner_map is None else super().map_value_partner(partner_map)

    def list_element_partner(self, partner_list: IcebergType | None) -> IcebergType | None:
        return None if partner_list is None else super().list_element_partner(partner_list)


@lru_cache(maxsize=8)
def _projection(fields: tuple[int, ...]) -> Schema:
    entry = MANIFEST_ENTRY_SCHEMAS[2]
    data_file = entry.find_field(DATA_FILE)
    file: Any = data_file.field_type
    some = StructType(*(next(f for f in file.fields if f.field_id == wanted) for wanted in fields))
    return Schema(entry.find_field(STATUS), NestedField(DATA_FILE, data_file.name, some, required=True))


def signed(bound: bytes) -> int:
    """Return a timestamp bound as a number: microseconds, 8 bytes, little endian, signed (Iceberg spec, appendix D)."""
    return int.from_bytes(bound, "little", signed=True)
