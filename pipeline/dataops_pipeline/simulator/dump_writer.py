"""Writing the dumps of loggers to a store: all of some days at once, or each as the replay reaches its delivery."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import fs

from dataops_pipeline.simulator import records, source
from dataops_pipeline.simulator.boxes import Settings
from dataops_pipeline.simulator.dumps import DumpFile, dumps

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses while the store is away; the last one repeats."""
POLL = 0.2
"""Seconds between two looks at how far the replay is."""
PATIENCE = 2.0
"""Seconds for which the end of the replay waits for a store that does not answer."""
UPLOADS = 8
"""Files that are written at the same time, where a whole day is."""

log = logging.getLogger("simulator")


def write_days(settings: Settings, start: pd.Timestamp, days: int, store: fs.FileSystem, folder: str) -> int:
    """Write all dumps of some days below a folder; return how many. Raises OSError where the store takes none."""
    written = 0
    for day in pd.date_range(start, periods=days):
        store.create_dir(f"{folder}/{day:%Y-%m-%d}", recursive=True)
        with ThreadPoolExecutor(UPLOADS) as pool:
            written += sum(pool.map(lambda file: write(store, folder, file), dumps(settings, day)))
    return written


def write(store: fs.FileSystem, folder: str, file: DumpFile) -> int:
    """Write one file, and return 1."""
    with store.open_output_stream(f"{folder}/{file.path}") as out:
        out.write(file.content)
    return 1


class DumpWriter:
    """Writes each dump once the replay has passed its landing, in a thread of its own.

    A store that is away holds up this thread only: it tries again until it is stopped.

    Args:
        settings: Which loggers.
        start: First day whose boxes the replay sends from their packing on.
        store: The object store; asked for in the thread, for the first attempt may take long.
        folder: Where the dumps go.
        since: What landed before is in the store already; `None` to begin with the first day.
    """

    def __init__(
        self,
        settings: Settings,
        start: pd.Timestamp,
        store: Callable[[], fs.FileSystem],
        folder: str,
        since: np.datetime64 | None = None,
    ) -> None:
        self._settings = settings
        self._open = store
        self._folder = folder
        self._since = since if since is not None else start.to_datetime64().astype("datetime64[ms]")
        earliest = pd.Timestamp(self._since).normalize() - pd.Timedelta(days=records.DAYS_BEFORE)
        self._day = max(start, earliest)
        self._held: list[DumpFile] = []
        self._made: set[str] = set()
        self._asked: float | None = None
        self._stop = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dumps", daemon=True)
        self.passed = self._since
        """How far the replay is, in simulated time; set by the replay."""
        self.done = self._since
        """All that landed before is in the store."""
        self.written = 0
        self.away = False

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def finish(self, stop: threading.Event) -> None:
        """Write what is due, and end; at once if the store is unavailable, or when stopped."""
        self._ending.set()
        while self._thread.is_alive() and not (stop.is_set() or self.away or self._hangs()):
            self._thread.join(POLL)
        self._stop.set()
        if not self._hangs():
            self._thread.join(PATIENCE)
        if self._held and self._held[0].landed_at <= self.passed:
            log.warning(
                "stopping before all dumps are stored: dumps from %s on are written at the next start", self.done
            )

    def _hangs(self) -> bool:
        asked = self._asked
        return asked is not None and time.monotonic() - asked > PATIENCE

    def _run(self) -> None:
        store: fs.FileSystem | None = None
        failures = 0
        while not self._stop.is_set():
            ending, passed = self._ending.is_set(), self.passed
            file = self._next(passed)
            if file is None:
                self.done = max(self.done, passed)
                if ending:
                    return
                self._stop.wait(POLL)
                continue
            self._asked = time.monotonic()
            try:
                store = store or self._open()
                folder = f"{self._folder}/{file.day}"
                if folder not in self._made:
                    store.create_dir(folder, recursive=True)
                    self._made.add(folder)
                write(store, self._folder, file)
            except pa.ArrowInvalid:
                if self._stop.is_set():  # the process ends, and Arrow has let go of the store
                    return
                raise
            except OSError as error:
                self._asked = None
                if not self.away:
                    log.warning("the object store rejects the dumps (%s): retrying", str(error)[:200])
                self.away = True
                self._stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                continue
            self._asked = None
            if self.away:
                log.warning("the object store accepts the dumps again")
            self.away, failures = False, 0
            heapq.heappop(self._held)
            self.written += 1
            self.done = file.landed_at

    def _next(self, passed: np.datetime64) -> DumpFile | None:
        """Return the file that landed first of those that are due."""
        # a box is packed and delivered after the day in New York has begun, so no day before it has a file of it
        while self._day <= source.LAST_DAY and self._day.to_datetime64() <= passed and not self._stop.is_set():
            began = time.monotonic()
            fresh = [file for file in dumps(self._settings, self._day) if file.landed_at >= self._since]
            log.debug("wrote %d dumps of %s in %.1f s", len(fresh), self._day, time.monotonic() - began)
            self._held.extend(fresh)
            heapq.heapify(self._held)
            self._day += pd.Timedelta(days=1)
        return self._held[0] if self._held and self._held[0].landed_at <= passed else None
