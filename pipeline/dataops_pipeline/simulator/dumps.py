"""Simulation of the dumps of delivered loggers: the whole memory as a CSV file, in the formats of four makers.

The module shares no code with the pipeline's parser, so that a mistake in one of them is detected.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from dataops_pipeline.simulator import records, source
from dataops_pipeline.simulator.boxes import Settings, shipments

STEP = timedelta(minutes=5)
MAKERS = ("tempsure", "kuehlwacht", "polartrace", "frigolog")


@dataclass(frozen=True, order=True)
class DumpFile:
    """One dump file.

    Attributes:
        landed_at: Time at which the host writes the file, in UTC, some minutes after the delivery.
        logger_id: Id of the logger.
        day: Departure day of its box, ISO 8601.
        content: Contents of the file.
        broken: Kind of the defect; `None` for a valid file.
    """

    landed_at: np.datetime64
    logger_id: str
    day: str = field(compare=False)
    content: bytes = field(compare=False, repr=False)
    broken: str | None = field(compare=False)

    @property
    def path(self) -> str:
        """Path below the folder of dumps."""
        return f"{self.day}/{self.logger_id}.csv"


@dataclass(frozen=True)
class Memory:
    """The memory of a logger; times are in the local time of its setting.

    Attributes:
        logger_id: Id of the logger.
        offset: UTC offset of its setting.
        device: The logger's clock at the download.
        host: The host's clock at the download.
        first: Time of the first reading by the logger's clock.
        celsius: The readings, 5 minutes apart, uncorrected.
        without: Number of readings at the end without a temperature, because the sensor was unplugged.
    """

    logger_id: str
    offset: timedelta
    device: datetime
    host: datetime
    first: datetime
    celsius: Sequence[float]
    without: int

    @property
    def times(self) -> list[datetime]:
        """Time of each reading by the logger's clock."""
        return [self.first + number * STEP for number in range(len(self.celsius) + self.without)]


@dataclass(frozen=True)
class Sheet:
    """A file before it is encoded.

    Attributes:
        header: Lines before the column line.
        columns: The column line.
        rows: Lines of data.
        footer: Lines after the data.
        newline: Line end.
        encoding: Encoding of the file.
    """

    header: tuple[str, ...]
    columns: str
    rows: tuple[str, ...]
    footer: tuple[str, ...]
    newline: str
    encoding: str

    def encode(self) -> bytes:
        """Return the contents of the file."""
        lines = (*self.header, self.columns, *self.rows, *self.footer)
        return "".join(line + self.newline for line in lines).encode(self.encoding)


def maker_of(logger_id: str) -> str:
    """Return the maker of a logger."""
    return MAKERS[zlib.crc32(logger_id.encode()) % len(MAKERS)]


def dumps(settings: Settings, day: pd.Timestamp) -> Iterator[DumpFile]:
    """Yield the dumps of the loggers in the boxes that depart on a day."""
    remembered = records.memory(settings, day)
    if remembered.empty:
        return
    boxes = shipments(settings, day)
    rng = np.random.default_rng([settings.seed, day.toordinal(), 4])
    downloaded = boxes["delivered_at"] + pd.to_timedelta(rng.integers(6 * 60, 20 * 60, len(boxes)), unit="s")
    at_home = rng.random(len(boxes)) < 0.5
    broken = rng.random(len(boxes)) < settings.broken_dumps
    ways = rng.integers(0, len(BREAKERS), len(boxes))
    zones = source.airports().set_index("faa")["tzone"]
    by_logger = dict(iter(remembered.groupby("logger_id", sort=False)))
    each = zip(boxes["logger_id"], boxes["dest"], boxes["packed_at"], downloaded, strict=True)
    for number, (logger, dest, packed_at, downloaded_at) in enumerate(each):
        rows = by_logger[logger]
        zone = source.NEW_YORK if at_home[number] else zones.get(dest)
        local = _local(zone if isinstance(zone, str) else source.NEW_YORK, packed_at)
        packed, host = _naive(packed_at) + local, _naive(downloaded_at) + local
        first = cast("datetime", rows["measured_at"].iloc[0].to_pydatetime()) + local
        celsius = rows["temperature_c"].tolist()
        without = (host - packed) // STEP + 1 - len(celsius)
        device = (host + (first - packed)).replace(microsecond=0)
        sheet = WRITERS[maker_of(logger)](Memory(logger, local, device, host, first, celsius, without))
        way = list(BREAKERS)[ways[number]] if broken[number] else None
        content = BREAKERS[way](sheet) if way is not None else sheet.encode()
        yield DumpFile(np.datetime64(host - local, "ms"), logger, f"{day:%Y-%m-%d}", content, way)


def _naive(at: pd.Timestamp) -> datetime:
    return at.tz_localize(None).floor("s").to_pydatetime()


def _local(zone: str, at: pd.Timestamp) -> timedelta:
    """Return a zone's offset at the time of the logger's setting; the logger ignores daylight-saving changes."""
    return at.to_pydatetime().astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)


# Formats of the makers


def _tempsure(memory: Memory) -> Sheet:
    rows = tuple(
        f"{number},{at:%Y-%m-%dT%H:%M:%S},{_plain(memory, number, '.2f')}" for number, at in enumerate(memory.times)
    )
    header = (
        "TempSure T2 data export",
        f"Logger ID,{memory.logger_id}",
        "Firmware,3.1.4",
        f"Device clock,{memory.device:%Y-%m-%dT%H:%M:%S}",
        f"PC clock,{memory.host:%Y-%m-%dT%H:%M:%S}",
        f"UTC offset,{_offset(memory.offset)}",
        "Interval,300 s",
        "Unit,°C",
        "",
    )
    return Sheet(header, "No.,Time,Temperature (°C)", rows, (f"End of data,{len(rows)}",), "\n", "utf-8")


