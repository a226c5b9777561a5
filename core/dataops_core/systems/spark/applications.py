"""Read the responses of the REST API of Spark's history server as typed values.

See "REST API" in Spark's monitoring guide. A response is invalid if it is not a list of objects; one application that
cannot be read is counted, and the others stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed
from dataops_core.reasons import line
from dataops_core.redaction import redacted
from dataops_core.times import known, moment
from dataops_core.transport.fields import Fields, objects

CAUSED = "Caused by: "
TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a batch application: the newest attempt of one application id.

    Attributes:
        app_id: Its id, such as `application_1700000000000_0042`.
        attempt: Number of the attempt in YARN's cluster mode; `None` elsewhere.
        name: Name of the application; runs of one job usually share it.
        completed: Whether its event log has an end. Failed applications are completed as well.
        ended_at: `None` while it is not completed.
        updated_at: Time at which the history server last found the event log grown.
        version: Version of Spark that runs it.
    """

    app_id: str
    attempt: str | None
    name: str
    completed: bool
    started_at: datetime
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    user: str | None = None
    version: str | None = None

    @property
    def title(self) -> str:
        """Its id, with the attempt if there is one."""
        return self.app_id if self.attempt is None else f"{self.app_id} (attempt {self.attempt})"

    @property
    def duration(self) -> float | None:
        """Seconds from its start to its end; `None` while it is not completed."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at is not None else None


@dataclass(frozen=True, slots=True)
class Work:
    """A Spark job, or a SQL query, of a run.

    Attributes:
        number: Its id.
        name: Its call site, such as `count at orders.py:12`.
        succeeded: Whether it succeeded; false also for one that had not ended when its application did.
        stages: Ids of a job's stages.
        jobs_failed: Whether a job of a query failed.
    """

    number: int
    name: str
    succeeded: bool
    stages: frozenset[int] = frozenset()
    jobs_failed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a completed run by its jobs and queries: the REST API has none of the application itself.

    Attributes:
        done: Jobs and queries that the history server keeps, by default the newest 1,000 of each.
        failed: Failed jobs, and queries that failed without a failed job. Those that had not ended count as well.
        where: The newest of them, such as `job 3 (count at orders.py:12)`.
        cause: Why its stage failed, without secrets; `None` if unknown.
        page: Address of its page.
    """

    done: int
    failed: int
    where: str | None = None
    cause: str | None = None
    page: str | None = None


def read_version(answer: object) -> str:
    """Return the version of `/version`."""
    return Fields(answer).require_text("spark")


def read_runs(answer: object) -> tuple[tuple[Run, ...], int]:
    """Return the runs of `/applications` in its order, and the number of applications that cannot be read."""
    runs, unreadable = [], 0
    for app in objects(answer):
        try:
            runs.append(_run(app))
        except Malformed:
            unreadable += 1
    if unreadable and not runs:
        raise Malformed("has no application with an id, a name and attempts")
    return tuple(runs), unreadable


def _run(app: Fields) -> Run:
    attempts = [*app.require_objects("attempts")]
    if not attempts:
        raise Malformed("has an application without attempts")
    newest = max(attempts, key=lambda attempt: attempt.require_count("startTimeEpoch"))
    started, completed = _time(newest, "startTimeEpoch"), newest.require_flag("completed")
    ended = _time(newest, "endTimeEpoch") if completed else None
    if started is None or (completed and ended is None):
        raise Malformed("has an application with a time outside the calendar")
    return Run(
        app_id=app.require_text("id"),
        attempt=newest.text("attemptId"),
        name=app.require_text("name"),
        completed=completed,
        started_at=started,
        ended_at=ended,
        updated_at=_time(newest, "lastUpdatedEpoch"),
        user=newest.text("sparkUser"),
        version=newest.text("appSparkVersion"),
    )


def _time(fields: Fields, name: str) -> datetime | None:
    """Return a time in milliseconds; `None` for the -1 of a run that has not ended."""
    at = fields.count(name)
    return known(moment(at, "ms")) if at is not None else None


def read_jobs(answer: object) -> tuple[Work, ...]:
    """Return the jobs of `/applications/ID/jobs`."""
    return tuple(
        Work(
            number=job.require_count("jobId"),
            name=_name(job.text("name")),
            succeeded=job.require_text("status") == "SUCCEEDED",
            stages=frozenset(each for each in job.require_list("stageIds") if type(each) is int),
        )
        for job in objects(answer)
    )


def read_queries(answer: object) -> tuple[Work, ...]:
    """Return the queries of `/applications/ID/sql`."""
    return tuple(
        Work(
            number=query.require_count("id"),
            name=_name(query.text("description")),
            succeeded=query.require_text("status") == "COMPLETED",
            jobs_failed=bool(query.require_list("failedJobIds")),
        )
        for query in objects(answer)
    )


def _name(text: str | None) -> str:
    return redacted(line(text or "without a name"), strict=True)


def read_cause(answer: object, stages: Iterable[int]) -> str | None:
    """Return why the newest failed one of these stages failed, from `/applications/ID/stages`; `None` if unknown."""
    of_job = frozenset(stages)
    failed = [
        (stage.require_count("stageId"), reason)
        for stage in objects(answer)
        if stage.count("stageId") in of_job and (reason := (stage.text("failureReason") or "").strip())
    ]
    return cause_of(max(failed)[1]) if failed else None


def cause_of(reason: str) -> str:
    """Return the line of a failure reason that names the cause, without secrets.

    That is the last line of a Python traceback, the innermost cause of a Java stack trace, or else the first line.
    """
    lines = [each for each in reason.splitlines() if each.strip()]
    after = [number for number, each in enumerate(lines, 1) if each.endswith(TRACEBACK)]
    raised = [each for each in lines[after[0] :] if not each[0].isspace()][:1] if after else []
    causes = [each.strip().removeprefix(CAUSED) for each in lines if each.strip().startswith(CAUSED)]
    return redacted(line((raised or causes[-1:] or lines)[0]), strict=True)
