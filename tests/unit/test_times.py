"""Timestamps of other systems: any 64-bit number is shown exactly, and none fails."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from dataops_core.config import ConsoleSettings
from dataops_core.health.text import ago, clock
from dataops_core.times import EPOCH, RawTime, Unit, known, latest, moment, offset_text, seconds, show_times_in
from dataops_core.values import as_text, plain
from dataops_tui import styled

BITS_64 = st.integers(-(2**63), 2**63 - 1)
UNITS = st.sampled_from(["s", "ms", "us"])
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
NOW = datetime(2026, 1, 5, tzinfo=UTC)


@given(BITS_64, UNITS)
@example(2**63 - 1, "ms")
@example(-(2**63), "us")
@example(1_767_571_200_000_000, "ms")
@example(253_402_300_799_999, "ms")
@example(253_402_300_800_000, "ms")
def test_a_timestamp_is_exactly_its_time_or_its_number(value: int, unit: Unit) -> None:
    at = moment(value, unit)
    if isinstance(at, RawTime):
        assert (at.value, at.unit) == (value, unit)
        assert not -62_135_596_800 <= value / PER_SECOND[unit] < 253_402_300_800, "the years 1 to 9999 are times"
        assert str(at) == f"unknown ({value} {unit})"
        assert known(at) is None
    else:
        assert (at - EPOCH) // timedelta(microseconds=1) == value * 1_000_000 // PER_SECOND[unit]
        assert known(at) == at


@given(BITS_64, UNITS)
def test_a_timestamp_is_shown_in_every_place(value: int, unit: Unit) -> None:
    at = moment(value, unit)
    for text in (
        clock(at, NOW),
        ago(at, NOW),
        as_text(at),
        str(plain(at)),
        styled.at(at, NOW).plain,
        styled.when(at, NOW).plain,
    ):
        assert text
        if isinstance(at, RawTime):
            assert re.fullmatch(rf"unknown \({value} {unit}\)", text)


@given(st.lists(BITS_64, min_size=1))
def test_times_and_numbers_have_one_order(values: list[int]) -> None:
    newest = latest([moment(value, "ms") for value in values])
    assert newest is not None
    assert seconds(newest) == pytest.approx(max(values) / 1000, rel=1e-12, abs=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_number_that_no_clock_has_is_shown_too(value: float) -> None:
    at = moment(value, "s")
    assert isinstance(at, RawTime)
    assert latest([at, NOW]) in (at, NOW)
    assert styled.at(at, NOW).plain == str(at)


@pytest.fixture
def oslo() -> Iterator[None]:
    """Show times in Oslo's zone."""
    show_times_in("Europe/Oslo")
    yield
    show_times_in("utc")


@pytest.mark.usefixtures("oslo")
@pytest.mark.parametrize(
    ("at", "full", "cell"),
    [
        (datetime(2026, 1, 5, 10, 2, 11, tzinfo=UTC), "11:02:11 +01:00", "11:02:11"),
        (datetime(2026, 1, 5, 23, 30, tzinfo=UTC), "2026-01-06 00:30:00 +01:00", "2026-01-06 00:30:00"),
        (datetime(2025, 7, 1, tzinfo=UTC), "2025-07-01 02:00:00 +02:00", "2025-07-01 02:00:00 +02:00"),
        (datetime(9999, 12, 31, 23, 30, tzinfo=UTC), "9999-12-31 23:30:00Z", "9999-12-31 23:30:00Z"),
    ],
)
def test_a_time_is_shown_in_the_zone_of_the_settings(at: datetime, full: str, cell: str) -> None:
    """A cell of a column has an offset only where it differs from the one of now, which the top line shows."""
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert (clock(at, now), styled.at(at, now).plain) == (full, cell)
    assert offset_text(now) == "+01:00"


def test_without_a_setting_times_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "America/New_York")
        time.tzset()
        show_times_in(ConsoleSettings().time_zone)
        assert clock(NOW, NOW) == "19:00:00 -05:00"
        show_times_in("utc")
        assert (clock(NOW, NOW), offset_text(NOW)) == ("00:00:00Z", "")
    finally:
        show_times_in("utc")
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["Oslo", "", "../etc/passwd", "UTC+2"])
def test_an_unknown_zone_is_one_clear_line(name: str) -> None:
    with pytest.raises(
        ValidationError, match=f'unknown time zone "{re.escape(name)}": use local, utc or a name such as'
    ):
        ConsoleSettings.model_validate({"time_zone": name})
