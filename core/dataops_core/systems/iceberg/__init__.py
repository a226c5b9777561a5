"""Iceberg: catalogs, the object stores of their warehouses, and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from dataops_core.config import resolve_secret
from dataops_core.config.check import has_parts, tls_problems
from dataops_core.health.model import store_of
from dataops_core.health.observation import Observation
from dataops_core.systems.base import (
    Clients,
    ComponentKind,
    ComponentProbe,
    ComponentReport,
    Need,
    StageKind,
    StageObject,
    System,
)
from dataops_core.systems.draft import Draft
from dataops_core.systems.iceberg import checks
from dataops_core.systems.iceberg.details import CatalogDetails, TableDetails
from dataops_core.systems.iceberg.settings import CatalogSettings, IcebergTableStage
from dataops_core.transport.credentials import Identity
from dataops_core.transport.endpoints import Endpoint, url_endpoints

if TYPE_CHECKING:
    from dataops_core.systems.iceberg.catalog import CatalogClient

SDK = ("dataops_core.systems.iceberg.sdk", "dataops_core.systems.iceberg.files", "dataops_core.systems.iceberg.table")


def _connect(name: str, settings: CatalogSettings, timeout: float) -> CatalogClient:
    from dataops_core.systems.iceberg.catalog import CatalogClient

    return CatalogClient(name, settings, timeout)


def _probes(name: str, settings: CatalogSettings, client: CatalogClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.iceberg.probe import observe_catalog, observe_store

    def at(key: str) -> Callable[[], Iterator[Endpoint]]:
        def endpoints() -> Iterator[Endpoint]:
            url = settings.properties.get(key)
            if url is not None:
                yield from url_endpoints(resolve_secret(url), settings.tls, f"catalogs.{name}")

        return endpoints

    ours = settings.tls.cert_file if settings.tls is not None else None
    identity = Identity(at("uri"), None if ours is None else ("tls.cert_file", ours), settings.properties.get("token"))
    ask = lambda: ComponentReport(*observe_catalog(client))  # noqa: E731 - short enough for a lambda
    results = {name: ComponentProbe("iceberg", client.target, ask, identity)}
    if client.warehouse is not None:
        ask_store = lambda: ComponentReport(*observe_store(client))  # noqa: E731 - as above
        results[store_of(name)] = ComponentProbe("store", client.warehouse, ask_store, Identity(at("s3.endpoint")))
    return results


def _problems(settings: CatalogSettings) -> Iterator[str]:
    uri = settings.properties.get("uri")
    if isinstance(uri, str) and "${" not in uri:
        yield from tls_problems("", uri, settings.tls)


def _observe(stage: IcebergTableStage, clients: Clients) -> Observation:
    from dataops_core.systems.iceberg.probe import observe_table

    return observe_table(stage, clients.need("iceberg", stage.catalog))


def _find_canary(stage: IcebergTableStage, clients: Clients, where: str) -> Callable[[object], bool]:
    client: CatalogClient = clients.need("iceberg", stage.catalog)
    return lambda _: client.holds(stage.table, where)


def _stage_problems(stage: IcebergTableStage) -> Iterator[str]:
    for key, table in (("table", stage.table), ("rejects", stage.rejects)):
        if table is not None and not has_parts(table, at_least=2):
            yield f".{key}: must be namespace.table"


def _why_unknown(stage: IcebergTableStage, observation: Observation) -> str | None:
    if not observation.position:
        return None
    column = stage.progress_column
    bound = f"the files have no upper bound for {column}" if column else "no progress_column is set"
    return f"it has rows, but no commit has a progress stamp, and {bound}"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.iceberg.discover import discover

    discover(draft, clients)


def _object_of(stage: IcebergTableStage) -> StageObject:
    namespace, _, table = stage.table.rpartition(".")
    return StageObject("iceberg_table", (stage.catalog, namespace, table))


SYSTEM = System(
    name="iceberg",
    tested="Iceberg 1.12.0; REST catalog and S3 of SeaweedFS 4.48; SQL catalog on SQLite and PostgreSQL 15; "
    "Glue of moto 5.2.5, by hand",
    discover=_discover,
    discovery_turn=2,
    components=(
        ComponentKind(
            name="iceberg",
            settings=CatalogSettings,
            details=CatalogDetails,
            title="Iceberg catalogs by name.",
            connect=_connect,
            probes=_probes,
            plural="catalogs",
            problems=_problems,
            modules=SDK,
            import_turn=1,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="iceberg_table",
            noun="table",
            object_of=_object_of,
            rejects=lambda stage: (stage.catalog, *stage.rejects.split(".")) if stage.rejects is not None else None,
            settings=IcebergTableStage,
            details=TableDetails,
            observe=_observe,
            checks=checks.CHECKS,
            needs=lambda stage: (Need("iceberg", stage.catalog, "catalog"),),
            problems=_stage_problems,
            why_unknown=_why_unknown,
            canary="rows",
            find_canary=_find_canary,
            modules=SDK,
            import_turn=1,
        ),
    ),
)
