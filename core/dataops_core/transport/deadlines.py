"""Deadlines: one end for a request, or for a listing of many requests, whatever a server does in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

LISTING = 3.0
"""How many times as long as one request a listing of many requests may take."""
LISTING_BYTES = 256 * 2**20
"""Bytes that all answers of a listing may have together."""


class TooLarge(Exception):
    """An answer is larger than its limit; `str()` says which."""


class Deadline:
    """An instant by which something must have ended.

    Args:
        seconds: Seconds from now.
        most_bytes: Bytes that may be received until then; `None` for no limit.
        outer: A deadline that holds as well.
        listing: Whether it is that of several requests.
    """

    def __init__(
        self,
        seconds: float,
        most_bytes: int | None = None,
        outer: Deadline | None = None,
        *,
        listing: bool = False,
    ) -> None:
        self.seconds = seconds
        self.listing = listing
        self._end = time.monotonic() + seconds
        self._most_bytes = most_bytes
        self._received = 0
        self._outer = outer

    @property
    def left(self) -> float:
        """Seconds that are left; 0 where it has passed."""
        left = max(0.0, self._end - time.monotonic())
        return left if self._outer is None else min(left, self._outer.left)

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left == 0.0

    @property
    def nearest(self) -> Deadline:
        """Itself, or the outer one where that ends before."""
        outer = self._outer.nearest if self._outer is not None else self
        return self if self._end <= outer._end else outer  # noqa: SLF001 - of its own class

    def check(self) -> None:
        """Raise TimeoutError where it has passed."""
        if self.passed:
            raise TimeoutError(f"not within {self.seconds:g} s")

    def receive(self, size: int) -> None:
        """Count bytes that were received; raises TooLarge where they are too many."""
        self._received += size
        if self._most_bytes is not None and self._received > self._most_bytes:
            raise TooLarge(f"its responses together have more than {self._most_bytes / 2**20:g} MiB")
        if self._outer is not None:
            self._outer.receive(size)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def of_request(seconds: float) -> Deadline:
    """Return the deadline of one request, within that of the listing that it belongs to."""
    return Deadline(seconds, outer=_current.get())


@contextmanager
def within(seconds: float, most_bytes: int | None = LISTING_BYTES, *, listing: bool = True) -> Iterator[Deadline]:
    """Give all requests of this thread one common deadline.

    Args:
        seconds: Seconds from now.
        most_bytes: Bytes that their answers may have together; `None` for no limit.
        listing: Whether they are several, and not one with its redirects.
    """
    deadline = Deadline(seconds, most_bytes, _current.get(), listing=listing)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)
