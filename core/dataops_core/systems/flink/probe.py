"""Probe a Flink cluster, and jobs with their pending records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.reasons import line
from dataops_core.systems.flink.client import FlinkClient, JobReport
from dataops_core.systems.flink.details import FlinkDetails, FlinkJobDetails
from dataops_core.systems.flink.responses import Job, Range, Vertex, newest_by_name, watermark
from dataops_core.systems.flink.settings import FlinkJobStage
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.probe import read_by_group

SHOWN = 5
"""Maximum number of failed jobs that are named."""
RECENT = timedelta(minutes=10)
"""Window of recent failures."""


def observe_flink(client: FlinkClient) -> tuple[str, Observation]:
    """Return one line about a cluster, and its observation."""
    now = datetime.now(UTC)
    overview, jobs = client.overview(), client.jobs()
    newest = newest_by_name(jobs)
    failed = sorted(name for name, job in newest.items() if job.state == "FAILED")
    more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    details = FlinkDetails(
        version=overview.version,
        task_managers=overview.task_managers,
        slots=overview.slots,
        slots_free=overview.slots_free,
        jobs_running=sum(job.state == "RUNNING" for job in jobs),
        jobs_failed=len(failed),
        failed=", ".join(failed[:SHOWN]) + more or None,
    )
    detail = f"version {line(overview.version)}, {overview.task_managers} TaskManagers"
    return detail, Observation(stage=client.name, observed_at=now, details=details)


def observe_job(stage: FlinkJobStage, client: FlinkClient, kafka: KafkaClient | None) -> Observation:
    """Return an observation of a job.

    Its progress time is that of its consumer group, or its watermark. Otherwise, if its sources have no pending
    records, it is the trigger time of its newest checkpoint: all records that arrived before have been processed.
    """
    now = datetime.now(UTC)
    job = client.job(stage.job)
    report = client.report(job)
    about = _about(job, report, now)
    if job.state == "RUNNING" and about["tasks_running"] < about["tasks"]:
        about["slots_free"] = client.overview().slots_free
    more: dict[str, Any] = {}
    if kafka is not None and stage.group is not None:
        result, more = read_by_group(kafka, stage.group)
    else:
        result = _progress(stage, about, report)
    checkpoint = report.checkpoints.completed_at if report.checkpoints is not None else None
    return Observation(
        stage=stage.name,
        observed_at=now,
        activity=Activity.PAUSED if job.state == "SUSPENDED" else Activity.UNKNOWN,
        advanced_at=checkpoint,
        notes=(
            f"the job is {job.state} with {job.tasks_running} of {job.tasks} tasks",
            *result.pop("notes", ()),
        ),
        details=FlinkJobDetails(**about, **more),
        **result,
    )


def _progress(stage: FlinkJobStage, about: Mapping[str, Any], report: JobReport) -> dict[str, Any]:
    pending, checkpoints = about["pending_records"], report.checkpoints
    progress = None
    if stage.event_time:
        progress = about["watermark"]
    elif pending == 0 and checkpoints is not None:
        progress = checkpoints.triggered_at
    return {
        "progress_time": progress,
        "progress_source": ProgressSource.DERIVED if progress is not None else None,
        "lag_records": pending,
    }


def _about(job: Job, report: JobReport, now: datetime) -> dict[str, Any]:
    recent = [failure for failure in report.failures if now - failure.at <= RECENT]
    newest = report.failures[0] if report.failures else None
    done = report.checkpoints
    return {
        "job_id": job.job_id,
        "job_state": job.state,
        "job_started": job.started_at,
        "state_changed": job.changed_at,
        "tasks": job.tasks,
        "tasks_running": job.tasks_running,
        "restarts": report.restarts,
        "failures_recent": len(recent),
        "failed_at": newest.at if newest is not None else None,
        "cause": newest.cause if newest is not None else None,
        "checkpointing": done is not None,
        "checkpoints_completed": done.completed if done is not None else None,
        "checkpoints_failed": done.failed if done is not None else None,
        "checkpoint_completed": done.completed_at if done is not None else None,
        "checkpoint_duration": done.duration if done is not None else None,
        "checkpoint_size": done.size if done is not None else None,
        "checkpoint_failed": done.failed_at if done is not None else None,
        "checkpoint_failure": done.failure if done is not None else None,
        **_metrics(report),
    }


def _metrics(report: JobReport) -> dict[str, Any]:
    sources = [result for _, result in _of(report, ".currentOutputWatermark")]
    inputs = [result for _, result in _of(report, "currentInputWatermark")]
    oldest, missing = watermark(each.least for each in sources)
    newest, _ = watermark(each.most for each in sources)
    least, unbegun = watermark(each.least for each in (*sources, *inputs))
    pending = [result.total for _, result in _of(report, ".pendingRecords")]
    held, share = _most(report, "backPressuredTimeMsPerSecond")
    busiest, busy = _most(report, "busyTimeMsPerSecond")
    return {
        "pending_records": int(sum(p for p in pending if p is not None)) if pending and None not in pending else None,
        "watermark": None if unbegun else least,
        "source_watermark_newest": newest,
        "source_watermark_oldest": None if missing else oldest,
        "watermark_missing": missing if sources else None,
        "backpressured": held,
        "backpressure": share,
        "busiest": busiest,
        "busy": busy,
    }


def _of(report: JobReport, metric: str) -> Iterator[tuple[Vertex, Range]]:
    """Yield a metric of all vertices: a task metric, or with a leading dot an operator metric."""
    for vertex in report.vertices:
        for name, result in report.metrics.get(vertex.vertex_id, {}).items():
            if name == metric or (metric.startswith(".") and name.endswith(metric)):
                yield vertex, result


def _most(report: JobReport, metric: str) -> tuple[str | None, float | None]:
    """Return the vertex with the largest value of a metric in milliseconds per second, and that value as a share."""
    known: Iterable[tuple[str, float]] = (
        (vertex.name, result.most)
        for vertex, result in _of(report, metric)
        if result.most is not None and result.most >= 0
    )
    name, most = max(known, key=lambda pair: pair[1], default=(None, None))
    return name, (min(1.0, most / 1000) if most is not None else None)
