"""Anchors of an audit file outside of it: a head file, signatures of its lines, and a syslog."""

from __future__ import annotations

import hmac
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, getaddrinfo, socket
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from dataops_core.errors import DataopsError

_SIGNATURE = re.compile(rb', "hmac": "([0-9a-f]{64})"\}$')
SYSLOG_TIMEOUT = 2.0
"""Seconds that a full syslog socket may delay an action."""
SYSLOG_PORT = 514
PRIORITY = 10 * 8 + 5
"""Facility authpriv, severity notice."""


class AnchorBroken(DataopsError):
    """An anchor cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest line of an audit file, as its head file records it.

    Attributes:
        lines: Number of lines.
        sha256: SHA-256 of the newest line.
        following: SHA-256 of a line that is being written; `None` once it is written.
        anchored_from: First line that was written with a head file.
        signed_from: First line that has a signature; `None` if none has.
    """

    lines: int
    sha256: str
    following: str | None = None
    anchored_from: int = 1
    signed_from: int | None = None


_HEAD = TypeAdapter(Head)


def sign(line: bytes, key: bytes) -> bytes:
    """Return a line, a JSON object, with its HMAC-SHA256 as the last member."""
    return line[:-1] + b', "hmac": "' + hmac.digest(key, line, "sha256").hex().encode() + b'"}'


def is_signed(line: bytes) -> bool:
    """Return whether a line has a signature, valid or not."""
    return _SIGNATURE.search(line) is not None


def has_valid_signature(line: bytes, key: bytes) -> bool:
    """Return whether a line was signed with this key."""
    match = _SIGNATURE.search(line)
    if match is None:
        return False
    unsigned = line[: match.start()] + b"}"
    return hmac.compare_digest(hmac.digest(key, unsigned, "sha256").hex(), match[1].decode())


def read_head(path: Path, key: bytes | None) -> Head | None:
    """Return the content of a head file; `None` if the file does not exist.

    Raises:
        AnchorBroken: It is not a head file, or not signed with the key.
        OSError: It cannot be read.
    """
    try:
        content = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    if key is not None and not has_valid_signature(content, key):
        raise AnchorBroken(
            f"the head file {path} is not signed with audit.hmac_key",
            hint="if the key is new, move the audit file and its head file to another folder first",
        )
    try:
        return _HEAD.validate_json(_SIGNATURE.sub(b"}", content), strict=True)
    except ValidationError:
        raise AnchorBroken(f"{path} is not the head file of an audit file") from None


def write_head(path: Path, head: Head, key: bytes | None) -> None:
    """Replace a head file atomically, readable by its user only; raises OSError."""
    line = json.dumps(asdict(head)).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write((sign(line, key) if key is not None else line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def send_syslog(address: str, line: bytes) -> None:
    """Send a line to a syslog as `authpriv.notice` of `dataops-audit`.

    Args:
        address: The path of a socket, or `udp://HOST:PORT`.
        line: The text.

    Raises:
        AnchorBroken: It is not sent.
    """
    try:
        parts = urlsplit(address)
        if parts.scheme == "udp":
            result = getaddrinfo(parts.hostname, parts.port or SYSLOG_PORT, type=SOCK_DGRAM)
            family: int = result[0][0]
            target: Any = result[0][4]
            stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            message = f"<{PRIORITY}>1 {stamp} {os.uname().nodename} dataops-audit - - - ".encode() + line
        else:
            family, target, message = AF_UNIX, address, f"<{PRIORITY}>dataops-audit: ".encode() + line
        with socket(family, SOCK_DGRAM) as connection:
            connection.settimeout(SYSLOG_TIMEOUT)
            connection.sendto(message, target)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise AnchorBroken(f"the syslog {address}: cannot send a message: {reason}", hint="see audit.syslog") from error
