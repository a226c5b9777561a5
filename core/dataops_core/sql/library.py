"""The history of statements, and saved queries in files."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from platformdirs import user_data_path, user_state_path
from pydantic import TypeAdapter

from dataops_core.bounded import LINE, Malformed, loads, read_text
from dataops_core.errors import DataopsError
from dataops_core.plain import json_line

MOST = 2_000
"""Maximum number of entries in the history; the oldest are deleted."""
LONGEST = 20_000
"""Maximum characters of a statement in the history; longer ones are not stored."""


class LibraryFailed(DataopsError):
    """The history or a saved query cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A statement that was run.

    Attributes:
        at: Time of submission, in ISO 8601 and UTC.
        context: Name of the context.
        statement: The statement, without its string literals if it mentions secrets.
        outcome: `finished`, `failed` or `cancelled`.
        rows: Number of fetched rows.
        seconds: Duration.
    """

    at: str
    context: str
    statement: str
    outcome: str
    rows: int
    seconds: float

    @property
    def when(self) -> datetime:
        """Time of submission."""
        return datetime.fromisoformat(self.at)


@cache
def _entry() -> TypeAdapter[Ran]:
    return TypeAdapter(Ran)


class History:
    """The history of statements, as JSON lines that only the user can read.

    Args:
        path: The file; by default in the user's state folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_state_path("dataops") / "sql-history.jsonl"

    def add(self, ran: Ran) -> None:
        """Add a statement; raises LibraryFailed."""
        from dataops_core.sql.secrets import without_secrets  # noqa: PLC0415 - imports the SQL parser

        if len(ran.statement) > LONGEST:
            return
        kept = asdict(ran) | {"statement": without_secrets(ran.statement)}
        line = json_line(kept) + "\n"
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # several consoles may run
                lines = file.readlines()
                if len(lines) > MOST * 1.2:
                    file.truncate(0)
                    file.writelines(lines[-MOST + 1 :])
                file.write(line)
        except (OSError, UnicodeError) as error:
            raise _failed(self._path, error) from error

    def newest(self) -> tuple[Ran, ...]:
        """Return the history, newest first, with each statement once per context; raises LibraryFailed."""
        try:
            lines = read_text(self._path).splitlines()
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise _failed(self._path, error) from error
        results: dict[tuple[str, str], Ran] = {}
        for line in reversed(lines[-MOST:]):
            try:
                ran = _entry().validate_python(loads(line, size=LINE))
                ran.when  # noqa: B018 - raises ValueError if it is not a time
            except ValueError:
                continue  # truncated by a crash, or of another version
            results.setdefault((ran.context, ran.statement), ran)
        return tuple(results.values())


@dataclass(frozen=True, slots=True)
class Saved:
    """A statement in a file; `about` is its first comment."""

    name: str
    path: Path
    statement: str

    @property
    def about(self) -> str:
        """The first line of its leading comment, if any."""
        first = self.statement.lstrip().partition("\n")[0]
        return first.removeprefix("--").strip() if first.startswith("--") else ""


class SavedQueries:
    """Saved queries in `*.sql` files: a writable folder of the user, and further read-only folders.

    Args:
        own: The user's folder; by default in the user's data folder.
        others: Further folders; a query in the user's folder takes precedence over one with the same name.
    """

    def __init__(self, own: Path | None = None, others: Sequence[str | Path] = ()) -> None:
        self.own = own or user_data_path("dataops") / "queries"
        """The user's folder."""
        self._folders = (*(Path(folder) for folder in reversed(others)), self.own)

    def all(self) -> tuple[Saved, ...]:
        """Return all queries, sorted by name; raises LibraryFailed."""
        results: dict[str, Saved] = {}
        for folder in self._folders:
            for path in sorted(folder.glob("*.sql")):
                try:
                    results[path.stem] = Saved(path.stem, path, read_text(path, LINE))
                except (OSError, ValueError) as error:
                    raise _failed(path, error) from error
        return tuple(results[name] for name in sorted(results))

    def path_of(self, name: str) -> Path:
        """Return the file of the user's query with a name; raises LibraryFailed if the name is not valid."""
        name = name.strip().removesuffix(".sql")
        if not re.fullmatch(r"\w[\w .-]{0,80}", name):
            raise LibraryFailed(f'"{name}" is not a valid query name', hint="use letters, digits, _ and -")
        return self.own / f"{name}.sql"

    def save(self, name: str, statement: str, *, overwrite: bool = False) -> Path:
        """Save a statement under a name, and return its file.

        Raises:
            LibraryFailed: The name is not valid or already used, or the file cannot be written.
        """
        path = self.path_of(name)
        try:
            self.own.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("w" if overwrite else "x", encoding="utf-8") as file:
                file.write(statement.rstrip() + "\n")
        except FileExistsError as error:
            raise LibraryFailed(f"{path} already exists") from error
        except (OSError, UnicodeError) as error:
            raise _failed(path, error) from error
        return path


def ran_now(context: str, statement: str, outcome: str, rows: int, seconds: float) -> Ran:
    """Return the history entry of a statement that has just ended."""
    return Ran(datetime.now(UTC).isoformat(timespec="seconds"), context, statement, outcome, rows, round(seconds, 1))


def _failed(path: Path, error: Exception) -> LibraryFailed:
    reason = "is not UTF-8"
    if isinstance(error, Malformed):
        reason = str(error)
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return LibraryFailed(f"{path}: {reason.lower()}")
