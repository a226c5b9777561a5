"""Recordings: health snapshots in an SQLite file, and how they are read again.

A snapshot is JSON. Most of it stands in the snapshot before as well, so it is compressed with that one as the
dictionary (zstd); each `KEYFRAME_EVERY` snapshots one stands for itself, and at the start of each session. A change of
a stage's state, of a verdict or of a component is a row of its own, so that a report of a day reads only these.
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
from dataops_core.health.text import answers
from dataops_core.plain import visible
from dataops_core.reasons import line
from dataops_core.systems.registry import registry
from dataops_core.transport.fields import as_number

APPLICATION_ID = 0x444F5053
"""Identifies a recording among SQLite files: `DOPS`."""
LAYOUT = 1
"""Version of the tables; raised when they change."""
VERSION = 1000 * LAYOUT + SCHEMA_VERSION
"""What a file says of itself: version of its tables, and of the snapshots in it."""
KEYFRAME_EVERY = 120
"""Snapshots from one that stands for itself to the next: what one look into the past has to decompress at the most."""
LARGEST = 64_000_000
"""Bytes that a snapshot may have: more is no snapshot of ours, but something that fills the memory."""
STEPS = 2_000_000_000
"""Instructions of SQLite that one look may take, some 20 s: a day's recording takes a thousandth of it."""
COLUMNS = {
    "sessions": {"id", "context", "version", "refresh", "pipelines"},
    "snapshots": {"id", "at", "status", "session", "key", "ages", "body"},
    "changes": {"snapshot", "subject", "pipeline", "name", "before", "after"},
}
"""Tables of a recording, with the columns that are read."""
GAP_ROUNDS = 3
"""Rounds without a snapshot from which on a recording has a gap."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


class Subject(StrEnum):
    """What a change is a change of."""

    STAGE = "stage"
    VERDICT = "verdict"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True)
class Moment:
    """One recorded snapshot.

    Attributes:
        id: Its number in the recording; it grows.
        at: When it was taken.
        status: Its status.
    """

    id: int
    at: datetime
    status: Status


@dataclass(frozen=True, slots=True)
class Change:
    """Something is not as it was in the snapshot before.

    Attributes:
        moment: Number of the first snapshot in which it is so.
        at: When that was taken.
        subject: What has changed.
        pipeline: Name of the pipeline; empty for a component.
        name: Name of the stage or component; for a verdict, of the pipeline.
        before: How it was; `None` at the start of a session.
        after: How it is: a state, `ok` or the check id of a verdict, or how a component answers.
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
    """How old a pipeline's data was.

    Attributes:
        data_age: In seconds; `None` where it was unknown.
        there: Whether the pipeline was configured then.
    """

    at: datetime
    data_age: float | None
    there: bool = True


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was recorded between these two snapshots."""

    start: datetime
    end: datetime


def default_path(settings: RecorderSettings, context: str) -> Path:
    """Return where a context is recorded."""
    folder = Path(settings.folder) if settings.folder else user_state_path("dataops") / "recordings"
    return folder / f"{quote(context, safe='')}.sqlite"


def conditions(snapshot: HealthSnapshot) -> dict[tuple[Subject, str, str], str]:
    """Return in a word how everything is, by subject, pipeline and name."""
    found: dict[tuple[Subject, str, str], str] = {}
    for pipeline in snapshot.pipelines:
        verdict = pipeline.verdict
        found[Subject.VERDICT, pipeline.name, pipeline.name] = verdict.check_id or verdict.status.value
        for stage in pipeline.stages:
            found[Subject.STAGE, pipeline.name, stage.name] = stage.state.value
    for component in snapshot.components:
        found[Subject.COMPONENT, "", component.name] = answers(component)
    return found


def to_bytes(snapshot: HealthSnapshot) -> bytes:
    """Return a snapshot as JSON, with all that it holds."""
    return _adapter().dump_json([snapshot])


def from_bytes(raw: bytes) -> HealthSnapshot:
    """Return the snapshot that `to_bytes` gave; raises pydantic's ValidationError."""
    (snapshot,) = _adapter().validate_json(raw)
    return snapshot


@cache
def _adapter() -> TypeAdapter[list[HealthSnapshot]]:
    # A list, because pydantic takes settings for a list of dataclasses but not for one: here, NaN is to stay NaN.
    return TypeAdapter(list[HealthSnapshot], config=ConfigDict(ser_json_inf_nan="constants"))


