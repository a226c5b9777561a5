"""Read the artifacts of a dbt project when they change, and keep the newest result of each node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from dataops_core.bounded import SIZE, Malformed, loads
from dataops_core.config import without_user_info
from dataops_core.errors import BadAnswer, ClientError, NotFound, TimedOut
from dataops_core.systems.dbt.api import ArtifactsApi
from dataops_core.systems.dbt.responses import (
    Manifest,
    Node,
    Result,
    RunResults,
    Sources,
    Written,
    read_manifest,
    read_run_results,
    read_sources,
)
from dataops_core.systems.dbt.runs import Run
from dataops_core.systems.dbt.settings import DbtSettings
from dataops_core.systems.object_prefix.store import Content, ObjectStore, Stamp

MANIFEST, SOURCES = "manifest.json", "sources.json"
SHARED = 2.0
"""Seconds for which stages share one read."""
WRITING = 5.0
"""Seconds within which an unreadable artifact may be incomplete, because dbt does not write it atomically."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A result, and the command that wrote it."""

    result: Result
    by: Written
    command: str


@dataclass(frozen=True, slots=True)
class Project:
    """The artifacts of a project, and the newest result of each node.

    Attributes:
        where: Name of the project, for errors.
        manifest: `None` if it is missing or unreadable.
        sources: As `manifest`.
        runs: Current results files, newest first.
        ran: Newest result of each node; also of earlier commands whose file has been overwritten since.
        succeeded: Newest success of each model, seed and snapshot that ran.
        unreadable: Why an artifact cannot be read, by its path.
        job_runs: The newest runs of the job in dbt's API, newest first; empty for a folder or an object store.
    """

    where: str
    manifest: Manifest | None
    sources: Sources | None
    runs: tuple[RunResults, ...]
    ran: Mapping[str, Ran]
    succeeded: Mapping[str, Ran]
    unreadable: Mapping[str, str]
    job_runs: tuple[Run, ...] = ()

    def node(self, name: str, kinds: Iterable[str]) -> Node:
        """Return the node of a name or unique id.

        Args:
            name: Name or unique id.
            kinds: Kinds of nodes to search.

        Raises:
            NotFound: The project has no such node.
            BadAnswer: Several packages have a node of this name, or the manifest is unreadable.
        """
        if self.manifest is None:
            if MANIFEST in self.unreadable:
                raise BadAnswer(f"{self.where}: {self.unreadable[MANIFEST]}")
            raise NotFound(f"{self.where}: there is no {MANIFEST}", hint="run `dbt build`, or correct the location")
        nodes = [each for each in self.manifest.nodes.values() if each.kind in kinds]
        results = [each for each in nodes if name in (each.name, each.unique_id)]
        if len(results) > 1:
            ids = ", ".join(sorted(each.unique_id for each in results)[:5])
            raise BadAnswer(f"{self.where}: several nodes have the name {name}: {ids}", hint="use the unique id")
        if not results:
            raise NotFound(f"{self.where}: the project has no {'/'.join(kinds)} {name}")
        return results[0]

    def later_command(self) -> Written | None:
        """Return the command that wrote the manifest, if it is later than all results, or `None`.

        It is `None` for a job of dbt's API: the results of one step, and the manifest of the last one, are of one run.
        """
        if self.manifest is None or not self.runs or self.job_runs:
            return None
        wrote = self.manifest.written
        known = {each.written.invocation for each in self.runs}
        known |= {self.sources.written.invocation} if self.sources is not None else set()
        if wrote.invocation is None or wrote.invocation in known or wrote.at <= self.runs[0].written.at:
            return None
        return wrote

    def failed_run(self) -> Run | None:
        """Return the newest finished run of the job if it failed and its results do not show why, or `None`."""
        run = next((each for each in self.job_runs if each.finished), None)
        if run is None or not run.failed:
            return None
        results = [each for each in self.runs if each.written.at >= run.created_at]
        return None if any(each.failures() for each in results) else run


@dataclass(slots=True)
class _Artifact:
    """The artifact at a path: its value, or why it is missing."""

    read: Callable[[Any], Any]
    stamp: Stamp | None = None
    value: Any = None
    problem: str | None = None


@dataclass(slots=True)
class _Memory:
    """The newest result of each node."""

    ran: dict[str, Ran] = field(default_factory=dict)
    succeeded: dict[str, Ran] = field(default_factory=dict)

    def take(self, run: RunResults) -> None:
        for result in (*run.of_models(), *run.of_tests()):
            ran = Ran(result, run.written, run.command or "")
            _keep_newest(self.ran, ran)
            if result.status == "success" and result.started_at is not None:
                _keep_newest(self.succeeded, ran)

    def forget(self, manifest: Manifest) -> None:
        for kept in (self.ran, self.succeeded):
            for node in [node for node in kept if node not in manifest.nodes]:
                del kept[node]


