"""Excursions: what is announced of readings that come late, twice and out of order."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from dataops_pipeline.transforms.excursions import MINUTE, Event, Limits, Logger, Reading, Zone, find_runs, zone

FRIDGE = Limits(2.0, 8.0, 0.5, 15)
"""An excursion opens after 15 minutes: with readings every 5 minutes, with the fourth one that is out."""


def reading(sequence: int, temperature_c: float) -> Reading:
    return Reading(sequence, sequence * 5 * MINUTE, temperature_c)


def box(temperatures: str) -> list[Reading]:
    """Make a reading for each character: `o` is out, `-` back, `~` between, a space was never delivered."""
    celsius = {"o": 9.0, "-": 5.0, "~": 8.3}
    return [reading(n, celsius[kind]) for n, kind in enumerate(temperatures) if kind != " "]


def to_events(arrivals: Iterable[Reading], logger: Logger | None = None, limits: Limits | None = FRIDGE) -> list[str]:
    """Return the events, written `opened FIRST@READING`."""
    logger = logger or Logger()
    return [written(event) for arrival in arrivals for event in logger.take(arrival, limits)]


def written(event: Event) -> str:
    assert event.since == event.first * 5 * MINUTE
    return f"{event.event} {event.first}@{event.reading.sequence}"


def order(temperatures: str, *sequences: int) -> list[Reading]:
    """Make the readings of a box arrive in this order."""
    known = {one.sequence: one for one in box(temperatures)}
    assert set(known) == set(sequences)
    return [known[n] for n in sequences]


@pytest.mark.parametrize(
    ("celsius", "where"),
    [
        (2.0, Zone.BACK),
        (8.0, Zone.BACK),
        (8.01, Zone.BETWEEN),
        (8.5, Zone.BETWEEN),
        (8.51, Zone.OUT),
        (1.99, Zone.BETWEEN),
        (1.5, Zone.BETWEEN),
        (1.49, Zone.OUT),
        (-40.0, Zone.OUT),
    ],
)
def test_the_limits_are_in_range_and_the_tolerance_is_not_out(celsius: float, where: Zone) -> None:
    assert zone(celsius, FRIDGE) is where


def test_the_tolerance_holds_where_binary_fractions_do_not() -> None:
    assert 8.3 - 8.0 > 0.3
    assert zone(8.3, Limits(2.0, 8.0, 0.3, 15)) is Zone.BETWEEN


@pytest.mark.parametrize(
    ("temperatures", "events"),
    [
        ("----", []),
        ("-ooo-", []),  # 10 minutes
        ("-oooo-", ["opened 1@4", "closed 1@5"]),  # 15 minutes exactly
        ("-oooooo", ["opened 1@4"]),
        ("-o~~~-", ["opened 1@4", "closed 1@5"]),  # once out, between is not back
        ("-~~~~~-", []),  # between is not out
        ("-~~ooo~-", ["opened 3@6", "closed 3@7"]),  # a run begins with what is out
        ("oooo-oooo-", ["opened 0@3", "closed 0@4", "opened 5@8", "closed 5@9"]),
        ("ooo-ooo-ooo-", []),  # each one too short
        ("o    -", []),  # what ends a run is no part of it
        ("o    o-", ["opened 0@5", "closed 0@6"]),  # a gap is no end
    ],
)
def test_in_order(temperatures: str, events: list[str]) -> None:
    assert to_events(box(temperatures)) == events


@pytest.mark.parametrize(
    ("temperatures", "arrivals", "events"),
    [
        pytest.param("oo-ooo", (0, 1, 3, 4, 5, 2), ["opened 0@3"], id="late back reading after it was announced"),
        pytest.param("oo-oo-", (0, 1, 3, 4, 2, 5), ["opened 0@3", "closed 0@5"], id="split: both halves are the one"),
        pytest.param("oo-oo-", (0, 1, 3, 4, 5, 2), ["opened 0@3", "closed 0@5"], id="split after it has closed"),
        pytest.param(
            "oooo-oooo-",
            (0, 1, 2, 3, 5, 6, 7, 8, 4, 9),
            ["opened 0@3", "closed 0@9"],
            id="split: the second half is long enough for one of its own, and is not told again",
        ),
        pytest.param("o-oo-", (0, 2, 1, 3, 4), [], id="split before it has lasted"),
        pytest.param("oo~o-", (0, 1, 3, 2, 4), ["opened 0@3", "closed 0@4"], id="late between changes nothing"),
        pytest.param(
            "oooo-", (4, 3, 2, 1, 0), ["opened 0@3", "closed 0@4"], id="newest first: opens and closes at once"
        ),
        pytest.param("oooo-", (0, 4, 1, 2, 3), ["opened 0@3", "closed 0@4"], id="the close before older readings"),
        pytest.param("ooooo-", (1, 2, 3, 4, 0, 5), ["opened 1@4", "closed 1@5"], id="extended to before its beginning"),
        pytest.param("o  oo", (3, 4, 0), ["opened 0@4"], id="a late out reading makes the run long enough"),
        pytest.param("o~~~", (1, 2, 3, 0), ["opened 0@3"], id="a late out reading turns between into a run"),
        pytest.param(
            "oooo  ~o-",
            (0, 1, 2, 3, 7, 6, 8),
            ["opened 0@3", "closed 0@8"],
            id="what comes after a gap extends it",
        ),
        pytest.param(
            "oooo-oo-",
            (0, 1, 2, 3, 7, 4, 5, 6),
            ["opened 0@3", "closed 0@7"],
            id="closed too late, and what follows is too short",
        ),
        pytest.param(
            "oooo-oooo-",
            (0, 1, 2, 3, 9, 4, 5, 6, 7, 8),
            ["opened 0@3", "closed 0@9", "opened 5@8", "closed 5@9"],
            id="closed, and what turns up behind an earlier end is another one",
        ),
        pytest.param(
            "oooo-o~  oo-",
            (0, 1, 2, 3, 6, 4, 5, 9, 10, 11),
            ["opened 0@3", "closed 0@4", "opened 5@9", "closed 5@11"],
            id="what an earlier end cut off is not the excursion any more, and what goes on there is told",
        ),
        pytest.param("oooo-", (0, 1, 2, 3, 4, 4, 3, 0, 1), ["opened 0@3", "closed 0@4"], id="repeats"),
    ],
)
def test_out_of_order(temperatures: str, arrivals: tuple[int, ...], events: list[str]) -> None:
    known = {one.sequence: one for one in box(temperatures)}
    assert set(known) == set(arrivals)
    assert to_events(known[n] for n in arrivals) == events


def test_a_late_out_reading_joins_what_seemed_two_runs() -> None:
    """As two they are too short, or begin too late: 1 to 2 and 6 to 7, with nothing but a gap between them."""
    logger = Logger()
    assert to_events(order(" oo", 1, 2), logger) == []
    assert to_events([reading(6, 9.0)], logger) == ["opened 1@6"], (
        "what lies between was not delivered, so it is one run"
    )
    assert to_events([reading(4, 9.0), reading(3, 8.4), reading(5, 9.0)], logger) == []
    assert to_events([reading(7, 5.0)], logger) == ["closed 1@7"]


def test_the_first_delivery_of_a_reading_counts() -> None:
    logger = Logger()
    assert to_events(box("oooo"), logger) == ["opened 0@3"]
    assert to_events([reading(3, 5.0)], logger) == [], "contradicts, and is not the first"
    assert to_events([reading(4, 5.0)], logger) == ["closed 0@4"]


def test_readings_are_judged_once_their_product_is_known() -> None:
    logger = Logger()
    assert to_events(box("oooo-"), logger, limits=None) == []
    assert to_events([reading(5, 5.0)], logger) == ["opened 0@3", "closed 0@4"]


def test_a_corrected_range_closes_what_it_no_longer_covers_and_opens_nothing_twice() -> None:
    logger = Logger()
    assert to_events(box("oooo"), logger) == ["opened 0@3"]
    wider = Limits(2.0, 10.0, 0.5, 15)
    assert to_events([reading(4, 9.0)], logger, wider) == ["closed 0@0"]
    assert to_events([reading(5, 9.0)], logger, FRIDGE) == [], "the same once more"


def test_the_state_survives_being_written() -> None:
    arrivals = order("-oooo-oo", 0, 2, 1, 3, 4, 5, 7, 6)
    whole, pieces = Logger(), Logger()
    for arrival in arrivals:
        pieces = Logger.from_bytes(pieces.to_bytes())
        assert pieces.take(arrival, FRIDGE) == whole.take(arrival, FRIDGE)
        assert Logger.from_bytes(pieces.to_bytes()) == whole
    assert Logger.from_bytes(Logger().to_bytes()) == Logger()


def batch(readings: Iterable[Reading], limits: Limits) -> list[Event]:
    """Compute it the straightforward way: all readings, sorted, no state between two looks."""
    events = []
    unique: dict[int, Reading] = {}
    for one in readings:
        unique.setdefault(one.sequence, one)
    known = [unique[n] for n in sorted(unique)]
    position = 0
    while position < len(known):
        if zone(known[position].temperature_c, limits) is not Zone.OUT:
            position += 1
            continue
        begin = position
        while position < len(known) and zone(known[position].temperature_c, limits) is not Zone.BACK:
            position += 1
        long = [one for one in known[begin:position] if one.at - known[begin].at >= limits.excursion_minutes * MINUTE]
        if long:
            first, since, _ = known[begin]
            events.append(Event("opened", first, since, long[0]))
            if position < len(known):
                events.append(Event("closed", first, since, known[position]))
    return events


@pytest.mark.parametrize("seed", range(300))
def test_any_order_of_arrival_tells_each_excursion_once(seed: int) -> None:
    chance = random.Random(seed)
    length = chance.randrange(1, 60)
    stay = chance.uniform(0.5, 0.95)
    celsius, kept = 5.0, []
    for n in range(length):
        celsius = celsius if chance.random() < stay else chance.choice([5.0, 8.0, 8.3, 8.5, 9.0, 1.4, 1.6])
        if chance.random() < 0.9:
            kept.append(reading(n, celsius))

    expected = batch(kept, FRIDGE)
    logger = Logger()
    assert [event for one in kept for event in logger.take(one, FRIDGE)] == expected

    arrivals = [*kept, *(Reading(*one) for one in chance.choices(kept, k=len(kept) // 4))] if kept else []
    spread = chance.choice([1, 5, 100])
    arrivals.sort(key=lambda one: one.sequence + chance.uniform(0, spread))
    first = Logger()
    events = [event for one in arrivals for event in first.take(one, FRIDGE)]
    opened = [event.first for event in events if event.event == "opened"]
    closed = [event.first for event in events if event.event == "closed"]
    assert len(opened) == len(set(opened))
    assert len(closed) == len(set(closed))
    seen = set()
    for event in events:
        assert event.event == "opened" or event.first in seen, "closed before it opened"
        seen.add(event.first)
    second = Logger()
    assert events == [event for one in arrivals for event in second.take(one, FRIDGE)], (
        "the same order, the same events"
    )

    runs = find_runs(first.readings, FRIDGE)
    assert [one.sequence for one in first.readings] == sorted({one.sequence for one in kept})
    for run in runs:
        mine = [one for one in first.announced if one.overlaps(run)]
        assert len(mine) <= 1, "a run belongs to one excursion"
        lasted = run.newest.at - run.first.at >= FRIDGE.excursion_minutes * MINUTE
        assert mine or not lasted, "a run that has lasted was told"
        assert run.end is None or all(one.closed for one in mine if one.high == run.newest.sequence)
    ongoing = [one for run in runs if run.end is None for one in first.announced if one.overlaps(run) and one.closed]
    assert ongoing == [], "nothing is told as closed that goes on"
