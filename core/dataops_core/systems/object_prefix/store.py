"""List and read objects through Arrow's file systems, with bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dataops_core.config import resolve_secret, without_user_info
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unreachable,
)
from dataops_core.reasons import line
from dataops_core.systems.object_prefix.settings import StoreSettings
from dataops_core.transport.deadlines import Deadline
from dataops_core.transport.worker import StillRunning, call_within
from dataops_core.units import duration

T = TypeVar("T")
SETTLED = 5.0
"""Seconds after which the modification time distinguishes two contents."""

_WORDS: tuple[tuple[tuple[str, ...], type[ClientError], str], ...] = (
    (
        (
            "InvalidAccessKeyId",
            "INVALID_ACCESS_KEY_ID",
            "SignatureDoesNotMatch",
            "SIGNATURE_DOES_NOT_MATCH",
            "ExpiredToken",
        ),
        AuthenticationFailed,
        "rejected our credentials",
    ),
    (("AccessDenied", "ACCESS_DENIED", "HTTP response code 403"), PermissionDenied, "denied permission"),
    (("timed out", "Timeout was reached", "REQUEST_TIMEOUT"), TimedOut, "no response in time"),
    (("NETWORK_CONNECTION", "curlCode", "Couldn't connect"), Unreachable, "cannot be reached"),
    (("does not exist", "NO_SUCH_BUCKET", "NoSuchBucket"), NotFound, "there is nothing at this location"),
)
"""Words in Arrow's error texts, with the error class and message for them."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object.

    Attributes:
        path: Below the store's location.
        at: Time of the last write; `None` if the store does not report it.
    """

    path: str
    size: int
    at: datetime | None

    @property
    def folder(self) -> str:
        """Its folder."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name in that folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Modification time and size; a new stamp means that the object was written again.

    Attributes:
        at: As in `StoredObject`.
    """

    at: datetime | None
    size: int


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an object, and its stamp from before it was read."""

    data: bytes
    stamp: Stamp


