"""The CSV formats of the four makers of data loggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_READING = ("--.-", "--,-", "---")
"""Placeholders for the temperature if the logger could not measure it."""


@dataclass(frozen=True)
class Maker:
    """The export format of one maker.

    Attributes:
        name: The maker.
        title: Prefix of the first line.
        delimiter: Separator of cells.
        decimal: Decimal sign.
        labels: Role of each header line by its label: logger, offset, device, host, unit, and dates (the order of
            dates).
        columns: The column line; `{unit}` is a placeholder for the unit.
        roles: Role of each column: logger, sequence, at (date and time), date, time, temperature.
        time_format: Format of date and time for strptime; `None` if `dates` in the header defines it.
        end: First cell of the line that ends the data.
        totals: Role of each line from there on by its label: rows, crc32, min, max.
    """

    name: str
    title: str
    delimiter: str
    decimal: str
    labels: Mapping[str, str]
    columns: tuple[str, ...]
    roles: tuple[str, ...]
    time_format: str | None
    end: str
    totals: Mapping[str, str]


MAKERS = (
    Maker(
        "tempsure",
        "TempSure",
        ",",
        ".",
        {
            "Logger ID": "logger",
            "UTC offset": "offset",
            "Device clock": "device",
            "PC clock": "host",
            "Unit": "unit",
        },
        ("No.", "Time", "Temperature ({unit})"),
        ("sequence", "at", "temperature"),
        "%Y-%m-%dT%H:%M:%S",
        "End of data",
        {"End of data": "rows"},
    ),
    Maker(
        "kuehlwacht",
        "Kühlwacht",
        ";",
        ",",
        {
            "Seriennummer": "logger",
            "Zeitzone": "offset",
            "Gerätezeit": "device",
            "Rechnerzeit": "host",
            "Einheit": "unit",
        },
        ("Nr.", "Datum", "Uhrzeit", "Temperatur [{unit}]"),
        ("sequence", "date", "time", "temperature"),
        "%d.%m.%Y %H:%M:%S",
        "Statistik",
        {"Anzahl": "rows", "Minimum": "min", "Maximum": "max"},
    ),
    Maker(
        "polartrace",
        "PolarTrace",
        ",",
        ".",
        {
            "Serial Number": "logger",
            "Time Zone": "offset",
            "Device Date/Time": "device",
            "Host Date/Time": "host",
            "Date Format": "dates",
            "Units": "unit",
        },
        ("Reading", "Date", "Time", "Temp ({unit})"),
        ("sequence", "date", "time", "temperature"),
        None,
        "Checksum (CRC-32)",
        {"Checksum (CRC-32)": "crc32"},
    ),
    Maker(
        "frigolog",
        "# Frigolog",
        ";",
        ".",
        {
            "# logger": "logger",
            "# tz": "offset",
            "# device time": "device",
            "# host time": "host",
            "# unit": "unit",
        },
        ("logger", "seq", "timestamp", "temp_{unit}"),
        ("logger", "sequence", "at", "temperature"),
        "%Y-%m-%d %H:%M:%S",
        "# end",
        {"# rows": "rows", "# crc32": "crc32"},
    ),
)


DATE_ORDERS = {
    "MM/DD/YYYY": "%m/%d/%Y %I:%M:%S %p",
    "DD/MM/YYYY": "%d/%m/%Y %H:%M:%S",
    "YYYY-MM-DD": "%Y-%m-%d %H:%M:%S",
}
"""Time formats by the date order in the header; only the first one has AM and PM."""
