"""Free ports: each test process counts through a range of its own, below those that the kernel gives to connections."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator

FIRST, LAST = 20_000, 32_000
"""Linux hands out 32768 to 60999 for outgoing connections: one of those may be taken again before it is used."""
RANGE = 1_000
WORKER = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)


def _candidates() -> Iterator[int]:
    # Two runs on one machine, e.g. of two clones, begin at different ports.
    start = FIRST + (WORKER * RANGE + os.getpid() * 7) % (LAST - FIRST)
    for number in range(LAST - FIRST):
        yield FIRST + (start - FIRST + number) % (LAST - FIRST)


_next = _candidates()


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nothing listens, another one each time."""
    return free_base((0,))


def free_base(offsets: Iterable[int]) -> int:
    """Return a base from which the ports at all these offsets are free; raises RuntimeError where there is none."""
    wanted = tuple(offsets)
    for base in _next:
        if all(_free(base + offset) for offset in wanted):
            for _ in range(max(wanted)):
                next(_next, None)
            return base
    raise RuntimeError(f"no free ports in {FIRST}-{LAST}: end what listens there")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
