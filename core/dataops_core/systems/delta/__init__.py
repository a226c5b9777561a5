"""Delta Lake: locations with tables, and stages that are tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

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
)
from dataops_core.systems.delta.checks import CHECKS
from dataops_core.systems.delta.details import DeltaDetails, DeltaTableDetails
from dataops_core.systems.delta.settings import DeltaSettings, DeltaTableStage, component_problems, stage_problems
from dataops_core.systems.draft import Draft

if TYPE_CHECKING:
    from dataops_core.systems.delta.client import DeltaClient


def _connect(name: str, settings: DeltaSettings, timeout: float) -> DeltaClient:
    from dataops_core.systems.delta.client import DeltaClient

    return DeltaClient(name, settings, timeout)


def _probes(name: str, _settings: DeltaSettings, client: DeltaClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.delta.probe import observe_location

    return {name: ComponentProbe("delta", client.target, lambda: ComponentReport(*observe_location(client)))}


def _observe(stage: DeltaTableStage, clients: Clients) -> Observation:
    from dataops_core.systems.delta.probe import observe_table

    return observe_table(stage, clients.need("delta", stage.on))


def _diagnose(stage: DeltaTableStage, clients: Clients) -> Iterator[DoctorStep]:
    from dataops_core.systems.delta.probe import diagnose_table

    return diagnose_table(stage, clients.need("delta", stage.on))


def _why_unknown(stage: DeltaTableStage, observation: Observation) -> str | None:
    if observation.progress_time is not None or observation.measurement("data_files") == 0:
        return None
    if stage.progress_column is not None:
        return f"no commit has a progress stamp, and the files have no statistics of {stage.progress_column}"
    return "the commits that are in its log added no data"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.delta.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="delta",
    tested="deltalake 1.6.6 on local folders and S3 of SeaweedFS 4.48",
    discover=_discover,
    discovery_turn=2,
    components=(
        ComponentKind(
            name="delta",
            settings=DeltaSettings,
            details=DeltaDetails,
            title="The location of Delta Lake tables.",
            connect=_connect,
            probes=_probes,
            problems=component_problems,
            modules=("pyarrow.fs", "pyarrow.compute"),
            import_turn=1,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="delta_table",
            noun="table",
            settings=DeltaTableStage,
            details=DeltaTableDetails,
            observe=_observe,
            checks=CHECKS,
            needs=lambda stage: (Need("delta", stage.on),),
            problems=stage_problems,
            diagnose=_diagnose,
            why_unknown=_why_unknown,
            min_interval=lambda stage: stage.every,
            modules=("pyarrow.fs", "pyarrow.compute"),
            import_turn=1,
        ),
    ),
)
