"""Store the rows of a query on disk and read them back in chunks, so that millions of rows need little memory.

The memory holds the rows after the last chunk (at most CHUNK_ROWS), the CACHED chunks that were read last, and the
position of each chunk. A chunk has at most CHUNK_ROWS rows, and at most CHUNK_BYTES of pickled rows unless it has only
one row. The file has no name, so it is deleted when the result is closed, and also after a crash.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from weakref import finalize

from platformdirs import user_cache_path

from dataops_core.errors import DataopsError
from dataops_core.values import Columns, Row

CHUNK_ROWS = 500
CHUNK_BYTES = 1 << 20
CACHED = 8
"""Number of recently read chunks in memory, more than any screen shows at once."""


class SpillFailed(DataopsError):
    """The rows cannot be stored: the disk is full, or the folder is not writable."""


class Result:
    """Rows of one query; one thread appends, any thread reads.

    Args:
        columns: Names and types.
        max_rows: Maximum number of stored rows.
        max_bytes: Maximum bytes on disk, after compression.
    """

    def __init__(self, columns: Columns, max_rows: int, max_bytes: int) -> None:
        self.columns = tuple(columns)
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._starts: list[int] = []
        self._spots: list[tuple[int, int]] = []
        self._size = 0
        self._rows = 0
        self._open: list[Row] = []
        self._cache: OrderedDict[int, list[Row]] = OrderedDict()
        self._lock = Lock()
        self._full = False
        try:
            folder = user_cache_path("dataops", ensure_exists=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - `close()` ends it
        except OSError as error:
            raise _spill_failed(error) from error
        finalize(self, self._file.close)  # if `close()` is not called

    def __len__(self) -> int:
        return self._rows

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def full(self) -> bool:
        """Whether rows were dropped because of a limit."""
        return self._full

    def append(self, rows: list[Row]) -> bool:
        """Store rows, and return whether it accepts more; it does not after a limit or once it is closed.

        Raises:
            SpillFailed: They cannot be written.
        """
        room = self._max_rows - self._rows
        self._full = self._full or len(rows) > room
        rows = rows[:room]
        with self._lock:
            if self._file.closed:
                return False
            self._open.extend(rows)
            self._rows += len(rows)
        while len(self._open) >= CHUNK_ROWS and not self._file.closed:
            self._write(self._open[:CHUNK_ROWS])
        if self._size >= self._max_bytes:
            self._full = True
        return not self._full

    def row(self, index: int) -> Row:
        """Return one row; raises IndexError, and SpillFailed if it cannot be read."""
        if not 0 <= index < self._rows:
            raise IndexError(index)
        with self._lock:
            written = self._rows - len(self._open)
            if index >= written:
                return self._open[index - written]
            chunk = bisect_right(self._starts, index) - 1
            return self._read(chunk)[index - self._starts[chunk]]

    def chunks(self) -> Iterator[list[Row]]:
        """Yield all current rows in chunks, without using the cache."""
        number = 0
        while True:
            with self._lock:
                if number >= len(self._spots):
                    rest = list(self._open)
                    break
                rows = self._load(number)
            yield rows
            number += 1
        if rest:
            yield rest

    def close(self) -> None:
        """Delete the rows from the disk."""
        with self._lock:
            self._file.close()
            self._cache.clear()
            self._open.clear()
            self._rows = 0

    def _write(self, rows: list[Row]) -> None:
        data = pickle.dumps(rows, pickle.HIGHEST_PROTOCOL)
        if len(data) > CHUNK_BYTES and len(rows) > 1:
            half = len(rows) // 2
            self._write(rows[:half])
            self._write(rows[half:])
            return
        data = zlib.compress(data, 1)
        with self._lock:
            if self._file.closed:
                return
            try:
                os.pwrite(self._file.fileno(), data, self._size)
            except OSError as error:
                raise _spill_failed(error) from error
            self._starts.append(self._rows - len(self._open))
            self._spots.append((self._size, len(data)))
            self._size += len(data)
            del self._open[: len(rows)]

    def _read(self, chunk: int) -> list[Row]:
        if chunk in self._cache:
            self._cache.move_to_end(chunk)
        else:
            self._cache[chunk] = self._load(chunk)
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        return self._cache[chunk]

    def _load(self, chunk: int) -> list[Row]:
        offset, size = self._spots[chunk]
        try:
            data = os.pread(self._file.fileno(), size, offset)
            rows: list[Row] = pickle.loads(zlib.decompress(data))  # noqa: S301 - our own file, which has no name
        except (OSError, ValueError, zlib.error) as error:
            raise SpillFailed(f"the rows stored on disk cannot be read: {error}") from error
        return rows


def _spill_failed(error: OSError) -> SpillFailed:
    reason = (error.strerror or "unwritable").lower()
    return SpillFailed(
        f"the rows cannot be stored on disk: {reason}", hint="set XDG_CACHE_HOME to a folder with free space"
    )
