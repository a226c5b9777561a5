"""The flight recorder: store health snapshots in a file, which `dataops_core.recorder.recording` reads."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

import zstandard

from dataops_core.config import PipelineSettings, RecorderSettings
from dataops_core.errors import RecordingError
from dataops_core.health.model import HealthSnapshot, StageState, Status
from dataops_core.recorder.recording import (
    APPLICATION_ID,
    KEYFRAME_EVERY,
    VERSION,
    Recording,
    Subject,
    check_header,
    conditions,
    from_bytes,
    micros,
    reading,
    to_bytes,
)
from dataops_core.version import version

FOR_EVER = 1e10
"""Seconds; three centuries."""
LEVEL = 6
"""Level of compression: higher levels take more time, but hardly less space."""
TABLES = f"""
BEGIN;
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY, context TEXT NOT NULL, version TEXT NOT NULL, refresh REAL NOT NULL, pipelines TEXT NOT NULL
);
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, status TEXT NOT NULL, session INTEGER NOT NULL, key INTEGER NOT NULL,
    ages TEXT NOT NULL, body BLOB NOT NULL
);
CREATE INDEX moments ON snapshots (at, status, session, ages);
CREATE INDEX keyframes ON snapshots (at) WHERE key = id;
CREATE TABLE changes (
    snapshot INTEGER NOT NULL, subject TEXT NOT NULL, pipeline TEXT NOT NULL, name TEXT NOT NULL, before TEXT,
    after TEXT NOT NULL
);
CREATE INDEX changed ON changes (snapshot);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Recorder:
    """Writes one recording, as the only writer of its file. Safe to share between threads.

    Written snapshots survive a kill of the process. A crash of the machine may lose the newest ones.

    Args:
        path: The file; it is created with its folder if it does not exist.
        context: Name of the recorded context.
        pipelines: The pipelines of the context, stored for a replay without a settings file.
        refresh: Seconds between two snapshots, to detect gaps.
        settings: Retention.

    Raises:
        RecordingError: Another process writes it, it cannot be written, or it is not a recording of this version.
    """

    def __init__(
        self,
        path: Path,
        context: str,
        pipelines: Mapping[str, PipelineSettings],
        refresh: float,
        settings: RecorderSettings,
    ) -> None:
        self.path = path
        self._settings = settings
        self._lock = Lock()
        self._before: tuple[int, bytes] | None = None
        self._key = 0
        self._conditions: Mapping[tuple[Subject, str, str], str] | None = None
        self._only_writer = _claim(path)
        try:
            with reading(path):
                self._db = _open(path)
            with self._writing():
                described = {
                    name: pipeline.model_dump(mode="json", exclude_unset=True) for name, pipeline in pipelines.items()
                }
                self._session = self._db.execute(
                    "INSERT INTO sessions (context, version, refresh, pipelines) VALUES (?, ?, ?, ?)",
                    (context, version(), refresh, json.dumps(described)),
                ).lastrowid
        except RecordingError:
            os.close(self._only_writer)
            raise

    def write(self, snapshot: HealthSnapshot) -> bool:
        """Store a snapshot; a session begins only once every stage has been probed.

        Returns:
            Whether it was stored.

        Raises:
            RecordingError: It cannot be written, or the recorder is closed.
        """
        if self._before is None and not _is_whole(snapshot):
            return False
        raw, now = to_bytes(snapshot), conditions(snapshot)
        with self._lock:
            before = self._before
            is_keyframe = before is None or before[0] - self._key + 1 >= KEYFRAME_EVERY
            packed = _compress(raw, None if is_keyframe or before is None else before[1])
            with self._writing():
                number = self._insert(snapshot, packed, is_keyframe=is_keyframe)
                self._note_changes(number, now)
                if is_keyframe:
                    self._drop_old(micros(snapshot.taken_at))
            self._before, self._conditions = (number, raw), now
            if is_keyframe:
                self._key = number
                with reading(self.path):  # return the pages of deleted snapshots to the file system
                    self._db.execute("PRAGMA incremental_vacuum").fetchall()
        return True

    def close(self) -> None:
        """Stop recording; afterwards the file can be copied."""
        with self._lock:
            self._db.close()
            if self._only_writer >= 0:
                os.close(self._only_writer)
                self._only_writer = -1

    def stand_alone(self) -> None:
        """Move the content of the write-ahead log into the file."""
        with self._lock, reading(self.path):
            self._db.execute("PRAGMA journal_mode = DELETE")

    def _insert(self, snapshot: HealthSnapshot, packed: bytes, *, is_keyframe: bool) -> int:
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM snapshots").fetchone()
        ages = {pipeline.name: pipeline.data_age for pipeline in snapshot.pipelines}
        number = int(newest) + 1
        self._db.execute(
            "INSERT INTO snapshots (id, at, status, session, key, ages, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                micros(snapshot.taken_at),
                snapshot.status.value,
                self._session,
                number if is_keyframe else self._key,
                json.dumps({name: None if age is None else round(age, 1) for name, age in ages.items()}),
                packed,
            ),
        )
        return number

    def _note_changes(self, number: int, now: Mapping[tuple[Subject, str, str], str]) -> None:
        before = self._conditions
        changed = [
            (number, subject, pipeline, name, before.get((subject, pipeline, name)) if before else None, after)
            for (subject, pipeline, name), after in now.items()
            # A session begins with all states, so that a reader can start there.
            if before is None or before.get((subject, pipeline, name)) != after
        ]
        self._db.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)", changed)

    def _drop_old(self, now: int) -> None:
        """Delete snapshots beyond the maximum age and size, up to a keyframe."""
        cutoff = now - int(self._settings.max_age * 1_000_000)
        self._drop_before("SELECT max(id) FROM snapshots WHERE key = id AND at <= ?", cutoff)
        oldest = "SELECT min(id) FROM snapshots WHERE key = id AND id > (SELECT min(id) FROM snapshots)"
        while self._size() > self._settings.max_size and self._drop_before(oldest):
            pass
        self._db.execute(
            "DELETE FROM sessions WHERE id < ? AND id NOT IN (SELECT session FROM snapshots)", (self._session,)
        )

    def _drop_before(self, query: str, *values: int) -> bool:
        """Delete everything before the snapshot whose id a query returns; return whether it returns one."""
        (first,) = self._db.execute(query, values).fetchone()
        for table, column in (("snapshots", "id"), ("changes", "snapshot")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} < ?", (first,))
        return first is not None

    def _size(self) -> int:
        pages, free, page = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Run one transaction."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise RecordingError(f"{self.path} cannot be written: {error}") from error


