"""Remember when a partition had its end offsets, to estimate when a record was appended."""

from __future__ import annotations

from array import array
from bisect import bisect_right

LIMIT = 64
"""Maximum number of points per partition."""
SPACING = 0.2
"""Distance of two kept points as a share of their age, so that a small lag is as exact as a large one in proportion."""
CLOCK_STEP = 60.0
"""Seconds by which the clock may be set back before the points no longer count."""


class EndHistory:
    """Points of one partition: an offset, and the time at which it was the end. Neither ever decreases."""

    __slots__ = ("_offsets", "_times", "read", "read_at")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._offsets = array("q")
        self._times = array("d")
        self.read: int | None = None
        """Smallest offset whose record was requested for `add_record`; `None` if there is none."""
        self.read_at = 0.0
        """Time of the newest such request, in seconds since the epoch."""

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def newest(self) -> float:
        """Time of the newest point, in seconds since the epoch; 0 without one."""
        return self._times[-1] if self._times else 0.0

    def add(self, end: int, at: float) -> None:
        """Add the end offset at a time; points that contradict it are dropped."""
        if self._offsets and (end < self._offsets[-1] or at < self._times[-1] - CLOCK_STEP):
            self._clear()  # the topic was re-created or truncated, or the clock was set back
        if self._offsets and at <= self._times[-1]:
            return  # another thread has added a newer point
        if len(self._offsets) > 1 and self._offsets[-1] == self._offsets[-2] == end:
            self._times[-1] = at
            return
        self._offsets.append(end)
        self._times.append(at)
        if len(self._offsets) > LIMIT:
            self._thin_out()

    def add_record(self, offset: int, at: float) -> None:
        """Add the time of a record before the first point, unless that contradicts the points."""
        place = bisect_right(self._offsets, offset)
        before, after = place - 1, place
        fits_before = before < 0 or self._times[before] <= at
        fits_after = after == len(self._offsets) or at <= self._times[after]
        if fits_before and fits_after and len(self._offsets) < LIMIT:
            self._offsets.insert(place, offset)
            self._times.insert(place, at)

    def time_of(self, offset: int) -> float | None:
        """Return the estimated time at which a record was appended; `None` if the points do not enclose its offset."""
        after = bisect_right(self._offsets, offset)
        if not 0 < after < len(self._offsets):
            return None
        left, right = self._offsets[after - 1], self._offsets[after]
        since, until = self._times[after - 1], self._times[after]
        return since + (until - since) * (offset - left) / (right - left)

    def _thin_out(self) -> None:
        """Drop points that are close together in proportion to their age, else the oldest."""
        now = self._times[-1]
        kept = [0]
        for index in range(1, len(self._times) - 1):
            if self._times[index + 1] - self._times[kept[-1]] > SPACING * (now - self._times[index + 1]):
                kept.append(index)
        kept.append(len(self._times) - 1)
        kept = kept[-LIMIT:]
        self._offsets = array("q", (self._offsets[index] for index in kept))
        self._times = array("d", (self._times[index] for index in kept))
