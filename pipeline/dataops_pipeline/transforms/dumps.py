"""Parser of logger dumps, in the export formats of four makers.

A file is accepted as a whole or not at all: any doubt raises DumpError.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath

from dataops_pipeline.transforms.dump_formats import DATE_ORDERS, MAKERS, NO_READING, Maker
from dataops_pipeline.transforms.readings import SENSOR_MAX_C, SENSOR_MIN_C

CLOCK_TOLERANCE = timedelta(minutes=2)
"""Maximum error of a logger's clock before it counts as wrong; `transforms.readings` has the same limit."""
MAX_OFFSET = timedelta(hours=14)
"""Largest UTC offset in use."""
LONGEST_NUMBER = 18
"""Maximum number of digits of an integer that fits into a table."""


class DumpError(Exception):
    """A dump cannot be parsed; the message is one line: `kind: details`."""


@dataclass(frozen=True)
class DumpRow:
    """One reading of a logger's memory.

    Attributes:
        sequence: Sequence number.
        reported_at: Time of measurement by the logger's clock, in UTC.
        measured_at: Time of measurement, corrected if the logger's clock was wrong.
        celsius: Degrees Celsius; `None` if the logger could not measure it.
    """

    sequence: int
    reported_at: datetime
    measured_at: datetime
    celsius: float | None


@dataclass(frozen=True)
class Dump:
    """A logger's memory.

    Attributes:
        logger_id: Id of the logger.
        maker: Maker of the export format.
        unit: Unit of the logger, `C` or `F`.
        skew: Time by which the logger's clock was ahead of the host's at the download; negative if it was behind.
        downloaded_at: Time of the download by the host's clock, in UTC.
        rows: In the order of their sequence numbers.
    """

    logger_id: str
    maker: str
    unit: str
    skew: timedelta
    downloaded_at: datetime
    rows: tuple[DumpRow, ...]


