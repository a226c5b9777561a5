"""Rows into a file: CSV, JSON, JSON lines, Parquet."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataops_core.errors import DataopsError
from dataops_core.rows import writer
from dataops_core.values import Columns, Row, as_text, distinct

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".parquet": "parquet"}
"""What the end of a file's name stands for."""


class ExportRefused(DataopsError):
    """The rows cannot be written there."""


def export_path(typed: str) -> Path:
    """Return the file that somebody has typed.

    Raises:
        ExportRefused: Its name does not end in a known format, or its folder is not there or not to be looked at.
    """
    try:
        return _export_path(typed)
    except RuntimeError as error:
        raise ExportRefused(f'"{typed}" names nobody\'s home folder') from error
    except OSError as error:
        raise ExportRefused(f"{typed}: {(error.strerror or 'it cannot be looked at').lower()}") from error


def _export_path(typed: str) -> Path:
    path = Path(typed.strip()).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise ExportRefused(f'"{typed}" does not end in a known format', hint=f"end it in {', '.join(FORMATS)}")
    if path.is_dir():
        raise ExportRefused(f"{path} is a folder")
    if not path.parent.is_dir():
        raise ExportRefused(f"the folder {path.parent} does not exist")
    path.exists()  # what cannot be looked at cannot be written
    return path


def export(
    path: Path,
    columns: Columns,
    chunks: Iterable[list[Row]],
    *,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Write rows to a file, which is there once it is whole; return how many.

    Args:
        path: A file of `export_path`.
        columns: Names and types.
        chunks: The rows, some at a time.
        overwrite: Whether a file of that name may be replaced.
        on_rows: Told after each chunk how many rows are written.

    Raises:
        ExportRefused: The file is there already, or cannot be written.
    """
    write = _write_parquet if FORMATS[path.suffix.lower()] == "parquet" else _write_text
    counted = _Counted(chunks, on_rows)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        part = Path(name)
        try:
            write(part, path.suffix.lower(), columns, counted)
            part.chmod(0o666 & ~_umask())
            if overwrite:
                part.replace(path)
            else:
                path.hardlink_to(part)  # unlike a rename, this replaces nothing
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ExportRefused(f"{path} already exists") from error
    except OSError as error:
        raise ExportRefused(f"{path}: {(error.strerror or 'cannot be written').lower()}") from error
    return counted.rows


class _Counted:
    """Rows on their way, counted."""

    def __init__(self, chunks: Iterable[list[Row]], on_rows: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._on_rows = on_rows
        self.rows = 0

    def __iter__(self) -> Any:  # noqa: ANN401 - a generator
        for rows in self._chunks:
            yield rows
            self.rows += len(rows)
            self._on_rows(self.rows)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _write_text(part: Path, suffix: str, columns: Columns, chunks: Iterable[list[Row]]) -> None:
    with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        out = writer(FORMATS[suffix], file.write)
        for rows in chunks:
            out.rows(columns, rows)
        out.end(columns)


def _write_parquet(part: Path, suffix: str, columns: Columns, chunks: Iterable[list[Row]]) -> None:  # noqa: ARG001
    import pyarrow as pa  # noqa: PLC0415 - half a second, for those who export
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = [_arrow_type(kind) for _, kind in columns]
    schema = pa.schema(list(zip(distinct(columns), kinds, strict=True)))
    try:
        with pq.ParquetWriter(part, schema, compression="zstd") as out:
            for rows in chunks:
                arrays = [_array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
                out.write_batch(pa.record_batch(arrays, schema=schema))
    except pa.ArrowException as error:
        raise ExportRefused(f"Parquet cannot hold these rows: {' '.join(str(error).split())[:200]}") from error


def _array(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_string(kind):
        values = tuple(None if value is None else _utf_8(as_text(value)) for value in values)
    return pa.array(values, kind)


def _utf_8(text: str) -> str:
    """Return a text in which halves of surrogate pairs are escapes, as in files of text: UTF-8 cannot hold them."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _arrow_type(kind: str) -> pa.DataType:
    """Return the type for one of Trino's; what has parts, and what Arrow has not, is text (JSON for parts)."""
    import pyarrow as pa  # noqa: PLC0415

    plain: dict[str, pa.DataType] = {
        "boolean": pa.bool_(),
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "real": pa.float32(),
        "double": pa.float64(),
        "varbinary": pa.binary(),
        "date": pa.date32(),
    }
    if kind in plain:
        return plain[kind]
    if found := re.fullmatch(r"decimal\((\d+), ?(\d+)\)", kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    if re.fullmatch(r"timestamp(\(\d+\))?", kind):
        return pa.timestamp("us")
    if re.fullmatch(r"timestamp(\(\d+\))? with time zone", kind):
        return pa.timestamp("us", "UTC")
    return pa.string()
