"""Durations and sizes as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dataops_core.health.details import Measurement
from dataops_core.health.stage_values import measurement_text
from dataops_core.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0s"), (0.4, "0s"), (12, "12s"), (59.4, "59s"), (59.6, "1m"), (61, "1m 1s"), (200, "3m 20s"),
        (3_599.7, "1h"), (7_500, "2h 5m"), (7_259, "2h"), (86_399.9, "1d"), (356_400, "4d 3h"), (86_460, "1d"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0s"), (0.0123, "12ms"), (0.85, "850ms"), (0.9994, "999ms"), (0.9996, "1s"), (1.54, "1.5s"),
        (10, "10s"), (59.94, "59.9s"), (59.96, "1m"), (90.4, "1m 30s"),
    ],
)  # fmt: skip
def test_a_measured_time_keeps_its_fraction_below_a_minute(seconds: float | None, text: str) -> None:
    assert duration(seconds, precise=True) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (12 * 2**20, "12 MiB"), (2**40, "1.0 TiB")]
)
def test_a_size_has_binary_units(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1_536.0, "bytes", "1.5 KiB"), (270.0, "s", "4m 30s"), (12_345.0, "rows", "12,345 rows")],
)
def test_a_measurement_is_shown_in_its_unit(value: float, unit: str, text: str) -> None:
    assert measurement_text(Measurement("size", value, unit), datetime(2026, 1, 5, tzinfo=UTC)) == text
