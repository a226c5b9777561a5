"""Trends over a few samples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import linear_regression

MIN_SPAN = 4.0
"""Minimum span of the samples of a trend, in seconds."""


def slope(points: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the least-squares slope per second; `None` for fewer than three points or too short a span."""
    if len(points) < 3 or _span(points) < MIN_SPAN:
        return None
    start = points[0][0]
    seconds = [(at - start).total_seconds() for at, _ in points]
    return linear_regression(seconds, [float(value) for _, value in points]).slope


def time_left(points: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the seconds until a value reaches zero at its rate since its newest peak.

    `None` if it has not fallen at least twice since: a single fall may be one batch or one run, which gives no rate.
    """
    peak = max(range(len(points)), key=lambda i: (points[i][1], i), default=0)
    falling = points[peak:]
    falls = sum(later[1] < earlier[1] for earlier, later in pairwise(falling))
    trend = slope(falling)
    return falling[-1][1] / -trend if falls >= 2 and trend is not None and trend < 0 else None


def mean_rate(points: Sequence[tuple[datetime, int]]) -> float | None:
    """Return the growth per second of a count that only grows; `None` if it shrank or the span is too short."""
    if len(points) < 2 or _span(points) < MIN_SPAN or points[-1][1] < points[0][1]:
        return None
    return (points[-1][1] - points[0][1]) / _span(points)


def _span(points: Sequence[tuple[datetime, float]]) -> float:
    return (points[-1][0] - points[0][0]).total_seconds()
