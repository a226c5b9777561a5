"""Flink's REST API, read only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from dataops_core.bounded import Malformed
from dataops_core.config import without_user_info
from dataops_core.errors import BadAnswer, NotFound
from dataops_core.systems.flink.responses import (
    Checkpoints,
    Failure,
    Job,
    Overview,
    Range,
    Vertex,
    read_checkpoints,
    read_failures,
    read_jobs,
    read_names,
    read_overview,
    read_ranges,
    read_values,
    read_vertices,
)
from dataops_core.systems.flink.settings import FlinkSettings
from dataops_core.transport.deadlines import within
from dataops_core.transport.http import get_json

T = TypeVar("T")
FAILURES = 20
"""Maximum number of failures to read per job."""
VERTICES = 30
"""Maximum number of vertices whose metrics are read; each takes two requests."""
METRICS = 30
"""Maximum number of metrics per request; their names are part of the URL."""
OF_TASKS = ("currentInputWatermark", "backPressuredTimeMsPerSecond", "busyTimeMsPerSecond")
OF_SOURCES = (".pendingRecords", ".currentOutputWatermark")
"""Suffixes of metric names of source operators."""
OF_TOPIC, OF_PARTITION, COMMITTED = ".KafkaSourceReader.topic.", ".partition.", ".committedOffset"
"""Parts of metric names of Kafka sources: `OPERATOR.KafkaSourceReader.topic.T.partition.0.committedOffset`."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """Vertices, checkpoints, failures and metrics of a job.

    Attributes:
        checkpoints: `None` if checkpointing is not enabled.
        failures: Newest first, as far as Flink keeps them.
        restarts: Since it was submitted; `None` if the job is not running.
        metrics: Metrics by vertex id, aggregated over subtasks.
    """

    vertices: tuple[Vertex, ...]
    checkpoints: Checkpoints | None
    failures: tuple[Failure, ...]
    restarts: int | None
    metrics: Mapping[str, Mapping[str, Range]]


class FlinkClient:
    """A Flink cluster; safe to share between threads. Each method raises ClientError.

    It never requests `/jobs/ID/config` or `/jobmanager/config`, because they may show credentials.

    Args:
        name: The component's name.
        settings: Address and credentials.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, name: str, settings: FlinkSettings, timeout: float = 8.0) -> None:
        self.name = name
        self.target = without_user_info(settings.url.rstrip("/"))
        self.where = f"{name} {self.target}"
        self._settings = settings
        self._timeout = timeout

    def overview(self) -> Overview:
        """Return the cluster's version and task slots."""
        return self._read("/overview", read_overview)

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs that the JobManager remembers, the newest first."""
        return self._read("/jobs/overview", read_jobs)

    def job(self, name: str) -> Job:
        """Return the newest job of a name, or the job of an id; raise NotFound if there is none."""
        jobs = self.jobs()
        result = next((job for job in jobs if name in (job.name, job.job_id)), None)
        if result is None:
            raise NotFound(f"{self.where}: there is no job {name} among {len(jobs)} jobs")
        return result

    def report(self, job: Job) -> JobReport:
        """Return the report of a job; all requests share one deadline."""
        with within(self._timeout):
            vertices = self._read(_path(job.job_id), read_vertices)
            return JobReport(
                vertices=vertices,
                checkpoints=self._checkpoints(job.job_id),
                failures=self._read(f"{_path(job.job_id)}/exceptions?maxExceptions={FAILURES}", read_failures),
                restarts=self._restarts(job.job_id),
                metrics={
                    vertex.vertex_id: self._metrics(job.job_id, vertex) if job.state == "RUNNING" else {}
                    for vertex in vertices[:VERTICES]
                },
            )

    def topics(self, job: Job) -> tuple[str, ...]:
        """Return the topics that the Kafka sources of a job read."""
        with within(self._timeout):
            return tuple(sorted({topic for _, names in self._partitions(job) for topic, _ in names.values()}))

    def committed(self, job: Job) -> Mapping[tuple[str, int], int]:
        """Return the offsets that the Kafka sources of a job committed, by topic and partition.

        They are at most those that Kafka has: Flink caches metrics for up to 10 s. Of each vertex, only the first
        partitions are read.
        """
        result: dict[tuple[str, int], int] = {}
        with within(self._timeout):
            for path, names in self._partitions(job):
                asked = [name for name in names if name.endswith(COMMITTED)][:METRICS]
                for name, offset in (self._ranges(path, asked) if asked else {}).items():
                    if offset.most is not None and offset.most >= 0 and name in names:
                        result[names[name]] = int(offset.most)
        return result

    def _partitions(self, job: Job) -> Iterator[tuple[str, Mapping[str, tuple[str, int]]]]:
        """Yield the path of each vertex, with the topic and the partition of each metric of its Kafka sources."""
        for vertex in self._read(_path(job.job_id), read_vertices)[:VERTICES]:
            path = _metrics_path(job.job_id, vertex)
            names = {}
            for name in self._read(path, read_names):
                topic, _, rest = name.partition(OF_TOPIC)[2].rpartition(OF_PARTITION)
                number = rest.partition(".")[0]
                if topic and number.isdecimal() and len(number) < 10:
                    names[name] = (topic, int(number))
            yield path, names

    def _checkpoints(self, job: str) -> Checkpoints | None:
        try:
            return self._read(f"{_path(job)}/checkpoints", read_checkpoints)
        except NotFound:  # checkpointing is not enabled
            return None

    def _restarts(self, job: str) -> int | None:
        number = self._read(f"{_path(job)}/metrics?get=numRestarts", read_values).get("numRestarts")
        return int(number) if number is not None and number >= 0 else None

    def _metrics(self, job: str, vertex: Vertex) -> Mapping[str, Range]:
        path = _metrics_path(job, vertex)
        names = [name for name in self._read(path, read_names) if _is_wanted(name)][:METRICS]
        if not names:
            return {}
        return self._ranges(path, names)

    def _ranges(self, path: str, names: Iterable[str]) -> Mapping[str, Range]:
        get = ",".join(quote(name, safe="") for name in names)
        return self._read(f"{path}?get={get}&agg=min,max,sum", read_ranges)

    def _read(self, path: str, read: Callable[[object], T]) -> T:
        answer = get_json(self.where, self._settings, path, self._timeout)
        try:
            return read(answer)
        except Malformed as error:
            raise BadAnswer(f"{self.where}: the response is not from Flink: it {error}") from error


def _path(job: str) -> str:
    return f"/jobs/{quote(job, safe='')}"


def _metrics_path(job: str, vertex: Vertex) -> str:
    return f"{_path(job)}/vertices/{quote(vertex.vertex_id, safe='')}/subtasks/metrics"


def _is_wanted(name: str) -> bool:
    return name in OF_TASKS or (name.startswith("Source") and name.endswith(OF_SOURCES))
