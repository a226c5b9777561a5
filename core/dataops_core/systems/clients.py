"""The clients of one context. Each is created at its first use and shared between threads."""

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
        context: Settings of the components.
        timeout: Deadline of each call, in seconds.
        given: Existing clients by component name.
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
        results = [name for name, settings in self._components.items() if settings.component == kind]
        return tuple(dict.fromkeys([*results, *(name for name in self._clients if name == kind)]))

    def get(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client, or `None` if there is no such component.

        Args:
            kind: Kind of component.
            name: Name of the component. Default: the one named like the kind, or the only one.
        """
        known = self.names(kind)
        wanted = name or (kind if kind in known else known[0] if len(known) == 1 else None)
        if wanted is None or (wanted not in known and wanted not in self._clients):
            return None
        return self._client(wanted)

    def need(self, kind: str, name: str | None = None) -> Any:  # noqa: ANN401 - the kind's own client
        """Return a client, as `get` does.

        Raises:
            ConfigError: The component is not configured, or there are several and `name` is missing.
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
        """Return the clients of a kind by component name, in the order of the settings."""
        return {name: self._client(name) for name in self.names(kind)}

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """Return the cached value of a key, and create it if it is missing. It lives as long as the clients."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            kept: T = self._kept[key]
            return kept

    def probes(self, *, all_of_them: bool = False) -> dict[str, ComponentProbe]:
        """Return the probes of all components by name.

        Args:
            all_of_them: Include probes that only the doctor runs.
        """
        results: dict[str, ComponentProbe] = {}
        for name, settings in self._components.items():
            kind = self.registry.component_kind(settings.component)
            if kind is not None:
                results |= kind.probes(name, settings, self._client(name))
        return {
            name: replace(probe, ask=_with_credentials(probe.ask, Credentials(probe.identity)))
            for name, probe in results.items()
            if probe.always or all_of_them
        }

    def observe(self, stage: StageSettings) -> Observation:
        """Return an observation of a stage; raise DataopsError."""
        kind = self.registry.stage_kind(stage.kind)
        if kind is None:
            raise ConfigError(self.registry.why_missing(stage.kind))
        return kind.observe(stage, self)

    def diagnose(self, probe: str) -> Callable[[], Iterator[DoctorStep]] | None:
        """Return the doctor's further steps for the component of a probe, or `None` if there are none."""
        kind, name = self.kind_of(probe), self.owner_of(probe)
        if kind is None or kind.diagnose is None or name != probe:
            return None
        return partial(kind.diagnose, self._client(name))

    def component_of(self, stage: StageSettings) -> str:
        """Return the component that a stage is attributed to, or its system if that has no component."""
        return self.registry.component_of(stage, self.context)

    def needed_by(self, stage: StageSettings) -> tuple[str, ...]:
        """Return the probes of the components that a stage requires."""
        needed = [name for _, name in self.registry.needs(stage, self.context) if name is not None]
        return tuple(probe for name in needed for probe, of in self._owners.items() if of == name)

    def owner_of(self, probe: str) -> str:
        """Return the component of a probe."""
        return self._owners.get(probe, probe)

    def kind_of(self, probe: str) -> ComponentKind | None:
        """Return the kind of a probe's component."""
        settings = self._components.get(self._owners.get(probe, probe))
        return self.registry.component_kind(settings.component) if settings is not None else None

    @cached_property
    def _owners(self) -> dict[str, str]:
        """The component of each probe."""
        results: dict[str, str] = {}
        for name, settings in self._components.items():
            kind = self.registry.component_kind(settings.component)
            if kind is not None:
                results |= dict.fromkeys(kind.probes(name, settings, self._client(name)), name)
        return results

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
    """Import the modules of a kind's client, so that import time does not count as probe duration."""
    for module in kind.modules if kind is not None else ():
        lazy_imports.load(import_module(module))


def _with_credentials(ask: Callable[[], ComponentReport], credentials: Credentials) -> Callable[[], ComponentReport]:
    """Return a probe that also reports which credential of the component expires first."""

    def probe_with_credentials() -> ComponentReport:
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

    return probe_with_credentials
