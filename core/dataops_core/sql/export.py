"""Export rows to a file: CSV, JSON, JSON lines or Parquet."""

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
"""Formats by the extension of the file."""


class ExportRefused(DataopsError):
    """The rows cannot be written to the file."""


def export_path(typed: str) -> Path:
    """Return the path of the file that the user typed.

    Raises:
        ExportRefused: Its extension is unknown, or its folder does not exist or is not readable.
    """
    try:
        return _export_path(typed)
    except RuntimeError as error:
        raise ExportRefused(f'"{typed}": the home folder is unknown') from error
    except OSError as error:
        raise ExportRefused(f"{typed}: {(error.strerror or 'cannot be read').lower()}") from error


def _export_path(typed: str) -> Path:
    path = Path(typed.strip()).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise ExportRefused(f'"{typed}" has no known file extension', hint=f"use one of {', '.join(FORMATS)}")
    if path.is_dir():
        raise ExportRefused(f"{path} is a folder")
    if not path.parent.is_dir():
        raise ExportRefused(f"the folder {path.parent} does not exist")
    path.exists()  # raises OSError if the folder is not readable
    return path


def export(
    path: Path,
    columns: Columns,
    chunks: Iterable[list[Row]],
    *,
    overwrite: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Write rows to a file, which appears once it is complete, and return the number of rows.

    Args:
        path: A path from `export_path`.
        columns: Names and types.
        chunks: The rows in chunks.
        overwrite: Whether to replace an existing file.
        on_rows: Called after each chunk with the number of written rows.

    Raises:
        ExportRefused: The file already exists, or cannot be written.
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
                path.hardlink_to(part)  # unlike a rename, this fails if the file exists
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ExportRefused(f"{path} already exists") from error
    except OSError as error:
        raise ExportRefused(f"{path}: {(error.strerror or 'cannot be written').lower()}") from error
    return counted.rows


class _Counted:
    """Counts the rows of chunks as they are read."""

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
    import pyarrow as pa  # noqa: PLC0415 - takes half a second, only for exports
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
    """Return a text with lone surrogates escaped, as in text files, because UTF-8 cannot encode them."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type for a type of Trino; text for other types, with JSON for arrays, maps and rows."""
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
    if match := re.fullmatch(r"decimal\((\d+), ?(\d+)\)", kind):
        return pa.decimal128(int(match[1]), int(match[2]))
    if re.fullmatch(r"timestamp(\(\d+\))?", kind):
        return pa.timestamp("us")
    if re.fullmatch(r"timestamp(\(\d+\))? with time zone", kind):
        return pa.timestamp("us", "UTC")
    return pa.string()
