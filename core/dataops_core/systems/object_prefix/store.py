"""An object store through Arrow's file systems: a bounded listing of the objects below a prefix."""

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
"""What Arrow says of an error, and what it is."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object.

    Attributes:
        path: Below the store's location.
        at: When it was last written; `None` if the store does not say.
    """

    path: str
    size: int
    at: datetime | None

    @property
    def folder(self) -> str:
        """The folder that it lies in."""
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
    """An object store; safe to share between threads, one listing or reading at a time. Methods raise DataopsError.

    Args:
        name: The component's name.
        settings: Where it is.
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

        def asked(_: Deadline) -> None:
            from pyarrow.fs import FileType  # noqa: PLC0415 - heavy

            system, base = self._opened
            if system.get_file_info(base).type == FileType.NotFound:
                raise NotFound(f"{self.where}: there is nothing at this location")

        self._within(asked, self._pinging)

    def objects(self, prefix: str, most: int) -> tuple[StoredObject, ...]:
        """Return the objects below a prefix, folder by folder; NotFound where there is no such prefix.

        Args:
            prefix: It.
            most: Objects and folders after which the listing is given up with BadAnswer.
        """
        return self._within(lambda deadline: self._listed(prefix.strip("/"), most, deadline), self._listing)

    def folders_with(self, name: str, most: int, levels: int) -> tuple[str, ...]:
        """Return the paths of the folders that contain a folder of a name; what is below such a folder is not listed.

        Args:
            name: Name of the inner folder.
            most: Objects and folders after which the listing is given up with BadAnswer.
            levels: Levels of folders below the location that are listed.
        """
        return self._within(lambda deadline: self._with(name, most, levels, deadline), self._listing)

    def read(self, known: Mapping[str, Stamp | None], most: int, *, cut: bool = False) -> dict[str, Content | None]:
        """Return the contents of objects by their paths; `None` for one that is as it was, nothing for one not there.

        Args:
            known: Paths below the store's location, each with the stamp of the content that is known already.
            most: Bytes of one object; a larger one is BadAnswer.
            cut: Whether the first `most + 1` bytes of a larger one are returned instead.
        """
        return self._within(lambda deadline: self._contents(known, most, cut, deadline), self._listing)

    def _with(self, name: str, most: int, levels: int, deadline: Deadline) -> tuple[str, ...]:
        from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        found: list[str] = []
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
                found.append(folder.removeprefix(base).strip("/"))
            elif level < levels:
                left += [(info.path, level + 1) for info in inner]
        return tuple(sorted(found))

    def _contents(
        self, known: Mapping[str, Stamp | None], most: int, cut: bool, deadline: Deadline
    ) -> dict[str, Content | None]:
        from pyarrow.fs import FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        found: dict[str, Content | None] = {}
        for (path, before), info in zip(
            known.items(), system.get_file_info([f"{base}/{path}" for path in known]), strict=True
        ):
            deadline.check()
            if info.type != FileType.File:
                continue
            stamp = Stamp(info.mtime.astimezone(UTC) if info.mtime is not None else None, info.size or 0)
            if before is not None and stamp == before and _is_settled(stamp):
                found[path] = None
                continue
            with system.open_input_stream(info.path) as stream:
                data = stream.read(most + 1)
            if len(data) > most and not cut:
                raise BadAnswer(f"{self.where}: {path} is larger than {most:,} bytes")
            found[path] = Content(data, stamp)
        return found

    def _listed(self, prefix: str, most: int, deadline: Deadline) -> tuple[StoredObject, ...]:
        from pyarrow.fs import FileSelector, FileType  # noqa: PLC0415 - heavy

        system, base = self._opened
        root = f"{base}/{prefix}" if prefix else base
        found: list[StoredObject] = []
        folders, seen = [root], 0
        while folders:
            deadline.check()
            for info in system.get_file_info(FileSelector(folders.pop(), allow_not_found=False)):
                seen += 1
                if seen > most:
                    raise BadAnswer(
                        f"{self.where}: more than {most:,} objects below {prefix or '/'}",
                        hint="name a narrower prefix, such as one of a day, or raise objects_max",
                    )
                if info.type == FileType.Directory:
                    folders.append(info.path)
                elif info.type == FileType.File and not info.path.endswith("/"):
                    at = info.mtime.astimezone(UTC) if info.mtime is not None else None
                    found.append(StoredObject(info.path.removeprefix(base).lstrip("/"), info.size or 0, at))
        return tuple(found)

    def _within(self, ask: Callable[[Deadline], T], busy: threading.Lock) -> T:
        """Ask in a thread of its own: Arrow keeps no deadline, and lists a folder as a whole."""
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
        for words, kind, said in _WORDS:
            if any(word in text for word in words):
                return kind(f"{self.where}: {said}")
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
    """Return whether an object is older than what two writes within one tick of the store's clock can be."""
    return stamp.at is not None and (datetime.now(UTC) - stamp.at).total_seconds() > SETTLED


def _value(name: str, text: str) -> object:
    """Return an argument of Arrow's: numbers and truth values are texts in the settings."""
    if text in ("true", "false"):
        return text == "true"
    return float(text) if name.endswith("_timeout") else text


def _first(error: Exception) -> str:
    return line(error).partition(":")[0]
