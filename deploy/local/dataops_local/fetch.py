"""Download what no Python package carries: the jars of Kafka, Spark and Trino.

Ivy, which PySpark ships, names the repository, so no server is named here and a mirror that is set up for Ivy is used.
Each file is checked against its pinned SHA-256. A broken download goes on where it stopped, also within a file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
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
"""The plugins that are kept of Trino's fifty, and the class by which Trino loads each."""
MARKS = 40
"""Digits of a checksum that a downloaded file is kept under."""


@dataclass(frozen=True)
class Download:
    """One jar.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal.
        folders: Where it is put below the home of its kind, several where several of Trino's plugins need it.
    """

    kind: str
    coordinates: Coordinates
    size: int
    sha256: str
    folders: tuple[str, ...] = (".",)

    def wanted(self, folder: Path) -> Wanted:
        """Return what is to be downloaded, into a folder of files by checksum."""
        return Wanted(self.coordinates.path, folder / self.sha256[:MARKS], self.size, self.sha256)


def downloads() -> tuple[Download, ...]:
    """Return the pinned list."""
    lines = Path(__file__).with_name("downloads.txt").read_text().splitlines()
    return tuple(_parsed(line) for line in lines if line and not line.startswith("#"))


def _parsed(line: str) -> Download:
    kind, organisation, name, revision, size, sha256, *folders = line.split()
    number, _, classifier = revision.partition(":")
    coordinates = Coordinates(organisation, name, number, classifier)
    return Download(kind, coordinates, int(size), sha256, tuple(folders[0].split(",")) if folders else (".",))


def jars(kind: str) -> Path:
    """Return the folder of the jars of `kafka` or `spark`."""
    return _home(kind)


def trino_home() -> Path:
    """Return the folder with Trino's `lib` and `plugin`."""
    return _home("trino")


def trino_version() -> str:
    """Return Trino's version, which all of its own jars have."""
    return next(d.coordinates.revision for d in downloads() if d.coordinates.name == "trino-main")


def java_compiler() -> tuple[Path, ...]:
    """Return the jars of Janino, which PySpark ships: it compiles a class when it is started."""
    return tuple(ivy.pyspark_jar(pattern) for pattern in ("janino-*.jar", "commons-compiler-*.jar"))


def missing() -> tuple[str, ...]:
    """Return the kinds that are not there yet."""
    return tuple(kind for kind in KINDS if not _home(kind).exists())


def fetch(progress: Progress) -> None:
    """Download all that is missing and lay it out; raises LocalError."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _lock(cache_dir() / "lock", progress):
        kinds = missing()
        if not kinds:
            return
        work = cache_dir() / "part"
        files = [each for each in downloads() if each.kind in kinds]
        bring(files, work, progress)
        for kind in kinds:
            lay_out([each for each in files if each.kind == kind], work, _home(kind))
        shutil.rmtree(work)


def bring(files: list[Download], work: Path, progress: Progress) -> None:
    """Download files into a folder, by checksum; raises LocalError."""
    wanted = {each.wanted(work): each for each in files}
    left = [each for each in wanted if not is_whole(each)]
    if not left:
        return
    first = wanted[min(left, key=lambda each: each.size)].coordinates
    root = ivy.repository(first, work / "repository")
    if root is not None:
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
            raise LocalError(f"{path.name} is not the file that is pinned (SHA-256): removed; run it again")


def lay_out(files: list[Download], work: Path, home: Path) -> None:
    """Put downloaded files where their kind wants them; all of them are there at once, or none."""
    whole = home.with_name(f"{home.name}.part")
    shutil.rmtree(whole, ignore_errors=True)
    for each in files:
        for folder in each.folders:
            path = whole / folder / each.coordinates.file
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(each.wanted(work).target, path)
    for plugin, name in TRINO_PLUGINS.items():
        if (whole / "plugin" / plugin).exists():
            # Trino's build makes this jar, and publishes it in its server archive alone.
            with zipfile.ZipFile(whole / "plugin" / plugin / "services.jar", "w") as services:
                services.writestr("META-INF/services/io.trino.spi.Plugin", name)
    whole.rename(home)


def _home(kind: str) -> Path:
    return cache_dir() / f"{kind}-{_fingerprint(kind)}"


def _fingerprint(kind: str) -> str:
    pinned = "".join(d.sha256 + ",".join(d.folders).lstrip(".") for d in downloads() if d.kind == kind)
    return hashlib.sha256(pinned.encode()).hexdigest()[:12]


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another download is under way; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
