"""Services that report their progress as a JSON document over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
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
from dataops_core.systems.http.details import HttpDetails
from dataops_core.systems.http.settings import HttpDocumentStage, HttpSettings
from dataops_core.systems.measured.checks import CHECKS
from dataops_core.systems.measured.details import MeasuredDetails
from dataops_core.systems.measured.settings import document_problems

if TYPE_CHECKING:
    from dataops_core.systems.http.client import HttpClient


def _connect(name: str, settings: HttpSettings, timeout: float) -> HttpClient:
    from dataops_core.systems.http.client import HttpClient

    return HttpClient(name, settings, timeout)


def _probes(name: str, settings: HttpSettings, client: HttpClient) -> Mapping[str, ComponentProbe]:
    def ask() -> ComponentReport:
        detail = client.ping()
        return ComponentReport(detail, Observation(name, datetime.now(UTC), details=HttpDetails()))

    return {name: ComponentProbe("http", client.target, ask, web_identity(name, settings))}


def _problems(settings: HttpSettings) -> Iterator[str]:
    yield from web_problems(settings, settings.url, settings.tls)
    if not settings.health_path.startswith("/"):
        yield ".health_path: must begin with /"
    if any(name.lower() == "authorization" for name in settings.headers):
        yield ".headers: give `Authorization` as `token`, or as `username` and `password`"


def _stage_problems(stage: HttpDocumentStage) -> Iterator[str]:
    if not stage.path.startswith("/"):
        yield ".path: must begin with /"
    yield from document_problems(stage)


def _observe(stage: HttpDocumentStage, clients: Clients) -> Observation:
    from dataops_core.systems.measured.document import values
    from dataops_core.systems.measured.observe import observe_values

    client: HttpClient = clients.need("http", stage.on)
    document = client.document(stage.path, stage.bytes_max)
    where = f"{client.where}{stage.path.partition('?')[0]}"
    return observe_values(stage, values(stage, document, where), where, clients)


def _diagnose(stage: HttpDocumentStage, clients: Clients) -> Iterator[DoctorStep]:
    from dataops_core.systems.measured.document import steps

    client: HttpClient = clients.need("http", stage.on)
    yield from steps(stage, client.document(stage.path, stage.bytes_max), client.where)


def _why_unknown(stage: HttpDocumentStage, observation: Observation) -> str | None:
    from dataops_core.systems.measured.observe import why_unknown

    return why_unknown(stage, observation)


SYSTEM = System(
    name="http",
    tested="a local HTTP server",
    components=(
        ComponentKind(
            name="http",
            settings=HttpSettings,
            details=HttpDetails,
            title="A service that reports its progress as JSON.",
            connect=_connect,
            probes=_probes,
            problems=_problems,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="http_document",
            noun="document",
            settings=HttpDocumentStage,
            details=MeasuredDetails,
            observe=_observe,
            checks=CHECKS,
            needs=lambda stage: (Need("http", stage.on),),
            problems=_stage_problems,
            diagnose=_diagnose,
            min_interval=lambda stage: stage.every,
            why_unknown=_why_unknown,
        ),
    ),
)
