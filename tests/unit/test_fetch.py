"""Downloads: pinned, checked, laid out, and going on where they stopped, from a real web server."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dataops_local import fetch, ivy
from dataops_local.download import Wanted, download
from dataops_local.errors import LocalError
from dataops_local.ivy import Coordinates
from dataops_local.layout import ROOT

CONTENT = bytes(range(256)) * 4096
SHA = hashlib.sha256(CONTENT).hexdigest()


class Repository:
    """A repository of one content for each path; it can break off, and need not know ranges."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.breaks_after: list[int] = []
        """Bytes after which each of the next answers ends."""
        self.knows_ranges = True
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                if outer.status != 200:
                    self.send_error(outer.status)
                    return
                known = asked if outer.knows_ranges else None
                start = int(known.removeprefix("bytes=").rstrip("-")) if known else 0
                self.send_response(206 if known else 200)
                self.send_header("Content-Length", str(len(CONTENT) - start))
                self.end_headers()
                end = start + outer.breaks_after.pop(0) if outer.breaks_after else len(CONTENT)
                self.wfile.write(CONTENT[start:end])
                self.close_connection = True

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr("dataops_local.download.PAUSES", (0.0, 0.0, 0.0))
    repository = Repository()
    yield repository
    repository.close()


def wanted(folder: Path, name: str = "a.jar", sha256: str = SHA) -> Wanted:
    return Wanted(f"org/{name}", folder / "files" / name, len(CONTENT), sha256)


def test_several_files_arrive_and_what_is_there_is_not_asked_for_again(repository: Repository, tmp_path: Path) -> None:
    files = [wanted(tmp_path, f"{n}.jar") for n in range(9)]
    said: list[str] = []
    for _ in range(2):
        download(repository.url, files, said.append)
    assert all(each.target.read_bytes() == CONTENT for each in files)
    assert repository.ranges == [None] * len(files)
    assert said[0] == f"downloading 9 files, {9 * len(CONTENT) / 1e6:.0f} MB"


def test_a_broken_download_goes_on_within_the_file(repository: Repository, tmp_path: Path) -> None:
    repository.breaks_after = [100_000, 50_000]
    download(repository.url, [wanted(tmp_path)], lambda _: None)
    assert wanted(tmp_path).target.read_bytes() == CONTENT
    assert repository.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_run_that_was_killed_goes_on_within_the_file(repository: Repository, tmp_path: Path) -> None:
    part = tmp_path / "files/a.jar.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:777])
    download(repository.url, [wanted(tmp_path)], lambda _: None)
    assert repository.ranges == ["bytes=777-"]
    assert wanted(tmp_path).target.read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_all_of_it(repository: Repository, tmp_path: Path) -> None:
    repository.breaks_after, repository.knows_ranges = [1000], False
    download(repository.url, [wanted(tmp_path)], lambda _: None)
    assert wanted(tmp_path).target.read_bytes() == CONTENT


def test_a_file_that_is_not_the_pinned_one_is_removed(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"a.jar does not have the pinned SHA-256"):
        download(repository.url, [wanted(tmp_path, sha256="0" * 64)], lambda _: None)
    assert not list(tmp_path.rglob("*.jar*"))


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (503, 4)])
def test_what_the_server_does_not_give_is_one_line(
    repository: Repository, tmp_path: Path, status: int, asked: int
) -> None:
    repository.status = status
    with pytest.raises(LocalError, match=f"a.jar could not be downloaded: HTTP {status}: check the network") as caught:
        download(repository.url, [wanted(tmp_path)], lambda _: None)
    assert "\n" not in str(caught.value)
    assert len(repository.ranges) == asked