def micros(at: datetime) -> int:
    """Return a time as whole microseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICRO


def instant(count: int) -> datetime:
    """Return the time that `micros` gave."""
    if type(count) is not int:
        raise TypeError("a time has the wrong type")
    return _EPOCH + count * _MICRO


def decompress(packed: bytes, before: bytes | None) -> bytes:
    """Return what was compressed, given the snapshot before where that was the dictionary; raises ZstdError."""
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
            raise RecordingError(f"{path} is of a newer version ({version}, not {VERSION})", hint="update dataops-tui")
        raise RecordingError(f"{path} is of an older version ({version}, not {VERSION})", hint="move it away")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise RecordingError in place of what SQLite, zstd and pydantic say of a file that is damaged."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise RecordingError(f"{path} cannot be read: it takes too long, so it is not a valid recording") from error
        raise RecordingError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        what = "is not a recording" if "not a database" in str(error) else f"is damaged: {error}"
        raise RecordingError(f"{path} {what}") from error
    except zstandard.ZstdError as error:
        raise RecordingError(f"{path} is damaged: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"][1:]))
        raise RecordingError(f"{path} has an unknown field or value: {place}: {first['msg']}") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {(error.strerror or 'unreadable').lower()}") from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        raise RecordingError(f"{path} is damaged: {line(error)}") from error


class Recording:
    """Reads a recording, also while it grows; safe to share between threads.

    Args:
        path: The file.

    Raises:
        RecordingError: It is missing, damaged, of another version, or no recording.
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
        """The settings of the pipelines, in the newest session."""

    def moments(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Moment, ...]:
        """Return what was recorded between two times, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id, at, status FROM snapshots WHERE at BETWEEN ? AND ? ORDER BY at, id", _between(since, until)
            ).fetchall()
            return tuple(Moment(row_id, instant(at), Status(status)) for row_id, at, status in rows)

    def changes(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Change, ...]:
        """Return what changed between two times, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT snapshot, at, subject, pipeline, name, before, after FROM changes JOIN snapshots"
                " ON snapshots.id = snapshot WHERE at BETWEEN ? AND ? ORDER BY at, snapshot, changes.rowid",
                _between(since, until),
            ).fetchall()
            return tuple(Change(row[0], instant(row[1]), Subject(row[2]), *_condition(row[3:])) for row in rows)

    def ages(self, pipeline: str, since: datetime | None = None, until: datetime | None = None) -> tuple[Age, ...]:
        """Return how old a pipeline's data was in each snapshot, oldest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT at, ages FROM snapshots WHERE at BETWEEN ? AND ? ORDER BY at, id", _between(since, until)
            ).fetchall()
            known = [(instant(at), load_object(_text(ages))) for at, ages in rows]
            return tuple(Age(at, as_number(ages.get(pipeline)), pipeline in ages) for at, ages in known)

    def watched(self, since: datetime | None = None, until: datetime | None = None) -> tuple[str, ...]:
        """Return the names of the pipelines between two times, those that were there first first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT ages FROM snapshots WHERE at BETWEEN ? AND ? GROUP BY session ORDER BY min(at), min(id)",
                _between(since, until),
            ).fetchall()
            return tuple(dict.fromkeys(name for (ages,) in rows for name in load_object(_text(ages))))

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Gap, ...]:
        """Return when nothing was recorded although there is something before and after."""
        with self._open() as db:
            rows = db.execute(
                "SELECT before, at FROM (SELECT at, refresh, lag(at) OVER (ORDER BY at, snapshots.id) AS before"
                " FROM snapshots JOIN sessions ON sessions.id = session WHERE at BETWEEN ? AND ?)"
                f" WHERE at - before > ({GAP_ROUNDS} * refresh + 1) * 1000000",
                _between(since, until),
            ).fetchall()
            return tuple(Gap(instant(start), instant(end)) for start, end in rows)

    def snapshot(self, moment: int) -> HealthSnapshot:
        """Return the snapshot of that number; raises RecordingError, also where it is not kept any more."""
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
        # One connection for each look: it is opened in a fraction of a millisecond, and no thread shares it.
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
        # The log of a recording that is not being written would be made, and here nothing can be.
        db = sqlite3.connect(f"{name}&immutable=1", uri=True)
    return _harmless(db)


def _harmless(db: sqlite3.Connection) -> sqlite3.Connection:
    """Let a file's own schema run nothing, and bound what its rows can cost."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA query_only = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    at_once = 1_000_000
    left = iter(range(STEPS // at_once))
    db.set_progress_handler(lambda: next(left, None) is None, at_once)
    return db


def _check_tables(db: sqlite3.Connection, path: Path) -> None:
    """Check that the tables are tables: a view may hold an endless query; raises RecordingError."""
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall():
        if kind not in ("table", "index") or "VIRTUAL" in str(sql).upper().split()[:3]:
            raise RecordingError(
                f"{path} is not a recording: it holds a {visible(str(kind))} {visible(str(name))[:80]}"
            )
    for table, wanted in COLUMNS.items():
        columns = db.execute(f"PRAGMA table_xinfo({table})").fetchall()
        if missing := wanted - {str(column[1]) for column in columns}:
            raise RecordingError(f"{path} is damaged: the table {table} has no {min(missing)}")
        if any(column[6] for column in columns):  # generated ones are expressions
            raise RecordingError(f"{path} is damaged: the table {table} has a column that is computed")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text has the wrong type")
    return value


def _refresh(value: object) -> float:
    found = as_number(value)
    if found is None or found <= 0:
        raise ValueError("the time between two snapshots is none")
    return found


def _condition(row: Sequence[object]) -> tuple[str, str, str | None, str]:
    pipeline, name, before, after = row
    return _text(pipeline), _text(name), None if before is None else _text(before), _text(after)


def _pipelines(text: str) -> Mapping[str, PipelineSettings]:
    return registry().pipelines(load_object(text))


def _between(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return (micros(since) if since else -(2**63), micros(until) if until else 2**63 - 1)
