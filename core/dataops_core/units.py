"""Format durations, counts and sizes, the same for every screen, output and message."""

from __future__ import annotations

UNKNOWN = "-"
"""Shown for an unknown value."""


def duration(seconds: float | None, *, precise: bool = False) -> str:
    """Return a duration with its two largest units: `12s`, `4m 30s`, `5m`, `2h 5m`, `4d 3h`.

    Args:
        seconds: The duration; a dash is returned for `None`.
        precise: Show fractions of a duration below a minute: `850ms`, `1.5s`. For timeouts and measured times.
    """
    if seconds is None:
        return UNKNOWN
    if precise and 0 < seconds < 59.95:
        return f"{seconds * 1000:.0f}ms" if seconds < 0.9995 else f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller_unit in _UNITS:
        if whole >= size:
            larger, smaller = whole // size, whole % size // smaller_size
            return f"{larger}{unit} {smaller}{smaller_unit}" if smaller else f"{larger}{unit}"
    return f"{whole}s"


_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s"))
"""A unit and the next smaller one, each with its seconds."""


def count(number: float | None) -> str:
    """Return a count with thousands separated: `12,345`."""
    return UNKNOWN if number is None else f"{round(number):,}"


def size(number: float) -> str:
    """Return a number of bytes with its largest unit: `512 B`, `1.5 KiB`, `12 MiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = 0
    while number >= 1024 and power < len(units) - 1:
        number, power = number / 1024, power + 1
    digits = 1 if power and number < 10 else 0
    return f"{number:.{digits}f} {units[power]}"
