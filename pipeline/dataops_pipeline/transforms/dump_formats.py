"""The CSV formats of the four makers of data loggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_READING = ("--.-", "--,-", "---")
"""What stands where a temperature should be when the logger could measure none."""


@dataclass(frozen=True)
class Maker:
    """How one maker's software exports.

    Attributes:
        name: The maker.
        title: How the first line begins.
        delimiter: Between cells.
        decimal: Decimal sign.
        labels: What each line of the header is called, by what it holds: logger, offset, device, host, unit; and
            `dates` where the header says in which order a date is written.
        columns: The column line; `{unit}` stands for the unit. `sequence` and `temperature` are found by their place.
        roles: What each column holds: logger, sequence, at (date and time), date, time, temperature.
        time_format: As strptime has it, date and time with a space between them; `None` where `dates` decides.
        end: First cell of the line with which the data ends.
        totals: What the lines from there on are called, by what they hold: rows, crc32, min, max.
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
"""Ways to write a date that a header may name; with the first one go AM and PM."""
