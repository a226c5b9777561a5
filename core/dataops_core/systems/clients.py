"""The clients of one context: each is created when it is needed first, and shared between threads from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib import import_module
from threading import RLock
from typing import Any, TypeVar

from dataops_core.config import ComponentSettings, ContextSettings, StageSettings
from dataops_core.config.check import no_such
from dataops_core.errors import ConfigError
from dataops_core.health.details import ComponentDetails
from dataops_core.health.observation import Observation
from dataops_core.systems import lazy_imports
from dataops_core.systems.base import ComponentKind, ComponentProbe, ComponentReport, DoctorStep, StageKind
from dataops_core.systems.registry import Registry, registry
from dataops_core.transport.credentials import Credentials

T = TypeVar("T")


class Clients:
    """The clients of one context.

    Args:
        context: Where the components are.
        timeout: Deadline of each call, in seconds.
        systems: The registry.
        given: Clients that are there already, by the component's name.
    """

    def __init__(
        self,
        context: ContextSettings | None = None,
        timeout: float = 10.0,
        systems: Registry | None = None,
        **given: Any,  # noqa: ANN401 - clients of any kind
    ) -> None:
        self.context = context or ContextSettings()
        self.registry = systems or registry()
        self._timeout = timeout
        self._components = self.context.configured()
        self._clients = {name: client for name, client in given.items() if client is not None}
        self._kept: dict[object, Any] = {}
        self._lock = RLock()

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of the components of a kind, in the order of the settings."""
        found = [name for name, settings in self._components.items() if settings.component == kind]
        return tuple(dict.fromkeys([*found, *(name for name in self._clients if name == kind)]))

    def get(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client; `None` where there is no such component.

        Args:
            kind: Kind of component.
            name: Its name; else it is the one called like its kind, or the only one.
        """
        known = self.names(kind)
        wanted = name or (kind if kind in known else known[0] if len(known) == 1 else None)
        if wanted is None or (wanted not in known and wanted not in self._clients):
            return None
        return self._client(wanted)

    def need(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client, as `get` does.

        Raises:
            ConfigError: The component is not configured, or there are several and none is named.
        """
        client = self.get(kind, name)
        if client is not None:
            return client
        known = self.names(kind)
        if name is None and known:
            raise ConfigError(f"there are several components of kind {kind} ({', '.join(known)})", hint="name one")
        if known:
            raise ConfigError(no_such(kind, name or kind, known))
        raise ConfigError(f"{name or kind} is not configured in this context")

    def all(self, kind: str) -> dict[str, Any]:
        """Return the clients of a kind by the names of their components, in the order of the settings."""
        return {name: self._client(name) for name in self.names(kind)}

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """Return what is kept under a key for as long as the clients live; create it where it is missing."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            kept: T = self._kept[key]
            return kept

    def probes(self, *, all_of_them: bool = False) -> dict[str, ComponentProbe]:
        """Return the probes of all components by their names.

        Args:
            all_of_them: Also those that only the doctor asks.
        """
        found: dict[str, ComponentProbe] = {}
        for name, settings in self._components.items():
            kind = self.registry.component_kind(settings.component)
            if kind is not None:
                found |= kind.probes(name, settings, self._client(name))
        return {
            name: replace(probe, ask=_with_credentials(probe.ask, Credentials(probe.identity)))
            for name, probe in found.items()
            if probe.always or all_of_them
        }

    def observe(self, stage: StageSettings) -> Observation:
        """Observe a stage now; raises DataopsError."""
        kind = self.registry.stage_kind(stage.kind)
        if kind is None:
            raise ConfigError(self.registry.why_missing(stage.kind))
        return kind.observe(stage, self)

    def diagnose(self, probe: str) -> Callable[[], Iterator[DoctorStep]] | None:
        """Return what the doctor tries further of the component that a probe asks; `None` where that is nothing."""
        kind, name = self.kind_of(probe), self.owner_of(probe)
        if kind is None or kind.diagnose is None or name != probe:
            return None
        return partial(kind.diagnose, self._client(name))

    def component_of(self, stage: StageSettings) -> str:
        """Return the name of the component that answers for a stage, or of its system where that has none."""
        return self.registry.component_of(stage, self.context)

    def needed_by(self, stage: StageSettings) -> tuple[str, ...]:
        """Return the names of the probes whose components a stage cannot be observed without."""
        needed = [name for _, name in self.registry.needs(stage, self.context) if name is not None]
        return tuple(probe for name in needed for probe, of in self._owners.items() if of == name)

    def owner_of(self, probe: str) -> str:
        """Return the name of the component that a probe asks."""
        return self._owners.get(probe, probe)

    def kind_of(self, probe: str) -> ComponentKind | None:
        """Return the kind of component that a probe asks."""
        settings = self._components.get(self._owners.get(probe, probe))
        return self.registry.component_kind(settings.component) if settings is not None else None

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The component of each probe by the probe's name."""
        found: dict[str, str] = {}
        for name, settings in self._components.items():
            kind = self.registry.component_kind(settings.component)
            if kind is not None:
                found |= dict.fromkeys(kind.probes(name, settings, self._client(name)), name)
        return found

    def _client(self, name: str) -> Any:  # noqa: ANN401 - the component's own client
        with self._lock:
            if name not in self._clients:
                self._clients[name] = self._connect(name, self._components[name])
            return self._clients[name]

    def _connect(self, name: str, settings: ComponentSettings) -> Any:  # noqa: ANN401 - the component's own client
        kind = self.registry.component_kind(settings.component)
        if kind is None:
            raise ConfigError(f"{name}: {self.registry.why_missing(settings.component)}")
        return kind.connect(name, settings, self._timeout)


def prepare(kind: ComponentKind | StageKind | None) -> None:
    """Import what a probe of a kind asks with; it may take longer than the answer, and is not the component's time."""
    for module in kind.modules if kind is not None else ():
        lazy_imports.load(import_module(module))


def _with_credentials(ask: Callable[[], ComponentReport], credentials: Credentials) -> Callable[[], ComponentReport]:
    """Return a probe that also reports when the first of a component's credentials ends."""

    def asked() -> ComponentReport:
        report = ask()
        due = next(iter(credentials.current(datetime.now(UTC))), None)
        if due is None or report.observation is None:
            return report
        details = report.observation.details
        if not isinstance(details, ComponentDetails):
            return report
        ending = replace(details, credential=due.what, credentials_end=due.ends, credentials_due=due.due)
        observation = replace(report.observation, details=ending)
        return replace(report, observation=observation)

    return asked