def _kuehlwacht(memory: Memory) -> Sheet:
    rows = tuple(
        f"{number};{at:%d.%m.%Y;%H:%M:%S};{_plain(memory, number, '.1f').replace('.', ',')}"
        for number, at in enumerate(memory.times)
    )
    header = (
        "Kühlwacht Datenlogger KW-7",
        f"Seriennummer;{memory.logger_id}",
        f"Gerätezeit;{memory.device:%d.%m.%Y %H:%M:%S}",
        f"Rechnerzeit;{memory.host:%d.%m.%Y %H:%M:%S}",
        f"Zeitzone;UTC{_offset(memory.offset)}",
        "Messintervall;5 min",
        "Einheit;°C",
        "Bemerkung;Fühler außen, ±0,1 °C",
    )
    low, high = (f"{pick(memory.celsius):.1f}".replace(".", ",") for pick in (min, max))
    footer = ("Statistik", f"Anzahl;{len(rows)}", f"Minimum;{low}", f"Maximum;{high}")
    return Sheet(header, "Nr.;Datum;Uhrzeit;Temperatur [°C]", rows, footer, "\r\n", "cp1252")


def _polartrace(memory: Memory) -> Sheet:
    rows = tuple(
        f'"{number}","{at:%m/%d/%Y}","{at:%I:%M:%S %p}","{_fahrenheit(memory, number)}"'
        for number, at in enumerate(memory.times)
    )
    header = (
        '"PolarTrace PT-100 Report"',
        '"Model","PT-100, single use"',
        f'"Serial Number","{memory.logger_id}"',
        '"Date Format","MM/DD/YYYY"',
        f'"Device Date/Time","{memory.device:%m/%d/%Y %I:%M:%S %p}"',
        f'"Host Date/Time","{memory.host:%m/%d/%Y %I:%M:%S %p}"',
        f'"Time Zone","GMT{_offset(memory.offset)}"',
        '"Units","Fahrenheit"',
        "",
        '"Alarm low","--"',
        '"Alarm high","--"',
        "",
    )
    footer = (f'"Checksum (CRC-32)","{_crc32(rows)}"', '"End of report"')
    return Sheet(header, '"Reading","Date","Time","Temp (°F)"', rows, footer, "\r\n", "utf-8-sig")


def _frigolog(memory: Memory) -> Sheet:
    rows = tuple(
        f"{memory.logger_id};{number};{at:%Y-%m-%d %H:%M:%S};{_plain(memory, number, '.2f', '---')}"
        for number, at in enumerate(memory.times)
    )
    header = (
        "# Frigolog FL2",
        f"# logger;{memory.logger_id}",
        f"# tz;{_offset(memory.offset)}",
        "# unit;C",
        f"# device time;{memory.device:%Y-%m-%d %H:%M:%S}",
        f"# host time;{memory.host:%Y-%m-%d %H:%M:%S}",
    )
    footer = ("# end", f"# rows;{len(rows)}", f"# crc32;{_crc32(rows)}")
    return Sheet(header, "logger;seq;timestamp;temp_C", rows, footer, "\n", "utf-8")


def _plain(memory: Memory, number: int, form: str, none: str = "--.-") -> str:
    return format(memory.celsius[number], form) if number < len(memory.celsius) else none


def _fahrenheit(memory: Memory, number: int) -> str:
    return f"{memory.celsius[number] * 9 / 5 + 32:.1f}" if number < len(memory.celsius) else "--.-"


def _offset(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _crc32(rows: Sequence[str]) -> str:
    return f"{zlib.crc32(''.join(row + chr(10) for row in rows).encode()):08X}"


WRITERS: dict[str, Callable[[Memory], Sheet]] = {
    "tempsure": _tempsure,
    "kuehlwacht": _kuehlwacht,
    "polartrace": _polartrace,
    "frigolog": _frigolog,
}


# Defects


def _without_offset(sheet: Sheet) -> Sheet:
    words = ("UTC offset", "Zeitzone", "Time Zone", "# tz")
    return replace(sheet, header=tuple(line for line in sheet.header if not any(word in line for word in words)))


def _in_kelvin(sheet: Sheet) -> Sheet:
    return replace(sheet, columns=re.sub(r"°[CF]|(?<=_)C", "K", sheet.columns))


def _with_another(sheet: Sheet) -> bytes:
    """Return the file with the file of another logger appended."""
    return sheet.encode() + sheet.encode().replace(b"BL-", b"XL-")


BREAKERS: dict[str, Callable[[Sheet], bytes]] = {
    "truncated": lambda sheet: sheet.encode()[: len(sheet.encode()) * 2 // 3].rstrip(b"\r\n"),
    "no-columns": lambda sheet: replace(sheet, columns="").encode(),
    "unknown-unit": lambda sheet: _in_kelvin(sheet).encode(),
    "no-offset": lambda sheet: _without_offset(sheet).encode(),
    "two-loggers": _with_another,
    "bad-sequence": lambda sheet: replace(sheet, rows=(*sheet.rows[:5], *sheet.rows[3:])).encode(),
    "wrong-total": lambda sheet: replace(sheet, rows=(*sheet.rows[:7], *sheet.rows[8:])).encode(),
    "not-text": lambda sheet: b"\x1f\x8b\x08\x00" + sheet.encode()[::-1],
}
"""Functions that break a file, by the reason for which the pipeline must reject it."""
