"""The audit file: JSON lines, only ever appended, each with the SHA-256 of the line before it.

A line that is changed, removed or put in later breaks the chain from there on. Lines cut off the end leave no trace in
the file itself, so ship it elsewhere where that matters.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_state_path

from dataops_core.errors import ActionRefused, DataopsError
from dataops_core.transport.bounded import loads

FIRST = "0" * 64
"""What stands in the first line in place of a hash."""
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of an audit file found.

    Attributes:
        lines: Lines that are intact, from the first one on.
        problem: The first thing that is wrong, in one line; `None` if the chain is whole.
    """

    lines: int
    problem: str | None = None


def default_audit_path() -> Path:
    """Return where the audit file of this user is kept."""
    return user_state_path("dataops") / "audit.jsonl"


def append(path: Path, entry: Mapping[str, object]) -> None:
    """Append one line, and have it on the disk before returning.

    Raises:
        ActionRefused: It cannot be written; what cannot be audited is not done.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            last, whole = _last_line(file)
            line = {"previous": sha256(last).hexdigest() if last else FIRST, **_stamp(), **entry}
            # a line that a crash has cut short stays as it is, and the check names it
            file.write((b"" if whole else b"\n") + json.dumps(line, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise ActionRefused(f"the audit file {path} cannot be written: {reason}") from error


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """An audit file as it is read.

    Attributes:
        report: What the check of its chain found.
        entries: The newest entries that are intact with the numbers of their lines, oldest first.
    """

    report: AuditReport
    entries: tuple[tuple[int, Mapping[str, Any]], ...]


def verify_audit(path: Path) -> AuditReport:
    """Check the chain of an audit file.

    Raises:
        OSError: The file cannot be read.
    """
    return _read(path, deque(maxlen=0))


def read_audit(path: Path, newest: int) -> AuditTrail:
    """Check the chain of an audit file, and return its newest entries; a file that is not there yet has none.

    Raises:
        DataopsError: It cannot be read.
    """
    entries: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=newest)
    try:
        report = _read(path, entries) if path.exists() else AuditReport(0)
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise DataopsError(f"the audit file {path} cannot be read: {reason}") from error
    return AuditTrail(report, tuple(entries))


def _read(path: Path, entries: deque[tuple[int, Mapping[str, Any]]]) -> AuditReport:
    expected = FIRST
    intact = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.removesuffix(b"\n")
            try:
                entry = loads(line)
                previous = entry["previous"]
            except (ValueError, KeyError, TypeError):
                return AuditReport(intact, f"line {number} is not an audit entry")
            if previous != expected:
                return AuditReport(intact, f"line {number} does not follow the line before it")
            if line == raw:
                return AuditReport(intact, f"line {number} is cut short")
            expected = sha256(line).hexdigest()
            intact = number
            entries.append((number, entry))
    return AuditReport(intact)


def _stamp() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's arbitrary user has no name
        user = str(os.getuid())
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "user": user, "host": os.uname().nodename}


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the last line, and whether it ends as a line does."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end > 0 and tail.rstrip(b"\n").count(b"\n") == 0:
        begin = max(0, end - _CHUNK)
        file.seek(begin)
        tail = file.read(end - begin) + tail
        end = begin
    return tail.removesuffix(b"\n").rpartition(b"\n")[2], not tail or tail.endswith(b"\n")
