"""Object stores, and stages whose progress is the newest object below a prefix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataops_core.health.observation import Observation
from dataops_core.systems.base import Clients, ComponentKind, ComponentProbe, ComponentReport, Need, StageKind, System
from dataops_core.systems.object_prefix.checks import CHECKS
from dataops_core.systems.object_prefix.details import ObjectStoreDetails, PrefixDetails
from dataops_core.systems.object_prefix.settings import ObjectPrefixStage, ObjectStoreSettings, location_problems

if TYPE_CHECKING:
    from dataops_core.systems.object_prefix.store import ObjectStore


def _connect(name: str, settings: ObjectStoreSettings, timeout: float) -> ObjectStore:
    from dataops_core.systems.object_prefix.store import ObjectStore

    return ObjectStore(name, settings, timeout)


def _probes(name: str, _settings: ObjectStoreSettings, client: ObjectStore) -> Mapping[str, ComponentProbe]:
    def ask() -> ComponentReport:
        client.ping()
        return ComponentReport(
            "the location exists", Observation(name, datetime.now(UTC), details=ObjectStoreDetails())
        )

    return {name: ComponentProbe("object_store", client.target, ask)}


def _stage_problems(stage: ObjectPrefixStage) -> Iterator[str]:
    if ".." in stage.prefix.split("/"):
        yield ".prefix: must be below the store's location"
    if stage.waits and stage.marker is not None:
        yield ": has `waits` and `marker`; keep one of the two"


def _observe(stage: ObjectPrefixStage, clients: Clients) -> Observation:
    from dataops_core.systems.object_prefix.probe import observe_prefix

    return observe_prefix(stage, clients.need("object_store", stage.on))


SYSTEM = System(
    name="object_prefix",
    tested="local folders; S3 of SeaweedFS 4.48, by hand",
    components=(
        ComponentKind(
            name="object_store",
            settings=ObjectStoreSettings,
            details=ObjectStoreDetails,
            title="Object stores by name.",
            connect=_connect,
            probes=_probes,
            plural="object_stores",
            modules=("pyarrow.fs",),
            import_turn=1,
            problems=location_problems,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="object_prefix",
            noun="prefix",
            settings=ObjectPrefixStage,
            details=PrefixDetails,
            observe=_observe,
            checks=CHECKS,
            needs=lambda stage: (Need("object_store", stage.on),),
            problems=_stage_problems,
            min_interval=lambda stage: stage.every,
            modules=("pyarrow.fs",),
            import_turn=1,
        ),
    ),
)
