"""Trino: coordinators, and the tables and views that they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dataops_core.config.check import has_parts, tls_problems, url_problems
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
    token_endpoint,
    web_identity,
)
from dataops_core.systems.draft import Draft
from dataops_core.systems.trino import checks
from dataops_core.systems.trino.details import TrinoDetails, ViewDetails
from dataops_core.systems.trino.settings import TrinoSettings, TrinoThresholds, TrinoViewStage

if TYPE_CHECKING:
    from dataops_core.systems.trino.client import TrinoClient

CANARY_SECONDS = 20.0
"""Deadline in seconds of the query for a canary."""


def _connect(name: str, settings: TrinoSettings, timeout: float) -> TrinoClient:
    from dataops_core.systems.trino.client import TrinoClient

    return TrinoClient(settings, timeout, name)


def _probes(name: str, settings: TrinoSettings, client: TrinoClient) -> Mapping[str, ComponentProbe]:
    from dataops_core.systems.trino.probe import Load, observe_trino

    load = Load()
    ask = lambda: ComponentReport(*observe_trino(client, load, name))  # noqa: E731 - short enough for a lambda
    identity = web_identity(name, settings)
    if settings.oauth is not None:
        identity = replace(identity, token_endpoint=token_endpoint(f"{name}.oauth", settings.oauth))
    return {name: ComponentProbe("trino", client.target, ask, identity)}


def _problems(settings: TrinoSettings) -> Iterator[str]:
    yield from url_problems(".url", settings.url)
    yield from tls_problems("", settings.url, settings.tls)
    if settings.oauth is not None:
        yield from url_problems(".oauth.token_url", settings.oauth.token_url)
        if not settings.oauth.token_url.startswith("https://"):
            yield ".oauth.token_url: a client secret is sent over https:// only"
    for key in ("password", "token", "oauth", "kerberos"):
        if getattr(settings, key) is not None and not settings.url.startswith("https://"):
            name = {"oauth": "token", "kerberos": "ticket"}.get(key, key)
            yield f".{key}: Trino accepts a {name} over https:// only; change the url, or remove {key}"
    given = [key for key in ("password", "token", "oauth", "kerberos") if getattr(settings, key) is not None]
    if len(given) > 1:
        named = (key if key in ("oauth", "kerberos") else f"a {key}" for key in reversed(given))
        yield f": has {' and '.join(named)}; keep one of them"


def _observe(stage: TrinoViewStage, clients: Clients) -> Observation:
    from dataops_core.systems.measured.observe import LastChange
    from dataops_core.systems.trino.probe import observe_view

    change: LastChange = clients.keep(("last change", repr(stage)), LastChange)
    return observe_view(stage, clients.need("trino", stage.on), change)


def _find_canary(stage: TrinoViewStage, clients: Clients, where: str) -> Callable[[object], bool]:
    client: TrinoClient = clients.need("trino", stage.on)
    return lambda _: bool(client.fetch(f"SELECT 1 FROM {stage.relation} WHERE {where} LIMIT 1", CANARY_SECONDS))


def _stage_problems(stage: TrinoViewStage) -> Iterator[str]:
    if not has_parts(stage.relation, at_least=3):
        yield ".relation: must be catalog.schema.name"
    if stage.progress_column is not None and not stage.progress_column.strip():
        yield ".progress_column: is empty"


def _why_unknown(stage: TrinoViewStage, observation: Observation) -> str | None:
    if observation.position == 0:
        return None
    if stage.progress_column is not None:
        return f"it is up, but no row has a time in the past in {stage.progress_column}"
    return "it is up, but its data age is unknown: set `progress_column`, or stamp its commits"


def _discover(draft: Draft, clients: Clients) -> None:
    from dataops_core.systems.trino.discover import discover

    discover(draft, clients)


SYSTEM = System(
    name="trino",
    tested="Trino 476",
    discover=_discover,
    discovery_turn=5,
    components=(
        ComponentKind(
            name="trino",
            settings=TrinoSettings,
            details=TrinoDetails,
            title="The Trino coordinator.",
            connect=_connect,
            probes=_probes,
            checks=checks.TRINO_CHECKS,
            problems=_problems,
        ),
    ),
    stage_kinds=(
        StageKind(
            name="trino_view",
            object_of=lambda stage: StageObject("trino_relation", (stage.relation,)),
            settings=TrinoViewStage,
            details=ViewDetails,
            observe=_observe,
            checks=checks.VIEW_CHECKS,
            needs=lambda stage: (Need("trino", stage.on),),
            problems=_stage_problems,
            min_interval=lambda stage: stage.every,
            why_unknown=_why_unknown,
            failure_remedy="Run the view's query in the SQL screen.",
            failure_is_current=True,
            canary="rows",
            find_canary=_find_canary,
        ),
    ),
    thresholds=TrinoThresholds,
)
