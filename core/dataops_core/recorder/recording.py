"""Recordings: read health snapshots from an SQLite file.

A snapshot is JSON, compressed with zstd. The previous snapshot is the dictionary, because most of it is equal. Every
`KEYFRAME_EVERY` snapshots, and at the start of each session, a keyframe is compressed without a dictionary. Each change
of a stage's state, of a verdict or of a component is a row, so that a report of a day reads only these rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import quote

import zstandard
from platformdirs import user_state_path
from pydantic import ConfigDict, TypeAdapter, ValidationError

from dataops_core.bounded import load_object
from dataops_core.config import PipelineSettings, RecorderSettings
from dataops_core.errors import RecordingError
from dataops_core.health.model import SCHEMA_VERSION, HealthSnapshot, Status
from dataops_core.health.text import availability
from dataops_core.plain import visible
from dataops_core.reasons import line
from dataops_core.systems.registry import registry
from dataops_core.transport.fields import as_number

APPLICATION_ID = 0x444F5053
"""Identifies a recording among SQLite files: `DOPS`."""
LAYOUT = 1
"""Version of the tables; increased when they change."""
VERSION = 1000 * LAYOUT + SCHEMA_VERSION
"""Version in the header of the file: the version of its tables, and of its snapshots."""
KEYFRAME_EVERY = 120
"""Snapshots from one keyframe to the next, the maximum to decompress for one snapshot."""
LARGEST = 64_000_000
"""Maximum bytes of a snapshot, so that a malicious file cannot exhaust the memory."""
STEPS = 2_000_000_000
"""Maximum instructions of SQLite for one query, about 20 s; the recording of a day takes a thousandth of that."""
COLUMNS = {
    "sessions": {"id", "context", "version", "refresh", "pipelines"},
    "snapshots": {"id", "at", "status", "session", "key", "ages", "body"},
    "changes": {"snapshot", "subject", "pipeline", "name", "before", "after"},
}
"""Tables of a recording, and their columns."""
GAP_ROUNDS = 3
"""Missed refreshes from which a recording has a gap."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


class Subject(StrEnum):
    """The type of the object that changed."""

    STAGE = "stage"
    VERDICT = "verdict"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True)
class Moment:
    """The time of one recorded snapshot.

    Attributes:
        id: Increasing number of the snapshot in the recording.
    """

    id: int
    at: datetime
    status: Status


@dataclass(frozen=True, slots=True)
class Change:
    """A change from one snapshot to the next.

    Attributes:
        moment: Id of the first snapshot after the change.
        at: Time of that snapshot.
        pipeline: Name of the pipeline; empty for a component.
        name: Name of the stage or component; for a verdict, of the pipeline.
        before: The previous value; `None` at the start of a session.
        after: The new value: a stage's state, a verdict's check id or `ok`, or a component's availability.
    """

    moment: int
    at: datetime
    subject: Subject
    pipeline: str
    name: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Age:
    """The data age of a pipeline at one time.

    Attributes:
        data_age: In seconds; `None` if unknown.
        there: Whether the pipeline was configured then.
    """

    at: datetime
    data_age: float | None
    there: bool = True


@dataclass(frozen=True, slots=True)
class Gap:
    """A period between two snapshots in which nothing was recorded."""

    start: datetime
    end: datetime


def default_path(settings: RecorderSettings, context: str) -> Path:
    """Return the path of the recording of a context."""
    folder = Path(settings.folder) if settings.folder else user_state_path("dataops") / "recordings"
    return folder / f"{quote(context, safe='')}.sqlite"


def conditions(snapshot: HealthSnapshot) -> dict[tuple[Subject, str, str], str]:
    """Return the state of each object in one word, by subject, pipeline and name."""
    results: dict[tuple[Subject, str, str], str] = {}
    for pipeline in snapshot.pipelines:
        verdict = pipeline.verdict
        results[Subject.VERDICT, pipeline.name, pipeline.name] = verdict.check_id or verdict.status.value
        for stage in pipeline.stages:
            results[Subject.STAGE, pipeline.name, stage.name] = stage.state.value
    for component in snapshot.components:
        results[Subject.COMPONENT, "", component.name] = availability(component)
    return results


def to_bytes(snapshot: HealthSnapshot) -> bytes:
    """Return a complete snapshot as JSON."""
    return _adapter().dump_json([snapshot])


