"""Read the artifacts of a job from the Administrative API v2 of the dbt platform (dbt Cloud).

`GET …/jobs/JOB/artifacts/FILE` returns the newest version of a file, and `GET …/runs/RUN/artifacts/FILE` that of one
run. Without `step`, both return the files of the run's last step; only the second one has the parameter `step`. Source:
`openapi-v2.yaml` of github.com/dbt-labs/dbt-cloud-openapi-spec (2026-08), "Retrieve Job Artifact", "Retrieve Run
Artifact" and "List Runs".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

from dataops_core.bounded import Malformed, loads
from dataops_core.config import without_user_info
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    NotFound,
    PermissionDenied,
    RateLimited,
    TimedOut,
)
from dataops_core.systems.dbt.runs import Run, read_id, read_run, read_runs
from dataops_core.systems.dbt.settings import ApiLocation
from dataops_core.systems.object_prefix.store import Content, Stamp
from dataops_core.transport.deadlines import within
from dataops_core.transport.http import get_bytes
from dataops_core.transport.session import BODY_BYTES
from dataops_core.units import duration

T = TypeVar("T")

NEWEST = 10
"""Runs of the job that each refresh requests: several may have finished or been queued since the previous one."""
_HINTS: Mapping[type[ClientError], str] = {
    AuthenticationFailed: "set `token` to a valid service token or personal access token of this account",
    PermissionDenied: "let the token read jobs and runs of the project, for example by the permission set Job Viewer",
    NotFound: "correct the ids in `location`, or let the token read the account and the project",
    TimedOut: "raise `probe_timeout` if the file is large",
}
_OTHER = "set `location` to the account's access URL, and check that no proxy responds in its place"


class ArtifactsApi:
    """The artifacts of a job or of one run. Methods raise DataopsError, and are called by one thread at a time.

    Args:
        name: The component's name.
        location: The job or the run, and credentials.
        timeout: Deadline of a read, in seconds.

    Attributes:
        runs: The newest runs of the newest read, newest first.
    """

    def __init__(self, name: str, location: ApiLocation, timeout: float = 8.0) -> None:
        self._where = f"{name} {without_user_info(location.account.url)}"
        self._location = location
        self._timeout = timeout
        self._read: dict[str, Run | None] = {}
        self._limited_until = 0.0
        self.runs: tuple[Run, ...] = ()

    def ping(self) -> None:
        """Do nothing: `read` fails if the job does not exist."""

    def read(self, known: Mapping[str, Stamp | None], most: int) -> dict[str, Content | ClientError | None]:
        """Return the artifacts by path: `None` for an unchanged one, without missing ones; an error for one that fails.

        Args:
            known: Paths below the location, each with the stamp of its known content.
            most: Maximum bytes of an artifact; a larger one is an error.
        """
        results: dict[str, Content | ClientError | None] = {}
        read: dict[str, Run | None] = {}  # kept at the end: after an error, nothing has been read
        with within(self._timeout):
            self.runs = self._newest_runs()
            finished = next((run for run in self.runs if run.finished), None)
            for path, stamp in known.items():
                if path in self._read and finished in (None, self._read[path]):
                    read[path] = self._read[path]
                    results |= {path: None} if stamp is not None else {}
                    continue
                try:
                    data = self.artifact(path, finished, most)
                except NotFound:
                    read[path] = finished
                except ClientError as error:  # the next read repeats the request
                    results[path] = error
                else:
                    read[path] = finished
                    results[path] = Content(data, Stamp(None, len(data)))
        self._read = read
        return results

    def artifact(self, path: str, finished: Run | None, most: int) -> bytes:
        """Return an artifact; raise NotFound if there is none.

        Args:
            path: Its path, with `?step=4` for a step of a run.
            finished: The newest finished run of the job, which is used for a step.
            most: Maximum bytes.
        """
        file, _, query = path.partition("?")
        of = f"{self._location.of}/{self._location.id}"
        if query and self._location.of == "jobs":
            if finished is None:
                raise NotFound(f"{path}: the job has no finished run")
            of = f"runs/{finished.id}"
        data = self._get(f"/{of}/artifacts/{quote(file)}{'?' if query else ''}{query}", path, most)
        if not data[:100].lstrip().startswith(b"{"):
            raise BadAnswer(f"{path}: the response is not JSON", hint=_OTHER)
        return data

    def _newest_runs(self) -> tuple[Run, ...]:
        location = self._location
        if location.of == "runs":
            return (self._parsed(f"/runs/{location.id}/", read_run),)
        query = f"job_definition_id={location.id}&order_by=-id&limit={NEWEST}"
        runs = self._parsed(f"/runs/?{query}", read_runs)
        if not runs:
            self._parsed(f"/jobs/{location.id}/", read_id)  # a missing job has an empty listing, too
        return runs

    def _parsed(self, path: str, read: Callable[[object], T]) -> T:
        where = f"{self._where}{path.partition('?')[0]}"
        data = self._get(path, where)
        try:
            return read(loads(data))
        except Malformed as error:
            raise BadAnswer(f"{where}: the response is not from dbt's API: it {error}", hint=_OTHER) from error

    def _get(self, path: str, where: str, most: int = BODY_BYTES) -> bytes:
        wait = self._limited_until - time.monotonic()
        if wait > 0:
            hint = f"wait {duration(wait)}, then refresh less often"
            raise RateLimited(f"{where}: dbt's API limits the request rate (429)", hint=hint, seconds=wait)
        try:
            return get_bytes(where, self._location.account, path, self._timeout, most_bytes=most)
        except RateLimited as error:
            self._limited_until = time.monotonic() + (error.seconds or 0.0)
            raise
        except ClientError as error:
            error.hint = error.hint or _HINTS.get(type(error))
            raise