class ObjectStore:
    """An object store; safe to share between threads, one listing or read at a time. Methods raise DataopsError.

    Args:
        name: The component's name.
        settings: Location and credentials.
        timeout: Deadline of a listing, in seconds.
    """

    def __init__(self, name: str, settings: StoreSettings, timeout: float = 8.0) -> None:
        self.target = without_user_info(settings.location)
        self.where = f"{name} {self.target}"
        self._settings = settings
        self._timeout = timeout
        self._listing, self._pinging = threading.Lock(), threading.Lock()

    def ping(self) -> None:
        """Check that the location exists."""

        def check(_: Deadline) -> None:
            from pyarrow.fs import FileType  # noqa: PLC0415 - heavy

            system, base = self._opened
            if system.get_file_info(base).type == FileType.NotFound:
                raise NotFound(f"{self.where}: there is nothing at this location")

        self._within(check, self._pinging)

    def objects(self, prefix: str, most: int) -> tuple[StoredObject, ...]:
        """Return the objects below a prefix, folder by folder; raise NotFound if it does not exist.

        Args:
            prefix: Folder below the location.
            most: Maximum number of objects and folders; a longer listing raises BadAnswer.
        """
        return self._within(lambda deadline: self._listed(prefix.strip("/"), most, deadline), self._listing)

    def folders_with(self, name: str, most: int, levels: int) -> tuple[str, ...]:
        """Return the paths of folders that contain a folder of a name; folders below them are not listed.

        Args:
            name: Name of the inner folder.
            most: Maximum number of objects and folders; a longer listing raises BadAnswer.
            levels: Maximum depth of the listing below the location.
        """
        return self._within(lambda deadline: self._with(name, most, levels, deadline), self._listing)

    def read(self, known: Mapping[str, Stamp | None], most: int, *, cut: bool = False) -> dict[str, Content | None]:
        """Return the contents of objects by path: `None` for an unchanged one, without missing ones.

        Args:
            known: Paths below the location, each with the stamp of its known content.
            most: Maximum bytes of an object; a larger one raises BadAnswer.
            cut: Whether to return the first `most + 1` bytes of a larger object instead.
        """
        return self._within(lambda deadline: self._contents(known, most, cut, deadline), self._listing)

    def _with(self, name: str, most: int, levels: int, deadline: Deadline) -> tuple[str, ...]:
        from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        results: list[str] = []
        left, seen = [(base, 0)], 0
        while left:
            deadline.check()
            folder, level = left.pop()
            entries = system.get_file_info(FileSelector(folder, allow_not_found=False))
            seen += len(entries)
            if seen > most:
                raise BadAnswer(f"{self.where}: more than {most:,} objects", hint="set a narrower location")
            inner = [info for info in entries if info.type == FileType.Directory]
            if any(info.base_name == name for info in inner):
                results.append(folder.removeprefix(base).strip("/"))
            elif level < levels:
                left += [(info.path, level + 1) for info in inner]
        return tuple(sorted(results))

    def _contents(
        self, known: Mapping[str, Stamp | None], most: int, cut: bool, deadline: Deadline
    ) -> dict[str, Content | None]:
        from pyarrow.fs import FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        results: dict[str, Content | None] = {}
        for (path, before), info in zip(
            known.items(), system.get_file_info([f"{base}/{path}" for path in known]), strict=True
        ):
            deadline.check()
            if info.type != FileType.File:
                continue
            stamp = Stamp(info.mtime.astimezone(UTC) if info.mtime is not None else None, info.size or 0)
            if before is not None and stamp == before and _is_settled(stamp):
                results[path] = None
                continue
            with system.open_input_stream(info.path) as stream:
                data = stream.read(most + 1)
            if len(data) > most and not cut:
                raise BadAnswer(f"{self.where}: {path} is larger than {most:,} bytes")
            results[path] = Content(data, stamp)
        return results

    def _listed(self, prefix: str, most: int, deadline: Deadline) -> tuple[StoredObject, ...]:
        from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        root = f"{base}/{prefix}" if prefix else base
        results: list[StoredObject] = []
        folders, seen = [root], 0
        while folders:
            deadline.check()
            for info in system.get_file_info(FileSelector(folders.pop(), allow_not_found=False)):
                seen += 1
                if seen > most:
                    raise BadAnswer(
                        f"{self.where}: more than {most:,} objects below {prefix or '/'}",
                        hint="set a narrower prefix, such as one of a day, or raise objects_max",
                    )
                if info.type == FileType.Directory:
                    folders.append(info.path)
                elif info.type == FileType.File and not info.path.endswith("/"):
                    at = info.mtime.astimezone(UTC) if info.mtime is not None else None
                    results.append(StoredObject(info.path.removeprefix(base).lstrip("/"), info.size or 0, at))
        return tuple(results)

    def _within(self, ask: Callable[[Deadline], T], busy: threading.Lock) -> T:
        """Run a function in a thread, because Arrow has no deadline and lists a folder as a whole."""
        try:
            return call_within(lambda: ask(Deadline(self._timeout)), self._timeout, busy, self.where)
        except StillRunning:
            raise TimedOut(f"{self.where}: an earlier listing has not ended") from None
        except BaseException as error:
            known = self._translated(error)
            if known is error:
                raise
            raise known from error

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, TimeoutError):
            return TimedOut(f"{self.where}: the listing did not end within {duration(self._timeout, precise=True)}")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NotFound(f"{self.where}: there is no such prefix")
        if isinstance(error, PermissionError):
            return PermissionDenied(f"{self.where}: denied permission")
        if not isinstance(error, OSError):
            return error
        text = line(error)
        for words, kind, message in _WORDS:
            if any(word in text for word in words):
                return kind(f"{self.where}: {message}")
        return BadAnswer(f"{self.where}: {text}")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow import fs  # noqa: PLC0415 - heavy

        parts = urlsplit(self._settings.location)
        given = {name: _value(name, resolve_secret(value, name)) for name, value in self._settings.properties.items()}
        base = f"{parts.netloc}{parts.path}".rstrip("/")
        try:
            if parts.scheme == "s3":
                limits = {"connect_timeout": self._timeout, "request_timeout": self._timeout}
                return fs.S3FileSystem(**{**limits, **given}), base
            if parts.scheme == "gs":
                return fs.GcsFileSystem(**given), base
            if parts.scheme == "abfs":
                return fs.AzureFileSystem(**given), base
            return fs.LocalFileSystem(**given), str(Path(parts.path).expanduser())
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self.where}: invalid properties for Arrow: {_first(error)}") from None


def _is_settled(stamp: Stamp) -> bool:
    """Return whether an object is too old for a second write with the same modification time."""
    return stamp.at is not None and (datetime.now(UTC) - stamp.at).total_seconds() > SETTLED


def _value(name: str, text: str) -> object:
    """Return an argument for Arrow; numbers and booleans are texts in the settings."""
    if text in ("true", "false"):
        return text == "true"
    return float(text) if name.endswith("_timeout") else text


def _first(error: Exception) -> str:
    return line(error).partition(":")[0]
