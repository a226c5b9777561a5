"""Spool folders: files that wait to be loaded, and files that were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config import ComponentSettings, LocalPath, StageSettings
from dataops_core.errors import ClientError, NotFound, PermissionDenied, Unreachable
from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.details import ComponentDetails, Details, value
from dataops_core.health.model import Severity
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    DoctorStep,
    Need,
    StageKind,
    System,
)


class SpoolSettings(ComponentSettings):
    """A spool area: a folder with one folder for each feed."""

    component: ClassVar[str] = "spool"
    root: LocalPath
    """The folder; below it are the feeds."""


class SpoolFolderStage(StageSettings):
    """A feed: files wait in its folder, and are moved to `done/` or `rejected/` below it."""

    kind: Literal["spool_folder"]
    """Always `spool_folder`."""
    folder: str
    """Name of the feed's folder."""
    rejected_max: int = Field(default=0, ge=0)
    """Files that may lie in `rejected/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolDetails(ComponentDetails):
    """A spool area."""

    feeds: int | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDetails(Details):
    """A feed."""

    files_waiting: int | None = value()
    bytes_waiting: int | None = value("bytes")
    files_rejected: int | None = value()


class Spool:
    """Reads a spool area.

    Args:
        settings: Where it is.
    """

    def __init__(self, settings: SpoolSettings) -> None:
        self.target = settings.root
        self._root = Path(settings.root)

    def feeds(self) -> list[str]:
        """Return the names of the feeds; raises ClientError."""
        try:
            return sorted(path.name for path in self._root.iterdir() if path.is_dir())
        except OSError as error:
            raise _error(self.target, error) from error

    def files(self, feed: str, folder: str = "") -> list[tuple[datetime, int]]:
        """Return time and size of each file of a feed's folder, the oldest first; raises ClientError."""
        path = self._root / feed / folder
        try:
            found = [entry.stat() for entry in path.iterdir() if entry.is_file()]
        except FileNotFoundError as error:
            if folder:
                return []
            raise NotFound(f"spool {path}: there is no such feed") from error
        except OSError as error:
            raise _error(str(path), error) from error
        return sorted((datetime.fromtimestamp(stat.st_mtime, UTC), stat.st_size) for stat in found)


def _error(where: str, error: OSError) -> ClientError:
    if isinstance(error, PermissionError):
        return PermissionDenied(f"spool {where}: permission denied")
    return Unreachable(f"spool {where}: {(error.strerror or 'cannot be read').lower()}")


def _probes(name: str, _: SpoolSettings, client: Spool) -> Mapping[str, ComponentProbe]:
    def ask() -> ComponentReport:
        number = len(client.feeds())
        seen = Observation(name, datetime.now(UTC), details=SpoolDetails(feeds=number))
        return ComponentReport(numbered(number, "feed"), seen)

    return {name: ComponentProbe("spool", client.target, ask)}


def _observe(stage: SpoolFolderStage, clients: Clients) -> Observation:
    client: Spool = clients.need("spool", stage.on)
    now = datetime.now(UTC)
    waiting, done = client.files(stage.folder), client.files(stage.folder, "done")
    oldest, newest = waiting[0][0] if waiting else None, done[-1][0] if done else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        # All that was delivered before the oldest waiting file has been loaded.
        progress_time=oldest or newest,
        progress_source=ProgressSource.DERIVED if oldest or newest else None,
        position=len(done),
        pending_since=oldest,
        advanced_at=newest,
        details=FolderDetails(
            files_waiting=len(waiting),
            bytes_waiting=sum(size for _, size in waiting),
            files_rejected=len(client.files(stage.folder, "rejected")),
        ),
    )


def _rejected(stage: SpoolFolderStage, given: CheckInput[FolderDetails]) -> Problem | None:
    number = given.details.files_rejected
    if number is None or number <= stage.rejected_max:
        return None
    return Problem(f"{numbered(number, 'file')} rejected")


def _diagnose(client: Spool) -> Iterator[DoctorStep]:
    for feed in client.feeds():
        number = len(client.files(feed))
        yield DoctorStep(ok=True, detail=f"feed {feed}: {numbered(number, 'file')} waiting")


SYSTEM = System(
    name="spool",
    components=(
        ComponentKind(
            name="spool",
            settings=SpoolSettings,
            title="A spool area.",
            connect=lambda _name, settings, _timeout: Spool(settings),
            probes=_probes,
            details=SpoolDetails,
            diagnose=_diagnose,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="spool_folder",
            settings=SpoolFolderStage,
            observe=_observe,
            details=FolderDetails,
            needs=lambda stage: (Need("spool", stage.on),),
            checks=(
                Check(
                    "rejected-files",
                    Severity.WARNING,
                    "The loader has rejected files.",
                    "Look into the files in `rejected/`, correct them, and move them back.",
                    _rejected,
                ),
            ),
        ),
    ),
)
