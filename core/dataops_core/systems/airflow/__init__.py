"""Airflow: API servers and DAGs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dataops_core.config.check import web_problems
from dataops_core.health.model import Remedy
from dataops_core.health.observation import Observation
from dataops_core.systems.airflow import checks
from dataops_core.systems.airflow.details import AirflowDetails, DagDetails
from dataops_core.systems.airflow.settings import AirflowSettings, DagStage
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    Need,
    StageKind,
    StageObject,
    System,
    web_identity,
)
from dataops_core.systems.draft import Draft

if TYPE_CHECKING:
    from dataops_core.systems.airflow.client import AirflowClient

SDK = ("dataops_core.systems.airflow.sdk",)


def _connect(_name: str, settings: AirflowSettings, timeout: float) -> AirflowClient:
    from dataops_core.systems.airflow.client import AirflowClient

    return AirflowClient(settings, timeout)


def _probes(name: str, settings: AirflowSettings, client: AirflowClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.airflow.probe import observe_airflow

    ask = lambda: ComponentReport(*observe_airflow(client, name))  # noqa: E731 - one line for one question
    return {name: ComponentProbe("airflow", client.target, ask, web_identity(name, settings, by_proxy=False))}


def _observe(stage: DagStage, clients: Clients) -> Observation:
    from dataops_core.systems.airflow.probe import observe_dag

    return observe_dag(stage, clients.need("airflow", stage.on))


def _why_unknown(_stage: DagStage, observation: Observation) -> str | None:
    if observation.attribute("last_work") is None:
        return None
    return "none of its newest runs did anything, and earlier runs are unknown"


def _remedy(stage: DagStage) -> Remedy:
    return Remedy(
        text=f"Check the log of the DAG {stage.dag_id}, then trigger it.",
        command=stage.remedy or checks.trigger_command(stage),
        dag_id=stage.dag_id,
    )


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.airflow.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="airflow",
    tested="Apache Airflow 3.3.2 and 2.11.0",
    discover=_discover,
    discovery_turn=3,
    components=(
        ComponentKind(
            name="airflow",
            settings=AirflowSettings,
            details=AirflowDetails,
            title="The Airflow API server.",
            connect=_connect,
            probes=_probes,
            checks=checks.AIRFLOW_CHECKS,
            problems=lambda settings: web_problems(settings, settings.url, settings.tls),
            modules=SDK,
            import_turn=3,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="dag",
            object_of=lambda stage: StageObject("airflow_dag", (stage.dag_id,)),
            noun="DAG",
            settings=DagStage,
            details=DagDetails,
            observe=_observe,
            checks=checks.DAG_CHECKS,
            needs=lambda stage: (Need("airflow", stage.on),),
            run_start_is_progress=True,
            why_unknown=_why_unknown,
            remedy=_remedy,
            modules=SDK,
            import_turn=3,
        ),
    ),
)
