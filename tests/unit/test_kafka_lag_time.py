"""The lag in seconds: what the end offsets over time give, what is read besides, and what stays unknown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataops_core.systems.kafka import lag_time
from dataops_core.systems.kafka.connection import Connection
from dataops_core.systems.kafka.end_history import LIMIT, SPACING, EndHistory
from dataops_core.systems.kafka.model import ConsumerGroup, FirstRecords, GroupLag, PartitionKey
from dataops_core.systems.kafka.settings import KafkaSettings
from dataops_core.times import Moment, RawTime

NOW = 1_800_000_000.0
KEY = ("orders", 0)


def history(*points: tuple[float, int]) -> EndHistory:
    result = EndHistory()
    for at, end in points:
        result.add(end, at)
    return result


@pytest.mark.parametrize(
    ("offset", "at"),
    [(99, None), (100, 10.0), (150, 15.0), (199, 19.9), (200, 50.0), (350, 55.0), (500, None), (501, None)],
)
def test_a_time_is_between_the_points_around_it_and_unknown_outside(offset: int, at: float | None) -> None:
    found = history((10, 100), (20, 200), (30, 200), (40, 200), (50, 200), (60, 500)).time_of(offset)
    assert found == (pytest.approx(at) if at is not None else None)


def test_a_partition_without_records_keeps_two_points() -> None:
    assert len(history(*((at, 5) for at in range(1, 1000)))) == 2


def test_points_of_a_topic_before_it_was_recreated_do_not_count() -> None:
    assert history((10, 100), (20, 200), (30, 50), (40, 120)).time_of(110) == pytest.approx(30 + 10 * 60 / 70)
    assert history((10, 100), (20, 200), (30, 50), (40, 120)).time_of(49) is None


def test_a_clock_that_is_set_back_leaves_no_time_in_the_future() -> None:
    set_back = history((10_000, 100), (10_010, 200), (5_000, 300), (5_010, 400))
    assert (set_back.time_of(150), set_back.time_of(350)) == (None, 5_005)
    assert history((10, 100), (20, 200), (19, 250), (30, 300)).time_of(250) == 25, "another thread's older points"


def test_a_record_that_contradicts_the_points_is_not_added() -> None:
    points = history((10, 100), (20, 200))
    points.add_record(50, 11.0)
    assert points.time_of(60) is None, "it was appended before the end was 100"
    points.add_record(50, 5.0)
    assert points.time_of(75) == 7.5
    points.add_record(60, 1.0)
    assert points.time_of(75) == 7.5, "a later record that says that it is older"


@given(
    arrivals=st.lists(st.floats(0.1, 400), min_size=1, max_size=150),
    scans=st.integers(10, 400),
    interval=st.floats(1, 60),
)
def test_the_lag_is_off_by_a_scan_interval_or_a_fifth_at_most(
    arrivals: list[float], scans: int, interval: float
) -> None:
    at, times = NOW, []
    for gap in arrivals:
        at += gap
        times.append(at)
    points = EndHistory()
    for number in range(scans + 1):
        now = NOW + number * interval
        points.add(bisect_right(times, now), now)
        assert len(points) <= LIMIT
    found = [(points.time_of(offset), time) for offset, time in enumerate(times) if time <= now]
    known = [(estimate, time) for estimate, time in found if estimate is not None]
    assert len(points) >= LIMIT / 2 or len(known) == len(found), "the first scan was before the first record"
    for estimate, time in known:
        assert estimate <= now
        assert abs(estimate - time) <= max(interval, SPACING * (now - time)) + 1e-3
    assert [estimate for estimate, _ in known] == sorted(estimate for estimate, _ in known)


class Records:
    """Answers for the records of a partition, and counts how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **stamps: Moment | None) -> None:
        self.asked: list[int] = []
        self._stamps = {int(offset.removeprefix("at")): stamp for offset, stamp in stamps.items()}
        monkeypatch.setattr(lag_time, "first_records", self.first)
        monkeypatch.setattr(lag_time, "time", SimpleNamespace(time=lambda: NOW))

    def first(self, _connection: object, offsets: Mapping[PartitionKey, int]) -> FirstRecords:
        self.asked += offsets.values()
        return FirstRecords({key: (at, self._stamps[at]) for key, at in offsets.items() if at in self._stamps}, {})


