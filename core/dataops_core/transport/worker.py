"""Blocking calls of libraries that keep no deadline by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from dataops_core.units import duration

T = TypeVar("T")


class StillRunning(TimeoutError):
    """An earlier call has not ended within the deadline."""


def call_within(call: Callable[[], T], seconds: float, busy: threading.Lock, name: str) -> T:
    """Return the result of a call that runs in a thread of its own; the thread is abandoned where it is late.

    Args:
        call: The call; it must release Python's global lock while it waits.
        seconds: Deadline, both for an earlier call and for this one.
        busy: Held until the call ends, so that one thread at most is abandoned.
        name: Name of the thread.

    Raises:
        StillRunning: An earlier call has not ended.
        TimeoutError: The call did not end in time.
        BaseException: Whatever the call raises.
    """
    if not busy.acquire(timeout=seconds):
        raise StillRunning(f"an earlier call did not end within {duration(seconds, precise=True)}")
    done: list[T] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 - raised where it was asked
            failed.append(error)
        finally:
            busy.release()
            ended.set()

    threading.Thread(target=work, name=name, daemon=True).start()
    if not ended.wait(seconds):
        raise TimeoutError(f"not within {duration(seconds, precise=True)}")
    if failed:
        raise failed[0]
    return done[0]
