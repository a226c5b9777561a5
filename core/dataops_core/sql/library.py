"""What was run before, and statements that are kept as files."""

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
"""Entries of the history that are kept; the oldest go."""
LONGEST = 20_000
"""Characters of a statement in the history; longer ones are not kept."""


class LibraryFailed(DataopsError):
    """The history or a saved query cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A statement that was run.

    Attributes:
        at: When it was submitted, ISO 8601, UTC.
        context: Where.
        statement: Without the literals of one that speaks of secrets.
        outcome: `finished`, `failed` or `cancelled`.
        rows: Rows that came.
        seconds: How long it took.
    """

    at: str
    context: str
    statement: str
    outcome: str
    rows: int
    seconds: float

    @property
    def when(self) -> datetime:
        """When it was submitted."""
        return datetime.fromisoformat(self.at)


@cache
def _entry() -> TypeAdapter[Ran]:
    return TypeAdapter(Ran)


class History:
    """JSON lines in the user's state folder, readable by nobody else.

    Args:
        path: The file; the user's own where not given.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_state_path("dataops") / "sql-history.jsonl"

    def add(self, ran: Ran) -> None:
        """Keep a statement; raises LibraryFailed."""
        from dataops_core.sql.secrets import without_secrets  # noqa: PLC0415 - brings the SQL parser

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
        """Return what was run, newest first, each statement once in each context; raises LibraryFailed."""
        try:
            lines = read_text(self._path).splitlines()
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            raise _failed(self._path, error) from error
        found: dict[tuple[str, str], Ran] = {}
        for line in reversed(lines[-MOST:]):
            try:
                ran = _entry().validate_python(loads(line, size=LINE))
                ran.when  # noqa: B018 - raises ValueError where it is no time
            except ValueError:
                continue  # cut short by a crash, or another version's
            found.setdefault((ran.context, ran.statement), ran)
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Saved:
    """A statement in a file; `about` is its first comment."""

    name: str
    path: Path
    statement: str

    @property
    def about(self) -> str:
        """The first line of its comment, if it begins with one."""
        first = self.statement.lstrip().partition("\n")[0]
        return first.removeprefix("--").strip() if first.startswith("--") else ""


class SavedQueries:
    """Files `*.sql`: the user's own folder, which is written to, and others, which are only read.

    Args:
        own: The user's folder; the usual one where not given.
        others: More folders; of equal names the user's own wins.
    """

    def __init__(self, own: Path | None = None, others: Sequence[str | Path] = ()) -> None:
        self.own = own or user_data_path("dataops") / "queries"
        """The user's folder."""
        self._folders = (*(Path(folder) for folder in reversed(others)), self.own)

    def all(self) -> tuple[Saved, ...]:
        """Return all of them by name; raises LibraryFailed."""
        found: dict[str, Saved] = {}
        for folder in self._folders:
            for path in sorted(folder.glob("*.sql")):
                try:
                    found[path.stem] = Saved(path.stem, path, read_text(path, LINE))
                except (OSError, ValueError) as error:
                    raise _failed(path, error) from error
        return tuple(found[name] for name in sorted(found))

    def path_of(self, name: str) -> Path:
        """Return the file of the user's own query of that name; raises LibraryFailed if it is no name."""
        name = name.strip().removesuffix(".sql")
        if not re.fullmatch(r"\w[\w .-]{0,80}", name):
            raise LibraryFailed(f'"{name}" is not a valid query name', hint="use letters, digits, _ and -")
        return self.own / f"{name}.sql"

    def save(self, name: str, statement: str, *, overwrite: bool = False) -> Path:
        """Keep a statement under a name and return its file.

        Raises:
            LibraryFailed: The name is none, or is taken, or the file cannot be written.
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
    """Return the entry of a statement that has ended just now."""
    return Ran(datetime.now(UTC).isoformat(timespec="seconds"), context, statement, outcome, rows, round(seconds, 1))


def _failed(path: Path, error: Exception) -> LibraryFailed:
    reason = "is not UTF-8"
    if isinstance(error, Malformed):
        reason = str(error)
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return LibraryFailed(f"{path}: {reason.lower()}")