def ago(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW - seconds, UTC)


def seconds(connection: Connection, at: float, high: int, *committed: int) -> list[float | None]:
    """Return the lag of groups at these offsets."""
    readers = [(GroupLag(*KEY, offset, high),) for offset in committed]
    return [group.lag_seconds for (group,) in lag_time.timed(connection, readers, at)]


@pytest.fixture
def connection() -> Connection:
    return Connection(KafkaSettings(bootstrap_servers="127.0.0.1:9"))


def test_the_first_scan_reads_the_first_unread_record_of_each_group(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(monkeypatch, at40=ago(600), at90=ago(60))
    assert seconds(connection, NOW, 100, 40, 90, 100, 40) == [600, 60, 0, 600]
    assert sorted(records.asked) == [40, 90], "one for both groups that wait at the same offset"


def test_later_scans_read_nothing_again(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(monkeypatch, at40=ago(600))
    seconds(connection, NOW, 100, 40)
    assert seconds(connection, NOW + 30, 130, 40, 70, 100, 115, 130) == [630, 330, 30, 15, 0]
    assert records.asked == [40]
    assert seconds(connection, NOW + 60, 130, 130) == [0]
    assert seconds(connection, NOW + 90, 140, 130) == [30], "the record came after the scan that saw no further one"
    assert records.asked == [40]


def test_a_group_that_is_reset_further_back_is_read_at_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(monkeypatch, at40=ago(600), at10=ago(900))
    seconds(connection, NOW, 100, 40)
    assert seconds(connection, NOW, 100, 10) == [900]
    assert records.asked == [40, 10]


@pytest.mark.parametrize("stamp", [None, RawTime(1.8e15, "ms"), ago(-6)], ids=["none", "microseconds", "future"])
def test_a_record_without_a_usable_timestamp_is_unknown_and_read_again_in_10_minutes(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, stamp: Moment | None
) -> None:
    records = Records(monkeypatch, at40=stamp, at60=stamp)
    assert seconds(connection, NOW, 100, 40) == [None]
    assert seconds(connection, NOW + 30, 100, 60) == [None]
    assert records.asked == [40]
    assert seconds(connection, NOW + 600, 100, 60) == [None]
    assert records.asked == [40, 60]


def test_a_record_that_cannot_be_read_is_unknown_until_the_scans_enclose_it(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    Records(monkeypatch)
    assert seconds(connection, NOW, 100, 40) == [None]
    assert seconds(connection, NOW + 30, 200, 150) == [15]


def test_a_timestamp_ahead_by_the_clocks_difference_counts_as_now(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    Records(monkeypatch, at99=ago(-3))
    assert seconds(connection, NOW, 100, 99) == [0]


def test_an_unknown_partition_makes_its_group_unknown() -> None:
    known, unknown = GroupLag("o", 0, 5, 7, waits=3.0), GroupLag("o", 1, 5, 7)
    beyond, done, read = GroupLag("o", 2, 9, 7), GroupLag("o", 3, 7, 7), GroupLag("o", 4, 5, 7, read_all=True)

    def group(*lags: GroupLag) -> float | None:
        return ConsumerGroup("g", "EMPTY", (), {}, lags).lag_seconds

    assert [group(known, done), group(done, read), group(known, unknown), group(done, beyond), group()] == [
        3.0,
        0.0,
        None,
        None,
        None,
    ]


def test_partitions_without_readers_are_forgotten_after_a_day(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    Records(monkeypatch)
    seconds(connection, NOW, 100, 100)
    lag_time.timed(connection, [(GroupLag("other", 0, 1, 1),)], NOW + 90_000)
    assert list(connection.ends) == [("other", 0)]
