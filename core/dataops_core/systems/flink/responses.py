"""Read the responses of Flink's REST API as typed values. A wrong type makes a response invalid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dataops_core.bounded import Malformed
from dataops_core.reasons import line
from dataops_core.redaction import redacted
from dataops_core.times import known, moment
from dataops_core.transport.fields import Fields, objects

STATES = (
    "INITIALIZING", "CREATED", "RUNNING", "FAILING", "FAILED", "CANCELLING", "CANCELED", "FINISHED", "RESTARTING",
    "SUSPENDED", "RECONCILING",
)  # fmt: skip
"""States of jobs."""
NO_WATERMARK = -(2**63)
"""The watermark of a task that has none yet."""
CAUSED = "Caused by: "


@dataclass(frozen=True, slots=True)
class Overview:
    """A cluster."""

    version: str
    task_managers: int
    slots: int
    slots_free: int


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        changed_at: Time of the last state change.
        tasks_running: Tasks that run or have finished.
    """

    job_id: str
    name: str
    state: str
    started_at: datetime | None
    changed_at: datetime | None
    tasks: int
    tasks_running: int


@dataclass(frozen=True, slots=True)
class Vertex:
    """A vertex of a job: operators that run chained in the same tasks."""

    vertex_id: str
    name: str
    parallelism: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of a job.

    Attributes:
        completed: Number completed since the job was submitted.
        failed: Number failed since the job was submitted.
        triggered_at: Trigger time of the newest completed checkpoint.
        completed_at: Its completion time.
        duration: Its duration in seconds.
        size: Its size in bytes.
        failed_at: Time of the newest failed checkpoint.
        failure: Why it failed, in one line.
    """

    completed: int
    failed: int
    triggered_at: datetime | None
    completed_at: datetime | None
    duration: float | None
    size: int | None
    failed_at: datetime | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a job; Flink keeps only the newest ones.

    Attributes:
        cause: The innermost cause of its trace, in one line without secrets.
    """

    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class Range:
    """A metric over the subtasks of a vertex; `None` if it is not a number."""

    least: float | None
    most: float | None
    total: float | None


def read_overview(answer: object) -> Overview:
    """Return the cluster from `/overview`."""
    fields = Fields(answer)
    return Overview(
        version=fields.require_text("flink-version"),
        task_managers=fields.require_count("taskmanagers"),
        slots=fields.require_count("slots-total"),
        slots_free=fields.require_count("slots-available"),
    )


def read_jobs(answer: object) -> tuple[Job, ...]:
    """Return the jobs from `/jobs/overview`, newest first."""
    jobs = [_job(each) for each in Fields(answer).require_objects("jobs")]
    return tuple(sorted(jobs, key=lambda job: job.started_at.timestamp() if job.started_at else 0.0, reverse=True))


def newest_by_name(jobs: Sequence[Job]) -> Mapping[str, Job]:
    """Return the newest job of each name, from jobs in the order newest first."""
    return {job.name: job for job in reversed(jobs)}


def _job(fields: Fields) -> Job:
    state = fields.require_text("state")
    if state not in STATES:
        raise Malformed("has a job in an unknown state")
    tasks = fields.require_inner("tasks")
    return Job(
        job_id=fields.require_text("jid"),
        name=fields.require_text("name"),
        state=state,
        started_at=_time(fields, "start-time"),
        changed_at=_time(fields, "last-modification"),
        tasks=tasks.require_count("total"),
        tasks_running=tasks.require_count("running") + (tasks.count("finished") or 0),
    )


def read_vertices(answer: object) -> tuple[Vertex, ...]:
    """Return the vertices from `/jobs/ID`, sources first."""
    return tuple(
        Vertex(line(each.require_text("id")), line(each.require_text("name")), each.require_count("parallelism"))
        for each in Fields(answer).require_objects("vertices")
    )


def read_checkpoints(answer: object) -> Checkpoints:
    """Return the checkpoints from `/jobs/ID/checkpoints`."""
    fields = Fields(answer)
    counts, latest = fields.require_inner("counts"), fields.require_inner("latest")
    done, failed = latest.inner("completed"), latest.inner("failed")
    took, why = done.number("end_to_end_duration"), failed.text("failure_message")
    return Checkpoints(
        completed=counts.require_count("completed"),
        failed=counts.require_count("failed"),
        triggered_at=_time(done, "trigger_timestamp"),
        completed_at=_time(done, "latest_ack_timestamp"),
        duration=took / 1000 if took is not None else None,
        size=done.count("state_size"),
        failed_at=_time(failed, "failure_timestamp") or _time(failed, "trigger_timestamp"),
        failure=redacted(line(why), strict=True) if why else None,
    )


def read_failures(answer: object) -> tuple[Failure, ...]:
    """Return the failures from `/jobs/ID/exceptions`, newest first."""
    fields = Fields(answer)
    entries = fields.require_inner("exceptionHistory").require_objects("entries")
    failures = [
        Failure(at, _cause(each.text("stacktrace") or "", each.text("exceptionName") or "no reason"))
        for each in entries
        if (at := _time(each, "timestamp")) is not None
    ]
    return tuple(sorted(failures, key=lambda each: each.at, reverse=True))


def read_names(answer: object) -> tuple[str, ...]:
    """Return the names of metrics."""
    return tuple(each.require_text("id") for each in objects(answer))


def read_ranges(answer: object) -> Mapping[str, Range]:
    """Return metrics over the subtasks of a vertex by name."""
    return {
        each.require_text("id"): Range(each.number("min"), each.number("max"), each.number("sum"))
        for each in objects(answer)
    }


def read_values(answer: object) -> Mapping[str, float]:
    """Return metrics by name, without those that are not numbers."""
    return {
        each.require_text("id"): number
        for each in objects(answer)
        if (number := _number(each.text("value"))) is not None
    }


def watermark(values: Iterable[float | None]) -> tuple[datetime | None, bool]:
    """Return the minimum of watermarks in milliseconds, and whether one of them has no value yet."""
    numbers = [value for value in values if value is not None]
    begun = [value for value in numbers if value > NO_WATERMARK / 2]
    return (known(moment(min(begun), "ms")) if begun else None), len(begun) < len(numbers)


def _number(text: str | None) -> float | None:
    try:
        result = float(text) if text is not None and len(text) < 400 else None
    except ValueError:
        return None
    return result if result is not None and abs(result) != float("inf") and result == result else None  # noqa: PLR0124 - NaN


def _time(fields: Fields, name: str) -> datetime | None:
    result = fields.number(name)
    return known(moment(result, "ms")) if result is not None and result > 0 else None


def _cause(trace: str, name: str) -> str:
    lines = [each.strip() for each in trace.splitlines() if each.strip()]
    causes = [each.removeprefix(CAUSED) for each in lines if each.startswith(CAUSED)]
    return redacted(line(causes[-1] if causes else lines[0] if lines else name), strict=True)
