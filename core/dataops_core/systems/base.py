"""The contract of a system: its components, its kinds of stages, and how each is observed, checked and diagnosed.

A system is one folder below `dataops_core.systems`, or one package elsewhere that offers a `System` in the entry point
group `dataops.systems`. docs/extending.md shows a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dataops_core.config.base import ComponentSettings, Secret, Section, StageSettings, TlsSettings
from dataops_core.health.checks.base import Check
from dataops_core.health.details import ComponentDetails
from dataops_core.health.observation import Observation
from dataops_core.health.rules import StageRules
from dataops_core.systems.draft import Draft
from dataops_core.transport.credentials import Identity
from dataops_core.transport.endpoints import url_endpoints

NO_IDENTITY = Identity(endpoints=lambda: iter(()))


@dataclass(frozen=True, slots=True)
class Need:
    """A component that a stage cannot be observed without.

    Attributes:
        kind: Kind of component, such as `kafka`.
        name: Its name where the stage names it; else it is the context's only one, or that called like its kind.
        key: The key of the stage that names it.
    """

    kind: str
    name: str | None = None
    key: str = "on"


@dataclass(frozen=True, slots=True)
class StageObject:
    """The object of its system that a stage observes, by which metrics and screens find stages of the same object.

    Attributes:
        kind: `kafka_topic`, `iceberg_table`, `airflow_dag`, `trino_relation`, or a plug-in's own.
        path: Its name: one part, or several as `catalog`, `namespace` and `table`.
    """

    kind: str
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parts of its name, with dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """What a component reports of itself.

    Attributes:
        detail: One line about it, such as its version.
        observation: What was observed.
    """

    detail: str
    observation: Observation | None = None


@dataclass(frozen=True, slots=True)
class DoctorStep:
    """Something that the doctor tried.

    Attributes:
        ok: Whether it works; `None` where that is unknown.
        detail: What was found, in one line.
        remedy: What to do about it, where something is wrong.
    """

    ok: bool | None
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class ComponentProbe:
    """How a component is probed.

    Attributes:
        kind: Kind of component, by which its checks are found.
        target: Its address, without secrets.
        ask: Asks it; raises DataopsError.
        identity: Where it is reached, and what we show to it.
        further_addresses: Returns the addresses to which the component sends its clients on; raises DataopsError.
        always: Whether it is asked with each refresh; else only by the doctor.
    """

    kind: str
    target: str
    ask: Callable[[], ComponentReport]
    identity: Identity = NO_IDENTITY
    further_addresses: Callable[[], Sequence[tuple[str, int]]] | None = None
    always: bool = True


class Clients(Protocol):
    """The clients of a context, each created when it is needed first."""

    def need(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client; raises ConfigError where the component is not configured."""

    def all(self, kind: str) -> dict[str, Any]:
        """Return the clients of a kind by the names of their components."""

    def keep(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever a probe keeps
        """Return what is kept under a key for as long as the clients live; create it where it is missing."""


def no_problems(*_: object) -> Iterator[str]:
    """Yield nothing."""
    yield from ()


@dataclass(frozen=True, kw_only=True)
class ComponentKind:
    """A kind of component: a cluster, a server, a catalog.

    Attributes:
        name: Unique over all systems, such as `kafka`; also the short form of its table in a context.
        settings: Its table in a context.
        title: What the table is, for the configuration reference.
        connect: Create the client of a component, given its name, its settings and a deadline of each call in seconds.
            Nothing is connected yet.
        probes: The probes of a component by their names, given its name, its settings and its client; mostly one,
            called like the component.
        diagnose: What the doctor tries of a component that responds, given its client.
        plural: Name of the table of several by name, where that is the short form, such as `catalogs`.
        problems: What is wrong with its settings beyond the types, each line beginning with the key.
        modules: Modules that are imported before it is asked, outside of its deadline.
        import_turn: Turn in which they are imported: 0 for what takes less than a tenth of a second, then those whose
            components take longest to respond.
            details: What it adds to an observation.
        checks: What can be wrong with it.
    """

    name: str
    settings: type[ComponentSettings]
    title: str
    connect: Callable[[str, Any, float], Any]
    probes: Callable[[str, Any, Any], Mapping[str, ComponentProbe]]
    details: type[ComponentDetails] = ComponentDetails
    checks: tuple[Check, ...] = ()
    diagnose: Callable[[Any], Iterator[DoctorStep]] | None = None
    plural: str | None = None
    problems: Callable[[Any], Iterator[str]] = no_problems
    modules: tuple[str, ...] = ()
    import_turn: int = 0


@dataclass(frozen=True, kw_only=True)
class StageKind(StageRules):
    """A kind of stage.

    Attributes:
        name: Unique over all systems: `kind` in the settings.
        settings: Its table in a pipeline.
        observe: Observe a stage now; raises DataopsError.
        needs: The components that it cannot be observed without; the first of its own system answers for it.
        noun: What one is called, such as `DAG`, where that is not the kind's own name.
        object_of: The object that a stage observes, given its settings.
        rejects: The table of the records that a stage rejected, as catalog, schema and name, given its settings; `None`
            where it has none.
        problems: What is wrong with its settings beyond the types, each line beginning with `.key`.
        diagnose: What the doctor tries of a stage beyond that it can be observed.
        canary: How a canary is looked for in it: by its `rows` or by its `offsets`; `None` where it cannot be.
        find_canary: Return a function that checks whether the sent record arrived, given a stage, the clients and the
            condition that holds for the record's row alone.
        modules: As in `ComponentKind`.
        import_turn: As in `ComponentKind`.
    """

    name: str
    settings: type[StageSettings]
    observe: Callable[[Any, Clients], Observation]
    needs: Callable[[Any], tuple[Need, ...]] = lambda _stage: ()
    noun: str = ""
    object_of: Callable[[Any], StageObject | None] = lambda _stage: None
    rejects: Callable[[Any], tuple[str, ...] | None] = lambda _stage: None
    problems: Callable[[Any], Iterator[str]] = no_problems
    diagnose: Callable[[Any, Clients], Iterator[DoctorStep]] | None = None
    canary: Literal["rows", "offsets"] | None = None
    find_canary: Callable[[Any, Clients, str], Callable[[Any], bool]] | None = None
    modules: tuple[str, ...] = ()
    import_turn: int = 0


@dataclass(frozen=True, kw_only=True)
class System:
    """All that the product knows about one system.

    Attributes:
        name: Such as `kafka`; the name of the entry point.
        components: Its kinds of components.
        stage_kinds: Its kinds of stages.
        thresholds: What it adds to `[contexts.NAME.thresholds]`.
        discover: Add its stages to the draft of `config init`, and link them with what is there.
        discovery_turn: Turn in which it does so: systems link their stages to those of earlier turns.
        tested: The programs and versions that its tests run against, for the docs.
    """

    name: str
    components: tuple[ComponentKind, ...] = ()
    stage_kinds: tuple[StageKind, ...] = ()
    thresholds: type[Section] | None = None
    discover: Callable[[Draft, Clients], None] | None = None
    discovery_turn: int = 1
    tested: str = ""


class _Web(Protocol):
    """What the settings of services that are asked over HTTP have in common."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> Secret | None: ...
    @property
    def tls(self) -> TlsSettings | None: ...


def web_identity(name: str, settings: _Web, *, by_proxy: bool = True) -> Identity:
    """Return the identity of a service that is asked over HTTP.

    Args:
        name: The component's name.
        settings: Its settings.
        by_proxy: Whether its client goes through a proxy that the environment names.
    """
    ours = settings.tls.cert_file if settings.tls is not None else None
    return Identity(
        lambda: url_endpoints(settings.url, settings.tls, name, by_proxy=by_proxy),
        None if ours is None else ("tls.cert_file", ours),
        settings.token,
    )