def from_bytes(raw: bytes) -> HealthSnapshot:
    """Return the snapshot of the JSON from `to_bytes`; raises pydantic's ValidationError."""
    (snapshot,) = _adapter().validate_json(raw)
    return snapshot


@cache
def _adapter() -> TypeAdapter[list[HealthSnapshot]]:
    # A list, because pydantic accepts a config for a list of dataclasses, but not for one. It keeps NaN.
    return TypeAdapter(list[HealthSnapshot], config=ConfigDict(ser_json_inf_nan="constants"))


def micros(at: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (at - _EPOCH) // _MICRO


def instant(count: int) -> datetime:
    """Return the time of microseconds since 1970."""
    if type(count) is not int:
        raise TypeError("a time has the wrong type")
    return _EPOCH + count * _MICRO


def decompress(packed: bytes, before: bytes | None) -> bytes:
    """Return a decompressed snapshot, with the previous one as the dictionary if it has one; raises ZstdError."""
    if zstandard.frame_content_size(packed) > LARGEST:
        raise zstandard.ZstdError(f"its stated size is larger than {LARGEST} bytes")
    if before is None:
        return zstandard.ZstdDecompressor().decompress(packed)
    dictionary = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed)


def check_header(db: sqlite3.Connection, path: Path) -> None:
    """Check that a file is a recording of this version; raises RecordingError."""
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise RecordingError(f"{path} is not a recording")
    version = _pragma(db, "user_version")
    if version != VERSION:
        if version > VERSION:
            raise RecordingError(f"{path} has a newer version ({version}, not {VERSION})", hint="update dataops-tui")
        raise RecordingError(f"{path} has an older version ({version}, not {VERSION})", hint="rename or delete it")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Replace errors of SQLite, zstd and pydantic for a damaged file by RecordingError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise RecordingError(f"{path} cannot be read: it takes too long, so it is not a valid recording") from error
        raise RecordingError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        fault = "is not a recording" if "not a database" in str(error) else f"is damaged: {error}"
        raise RecordingError(f"{path} {fault}") from error
    except zstandard.ZstdError as error:
        raise RecordingError(f"{path} is damaged: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"][1:]))
        raise RecordingError(f"{path} has an unknown field or value: {field}: {first['msg']}") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {(error.strerror or 'unreadable').lower()}") from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise RecordingError(f"{path} is damaged: {line(error)}") from error


