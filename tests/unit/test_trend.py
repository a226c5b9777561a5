"""Rates and times that are told from a few samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dataops_core.health.trend import time_left

T0 = datetime(2026, 1, 5, 3, 0, 0, tzinfo=UTC)


def every_5_s(*values: float) -> list[tuple[datetime, float]]:
    return [(T0 + timedelta(seconds=5 * n), value) for n, value in enumerate(values)]


def test_what_falls_as_it_fell_is_at_zero_in_time() -> None:
    assert time_left(every_5_s(20_000, 18_000, 16_000, 14_000)) == pytest.approx(35)


def test_a_burst_before_does_not_hide_that_it_falls_since() -> None:
    assert time_left(every_5_s(100, 100, 300_000, 225_000, 150_000)) == pytest.approx(10)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (5.0,),
        (300, 300, 300, 300),
        (100, 200, 300, 400),
        (400, 300),
        (100, 200, 300, 120, 160, 200),  # one batch, and it rises again
        (300, 0, 100, 200, 300),  # as high as before
    ],
    ids=str,
)
def test_one_batch_or_run_is_no_rate(values: tuple[float, ...]) -> None:
    assert time_left(every_5_s(*values)) is None


def test_batches_that_take_more_than_arrives_have_an_end() -> None:
    left = time_left(every_5_s(300, 200, 220, 120, 140, 40))
    assert left is not None
    assert 0 < left < 10
