"""Spark's history server, read only: the runs of batch applications, and the outcome of a completed run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar
from urllib.parse import quote, urlencode

from dataops_core.bounded import Malformed
from dataops_core.config import without_user_info
from dataops_core.errors import BadAnswer, NotFound, TimedOut
from dataops_core.systems.spark.applications import (
    Outcome,
    Run,
    Work,
    read_cause,
    read_jobs,
    read_queries,
    read_runs,
    read_version,
)
from dataops_core.systems.spark.settings import SparkHistorySettings
from dataops_core.transport.deadlines import within
from dataops_core.transport.http import get_json

T = TypeVar("T")
SHARED = 2.0
"""Seconds for which stages share one list."""
PAGE = 1_000
"""Applications per request; one has about 0.5 kB."""
PAGES = 10
"""Maximum number of requests for the first list."""
OVERLAP = timedelta(hours=1)
"""Time before the newest known end that is listed again: event logs can appear late."""
QUERIES = 100_000
"""Maximum number of listed queries of a run; the history server keeps 1,000 by default."""
OUTCOMES = 10_000
"""Maximum number of cached outcomes."""
_API = "/api/v1"


@dataclass(frozen=True, slots=True)
class History:
    """The runs that the history server lists.

    Attributes:
        runs: The newest run of each application id, the newest start first.
        since: Time from which all completed runs are known.
        unreadable: Applications of the newest lists that cannot be read.
    """

    runs: tuple[Run, ...]
    since: datetime
    unreadable: int


class HistoryClient:
    """A history server; safe to share between threads. Each method raises ClientError.

    It never requests `/environment`, because it may show credentials.

    Args:
        name: The component's name.
        settings: Address and credentials.
        timeout: Deadline of each list, and of the outcome of a run, in seconds.
    """

    def __init__(self, name: str, settings: SparkHistorySettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = without_user_info(settings.url.rstrip("/"))
        self.where = f"{name} {self.target}"
        self._settings = settings
        self.timeout = timeout
        self._lock = Lock()
        self._listed: tuple[float, History] | None = None
        self._outcomes: dict[Run, Outcome] = {}

    def version(self) -> str:
        """Return the version of Spark that runs the history server."""
        return self._read("/version", read_version)

    def history(self) -> History:
        """Return the listed runs, cached for `SHARED`.

        The first call reads the completed runs of the setting `lookback`; later calls read those that have ended since.
        """
        with within(self.timeout) as deadline:
            if not self._lock.acquire(timeout=deadline.left):
                raise TimedOut(f"{self.where}: an earlier request is still running")
            try:
                if self._listed is None or time.monotonic() - self._listed[0] > SHARED:
                    listed = self._list(datetime.now(UTC))
                    self._listed = time.monotonic(), listed
                return self._listed[1]
            finally:
                self._lock.release()

    def outcome(self, run: Run) -> Outcome:
        """Return the outcome of a completed run; cached, because it never changes.

        The first request for a run makes the history server read its whole event log.
        """
        if run not in self._outcomes:
            with within(self.timeout):
                outcome = self._outcome(run)
            if len(self._outcomes) >= OUTCOMES:
                self._outcomes.clear()
            self._outcomes[run] = outcome
        return self._outcomes[run]

    def page(self, run: Run) -> str:
        """Return the address of a run in the history server's web UI."""
        return f"{self.target}/history/{_path(run)}"

    def _list(self, now: datetime) -> History:
        oldest = now - timedelta(seconds=self._settings.lookback)
        before = self._listed[1] if self._listed is not None else History((), oldest, 0)
        known = [run for run in before.runs if run.ended_at is not None and run.ended_at >= oldest]
        newest = max((run.ended_at for run in known if run.ended_at is not None), default=None)
        since = oldest if newest is None else max(oldest, newest - OVERLAP)
        # running ones first: one that ends in between is then in both lists, and not in none
        running, unreadable = self._applications(status="running", minDate=_date(oldest), limit=str(PAGE))
        completed, reaches, more = self._pages(since)
        runs: dict[str, Run] = {}
        for run in (*known, *running, *completed):
            listed = runs.get(run.app_id)
            if listed is None or (listed.started_at, listed.completed) < (run.started_at, run.completed):
                runs[run.app_id] = run
        by_start = sorted(runs.values(), key=lambda run: run.started_at, reverse=True)
        return History(tuple(by_start), reaches if reaches > since else max(before.since, oldest), unreadable + more)

    def _pages(self, since: datetime) -> tuple[list[Run], datetime, int]:
        """Return the completed runs that ended since a time, the time that they reach back to, and the unreadable."""
        result: list[Run] = []
        unreadable, reaches = 0, since
        until: dict[str, str] = {}
        for _ in range(PAGES):
            page, more = self._applications(status="completed", minEndDate=_date(since), limit=str(PAGE), **until)
            unreadable += more
            result += page
            ends = [run.ended_at for run in page if run.ended_at is not None]
            if len(page) + more < PAGE or not ends:
                return result, since, unreadable
            reaches = min(ends)
            until = {"maxEndDate": _date(reaches)}
        return result, reaches, unreadable

    def _applications(self, **query: str) -> tuple[tuple[Run, ...], int]:
        return self._read(f"/applications?{urlencode(query)}", read_runs)

    def _outcome(self, run: Run) -> Outcome:
        path = f"/applications/{_path(run)}"
        jobs, queries = self._read(f"{path}/jobs", read_jobs), self._queries(path)
        done = len(jobs) + len(queries)
        failed_jobs = [job for job in jobs if not job.succeeded]
        failed_queries = [query for query in queries if not query.succeeded and not query.jobs_failed]
        if failed_jobs:
            job = max(failed_jobs, key=lambda each: each.number)
            where, page = f"job {job.number} ({job.name})", f"{self.page(run)}/jobs/job/?id={job.number}"
            cause = self._read(f"{path}/stages?status=failed", lambda answer: read_cause(answer, job.stages))
        elif failed_queries:
            query = max(failed_queries, key=lambda each: each.number)
            where, page = f"query {query.number} ({query.name})", f"{self.page(run)}/SQL/execution/?id={query.number}"
            cause = None  # only the page shows it
        else:
            return Outcome(done, 0)
        return Outcome(done, len(failed_jobs) + len(failed_queries), where, cause, page)

    def _queries(self, path: str) -> tuple[Work, ...]:
        try:
            return self._read(f"{path}/sql?details=false&planDescription=false&offset=0&length={QUERIES}", read_queries)
        except NotFound:  # a history server without Spark SQL
            return ()

    def _read(self, path: str, read: Callable[[object], T]) -> T:
        answer = get_json(self.where, self._settings, _API + path, self.timeout)
        try:
            return read(answer)
        except Malformed as error:
            raise BadAnswer(f"{self.where}: the response is not from Spark's history server: it {error}") from error


def _path(run: Run) -> str:
    app = quote(run.app_id, safe="")
    return app if run.attempt is None else f"{app}/{quote(run.attempt, safe='')}"


def _date(at: datetime) -> str:
    """Return a time in the format of Spark's `SimpleDateParam`."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}GMT"