_UNITS = {"°C": "C", "C": "C", "Celsius": "C", "°F": "F", "F": "F", "Fahrenheit": "F"}
_REQUIRED = {
    "logger": "no-logger: the header names none",
    "offset": "no-offset: the header has no UTC offset",
    "device": "no-clock: the header has no logger time",
    "host": "no-clock: the header has no host time",
    "unit": "unknown-unit: the header names none",
}
_LOGGER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])(\d{1,2}):?(\d{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]|\r(?!\n)")


def parse_dump(content: bytes, name: str) -> Dump:
    """Return the contents of a dump.

    Args:
        content: The whole file.
        name: Path or name of the file, whose stem is the logger's id.

    Raises:
        DumpError: The file cannot be parsed, or contradicts itself.
    """
    lines = _lines(content)
    maker = next((maker for maker in MAKERS if lines[0].strip('"').startswith(maker.title)), None)
    if maker is None:
        raise DumpError(f"unknown-maker: the first line is {lines[0][:60]!r}")
    cells = [_cells(line, maker, number) for number, line in enumerate(lines, 1)]
    column = _column_line(cells, maker)
    header = _header(cells[1:column], maker)
    known = {
        header["logger"],
        *(row[1] for row in cells if len(row) == 2 and row[1] and maker.labels.get(row[0]) == "logger"),
    }
    if len(known) > 1:
        raise DumpError(f"two-loggers: {', '.join(sorted(known))} in one file")
    if any(_is_column_line(row, maker) for row in cells[column + 1 :]):
        raise DumpError("contradiction: there are two column lines")
    end = next((n for n in range(column + 1, len(cells)) if cells[n][0] == maker.end), None)
    if end is None:
        raise DumpError("truncated: what ends the data is missing")
    if not _LOGGER.fullmatch(header["logger"]):
        raise DumpError(f"no-logger: {header['logger'][:60]!r} is not a logger id")
    if PurePosixPath(name).stem != header["logger"]:
        raise DumpError(f"wrong-name: the file {PurePosixPath(name).name} is that of logger {header['logger']}")
    unit = _unit(header["unit"], cells[column], maker)
    zone = _zone(header["offset"])
    written = _time_format(header, maker)
    device, host = (_time(header[clock], written, zone, f"the {clock}'s clock") for clock in ("device", "host"))
    skew = device - host
    rows = _rows(cells[column + 1 : end], maker, header["logger"], unit, written, zone, skew, column + 2)
    _check_totals(cells[end:], maker, lines[column + 1 : end], rows, unit)
    return Dump(header["logger"], maker.name, unit, skew, host, rows)


def is_wrong(skew: timedelta) -> bool:
    """Return whether a clock counts as wrong."""
    return abs(skew) > CLOCK_TOLERANCE


def _lines(content: bytes) -> list[str]:
    """Return the lines of a text file, without line ends and without trailing empty lines."""
    if not content:
        raise DumpError("empty: the file has no bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError as error:
            raise DumpError(f"not-text: byte {error.start} is in no known encoding") from error
    match = _CONTROL.search(text)
    if match:
        raise DumpError(f"not-text: character {match.start()} is {match.group()!r}")
    if not text.endswith("\n"):
        raise DumpError("truncated: the last line has no end")
    # not splitlines(), which also splits at other characters
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DumpError("empty: the file has no lines")
    return lines


def _cells(line: str, maker: Maker, number: int) -> list[str]:
    try:
        rows = list(csv.reader([line], delimiter=maker.delimiter, strict=True))
    except csv.Error as error:
        raise DumpError(f"not-csv: line {number}: {error}") from error
    return [cell.strip() for cell in rows[0]] if rows and rows[0] else [""]


def _is_column_line(row: Sequence[str], maker: Maker) -> bool:
    return tuple(row[:-1]) == maker.columns[:-1] and row[-1].startswith(maker.columns[-1].partition("{")[0])


def _column_line(cells: Sequence[Sequence[str]], maker: Maker) -> int:
    result = next((n for n, row in enumerate(cells) if _is_column_line(row, maker)), None)
    if result is None:
        raise DumpError(f"no-columns: no line {maker.delimiter.join(maker.columns)!r}")
    return result


def _header(rows: Sequence[Sequence[str]], maker: Maker) -> dict[str, str]:
    """Return the values of the header by role; other lines of the header are ignored."""
    header: dict[str, str] = {}
    for row in rows:
        key = maker.labels.get(row[0])
        if key is None or len(row) != 2 or not row[1]:
            continue
        if header.setdefault(key, row[1]) != row[1]:
            kind = "two-loggers" if key == "logger" else "contradiction"
            raise DumpError(f"{kind}: {row[0]} is {header[key]} and {row[1]}")
    for key, reason in _REQUIRED.items():
        if key not in header:
            raise DumpError(reason)
    return header


def _unit(stated: str, columns: Sequence[str], maker: Maker) -> str:
    before, _, after = maker.columns[-1].partition("{unit}")
    heading = columns[-1].removeprefix(before).removesuffix(after)
    for word in (stated, heading):
        if word not in _UNITS:
            raise DumpError(f"unknown-unit: {word[:20]!r}")
    if _UNITS[stated] != _UNITS[heading]:
        raise DumpError(f"unknown-unit: {stated} in the header, {heading} above the column")
    return _UNITS[stated]


def _zone(stated: str) -> timezone:
    if stated in ("UTC", "GMT", "Z"):
        return UTC
    match = _OFFSET.fullmatch(stated)
    if not match:
        raise DumpError(f"no-offset: {stated[:40]!r} is not a UTC offset")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    if offset > MAX_OFFSET or int(match[3]) > 59:
        raise DumpError(f"no-offset: {stated[:40]!r} is not a UTC offset")
    return timezone(-offset if match[1] == "-" else offset)


def _time_format(header: Mapping[str, str], maker: Maker) -> str:
    if maker.time_format is not None:
        return maker.time_format
    stated = header.get("dates", "")
    if stated not in DATE_ORDERS:
        raise DumpError(f"no-date-order: {stated[:40]!r}" if stated else "no-date-order: the header names none")
    return DATE_ORDERS[stated]


def _time(stated: str, written: str, zone: timezone, where: str) -> datetime:
    try:
        return datetime.strptime(stated, written).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DumpError(f"bad-time: {where}: {stated[:40]!r}") from error


def _rows(
    cells: Sequence[Sequence[str]],
    maker: Maker,
    logger: str,
    unit: str,
    written: str,
    zone: timezone,
    skew: timedelta,
    first: int,
) -> tuple[DumpRow, ...]:
    """Return the data; `first` is the number of its first line in the file."""
    correction = skew if is_wrong(skew) else timedelta(0)
    results: list[DumpRow] = []
    for number, row in enumerate(cells, first):
        if len(row) != len(maker.roles):
            raise DumpError(f"truncated: line {number} has {len(row)} cells instead of {len(maker.roles)}")
        cell = dict(zip(maker.roles, row, strict=True))
        if cell.get("logger", logger) != logger:
            raise DumpError(f"two-loggers: {logger}, {cell['logger'][:60]} in one file")
        if not (cell["sequence"].isascii() and cell["sequence"].isdigit()):
            raise DumpError(f"bad-sequence: line {number}: {cell['sequence'][:20]!r}")
        if len(cell["sequence"]) > LONGEST_NUMBER:
            raise DumpError(f"bad-sequence: line {number}: {cell['sequence'][:20]!r}")
        sequence = int(cell["sequence"])
        if results and sequence <= results[-1].sequence:
            raise DumpError(f"bad-sequence: line {number}: {sequence} comes after {results[-1].sequence}")
        at = _time(cell.get("at") or f"{cell.get('date')} {cell.get('time')}", written, zone, f"line {number}")
        celsius = _celsius(cell["temperature"], maker.decimal, unit, f"line {number}")
        try:
            measured_at = at - correction
        except OverflowError as error:
            raise DumpError(f"bad-time: line {number}: its clock is off beyond all dates") from error
        results.append(DumpRow(sequence, at, measured_at, celsius))
    if not results:
        raise DumpError("empty: there are no rows")
    return tuple(results)


def _number(stated: str, decimal: str, where: str) -> float:
    """Return a number in plain notation; raises DumpError for another decimal sign, an exponent or a unit."""
    if not re.fullmatch(rf"[+-]?[0-9]+({re.escape(decimal)}[0-9]+)?", stated):
        raise DumpError(f"bad-number: {where}: {stated[:20]!r}")
    return float(stated.replace(decimal, "."))


def _celsius(stated: str, decimal: str, unit: str, where: str) -> float | None:
    if stated in NO_READING:
        return None
    value = _number(stated, decimal, where)
    celsius = value if unit == "C" else round((value - 32) * 5 / 9, 2)
    if not SENSOR_MIN_C <= celsius <= SENSOR_MAX_C:
        raise DumpError(f"out-of-range: {where}: {stated}")
    return celsius


def _check_totals(
    footer: Sequence[Sequence[str]], maker: Maker, lines: Sequence[str], rows: Sequence[DumpRow], unit: str
) -> None:
    """Compare the data with the totals of the footer; missing totals are not an error."""
    for row in footer:
        if len(row) == len(maker.roles):
            raise DumpError(f"contradiction: there are data after their end: {maker.delimiter.join(row)[:60]!r}")
        key = maker.totals.get(row[0])
        total: str | float | None
        result: str | float | None
        stated = row[1] if len(row) > 1 else ""
        if key is None or not stated:
            continue
        if key == "crc32":
            total, result = stated.upper(), f"{checksum(lines):08X}"
        elif key == "rows":
            total, result = stated, str(len(rows))
        else:
            total, result = _extreme(key, stated, maker.decimal, rows, unit)
        if total != result:  # 0 equals -0
            raise DumpError(f"wrong-total: {row[0]} is {stated[:20]}, the data has {result}")


def _extreme(
    key: str, stated: str, decimal: str, rows: Sequence[DumpRow], unit: str
) -> tuple[float | None, float | None]:
    """Return the smallest or largest temperature, as stated and as in the data."""
    measured = [row.celsius for row in rows if row.celsius is not None]
    result = (min if key == "min" else max)(measured) if measured else None
    return _celsius(stated, decimal, unit, "the statistics"), result


def checksum(lines: Sequence[str]) -> int:
    """Return the CRC-32 of lines in UTF-8, each with a line feed."""
    return zlib.crc32("".join(f"{line}\n" for line in lines).encode())
