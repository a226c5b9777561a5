"""The audit file: append-only JSON lines, each with the SHA-256 of the previous line.

Changing, removing or inserting a line breaks the chain from there on. The chain alone cannot detect a change at its
end, or a chain that was rewritten as a whole. Anchors outside of the file do: see `dataops_core.actions.audit_anchor`
and docs/security.md.
"""

from __future__ import annotations

import fcntl
import getpass
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from platformdirs import user_state_path

from dataops_core.actions.audit_anchor import (
    AnchorBroken,
    Head,
    has_valid_signature,
    is_signed,
    read_head,
    send_syslog,
    sign,
    write_head,
)
from dataops_core.bounded import LINE, Malformed, load_object
from dataops_core.config import AuditSettings, resolve_secret
from dataops_core.errors import ActionRefused, ConfigError, DataopsError
from dataops_core.plain import json_line
from dataops_core.redaction import redacted

FIRST = "0" * 64
"""Hash of the previous line in the first line, which has none."""
BREAK = "break"
"""Key of an entry which records that the end of the file did not match its head file."""
LONGEST_TEXT = 20_000
"""Characters of one value in an entry; a longer one is truncated, with its length and its SHA-256."""
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of checking an audit file.

    Attributes:
        lines: Number of intact lines before the first problem.
        problem: The first problem, in one line; `None` if the chain is intact.
        anchored_from: First line that was written with a head file.
        signed_from: First line whose signature was checked; `None` without a key or a signature.
    """

    lines: int
    problem: str | None = None
    anchored_from: int | None = None
    signed_from: int | None = None


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """The content of an audit file.

    Attributes:
        report: Result of checking the chain.
        entries: The newest intact entries with their line numbers, oldest first.
    """

    report: AuditReport
    entries: tuple[tuple[int, Mapping[str, Any]], ...]


def default_audit_path() -> Path:
    """Return the path of this user's audit file."""
    return user_state_path("dataops") / "audit.jsonl"


