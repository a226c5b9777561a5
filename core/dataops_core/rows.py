"""Write rows as text in several formats, as they arrive; a table only waits for its first rows."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from rich.cells import cell_len

from dataops_core.json_text import JsonText, dumps, readable, spaced
from dataops_core.plain import visible
from dataops_core.values import Columns, Rows, as_text, distinct, is_number, plain, shown

SAMPLE = 200
"""Rows from which a table's column widths are computed; later values may be wider."""

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20|%")
"""Characters that begin a formula, including full-width forms."""
_CUT = frozenset("\t\r\n")
_BLANK = ' \t\r\n\u00a0\ufeff"'


class Writer(ABC):
    """Writes rows in one format. A statement without columns writes nothing.

    Args:
        write: Called with each part of the text.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    @abstractmethod
    def rows(self, columns: Columns, rows: Rows) -> None:
        """Write some rows.

        Args:
            columns: Names and types; the same at each call.
            rows: At least one row.
        """

    @abstractmethod
    def end(self, columns: Columns) -> None:
        """Write the end of the output, and also its beginning if there was no row."""


def writer(output: str, write: Callable[[str], object]) -> Writer:
    """Return the writer of a format: `table`, `json`, `jsonl`, `csv`, `csv-safe` or `yaml`."""
    writers: dict[str, type[Writer]] = {
        "table": _Table,
        "json": _Json,
        "jsonl": _JsonLines,
        "csv": _Csv,
        "csv-safe": _SafeCsv,
        "yaml": _Yaml,
    }
    return writers[output](write)


class _Json(Writer):
    """One array of objects."""

    _began = False

    def rows(self, columns: Columns, rows: Rows) -> None:
        names = distinct(columns)
        lines = [dumps(plain(dict(zip(names, row, strict=True)))) for row in rows]
        self._write(("," if self._began else "[") + "\n" + ",\n".join(lines))
        self._began = True

    def end(self, columns: Columns) -> None:
        if columns:
            self._write("\n]\n" if self._began else "[]\n")


class _JsonLines(Writer):
    """One object per line."""

    def rows(self, columns: Columns, rows: Rows) -> None:
        names = distinct(columns)
        self._write("".join(dumps(plain(dict(zip(names, row, strict=True)))) + "\n" for row in rows))

    def end(self, columns: Columns) -> None:
        """Write nothing: the last line is complete."""


class _Yaml(Writer):
    """A list of mappings; each value is JSON in one line, which is valid YAML."""

    _began = False

    def rows(self, columns: Columns, rows: Rows) -> None:
        self._began = True
        names = [_yaml_key(name) for name in distinct(columns)]
        for row in rows:
            pairs = [f"{name}: {_yaml(value)}" for name, value in zip(names, row, strict=True)]
            self._write("- " + "\n  ".join(pairs) + "\n")

    def end(self, columns: Columns) -> None:
        if columns and not self._began:
            self._write("[]\n")


def _yaml_key(name: str) -> str:
    # YAML reads some names as other types: `on`, `null`, `1e3`
    return name if name.isidentifier() and name.isascii() and "_" in name else _yaml(name)


def _yaml(value: object) -> str:
    text = readable(spaced(value)) if isinstance(value, JsonText) else dumps(plain(value))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)  # YAML has no surrogate pairs of \u


class _Csv(Writer):
    """RFC 4180 with a header; NULL is empty, and arrays, maps and rows are JSON."""

    _began = False

    def rows(self, columns: Columns, rows: Rows) -> None:
        text = io.StringIO()
        lines = csv.writer(text)
        if not self._began:
            self._began = True
            lines.writerow([self._cell(name) for name, _ in columns])
        lines.writerows([["" if value is None else self._cell(value) for value in row] for row in rows])
        self._write(text.getvalue())

    def end(self, columns: Columns) -> None:
        if columns and not self._began:
            self.rows(columns, [])

    def _cell(self, value: object) -> str:
        return as_text(value)


class _SafeCsv(_Csv):
    """CSV in which a text that a spreadsheet would run as a formula begins with an apostrophe."""

    def _cell(self, value: object) -> str:
        text = as_text(value)
        begins = text.lstrip(_BLANK)[:1]
        formula = isinstance(value, str) and (begins in _FORMULA or text[:1] in _CUT) and text != ""
        return f"'{text}" if formula else text


class _Table(Writer):
    """Aligned columns."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(write)
        self._widths: list[int] = []
        self._right: list[bool] = []

    def rows(self, columns: Columns, rows: Rows) -> None:
        cells = [["NULL" if value is None else visible(shown(value)) for value in row] for row in rows]
        lines = []
        if not self._widths:
            names = [visible(name) for name, _ in columns]
            self._widths = [max(map(cell_len, column)) for column in zip(names, *cells[:SAMPLE], strict=True)]
            self._right = [is_number(kind) for _, kind in columns]
            lines += [self._line(names), self._line(["─" * width for width in self._widths])]
        lines += [self._line(row) for row in cells]
        self._write("".join(lines))

    def end(self, columns: Columns) -> None:
        if columns and not self._widths:
            self.rows(columns, [])

    def _line(self, cells: Sequence[str]) -> str:
        padded = []
        for cell, width, right in zip(cells, self._widths, self._right, strict=True):
            gap = " " * max(0, width - cell_len(cell))
            padded.append(gap + cell if right else cell + gap)
        return "  ".join(padded).rstrip() + "\n"
