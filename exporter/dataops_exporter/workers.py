"""Run blocking work of an event loop in daemon threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
NICER = 10
"""Niceness of low-priority threads; see nice(2)."""


class Busy(Exception):
    """Too many functions are waiting."""


class Workers:
    """Runs functions in daemon threads, with a limit of concurrency.

    Args:
        name: Name of the threads.
        at_once: Maximum number of running functions.
        waiting: Maximum number of waiting functions.
        nice: Whether the threads have low priority.
    """

    def __init__(self, name: str, *, at_once: int, waiting: int, nice: bool = False) -> None:
        self._name = name
        self._turns = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._nice = nice
        self._taken = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return the result of a function; raise its error, or Busy."""
        if self._taken >= self._most:
            raise Busy
        self._taken += 1
        try:
            async with self._turns:
                return await self._in_thread(work)
        finally:
            self._taken -= 1

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type] # a result without an error

        def run() -> None:
            if self._nice:
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICER)
            try:
                result, error = work(), None
            except Exception as raised:  # noqa: BLE001 - it is raised in the awaiting task
                result, error = None, raised
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(finish, result, error)

        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await done