def _keep_newest(kept: dict[str, Ran], ran: Ran) -> None:
    before = kept.get(ran.result.node)
    if before is None or before.by.at <= ran.by.at:
        kept[ran.result.node] = ran


class DbtClient:
    """The artifacts of a project; safe to share between threads. Each method raises DataopsError.

    Args:
        name: The component's name.
        settings: Location and credentials.
        timeout: Deadline of a read, in seconds.
    """

    def __init__(self, name: str, settings: DbtSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = without_user_info(settings.location)
        self._where = f"{name} {self.target}"
        api = settings.api()
        self._store = ObjectStore(name, settings, timeout) if api is None else ArtifactsApi(name, api, timeout)
        self._timeout = timeout
        self._artifacts = {path: _Artifact(read_run_results) for path in settings.run_results}
        self._artifacts |= {SOURCES: _Artifact(read_sources), MANIFEST: _Artifact(read_manifest)}
        self._memory = _Memory()
        self._lock = Lock()
        self._project: tuple[float, Project] | None = None

    def ping(self) -> None:
        """Check that the location exists."""
        self._store.ping()

    def project(self) -> Project:
        """Return the current project."""
        if not self._lock.acquire(timeout=self._timeout):
            raise TimedOut(f"{self._where}: an earlier read is still running")
        try:
            if self._project is None or time.monotonic() - self._project[0] > SHARED:
                self._refresh()
                self._project = time.monotonic(), self._ended()
            return self._project[1]
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        known = {path: each.stamp for path, each in self._artifacts.items()}
        contents = self._store.read(known, SIZE)
        for path, artifact in self._artifacts.items():
            if path not in contents:
                artifact.stamp = artifact.value = artifact.problem = None
            elif isinstance(content := contents[path], ClientError):
                artifact.stamp, artifact.value, artifact.problem = None, None, str(content)
            elif content is not None:
                _take(path, artifact, content)

    def _ended(self) -> Project:
        of = {path: each.value for path, each in self._artifacts.items()}
        manifest, sources = of.pop(MANIFEST), of.pop(SOURCES)
        runs = sorted((run for run in of.values() if run is not None), key=lambda run: run.written.at, reverse=True)
        for run in runs:
            self._memory.take(run)
        if manifest is not None:
            self._memory.forget(manifest)
        return Project(
            where=self._where,
            manifest=manifest,
            sources=sources,
            runs=tuple(runs),
            ran=dict(self._memory.ran),
            succeeded=dict(self._memory.succeeded),
            unreadable={path: each.problem for path, each in self._artifacts.items() if each.problem is not None},
            job_runs=self._store.runs if isinstance(self._store, ArtifactsApi) else (),
        )


def _take(path: str, artifact: _Artifact, content: Content) -> None:
    try:
        artifact.value, artifact.problem = artifact.read(loads(content.data)), None
    except Malformed as error:
        at = content.stamp.at
        if artifact.value is not None and at is not None and (datetime.now(UTC) - at).total_seconds() < WRITING:
            return  # without a new stamp, the next refresh reads it again
        artifact.value, artifact.problem = None, f"{path} {error}"
    artifact.stamp = content.stamp


def upstream_failed(project: Project, node: str) -> tuple[str, ...]:
    """Return the nearest upstream nodes of a skipped node that failed in the same command."""
    of = project.ran.get(node)
    if project.manifest is None or of is None:
        return ()
    visited, level = {node}, [node]
    while level:
        parents = list(dict.fromkeys(_blocking(project, level, of.by.invocation, visited)))
        failed = [each for each in parents if _status(project, each, of) in ("error", "fail", "partial success")]
        if failed:
            return tuple(failed)
        level = parents
    return ()


def _blocking(project: Project, level: Iterable[str], invocation: str | None, visited: set[str]) -> Iterator[str]:
    """Yield the parents of a level's nodes and the tests of the parents; `dbt build` waits for both."""
    nodes = project.manifest.nodes if project.manifest is not None else {}
    for each in level:
        for parent in nodes[each].parents if each in nodes else ():
            tests = project.manifest.tests_of(parent) if project.manifest is not None else ()
            for result in (parent, *tests):
                ran = project.ran.get(result)
                if result not in visited and ran is not None and ran.by.invocation == invocation:
                    visited.add(result)
                    yield result


def _status(project: Project, node: str, of: Ran) -> str | None:
    ran = project.ran.get(node)
    return ran.result.status if ran is not None and ran.by.invocation == of.by.invocation else None
