"""Parallel downloads over HTTP, with checksums and resumption."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter

from dataops_local.errors import LocalError
from dataops_local.ivy import ca_bundle

AT_ONCE = 6
"""Number of parallel downloads."""
TRIES = 4
"""Attempts for one file; each resumes the previous one."""
PAUSES = (1, 3, 10)
"""Pauses in seconds between the attempts."""
TIMEOUT = (10, 30)
"""Timeouts in seconds for connecting, and for reading a part of the response."""
CHUNK = 1 << 18
REPORT_SECONDS = 2.0

Progress = Callable[[str], None]
"""Called with a progress line."""


@dataclass(frozen=True)
class Wanted:
    """One file to download; `size` is in bytes, `sha256` hexadecimal."""

    path: str
    target: Path
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The published name of the file."""
        return self.path.rpartition("/")[2]


@dataclass
class _Counter:
    """Number of received bytes; thread-safe."""

    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, number: int) -> None:
        with self._lock:
            self.bytes += number


def download(root: str, files: Iterable[Wanted], progress: Progress) -> None:
    """Download files from a root address, except complete ones; raises LocalError."""
    missing = [wanted for wanted in files if not is_whole(wanted)]
    if not missing:
        return
    total = sum(wanted.size for wanted in missing)
    counter, stop = _Counter(), threading.Event()
    progress(f"downloading {len(missing)} files, {total / 1e6:.0f} MB")
    with ThreadPoolExecutor(AT_ONCE) as pool, _session() as session:
        # The largest first, so that the downloads end at about the same time.
        pending = {
            pool.submit(_fetch, session, root, wanted, counter, stop)
            for wanted in sorted(missing, key=lambda wanted: -wanted.size)
        }
        try:
            while pending:
                done, pending = wait(pending, timeout=REPORT_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                _report(counter, total, progress)
        finally:
            stop.set()
            for future in pending:
                future.cancel()


def is_whole(wanted: Wanted) -> bool:
    """Return whether a file exists with the right content."""
    return wanted.target.exists() and sha256(wanted.target) == wanted.sha256


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("https://", HTTPAdapter(pool_maxsize=AT_ONCE))
    bundle = ca_bundle()
    if bundle is not None:
        session.verify = str(bundle)
    return session


_reported = threading.local()


def _report(counter: _Counter, total: int, progress: Progress) -> None:
    now = time.monotonic()
    if now - getattr(_reported, "at", 0.0) >= REPORT_SECONDS:
        _reported.at = now
        progress(f"{counter.bytes / 1e6:.0f} of {total / 1e6:.0f} MB")


def _fetch(session: requests.Session, root: str, wanted: Wanted, counter: _Counter, stop: threading.Event) -> None:
    part = wanted.target.with_name(f"{wanted.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists():
        counter.add(min(part.stat().st_size, wanted.size))
    for attempt in range(TRIES):
        try:
            _continue(session, root + wanted.path, part, wanted, counter, stop)
            break
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if attempt == TRIES - 1 or (_status(error) or 500) < 500:
                raise LocalError(
                    f"{wanted.name} could not be downloaded: {_why(error)}: check the network and run it again"
                ) from error
            stop.wait(PAUSES[attempt])
    if stop.is_set():
        return
    if sha256(part) != wanted.sha256:
        part.unlink()
        raise LocalError(f"{wanted.name} does not have the pinned SHA-256: removed; run it again")
    part.replace(wanted.target)


def _continue(
    session: requests.Session, url: str, part: Path, wanted: Wanted, counter: _Counter, stop: threading.Event
) -> None:
    """Download the missing part of a file, or all of it if the server does not support ranges."""
    have = part.stat().st_size if part.exists() else 0
    if have > wanted.size:
        part.unlink()
        counter.add(-wanted.size)
        have = 0
    if have == wanted.size:
        return
    ranged = {"Range": f"bytes={have}-"} if have else {}
    headers = {"Accept-Encoding": "identity", **ranged}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumes = answer.status_code == requests.codes.partial_content
        if have and not resumes:
            counter.add(-have)
        with part.open("ab" if resumes else "wb") as out:
            # Not `iter_content`, which drops an incomplete chunk when the connection breaks.
            while chunk := answer.raw.read1(CHUNK):
                out.write(chunk)
                counter.add(len(chunk))
                if stop.is_set():
                    return
    if part.stat().st_size < wanted.size:
        raise requests.ConnectionError(f"the server ended after {part.stat().st_size} of {wanted.size} bytes")


def _status(error: Exception) -> int | None:
    answer = error.response if isinstance(error, requests.RequestException) else None
    return answer.status_code if answer is not None else None


def _why(error: Exception) -> str:
    status = _status(error)
    if status is not None:
        return f"HTTP {status}"
    return str(error).partition("\n")[0] or type(error).__name__
