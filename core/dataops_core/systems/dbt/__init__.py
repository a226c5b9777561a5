"""dbt: projects by their artifacts, with models and sources as stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.health.observation import Observation
from dataops_core.health.text import ago, clock
from dataops_core.systems.base import (
    NO_IDENTITY,
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
from dataops_core.systems.dbt import checks
from dataops_core.systems.dbt.details import DbtDetails, DbtModelDetails, DbtSourceDetails
from dataops_core.systems.dbt.settings import DbtModelStage, DbtSettings, DbtSourceStage, DbtThresholds, problems
from dataops_core.systems.draft import Draft

if TYPE_CHECKING:
    from datetime import datetime

    from dataops_core.systems.dbt.client import DbtClient
    from dataops_core.systems.dbt.runs import Run


def _connect(name: str, settings: DbtSettings, timeout: float) -> DbtClient:
    from dataops_core.systems.dbt.client import DbtClient

    return DbtClient(name, settings, timeout)


def _probes(name: str, settings: DbtSettings, client: DbtClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.dbt.probe import observe_dbt

    api = settings.api()
    identity = web_identity(name, api.account) if api is not None else NO_IDENTITY
    return {name: ComponentProbe("dbt", client.target, lambda: ComponentReport(*observe_dbt(client)), identity)}


def _observe_model(stage: DbtModelStage, clients: Clients) -> Observation:
    from dataops_core.systems.dbt.probe import observe_model

    return observe_model(stage, clients.need("dbt", stage.on))


def _observe_source(stage: DbtSourceStage, clients: Clients) -> Observation:
    from dataops_core.systems.dbt.probe import observe_source

    return observe_source(stage, clients.need("dbt", stage.on))


def _diagnose(client: DbtClient) -> Iterator[DoctorStep]:
    from datetime import UTC, datetime

    project, now = client.project(), datetime.now(UTC)
    for run in dict.fromkeys((*project.job_runs[:1], project.failed_run())):
        if run is not None:
            yield _job_step(run, now)
    for problem in project.unreadable.values():
        yield DoctorStep(
            ok=False, detail=problem, remedy="Use a supported dbt version, and check that the whole file can be read."
        )
    if project.manifest is not None:
        yield DoctorStep(ok=True, detail=f"manifest.json: {len(project.manifest.nodes)} nodes")
    elif "manifest.json" not in project.unreadable:
        yield DoctorStep(
            ok=False, detail="there is no manifest.json", remedy="Run `dbt build`, or correct the location."
        )
    if project.runs:
        newest = project.runs[0]
        ran = len(newest.of_models()) + len(newest.of_tests())
        fix = "Set the step of `dbt build` in `run_results`." if project.job_runs else "Run `dbt build`."
        yield DoctorStep(
            ok=True if ran else None,
            detail=f"newest results: dbt {newest.title}, {clock(newest.written.at, now)}, models and tests run: {ran}",
            remedy=None if ran else f"{fix} These results are from a command that runs no models or tests.",
        )
    else:
        yield DoctorStep(
            ok=None, detail="there are no run results: runs of models are unknown", remedy="Run `dbt build`."
        )
    if project.sources is None and "sources.json" not in project.unreadable:
        yield DoctorStep(
            ok=None,
            detail="there is no sources.json: freshness of sources is unknown",
            remedy="Run `dbt source freshness`, if the project defines a freshness.",
        )


def _job_step(run: Run, now: datetime) -> DoctorStep:
    detail = f"run {run.title} of the job, created {ago(run.created_at, now)}"
    if not run.failed:
        return DoctorStep(ok=True, detail=detail)
    cause = f": {run.message}" if run.message is not None else ""
    return DoctorStep(ok=False, detail=f"{detail}{cause}", remedy=f"Read the log of the run: {run.link or run.id}")


def _model_unknown(_: DbtModelStage, observation: Observation) -> str | None:
    if observation.progress_time is not None:
        return None
    if observation.attribute("status") == "skipped":
        return "its newest run was skipped, and no successful run is known"
    return "the results have no successful run of it"


def _source_unknown(_: DbtSourceStage, observation: Observation) -> str | None:
    if observation.progress_time is not None:
        return None
    if observation.measurement("newest_row") is None:
        return "the newest freshness check found no row time"
    return "its newest freshness check is older than `checked_within`"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.dbt.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="dbt",
    tested="dbt 1.11.16 with dbt-trino 1.10.6 on Trino 476, by `make test-systems`; 1.11.16 and 1.7.19 with DuckDB, by"
    " hand, their artifacts in tests; dbt's Administrative API v2 as documented, not the dbt platform itself",
    discover=_discover,
    discovery_turn=4,
    thresholds=DbtThresholds,
    components=(
        ComponentKind(
            name="dbt",
            settings=DbtSettings,
            details=DbtDetails,
            title="The dbt project, by its artifacts.",
            connect=_connect,
            probes=_probes,
            checks=checks.DBT_CHECKS,
            diagnose=_diagnose,
            problems=problems,
            modules=("pyarrow.fs",),
            import_turn=1,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="dbt_model",
            noun="dbt model",
            settings=DbtModelStage,
            details=DbtModelDetails,
            observe=_observe_model,
            checks=checks.MODEL_CHECKS,
            needs=lambda stage: (Need("dbt", stage.on),),
            run_start_is_progress=True,
            why_unknown=_model_unknown,
            min_interval=lambda stage: stage.every,
            modules=("pyarrow.fs",),
            import_turn=1,
        ),
        StageKind(
            name="dbt_source",
            noun="dbt source",
            settings=DbtSourceStage,
            details=DbtSourceDetails,
            observe=_observe_source,
            checks=checks.SOURCE_CHECKS,
            needs=lambda stage: (Need("dbt", stage.on),),
            why_unknown=_source_unknown,
            min_interval=lambda stage: stage.every,
            modules=("pyarrow.fs",),
            import_turn=1,
        ),
    ),
)