class AuditLog:
    """An audit file with its anchors.

    Args:
        path: The file; this user's audit file by default.
        settings: The anchors.
    """

    def __init__(self, path: Path | None = None, settings: AuditSettings | None = None) -> None:
        self.path = path or default_audit_path()
        self._settings = settings or AuditSettings()
        self._own = self.path == default_audit_path()
        named = self._settings.head_file
        self.head_path = (
            Path(named) if named is not None and self._own else self.path.with_name(f"{self.path.stem}.head")
        )

    def append(self, entry: Mapping[str, object]) -> None:
        """Append one line, and flush it to disk before returning.

        Raises:
            ActionRefused: It cannot be written or anchored; an action that cannot be audited is not done.
        """
        try:
            self._append(entry)
        except OSError as error:
            reason = (error.strerror or "unwritable").lower()
            head = f": {self.head_path}" if error.filename is not None and self.head_path.name in error.filename else ""
            raise ActionRefused(f"the audit file {self.path} cannot be written{head}: {reason}") from error
        except (ConfigError, AnchorBroken) as error:
            raise ActionRefused(f"the audit file {self.path} cannot be anchored: {error}") from error

    def verify(self, known: str | None = None) -> AuditReport:
        """Check the chain, its signatures and its end.

        Args:
            known: SHA-256 of a line, from a syslog or a note; the chain must contain it.

        Raises:
            OSError: The file cannot be read.
            ConfigError: The key cannot be read.
        """
        return self._check(deque(maxlen=0), known)

    def read(self, newest: int) -> AuditTrail:
        """Check the file, and return its newest entries; none if it does not exist yet.

        Raises:
            DataopsError: It cannot be read.
        """
        entries: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=newest)
        try:
            report = self._check(entries, None)
        except FileNotFoundError:
            return AuditTrail(AuditReport(0), ())
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise DataopsError(f"the audit file {self.path} cannot be read: {reason}") from error
        return AuditTrail(report, tuple(entries))

    def _key(self) -> bytes | None:
        secret = self._settings.hmac_key
        return None if secret is None else resolve_secret(secret, "audit.hmac_key").encode()

    def _append(self, entry: Mapping[str, object]) -> None:
        key = self._key()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
            last, whole = _last_line(file)
            before = sha256(last).hexdigest() if last else FIRST
            head = read_head(self.head_path, key)
            broken = None if head is None or before in (head.sha256, head.following) else _broken(head, before)
            if head is None or broken or before != head.sha256:
                lines = _count(file, whole)
                head = replace(head, lines=lines) if head else Head(lines, before, anchored_from=lines + 1)
            line = _line({"previous": before, **_stamp(), **entry, **({BREAK: broken} if broken else {})})
            signed_from = head.signed_from
            if key is not None:
                line, signed_from = sign(line, key), signed_from or head.lines + 1
            written = sha256(line).hexdigest()
            if self._settings.syslog is not None:
                named = {name: entry[name] for name in ("context", "action", "outcome") if name in entry}
                send_syslog(self._settings.syslog, _line({"line": head.lines + 1, "sha256": written, **named}))
            head = replace(head, sha256=before, following=written, signed_from=signed_from)
            write_head(self.head_path, head, key)
            # a line that a crash truncated stays as it is, and the check reports it
            file.write((b"" if whole else b"\n") + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
            head = replace(head, lines=head.lines + 1, sha256=written, following=None)
            write_head(self.head_path, head, key)

    def _check(self, entries: deque[tuple[int, Mapping[str, Any]]], known: str | None) -> AuditReport:
        key = self._key()
        try:
            head = read_head(self.head_path, key)
        except AnchorBroken as error:
            return AuditReport(0, str(error))
        signed_from = None if head is None else head.signed_from
        expected, intact, seen = FIRST, 0, known is None
        with self.path.open("rb") as file:
            number = 0
            while raw := file.readline(LINE + 1):
                number += 1
                line = raw.removesuffix(b"\n")
                entry = _entry(line)
                problem = _problem(entry, raw, expected)
                if problem is None and key is not None and (signed_from is not None or is_signed(line)):
                    signed_from = signed_from or number
                    if number >= signed_from and not has_valid_signature(line, key):
                        problem = "is not signed with the audit key"
                if problem is not None or entry is None:
                    return AuditReport(intact, f"line {number} {problem}", signed_from=signed_from)
                expected, intact = sha256(line).hexdigest(), number
                seen = seen or expected == known
                entries.append((number, entry))
        anchored_from = None if head is None else head.anchored_from
        report = AuditReport(intact, None, anchored_from, signed_from if key is not None else None)
        if not seen:
            return replace(report, problem=f"no line has the SHA-256 {known}")
        return replace(report, problem=self._end_problem(head, expected, intact))

    def _end_problem(self, head: Head | None, last: str, lines: int) -> str | None:
        if head is None:
            if lines and self._own:
                return f"its end cannot be checked: the head file {self.head_path} does not exist"
            return None
        if (last, lines) in ((head.sha256, head.lines), (head.following, head.lines + 1)):
            return None
        return (
            f"the end of the file does not match its head file {self.head_path}, which records line {head.lines}:"
            " lines at the end were changed, removed or added"
        )


def _line(entry: Mapping[str, object]) -> bytes:
    return json_line({name: _cut(value) for name, value in entry.items()}).encode()


def _cut(value: object) -> object:
    if isinstance(value, str):
        value = redacted(value, strict=True)
    text = value if isinstance(value, str) else json_line(value)
    if len(text) <= LONGEST_TEXT:
        return value
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:LONGEST_TEXT]}… ({len(text)} characters, SHA-256 {digest})"


def _entry(line: bytes) -> Mapping[str, Any] | None:
    try:
        result = load_object(line, size=LINE)
    except Malformed:
        return None
    return result if "previous" in result else None


def _problem(entry: Mapping[str, Any] | None, raw: bytes, expected: str) -> str | None:
    if entry is None:
        return "is not an audit entry"
    if entry["previous"] != expected:
        return "does not follow the line before it"
    if not raw.endswith(b"\n"):
        return "is truncated"
    if BREAK in entry:
        return f"reports that earlier lines were changed: {entry[BREAK]}"
    return None


def _broken(head: Head, result: str) -> str:
    return f"line {head.lines} had the SHA-256 {head.sha256}, the newest line now has {result}"


def _stamp() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's arbitrary user has no name
        user = str(os.getuid())
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "user": user, "host": os.uname().nodename}


def _count(file: BinaryIO, whole: bool) -> int:
    """Return the number of lines, including a truncated one."""
    file.seek(0)
    lines = 0
    while chunk := file.read(_CHUNK):
        lines += chunk.count(b"\n")
    return lines + (not whole)


def _last_line(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the last line, and whether it ends with a line end."""
    end = file.seek(0, os.SEEK_END)
    tail = b""
    while end > 0 and tail.rstrip(b"\n").count(b"\n") == 0:
        begin = max(0, end - _CHUNK)
        file.seek(begin)
        tail = file.read(end - begin) + tail
        end = begin
    return tail.removesuffix(b"\n").rpartition(b"\n")[2], not tail or tail.endswith(b"\n")
