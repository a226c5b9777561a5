"""Writers of logger dumps to a store: for whole days, or one by one as the replay reaches each delivery."""

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
"""Pauses between attempts while the store is unavailable; the last one repeats."""
POLL = 0.2
"""Seconds between two checks of the replay's progress."""
PATIENCE = 2.0
"""Seconds that the end of the replay waits for a store without a response."""
UPLOADS = 8
"""Number of parallel uploads for whole days."""

log = logging.getLogger("simulator")


def write_days(settings: Settings, start: pd.Timestamp, days: int, store: fs.FileSystem, folder: str) -> int:
    """Write all dumps of some days below a folder; return their number. Raises OSError if the store rejects them."""
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
    """A thread that writes each dump once the replay has passed its landing time.

    If the store is unavailable, the thread retries until it is stopped; the replay continues.

    Args:
        settings: Settings of the simulation.
        start: First day of the replay.
        store: Returns the object store; called in the thread, because the first connection may take long.
        folder: Folder of the dumps.
        since: Dumps that landed before this time are in the store already; `None` to begin with the first day.
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
        self._folders: set[str] = set()
        self._requested: float | None = None
        self._stop = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dumps", daemon=True)
        self.passed = self._since
        """Progress of the replay in simulated time; set by the replay."""
        self.done = self._since
        """All dumps that landed before this time are in the store."""
        self.written = 0
        self.away = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self, stop: threading.Event) -> None:
        """Write the due dumps and end the thread; at once if the store is unavailable, or when stopped."""
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
        requested = self._requested
        return requested is not None and time.monotonic() - requested > PATIENCE

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
            self._requested = time.monotonic()
            try:
                store = store or self._open()
                folder = f"{self._folder}/{file.day}"
                if folder not in self._folders:
                    store.create_dir(folder, recursive=True)
                    self._folders.add(folder)
                write(store, self._folder, file)
            except pa.ArrowInvalid:
                if self._stop.is_set():  # the process ends, and Arrow has closed the store
                    return
                raise
            except OSError as error:
                self._requested = None
                if not self.away:
                    log.warning("the object store rejects the dumps (%s): retrying", str(error)[:200])
                self.away = True
                self._stop.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                continue
            self._requested = None
            if self.away:
                log.warning("the object store accepts the dumps again")
            self.away, failures = False, 0
            heapq.heappop(self._held)
            self.written += 1
            self.done = file.landed_at

    def _next(self, passed: np.datetime64) -> DumpFile | None:
        """Return the due file that landed first; `None` if no file is due."""
        # A box is packed and delivered after the start of its day in New York, so earlier days have no file of it.
        while self._day <= source.LAST_DAY and self._day.to_datetime64() <= passed and not self._stop.is_set():
            began = time.monotonic()
            fresh = [file for file in dumps(self._settings, self._day) if file.landed_at >= self._since]
            log.debug("wrote %d dumps of %s in %.1f s", len(fresh), self._day, time.monotonic() - began)
            self._held.extend(fresh)
            heapq.heapify(self._held)
            self._day += pd.Timedelta(days=1)
        return self._held[0] if self._held and self._held[0].landed_at <= passed else None