def cut(
    recording: Recording,
    path: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    rewrite: Callable[[str], str] | None = None,
) -> int:
    """Copy a part of a recording into a new file, which is also readable on a read-only file system.

    Args:
        recording: The recording to copy from.
        path: The new file.
        since: Start; by default the beginning of the recording.
        until: End; by default the end of the recording.
        rewrite: Changes texts: called with the JSON of each snapshot, and of the settings of each pipeline.

    Returns:
        The number of copied snapshots.

    Raises:
        RecordingError: The file already exists, or a file cannot be read or written.
    """
    if path.exists():
        raise RecordingError(f"{path} already exists", hint="name another file")
    everything = RecorderSettings(max_age=FOR_EVER, max_size=2**62)
    pipelines, snapshots = recording.pipelines, recording.snapshots(since, until)
    if rewrite is not None:
        pipelines = {
            name: type(chain).model_validate_json(rewrite(chain.model_dump_json(exclude_unset=True)))
            for name, chain in pipelines.items()
        }
        snapshots = (from_bytes(rewrite(to_bytes(snapshot).decode()).encode()) for snapshot in snapshots)
    recorder = Recorder(path, recording.context, pipelines, recording.refresh, everything)
    try:
        number = sum(map(recorder.write, snapshots))
        recorder.stand_alone()
    finally:
        recorder.close()
    lock_of(path).unlink()
    return number


def _is_whole(snapshot: HealthSnapshot) -> bool:
    """Return whether every stage has been probed, because a start is not an incident."""
    return all(
        pipeline.verdict.status is not Status.STARTING
        and all(stage.own_state is not StageState.STARTING for stage in pipeline.stages)
        for pipeline in snapshot.pipelines
    )


def lock_of(path: Path) -> Path:
    """Return the file whose lock the writer of a recording holds."""
    return path.with_name(path.name + ".lock")


def _claim(path: Path) -> int:
    """Lock a file for its only writer, and return the descriptor that holds the lock while it is open."""
    lock = lock_of(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RecordingError(f"{lock} cannot be written: {(error.strerror or 'unwritable').lower()}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "(unknown)"
        os.close(descriptor)
        raise RecordingError(f"process {holder} already records into {path}") from error
    except OSError as error:
        os.close(descriptor)
        raise RecordingError(
            f"{lock} cannot be locked: {(error.strerror or 'locks are not supported').lower()}"
        ) from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    path.touch(0o600)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        if db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.executescript(TABLES)
        check_header(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 4000000")
    except BaseException:
        db.close()
        raise
    return db


def _compress(raw: bytes, before: bytes | None) -> bytes:
    if before is None:
        return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(raw)
    dictionary = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, source_size=len(raw) + len(before), dict_size=len(before), write_checksum=True
    )
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(raw)