class Recording:
    """Reads a recording, also while it grows; safe to share between threads.

    Args:
        path: The file.

    Raises:
        RecordingError: It does not exist, is damaged, has another version, or is not a recording.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            if not path.is_file():
                raise RecordingError(f"there is no recording at {path}")
        with self._open() as db:
            check_header(db, path)
            _check_tables(db, path)
            row = db.execute("SELECT context, refresh, pipelines FROM sessions ORDER BY id DESC LIMIT 1").fetchone()
        if row is None:
            raise RecordingError(f"nothing has been recorded in {path}")
        with reading(path):
            self.context = _text(row[0])
            self.refresh = _refresh(row[1])
            self.pipelines = _pipelines(_text(row[2]))
        """The settings of the pipelines in the newest session."""

    def moments(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Moment, ...]:
        """Return the times of the snapshots between two times, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id, at, status FROM snapshots WHERE at BETWEEN ? AND ? ORDER BY at, id", _between(since, until)
            ).fetchall()
            return tuple(Moment(row_id, instant(at), Status(status)) for row_id, at, status in rows)

    def changes(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Change, ...]:
        """Return the changes between two times, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT snapshot, at, subject, pipeline, name, before, after FROM changes JOIN snapshots"
                " ON snapshots.id = snapshot WHERE at BETWEEN ? AND ? ORDER BY at, snapshot, changes.rowid",
                _between(since, until),
            ).fetchall()
            return tuple(Change(row[0], instant(row[1]), Subject(row[2]), *_condition(row[3:])) for row in rows)

    def ages(self, pipeline: str, since: datetime | None = None, until: datetime | None = None) -> tuple[Age, ...]:
        """Return the data age of a pipeline in each snapshot, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT at, ages FROM snapshots WHERE at BETWEEN ? AND ? ORDER BY at, id", _between(since, until)
            ).fetchall()
            known = [(instant(at), load_object(_text(ages))) for at, ages in rows]
            return tuple(Age(at, as_number(ages.get(pipeline)), pipeline in ages) for at, ages in known)

    def watched(self, since: datetime | None = None, until: datetime | None = None) -> tuple[str, ...]:
        """Return the names of the pipelines between two times, in order of their first snapshot."""
        with self._open() as db:
            rows = db.execute(
                "SELECT ages FROM snapshots WHERE at BETWEEN ? AND ? GROUP BY session ORDER BY min(at), min(id)",
                _between(since, until),
            ).fetchall()
            return tuple(dict.fromkeys(name for (ages,) in rows for name in load_object(_text(ages))))

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Gap, ...]:
        """Return the gaps between snapshots in a period."""
        with self._open() as db:
            rows = db.execute(
                "SELECT before, at FROM (SELECT at, refresh, lag(at) OVER (ORDER BY at, snapshots.id) AS before"
                " FROM snapshots JOIN sessions ON sessions.id = session WHERE at BETWEEN ? AND ?)"
                f" WHERE at - before > ({GAP_ROUNDS} * refresh + 1) * 1000000",
                _between(since, until),
            ).fetchall()
            return tuple(Gap(instant(start), instant(end)) for start, end in rows)

    def snapshot(self, moment: int) -> HealthSnapshot:
        """Return the snapshot with an id; raises RecordingError, also if it has been deleted."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id, body FROM snapshots WHERE id <= ?1 AND id >= (SELECT key FROM snapshots WHERE id = ?1)"
                " ORDER BY id",
                (moment,),
            )
            raw = None
            for _, packed in rows:
                raw = decompress(packed, raw)
            if raw is None:
                raise RecordingError(f"{self.path}: that time is no longer in the recording")
            return from_bytes(raw)

    def snapshots(self, since: datetime | None = None, until: datetime | None = None) -> Iterator[HealthSnapshot]:
        """Yield the snapshots between two times, oldest first."""
        chosen = {moment.id for moment in self.moments(since, until)}
        if not chosen:
            return
        with self._open() as db:
            raw = None
            for row_id, key, packed in db.execute(
                "SELECT id, key, body FROM snapshots WHERE id <= ? AND id >="
                " (SELECT key FROM snapshots WHERE id = ?) ORDER BY id",
                (max(chosen), min(chosen)),
            ):
                raw = decompress(packed, None if row_id == key else raw)
                if row_id in chosen:
                    yield from_bytes(raw)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One connection per query: opening it takes less than a millisecond, and no thread shares it.
        with reading(self.path), closing(_connect(self.path)) as db:
            yield db


def _connect(path: Path) -> sqlite3.Connection:
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    db = sqlite3.connect(name, uri=True, timeout=5)
    try:
        db.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        db.close()
        if path.with_name(path.name + "-wal").exists():
            raise
        # SQLite would create a log file, which is impossible on a read-only file system.
        db = sqlite3.connect(f"{name}&immutable=1", uri=True)
    return _harmless(db)


def _harmless(db: sqlite3.Connection) -> sqlite3.Connection:
    """Disable code in a file's schema, and limit the cost of its queries."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA query_only = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    at_once = 1_000_000
    left = iter(range(STEPS // at_once))
    db.set_progress_handler(lambda: next(left, None) is None, at_once)
    return db


def _check_tables(db: sqlite3.Connection, path: Path) -> None:
    """Check that the tables are not views, which may contain an endless query; raises RecordingError."""
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        if kind not in ("table", "index") or "VIRTUAL" in str(sql).upper().split()[:3]:
            raise RecordingError(
                f"{path} is not a recording: it contains a {visible(str(kind))} {visible(str(name))[:80]}"
            )
    for table, wanted in COLUMNS.items():
        columns = db.execute(f"PRAGMA table_xinfo({table})").fetchall()
        if missing := wanted - {str(column[1]) for column in columns}:
            raise RecordingError(f"{path} is damaged: the table {table} has no {min(missing)}")
        if any(column[6] for column in columns):  # generated columns are expressions
            raise RecordingError(f"{path} is damaged: the table {table} has a generated column")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text has the wrong type")
    return value


def _refresh(value: object) -> float:
    result = as_number(value)
    if result is None or result <= 0:
        raise ValueError("the interval between two snapshots is not valid")
    return result


def _condition(row: Sequence[object]) -> tuple[str, str, str | None, str]:
    pipeline, name, before, after = row
    return _text(pipeline), _text(name), None if before is None else _text(before), _text(after)


def _pipelines(text: str) -> Mapping[str, PipelineSettings]:
    return registry().pipelines(load_object(text))


def _between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return (micros(since) if since else -(2**63), micros(until) if until else 2**63 - 1)
