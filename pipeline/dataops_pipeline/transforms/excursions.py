"""Detection of excursions in one logger's readings, which may arrive in any order; each is announced once.

A reading is *out* if it is beyond the product's range by more than the tolerance, and *back* if it is within the range.
A reading between the two changes nothing. A *run* goes, in the order of the logger's sequence numbers, from an out
reading to the next back reading, which is not part of it. A run becomes an *excursion* once it has lasted for the
product's minutes, from its first reading to its newest: the excursion opens. It closes with the back reading.

Late readings extend runs, end them earlier and split them. A run that overlaps an announced excursion in sequence
numbers belongs to it, so each excursion opens once and closes once. The module is plain Python: no Spark, no clock, no
I/O. The events depend on the order of arrival only, not on the batches.
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
"""Tolerance for rounding errors, far below a logger's resolution: 8.3 - 8.0 equals 0.3 within it."""


class Limits(NamedTuple):
    """A product's limits for excursions.

    Attributes:
        min_c: Lower end of the range, inclusive, in degrees Celsius.
        max_c: Upper end of the range, inclusive.
        tolerance_c: Maximum distance from the range that is not out, in kelvins.
        excursion_minutes: Minimum duration of an excursion.
    """

    min_c: float
    max_c: float
    tolerance_c: float
    excursion_minutes: float


class Reading(NamedTuple):
    """One reading.

    Attributes:
        sequence: Sequence number of the logger.
        at: Time of measurement, milliseconds since the epoch.
        temperature_c: Degrees Celsius.
    """

    sequence: int
    at: int
    temperature_c: float


class Event(NamedTuple):
    """The start or the end of an excursion.

    Attributes:
        event: Whether the excursion opens or closes.
        first: Sequence number of its first out reading when it was announced; with the logger, its identity.
        since: Time of that reading, milliseconds since the epoch.
        reading: The newest reading of the run if it opens, the back reading if it closes. After a late reading, this is
            not the reading that has just arrived.
    """

    event: Literal["opened", "closed"]
    first: int
    since: int
    reading: Reading


class Zone(Enum):
    """The position of a temperature relative to the limits."""

    OUT = 1
    BETWEEN = 2
    BACK = 3


class Run(NamedTuple):
    """A run of readings, with the back reading that ends it; `None` while it continues."""

    first: Reading
    newest: Reading
    end: Reading | None


@dataclass(slots=True)
class Announced:
    """An excursion that was announced as open.

    Attributes:
        first: Its identity, together with the logger.
        since: Time of its first reading, as announced.
        low: Lowest sequence number of its runs so far.
        high: Highest sequence number of its runs so far.
        closed: Whether its end was announced as well.
    """

    first: int
    since: int
    low: int
    high: int
    closed: bool = False

    def overlaps(self, run: Run) -> bool:
        """Return whether a run belongs to this excursion."""
        return run.first.sequence <= self.high and self.low <= run.newest.sequence


def zone(temperature_c: float, limits: Limits) -> Zone:
    """Return the zone of a temperature."""
    if limits.min_c <= temperature_c <= limits.max_c:
        return Zone.BACK
    beyond = max(limits.min_c - temperature_c, temperature_c - limits.max_c)
    return Zone.OUT if beyond > limits.tolerance_c + LEAST_C else Zone.BETWEEN


def find_runs(readings: Iterable[Reading], limits: Limits) -> list[Run]:
    """Return the runs among readings, which must be in the order of their sequence numbers."""
    runs = []
    first = newest = None
    for reading in readings:
        where = zone(reading.temperature_c, limits)
        if first is None or newest is None:
            if where is Zone.OUT:
                first = newest = reading
        elif where is Zone.BACK:
            runs.append(Run(first, newest, reading))
            first = newest = None
        else:
            newest = reading
    if first is not None and newest is not None:
        runs.append(Run(first, newest, None))
    return runs


@dataclass(slots=True)
class Logger:
    """The state of one logger: its readings, in the order of their sequence numbers, and its excursions.

    Attributes:
        readings: The first delivery of each sequence number.
        announced: The excursions that were announced.
        limits: The limits of the last evaluation; `None` before the product was known.
    """

    readings: list[Reading] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    limits: Limits | None = None

    def take(self, reading: Reading, limits: Limits | None) -> list[Event]:
        """Add a reading that has arrived; return the new events.

        Args:
            reading: The reading; a duplicate changes nothing.
            limits: Limits of the product in the box; `None` while it is unknown, to evaluate the readings later.
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
        """Return whether the reading at an index can change a run: it is out, or it follows a run."""
        while index >= 0:
            where = zone(self.readings[index].temperature_c, limits)
            if where is Zone.OUT:
                return True
            index -= 1
            if index < 0 or zone(self.readings[index].temperature_c, limits) is Zone.BACK:
                return False
        return False

    def _open(self, runs: Sequence[Run], limits: Limits) -> list[Event]:
        events = []
        for excursion in self.announced:
            mine = [run for run in runs if excursion.overlaps(run)]
            if mine:
                # It may shrink: readings after an earlier end may form another run, which must be announced.
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
        """Return the back reading that ends the last run of an excursion; `None` while it continues."""
        ends = [run.end for run in runs if excursion.overlaps(run)]
        if ends:
            return ends[-1]
        # The product's range was corrected, and its readings are no longer out.
        later = (reading for reading in self.readings if reading.sequence >= excursion.low)
        return next((reading for reading in later if zone(reading.temperature_c, limits) is Zone.BACK), None)

    def to_bytes(self) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """Return the state in five compact columns: sequences, times, temperatures, announced, limits."""
        announced = [(e.first, e.since, e.low, e.high, int(e.closed)) for e in self.announced]
        return (
            array("q", [reading.sequence for reading in self.readings]).tobytes(),
            array("q", [reading.at for reading in self.readings]).tobytes(),
            array("d", [reading.temperature_c for reading in self.readings]).tobytes(),
            array("q", [number for excursion in announced for number in excursion]).tobytes(),
            array("d", self.limits or ()).tobytes(),
        )

    @classmethod
    def from_bytes(cls, columns: tuple[bytes, bytes, bytes, bytes, bytes]) -> Self:
        """Return the state from the columns of `to_bytes`."""
        sequences, times, temperatures, numbers, limits = (
            array(code, column) for code, column in zip("qqdqd", map(bytes, columns), strict=True)
        )
        announced = [
            Announced(first, since, low, high, bool(closed))
            for first, since, low, high, closed in (numbers[n : n + 5] for n in range(0, len(numbers), 5))
        ]
        readings = list(map(Reading, sequences, times, temperatures))
        return cls(readings, announced, Limits(*limits) if limits else None)