def test_downloads_are_pinned_by_checksum_and_name_no_host() -> None:
    pinned = fetch.downloads()
    assert {each.kind for each in pinned} == set(fetch.KINDS)
    for each in pinned:
        assert re.fullmatch("[0-9a-f]{64}", each.sha256)
        assert each.size > 500
        assert all(Path(folder).parts[:1] in ((), ("lib",), ("plugin",)) for folder in each.folders)
    assert "://" not in (ROOT / "deploy/local/dataops_local/downloads.txt").read_text()
    assert sum(each.size for each in pinned) < 400e6, "a first run takes minutes"
    assert {"plugin/iceberg", "plugin/memory", "plugin/tpch", "lib"} == {
        folder for each in pinned if each.kind == "trino" for folder in each.folders
    }


def test_coordinates_are_laid_out_as_maven_does() -> None:
    assert Coordinates("org.x", "a", "1").path == "org/x/a/1/a-1.jar"
    assert Coordinates("org.x", "a", "1", "jdk11").path == "org/x/a/1/a-1-jdk11.jar"
    assert Coordinates("org.x", "a", "1", "all", "tar.gz").path == "org/x/a/1/a-1-all.tar.gz"


def pin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str | None) -> fetch.Download:
    """Pin one jar of Trino, in a cache of its own; Ivy says that this is its repository."""
    pinned = fetch.Download("trino", Coordinates("org", "a", "1"), len(CONTENT), SHA, ("lib", "plugin/tpch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fetch, "downloads", lambda: (pinned,))
    monkeypatch.setattr(fetch, "KINDS", ("trino",))
    monkeypatch.setattr(ivy, "repository", lambda jar, work: url)
    return pinned


def test_each_jar_is_put_where_it_is_needed_and_each_plugin_is_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pin(monkeypatch, tmp_path, repository.url)
    assert fetch.missing() == ("trino",)
    fetch.fetch(lambda _: None)
    assert fetch.missing() == ()
    home = fetch.home("trino")
    found = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert found == {"lib/a-1.jar", "plugin/tpch/a-1.jar", "plugin/tpch/services.jar"}
    with zipfile.ZipFile(home / "plugin/tpch/services.jar") as services:
        assert services.read("META-INF/services/io.trino.spi.Plugin") == b"io.trino.plugin.tpch.TpchPlugin"
    fetch.fetch(lambda _: pytest.fail("downloaded again"))


def test_where_the_repository_is_of_another_layout_ivy_brings_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pinned = pin(monkeypatch, tmp_path, None)

    def retrieve(jars: Iterator[Coordinates], work: Path) -> Path:
        assert list(jars) == [pinned.coordinates]
        work.mkdir(parents=True)
        (work / pinned.coordinates.file).write_bytes(b"evil" if work.name == "evil" else CONTENT)
        return work

    monkeypatch.setattr(ivy, "retrieve", retrieve)
    fetch.fetch(lambda _: None)
    assert (fetch.home("trino") / "lib/a-1.jar").read_bytes() == CONTENT


def test_what_ivy_brings_is_checked_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pinned = pin(monkeypatch, tmp_path, None)

    def retrieve(jars: Iterator[Coordinates], work: Path) -> Path:
        work.mkdir(parents=True)
        (work / pinned.coordinates.file).write_bytes(b"evil")
        return work

    monkeypatch.setattr(ivy, "retrieve", retrieve)
    with pytest.raises(LocalError, match=r"a-1.jar does not have the pinned SHA-256"):
        fetch.fetch(lambda _: None)
    assert not list(tmp_path.rglob("*.jar"))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (r"https\://mirror.example/m2/org/a/1/a-1.jar", "https://mirror.example/m2/"),
        (r"https\://mirror.example/ivy/org.a/a-1.jar", None),
        (r"/some/folder/org/a/1/a-1.jar", None),
    ],
)
def test_ivy_names_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, expected: str | None
) -> None:
    known = tmp_path / "ivy/cache/org/a/ivydata-1.properties"
    known.parent.mkdir(parents=True)
    known.write_text(
        f"#ivy cached data file\nartifact\\:a\\#jar\\#jar\\#-1.is-local=false\nartifact\\:a.location={said}\n"
    )
    monkeypatch.setattr(ivy, "retrieve", lambda jars, work: work)
    assert ivy.repository(Coordinates("org", "a", "1"), tmp_path) == expected
