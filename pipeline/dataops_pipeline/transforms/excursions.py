"""From one logger's readings, in whatever order they arrive, to the excursions that are announced once.

A reading is *out* when it is beyond the product's range by more than the tolerance, and *back* when it is within the
range; between the two it changes nothing. A *run* goes, in the order of the logger's sequence numbers, from an out
reading up to the next back reading, which is no part of it. A run that has lasted for the product's minutes, from its
first reading to its newest, is an *excursion*: it opens. It closes with the back reading.

Readings that come late extend runs, end them earlier and split them. A run that overlaps, in sequence numbers, what was
announced before is that excursion, so each one opens once and closes once. Plain Python: no Spark, no clock, no I/O.
The events depend on the order of arrival only, not on how it is cut into batches.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, Self

MINUTE = 60_000
"""Milliseconds."""
LEAST_C = 1e-6
"""Far less than any logger tells: 8.3 - 8.0 is a tolerance of 0.3, whatever binary fractions make of it."""


class Limits(NamedTuple):
    """When a product's temperature counts as an excursion.

    Attributes:
        min_c: Lower end of the range, degrees Celsius; the ends are allowed.
        max_c: Upper end of the range.
        tolerance_c: How far beyond the range is not out yet, in kelvins.
        excursion_minutes: How long a run has to last.
    """

    min_c: float
    max_c: float
    tolerance_c: float
    excursion_minutes: float


class Reading(NamedTuple):
    """One reading.

    Attributes:
        sequence: Its number, counted by the logger.
        at: When it was measured, milliseconds since the epoch.
        temperature_c: Degrees Celsius.
    """

    sequence: int
    at: int
    temperature_c: float


class Event(NamedTuple):
    """What is to be told of an excursion.

    Attributes:
        event: Whether it has opened or closed.
        first: Sequence number of its first out reading, as it was first announced: its identity beside the logger.
        since: When that reading was measured, milliseconds since the epoch.
        reading: The one that meets the definition: the newest of the run where it opens, the back one where it closes.
            Where older readings come late, that is not the one that has just arrived.
    """

    event: Literal["opened", "closed"]
    first: int
    since: int
    reading: Reading


class Place(Enum):
    """Where a temperature is."""

    OUT = 1
    BETWEEN = 2
    BACK = 3


class Run(NamedTuple):
    """A run of readings, with the back reading that ends it; `None` while it goes on."""

    first: Reading
    newest: Reading
    end: Reading | None


@dataclass(slots=True)
class Announced:
    """An excursion that has opened.

    Attributes:
        first: Its identity beside the logger.
        since: When its first reading was measured, as announced.
        low: Lowest sequence number of its runs, as far as they have arrived.
        high: Highest sequence number of its runs, as far as they have arrived.
        closed: Whether that has been told as well.
    """

    first: int
    since: int
    low: int
    high: int
    closed: bool = False

    def overlaps(self, run: Run) -> bool:
        """Tell whether a run is this excursion."""
        return run.first.sequence <= self.high and self.low <= run.newest.sequence


def place(temperature_c: float, limits: Limits) -> Place:
    """Return where a temperature is."""
    if limits.min_c <= temperature_c <= limits.max_c:
        return Place.BACK
    beyond = max(limits.min_c - temperature_c, temperature_c - limits.max_c)
    return Place.OUT if beyond > limits.tolerance_c + LEAST_C else Place.BETWEEN


def find_runs(readings: Iterable[Reading], limits: Limits) -> list[Run]:
    """Return the runs among readings that are in the order of their sequence numbers."""
    runs = []
    first = newest = None
    for reading in readings:
        where = place(reading.temperature_c, limits)
        if first is None or newest is None:
            if where is Place.OUT:
                first = newest = reading
        elif where is Place.BACK:
            runs.append(Run(first, newest, reading))
            first = newest = None
        else:
            newest = reading
    if first is not None and newest is not None:
        runs.append(Run(first, newest, None))
    return runs


@dataclass(slots=True)
class Logger:
    """What is known of one logger: its readings so far, in the order of their numbers, and what was announced.

    Attributes:
        readings: One for each sequence number, as it was delivered first.
        announced: The excursions that have opened.
        limits: By which the readings were judged last; `None` before the product was known.
    """

    readings: list[Reading] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    limits: Limits | None = None

    def take(self, reading: Reading, limits: Limits | None) -> list[Event]:
        """Take the next reading that has arrived; return what is to be told now.

        Args:
            reading: A repeat changes nothing.
            limits: Of the product in the box; while it is not known (`None`), readings are kept and judged later.
        """
        index = len(self.readings)
        if index and reading.sequence <= self.readings[-1].sequence:
            index = bisect_left(self.readings, reading.sequence, key=lambda known: known.sequence)
        if index < len(self.readings) and self.readings[index].sequence == reading.sequence:
            return []
        self.readings.insert(index, reading)
        if limits is None or (limits == self.limits and not self._matters(index, limits)):
            return []
        self.limits = limits
        runs = find_runs(self.readings, limits)
        return self._open(runs, limits) + self._close(runs, limits)

    def _matters(self, index: int, limits: Limits) -> bool:
        """Tell whether the reading at this index can change a run: it is out, or it is right behind one."""
        while index >= 0:
            where = place(self.readings[index].temperature_c, limits)
            if where is Place.OUT:
                return True
            index -= 1
            if index < 0 or place(self.readings[index].temperature_c, limits) is Place.BACK:
                return False
        return False

    def _open(self, runs: Sequence[Run], limits: Limits) -> list[Event]:
        events = []
        for excursion in self.announced:
            mine = [run for run in runs if excursion.overlaps(run)]
            if mine:
                # Smaller, too: what an earlier end has cut off may begin a run of its own, which must be told.
                excursion.low, excursion.high = mine[0].first.sequence, mine[-1].newest.sequence
        for run in runs:
            if (
                not any(excursion.overlaps(run) for excursion in self.announced)
                and run.newest.at - run.first.at >= limits.excursion_minutes * MINUTE
            ):
                first, since, _ = run.first
                self.announced.append(Announced(first, since, first, run.newest.sequence))
                events.append(Event("opened", first, since, run.newest))
        return events

    def _close(self, runs: Sequence[Run], limits: Limits) -> list[Event]:
        events = []
        for excursion in self.announced:
            if excursion.closed:
                continue
            end = self._end(excursion, runs, limits)
            if end is not None:
                excursion.closed = True
                events.append(Event("closed", excursion.first, excursion.since, end))
        return events

    def _end(self, excursion: Announced, runs: Iterable[Run], limits: Limits) -> Reading | None:
        """Return the back reading with which the last run of an excursion ends; `None` while one goes on."""
        ends = [run.end for run in runs if excursion.overlaps(run)]
        if ends:
            return ends[-1]
        # The product's range was corrected, and what was out is not any more.
        later = (reading for reading in self.readings if reading.sequence >= excursion.low)
        return next((reading for reading in later if place(reading.temperature_c, limits) is Place.BACK), None)

    def to_bytes(self) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """Return the state in five compact columns: sequences, times, temperatures, announced, limits."""
        told = [(e.first, e.since, e.low, e.high, int(e.closed)) for e in self.announced]
        return (
            array("q", [reading.sequence for reading in self.readings]).tobytes(),
            array("q", [reading.at for reading in self.readings]).tobytes(),
            array("d", [reading.temperature_c for reading in self.readings]).tobytes(),
            array("q", [number for excursion in told for number in excursion]).tobytes(),
            array("d", self.limits or ()).tobytes(),
        )

    @classmethod
    def from_bytes(cls, columns: tuple[bytes, bytes, bytes, bytes, bytes]) -> Self:
        """Return the state that `to_bytes` gave."""
        sequences, times, temperatures, told, limits = (
            array(code, column) for code, column in zip("qqdqd", map(bytes, columns), strict=True)
        )
        announced = [
            Announced(first, since, low, high, bool(closed))
            for first, since, low, high, closed in (told[n : n + 5] for n in range(0, len(told), 5))
        ]
        readings = list(map(Reading, sequences, times, temperatures))
        return cls(readings, announced, Limits(*limits) if limits else None)
