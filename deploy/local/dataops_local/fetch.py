"""Download of components that are not in Python packages: the jars of Kafka, Spark and Trino.

Ivy, which PySpark ships, selects the repository, so a mirror that is configured for Ivy is used. Each file is checked
against its pinned SHA-256. An interrupted download resumes, also within a file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataops_local import ivy
from dataops_local.download import Progress, Wanted, download, is_whole
from dataops_local.errors import LocalError
from dataops_local.ivy import Coordinates
from dataops_local.layout import cache_dir

KINDS = ("kafka", "spark", "trino")
TRINO_PLUGINS = {
    "iceberg": "io.trino.plugin.iceberg.IcebergPlugin",
    "memory": "io.trino.plugin.memory.MemoryPlugin",
    "tpch": "io.trino.plugin.tpch.TpchPlugin",
}
"""The Trino plugins that the stack uses, and the class of each."""
MARKS = 40
"""Number of digits of the checksum in the name of a downloaded file."""


@dataclass(frozen=True)
class Download:
    """One jar.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal.
        folders: Folders below the home of its kind; several if several Trino plugins need it.
    """

    kind: str
    coordinates: Coordinates
    size: int
    sha256: str
    folders: tuple[str, ...] = (".",)

    def wanted(self, folder: Path) -> Wanted:
        """Return the file to download, into a folder of files named by checksum."""
        return Wanted(self.coordinates.path, folder / self.sha256[:MARKS], self.size, self.sha256)


def downloads() -> tuple[Download, ...]:
    """Return the pinned list of the stack's downloads."""
    return read_pinned(Path(__file__).with_name("downloads.txt"))


def read_pinned(path: Path) -> tuple[Download, ...]:
    """Return the downloads that a file lists."""
    lines = path.read_text().splitlines()
    return tuple(_parsed(line) for line in lines if line and not line.startswith("#"))


def _parsed(line: str) -> Download:
    kind, organisation, name, revision, size, sha256, *folders = line.split()
    coordinates = Coordinates(organisation, name, *revision.split(":"))
    return Download(kind, coordinates, int(size), sha256, tuple(folders[0].split(",")) if folders else (".",))


def home(kind: str) -> Path:
    """Return the folder of the jars of `kafka` or `spark`, or the one with Trino's `lib` and `plugin`."""
    return _folder(kind, [each for each in downloads() if each.kind == kind])


def trino_version() -> str:
    """Return Trino's version, which all its jars share."""
    return next(d.coordinates.revision for d in downloads() if d.coordinates.name == "trino-main")


def java_compiler() -> tuple[Path, ...]:
    """Return the jars of Janino, which PySpark ships and which compiles a class at its start."""
    return tuple(ivy.pyspark_jars(pattern)[0] for pattern in ("janino-*.jar", "commons-compiler-*.jar"))


def missing() -> tuple[str, ...]:
    """Return the kinds that are not downloaded yet."""
    return tuple(kind for kind in KINDS if not home(kind).exists())


def fetch(progress: Progress) -> None:
    """Download and install the missing kinds of the stack; raises LocalError."""
    install([each for each in downloads() if each.kind in KINDS], progress)


def install(files: Iterable[Download], progress: Progress) -> dict[str, Path]:
    """Download and install the missing kinds of a list; return the folder of each kind; raises LocalError."""
    kinds: dict[str, list[Download]] = {}
    for each in files:
        kinds.setdefault(each.kind, []).append(each)
    homes = {kind: _folder(kind, of_kind) for kind, of_kind in kinds.items()}
    with locked(progress):
        left = [kind for kind, home in homes.items() if not home.exists()]
        if left:
            work = cache_dir() / "part"
            bring([each for kind in left for each in kinds[kind]], work, progress)
            for kind in left:
                lay_out(kinds[kind], work, homes[kind])
            shutil.rmtree(work)
    return homes


def bring(files: list[Download], work: Path, progress: Progress) -> None:
    """Download files into a folder, named by checksum; raises LocalError."""
    wanted = {each.wanted(work): each for each in files}
    left = [each for each in wanted if not is_whole(each)]
    if not left:
        return
    smallest = min(left, key=lambda each: each.size)
    first = wanted[smallest].coordinates
    root = ivy.repository(first, work / "repository")
    if root is not None:
        brought = work / "repository" / "retrieved" / first.file
        if brought.exists():
            brought.replace(smallest.target)
        download(root, left, progress)
        return
    progress(f"downloading {sum(each.size for each in left) / 1e6:.0f} MB with Ivy")
    got = ivy.retrieve((wanted[each].coordinates for each in left), work / "repository")
    for each in left:
        path = got / wanted[each].coordinates.file
        if path.exists():
            path.replace(each.target)
        if not is_whole(each):
            each.target.unlink(missing_ok=True)
            raise LocalError(f"{path.name} does not have the pinned SHA-256: removed; run it again")


def lay_out(files: list[Download], work: Path, home: Path) -> None:
    """Link downloaded files into the home of their kind, atomically."""
    whole = home.with_name(f"{home.name}.part")
    shutil.rmtree(whole, ignore_errors=True)
    for each in files:
        for folder in each.folders:
            path = whole / folder / each.coordinates.file
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(each.wanted(work).target, path)
    for plugin, name in TRINO_PLUGINS.items():
        if (whole / "plugin" / plugin).exists():
            # Trino publishes this jar only in its server archive.
            with zipfile.ZipFile(whole / "plugin" / plugin / "services.jar", "w") as services:
                services.writestr("META-INF/services/io.trino.spi.Plugin", name)
    whole.rename(home)


def _folder(kind: str, files: Iterable[Download]) -> Path:
    pinned = "".join(each.sha256 + ",".join(each.folders).lstrip(".") for each in files)
    return cache_dir() / f"{kind}-{hashlib.sha256(pinned.encode()).hexdigest()[:12]}"


@contextmanager
def locked(progress: Progress) -> Iterator[None]:
    """Hold the lock of the cache; wait for another process that holds it."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that prepares the components")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
