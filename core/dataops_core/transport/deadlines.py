"""Deadlines for one request, or for a listing of many requests, independent of the server's behaviour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dataops_core.units import duration

LISTING = 3.0
"""Maximum duration of a listing of many requests, as a multiple of the timeout of one request."""
LISTING_BYTES = 256 * 2**20
"""Maximum bytes of all responses of a listing together."""


class TooLarge(Exception):
    """A response exceeds a size limit, which `str()` names."""


class Deadline:
    """A time by which a request, or a listing, must have ended.

    Args:
        seconds: Seconds from now.
        most_bytes: Maximum number of received bytes; `None` for no limit.
        outer: A second deadline that applies as well.
        listing: Whether it applies to several requests.
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
        """Remaining seconds; 0 if it has passed."""
        left = max(0.0, self._end - time.monotonic())
        return left if self._outer is None else min(left, self._outer.left)

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left == 0.0

    @property
    def nearest(self) -> Deadline:
        """The earlier of this deadline and its outer ones."""
        outer = self._outer.nearest if self._outer is not None else self
        return self if self._end <= outer._end else outer  # noqa: SLF001 - of the same class

    def check(self) -> None:
        """Raise TimeoutError if it has passed."""
        if self.passed:
            raise TimeoutError(f"not within {duration(self.seconds, precise=True)}")

    def receive(self, size: int) -> None:
        """Count received bytes; raises TooLarge above the limit."""
        self._received += size
        if self._most_bytes is not None and self._received > self._most_bytes:
            raise TooLarge(f"its responses together have more than {self._most_bytes / 2**20:g} MiB")
        if self._outer is not None:
            self._outer.receive(size)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def of_request(seconds: float) -> Deadline:
    """Return the deadline of one request, within the deadline of its listing if there is one."""
    return Deadline(seconds, outer=_current.get())


@contextmanager
def within(seconds: float, most_bytes: int | None = LISTING_BYTES, *, listing: bool = True) -> Iterator[Deadline]:
    """Give all requests of this thread one common deadline.

    Args:
        seconds: Seconds from now.
        most_bytes: Maximum bytes of their responses together; `None` for no limit.
        listing: Whether there are several requests, not one with its redirects.
    """
    deadline = Deadline(seconds, most_bytes, _current.get(), listing=listing)
    token = _current.set(deadline)
    try:
        yield deadline
    finally:
        _current.reset(token)
