"""Databases, and stages whose progress a query returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataops_core.config import resolve_secret
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
from dataops_core.systems.measured.checks import CHECKS
from dataops_core.systems.measured.details import MeasuredDetails
from dataops_core.systems.sql.details import DatabaseDetails
from dataops_core.systems.sql.settings import DatabaseSettings, SqlQueryStage
from dataops_core.transport.credentials import Identity
from dataops_core.transport.endpoints import url_endpoints

if TYPE_CHECKING:
    from dataops_core.systems.sql.client import DatabaseClient


def _connect(name: str, settings: DatabaseSettings, timeout: float) -> DatabaseClient:
    from dataops_core.systems.sql.client import DatabaseClient

    return DatabaseClient(name, settings, timeout)


def _probes(name: str, settings: DatabaseSettings, client: DatabaseClient) -> Mapping[str, ComponentProbe]:
    def ask() -> ComponentReport:
        dialect, version = client.ping()
        details = DatabaseDetails(dialect=dialect, server_version=version or None)
        return ComponentReport(f"{dialect} {version}".strip(), Observation(name, datetime.now(UTC), details=details))

    identity = Identity(lambda: url_endpoints(resolve_secret(settings.url), None, f"databases.{name}", by_proxy=False))
    return {name: ComponentProbe("database", client.target, ask, identity)}


def _observe(stage: SqlQueryStage, clients: Clients) -> Observation:
    from dataops_core.systems.measured.observe import observe_values

    client: DatabaseClient = clients.need("database", stage.on)
    row = client.row(stage.query)
    return observe_values(stage, _values(row, client.where), client.where, clients)


def _values(row: Mapping[str, object], where: str) -> dict[str, object]:
    from dataops_core.errors import BadAnswer
    from dataops_core.systems.measured.settings import VALUES, label_problems

    labels = {name: value for name, value in row.items() if name not in VALUES}
    wrong = next(label_problems(labels, MeasuredDetails), None)
    if wrong is not None:
        raise BadAnswer(f"{where}: the query's columns: {wrong.removeprefix('.labels: ')}")
    own = {name: value for name, value in row.items() if name in VALUES}
    return own | {f"labels.{name}": value for name, value in labels.items()}


def _stage_problems(stage: SqlQueryStage) -> Iterator[str]:
    from dataops_core.systems.sql.reading import query_problem

    wrong = query_problem(stage.query)
    if wrong is not None:
        yield f".query: {wrong}"


def _diagnose(stage: SqlQueryStage, clients: Clients) -> Iterator[DoctorStep]:
    from dataops_core.systems.measured.settings import VALUES

    client: DatabaseClient = clients.need("database", stage.on)
    row = client.row(stage.query)
    for name, value in row.items():
        what = name if name in VALUES else f"label {name}"
        yield DoctorStep(
            ok=True if value is not None else None, detail=f"{what}: {'NULL' if value is None else 'found'}"
        )


def _why_unknown(stage: SqlQueryStage, observation: Observation) -> str | None:
    from dataops_core.systems.measured.observe import why_unknown

    return why_unknown(stage, observation)


SYSTEM = System(
    name="sql",
    tested="PostgreSQL 15 with psycopg 3.3; SQLite 3",
    components=(
        ComponentKind(
            name="database",
            settings=DatabaseSettings,
            details=DatabaseDetails,
            title="Databases by name.",
            connect=_connect,
            probes=_probes,
            plural="databases",
        ),
    ),
    stage_kinds=(
        StageKind(
            name="sql_query",
            noun="query",
            settings=SqlQueryStage,
            details=MeasuredDetails,
            observe=_observe,
            checks=CHECKS,
            needs=lambda stage: (Need("database", stage.on),),
            problems=_stage_problems,
            diagnose=_diagnose,
            min_interval=lambda stage: stage.every,
            why_unknown=_why_unknown,
        ),
    ),
)
