"""Flink: clusters, and streaming jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.health.observation import Observation
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    DoctorStep,
    Need,
    StageKind,
    System,
    web_identity,
)
from dataops_core.systems.draft import Draft
from dataops_core.systems.flink import checks
from dataops_core.systems.flink.details import FlinkDetails, FlinkJobDetails
from dataops_core.systems.flink.settings import FlinkJobStage, FlinkSettings
from dataops_core.systems.kafka.checks import READER_CHECKS

if TYPE_CHECKING:
    from dataops_core.systems.flink.client import FlinkClient


def _connect(name: str, settings: FlinkSettings, timeout: float) -> FlinkClient:
    from dataops_core.systems.flink.client import FlinkClient

    return FlinkClient(name, settings, timeout)


def _probes(name: str, settings: FlinkSettings, client: FlinkClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.flink.probe import observe_flink

    ask = lambda: ComponentReport(*observe_flink(client))  # noqa: E731 - short enough for a lambda
    return {name: ComponentProbe("flink", client.target, ask, web_identity(name, settings))}


def _observe(stage: FlinkJobStage, clients: Clients) -> Observation:
    from dataops_core.systems.flink.probe import observe_job

    kafka = clients.need("kafka", stage.kafka) if stage.group is not None else None
    return observe_job(stage, clients.need("flink", stage.on), kafka)


def _diagnose(client: FlinkClient) -> Iterator[DoctorStep]:
    from datetime import UTC, datetime

    from dataops_core.systems.flink.responses import newest_by_name

    now, overview = datetime.now(UTC), client.overview()
    yield DoctorStep(
        ok=overview.task_managers > 0,
        detail=f"TaskManagers: {overview.task_managers}, task slots: {overview.slots}, free: {overview.slots_free}",
        remedy=None if overview.task_managers else "Start the TaskManagers, or read their log.",
    )
    newest = newest_by_name(client.jobs())
    for job in newest.values():
        if job.state == "FAILED":
            yield DoctorStep(
                ok=False,
                detail=f"job {job.name} is FAILED",
                remedy=f"Read its exception in {client.target}/#/job/completed/{job.job_id}/exceptions.",
            )
        elif job.state == "RUNNING" and job.tasks_running < job.tasks and checks.has_started(job.changed_at, now):
            yield DoctorStep(
                ok=False,
                detail=f"job {job.name} is RUNNING with {job.tasks_running} of {job.tasks} tasks",
                remedy="Add task slots, or lower its parallelism.",
            )
    yield DoctorStep(ok=True, detail=f"jobs: {len(newest)}")


def _needs(stage: FlinkJobStage) -> tuple[Need, ...]:
    kafka = (Need("kafka", stage.kafka, "kafka"),) if stage.group is not None else ()
    return (Need("flink", stage.on), *kafka)


def _problems(stage: FlinkJobStage) -> Iterator[str]:
    if stage.kafka is not None and stage.group is None:
        yield ".kafka: is only used with `group`"
    if stage.group is not None and stage.event_time:
        yield ": has `group` and `event_time`; keep one of the two"


def _why_unknown(stage: FlinkJobStage, seen: Observation) -> str | None:
    if seen.progress_time is not None or stage.group is not None:
        return None
    state = seen.attribute("job_state")
    if state is not None and state != "RUNNING":
        return f"the job is {state}, so its lag is unknown"
    if seen.measurement("busy") is None:
        return "Flink has not reported metrics of the job yet; it collects them on request"
    return "the job has no watermark" if stage.event_time else _why_no_age(seen)


def _why_no_age(seen: Observation) -> str:
    if seen.lag_records:
        return "it has unread records, and Flink does not report their age: set `group` to its consumer group"
    if seen.lag_records is None:
        return "its sources do not report pending records: set `group`, or `event_time = true`"
    return "no checkpoint has completed yet"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.flink.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="flink",
    tested="Flink 2.2.1 with its Kafka connector 5.0.0 on Kafka 4.4.0, by `make test-systems`",
    discover=_discover,
    discovery_turn=3,
    components=(
        ComponentKind(
            name="flink",
            settings=FlinkSettings,
            details=FlinkDetails,
            title="The Flink cluster.",
            connect=_connect,
            probes=_probes,
            checks=checks.FLINK_CHECKS,
            diagnose=_diagnose,
            problems=lambda settings: web_problems(settings, settings.url, settings.tls),
        ),
    ),
    stage_kinds=(
        StageKind(
            name="flink_job",
            noun="Flink job",
            settings=FlinkJobStage,
            details=FlinkJobDetails,
            observe=_observe,
            checks=(*READER_CHECKS, *checks.JOB_CHECKS),
            needs=_needs,
            problems=_problems,
            why_unknown=_why_unknown,
            min_interval=lambda stage: stage.every,
        ),
    ),
)
