"""The contract of a system: its kinds of components and stages, with their probes, checks and diagnosis.

A system is one folder below `dataops_core.systems`, or one package elsewhere that offers a `System` in the entry point
group `dataops.systems`. docs/extending.md shows a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dataops_core.config.base import ComponentSettings, OauthSettings, Secret, Section, StageSettings, TlsSettings
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
    """A component that the probe of a stage requires.

    Attributes:
        kind: Kind of component, such as `kafka`.
        name: Name that the stage gives. `None`: the only component of this kind, or the one named like the kind.
        key: Key of the stage's settings that holds the name.
    """

    kind: str
    name: str | None = None
    key: str = "on"


@dataclass(frozen=True, slots=True)
class StageObject:
    """The object that a stage observes; metrics and screens use it to find stages of the same object.

    Attributes:
        kind: `kafka_topic`, `iceberg_table`, `airflow_dag`, `trino_relation`, or a kind of a plug-in.
        path: Parts of the name, such as `catalog`, `namespace` and `table`.
    """

    kind: str
    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parts of the name, joined by dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """The result of a component's probe.

    Attributes:
        detail: One line, such as the version.
    """

    detail: str
    observation: Observation | None = None


@dataclass(frozen=True, slots=True)
class DoctorStep:
    """One result of the doctor.

    Attributes:
        ok: Whether it works; `None` if that is unknown.
        detail: The result in one line.
        remedy: The fix; `None` if nothing is wrong.
    """

    ok: bool | None
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class ComponentProbe:
    """A probe of a component.

    Attributes:
        kind: Kind of component; selects the checks.
        target: Its address, without secrets.
        ask: Runs the probe; raises DataopsError.
        identity: The endpoints, and the credentials that we send.
        further_addresses: Returns the addresses that the component advertises to clients; raises DataopsError.
        always: Whether every refresh runs the probe. Otherwise only the doctor runs it.
    """

    kind: str
    target: str
    ask: Callable[[], ComponentReport]
    identity: Identity = NO_IDENTITY
    further_addresses: Callable[[], Sequence[tuple[str, int]]] | None = None
    always: bool = True


class Clients(Protocol):
    """The clients of a context; each is created at its first use."""

    def need(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client; raise ConfigError if the component is not configured."""

    def all(self, kind: str) -> dict[str, Any]:
        """Return the clients of a kind by component name."""

    def keep(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any cached value
        """Return the cached value of a key, and create it if it is missing. It lives as long as the clients."""


def no_problems(*_: object) -> Iterator[str]:
    """Yield nothing."""
    yield from ()


@dataclass(frozen=True, kw_only=True)
class ComponentKind:
    """A kind of component: a cluster, a server, a catalog.

    Attributes:
        name: Unique over all systems, such as `kafka`; also the short name of its table in a context.
        settings: Type of its table in a context.
        title: Description of the table in the configuration reference.
        connect: Returns the client of a component from its name, its settings and the deadline of each call in
            seconds. It opens no connection.
        probes: Returns the probes of a component by name, from its name, its settings and its client. Most kinds
            have one probe, named like the component.
        diagnose: Runs the doctor's steps for a component that responds.
        plural: Name of a table that holds several components by name, such as `catalogs`.
        problems: Yields problems of the settings that types cannot express; each line begins with the key.
        modules: Modules that are imported before the probe runs, outside its deadline.
        import_turn: Position in the order of imports: 0 for less than 0.1 s of import time, then the slowest
            components first.
            details: Type of the details of its observations.
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
        name: `kind` in the settings; unique over all systems.
        settings: Type of its table in a pipeline.
        observe: Returns an observation of a stage; raises DataopsError.
        needs: Returns the components that the probe requires. The stage is attributed to the first of its own
            system.
        noun: Name of such a stage in messages, such as `DAG`; empty: the name of the kind.
        object_of: Returns the object that a stage observes.
        rejects: Returns the table of rejected records as catalog, schema and name; `None` if the stage has none.
        problems: Yields problems of the settings that types cannot express; each line begins with `.key`.
        diagnose: Runs the doctor's further steps for a stage.
        canary: How the canary is found in it: by `rows` or by `offsets`; `None`: it cannot be found.
        find_canary: Returns a function that checks whether the sent record arrived. Arguments: the stage, the
            clients, and the condition that selects the record's row.
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
    """A system: its kinds of components and stages, its thresholds and its discovery.

    Attributes:
        name: Name of the entry point, such as `kafka`.
        thresholds: Type of its thresholds in `[contexts.NAME.thresholds]`.
        discover: Adds its stages to the draft of `config init`, and links them to the stages of other systems.
        discovery_turn: Position in the order of discovery. A system links its stages to those of earlier turns.
        tested: Programs and versions that its tests run against, for the docs.
    """

    name: str
    components: tuple[ComponentKind, ...] = ()
    stage_kinds: tuple[StageKind, ...] = ()
    thresholds: type[Section] | None = None
    discover: Callable[[Draft, Clients], None] | None = None
    discovery_turn: int = 1
    tested: str = ""


def token_endpoint(key: str, settings: OauthSettings) -> Identity:
    """Return the identity for a token endpoint.

    Args:
        key: Key of its settings in the context: the component and `oauth`.
        settings: Its settings.
    """
    ours = settings.tls.cert_file if settings.tls is not None else None
    return Identity(
        lambda: url_endpoints(settings.token_url, settings.tls, key),
        None if ours is None else ("oauth.tls.cert_file", ours),
    )


class _Web(Protocol):
    """Common settings of HTTP services."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> Secret | None: ...
    @property
    def tls(self) -> TlsSettings | None: ...


def web_identity(name: str, settings: _Web, *, by_proxy: bool = True) -> Identity:
    """Return the identity of an HTTP service.

    Args:
        name: The component's name.
        settings: Its settings.
        by_proxy: Whether its client uses the proxy of the environment.
    """
    ours = settings.tls.cert_file if settings.tls is not None else None
    return Identity(
        lambda: url_endpoints(settings.url, settings.tls, name, by_proxy=by_proxy),
        None if ours is None else ("tls.cert_file", ours),
        settings.token,
    )
