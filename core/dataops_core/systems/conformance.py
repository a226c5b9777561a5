"""Check that a system keeps the contract, in tests of built-in systems and of plug-ins."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime

from dataops_core.config.base import ComponentSettings, Section, StageSettings
from dataops_core.config.describe import undescribed
from dataops_core.config.model import ContextSettings
from dataops_core.errors import DataopsError
from dataops_core.health.checks.base import Check, CheckInput
from dataops_core.health.details import Details
from dataops_core.health.observation import Observation
from dataops_core.systems.base import ComponentKind, StageKind, System
from dataops_core.systems.clients import Clients, prepare
from dataops_core.systems.registry import registry
from dataops_core.units import duration

NAME = re.compile(r"[a-z][a-z0-9_]*")
CHECK_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
UNITS = ("", "s", "bytes", "records", "rows", "1/s")
SLACK = 2.0
"""Seconds of tolerance after the deadline, for the scheduling of threads."""


def assert_conforms(
    system: System,
    *,
    components: Mapping[str, ComponentSettings] | None = None,
    stages: Mapping[str, StageSettings] | None = None,
    timeout: float = 2.0,
) -> None:
    """Check that a system keeps the contract of docs/extending.md.

    Each setting has a description. Each value of the details is unknown by default. No check returns a finding for
    an observation without values. A component that is down, and a stage on it, raise one typed error of one line
    within the deadline.

    Args:
        system: The system.
        components: Settings of one component of each kind, at an address where nothing listens.
        stages: Settings of one stage of each kind, on these components.
        timeout: Deadline of each call to a component, in seconds.

    Raises:
        AssertionError: The system violates the contract; the message has one line per violation.
    """
    components, stages = components or {}, stages or {}
    problems = [
        *_name_problems(system),
        *(problem for kind in system.components for problem in _component_problems(kind)),
        *(problem for kind in system.stage_kinds for problem in _stage_problems(kind, stages.get(kind.name))),
        *_failure_problems(system, components, stages, timeout),
    ]
    if problems:
        raise AssertionError(f"the system {system.name} violates its contract:\n" + "\n".join(problems))


def _name_problems(system: System) -> Iterator[str]:
    names = [system.name, *(kind.name for kind in system.components), *(kind.name for kind in system.stage_kinds)]
    for name in names:
        if not NAME.fullmatch(name):
            yield f"{name!r}: a name may hold lower-case letters, digits and _ only"
    for other in registry().systems():
        if other.name == system.name:
            continue
        for kind in other.components:
            if kind.name in names[1:]:
                yield f"{kind.name}: the system {other.name} has a kind of component of this name"
        for stage_kind in other.stage_kinds:
            if stage_kind.name in names[1:]:
                yield f"{stage_kind.name}: the system {other.name} has a kind of stage of this name"


def _component_problems(kind: ComponentKind) -> Iterator[str]:
    if kind.settings.component != kind.name:
        yield f"{kind.name}: `component` of {kind.settings.__name__} must be {kind.name!r}"
    yield from _settings_problems(kind.name, kind.settings)
    yield from _details_problems(kind.name, kind.details)
    yield from _check_problems(kind.name, kind.checks)


def _stage_problems(kind: StageKind, stage: StageSettings | None) -> Iterator[str]:
    yield from _settings_problems(kind.name, kind.settings)
    yield from _details_problems(kind.name, kind.details)
    yield from _check_problems(kind.name, kind.checks)
    if stage is None:
        yield f"{kind.name}: the test gives no example of such a stage"
        return
    for need in kind.needs(stage):
        if registry().component_kind(need.kind) is None and not NAME.fullmatch(need.kind):
            yield f"{kind.name}: needs {need.kind!r}, which is not a kind of component"
    now = datetime.now(UTC)
    nothing = Observation(stage.name, now, details=kind.details())
    given = CheckInput(stage.name, nothing.details, nothing, None, (), (), now)
    for check in kind.checks:
        if check.find(stage, given) is not None:
            yield f"{kind.name}/{check.name}: returns a finding for an observation without values"


def _settings_problems(name: str, settings: type[Section]) -> Iterator[str]:
    if not (settings.__doc__ or "").strip():
        yield f"{name}: {settings.__name__} has no docstring"
    for key in undescribed(settings):
        yield f"{name}.{key}: the setting has no description; write one below it"


def _details_problems(name: str, details: type[Details]) -> Iterator[str]:
    for each in fields(details):
        if each.default is not None or each.default_factory is not MISSING:
            yield f"{name}: {details.__name__}.{each.name} is not unknown by default"
        if each.metadata.get("unit", "") not in UNITS:
            yield f"{name}: {details.__name__}.{each.name}: the unit must be one of {', '.join(UNITS[1:])}, or none"


def _check_problems(name: str, checks: tuple[Check, ...]) -> Iterator[str]:
    seen = set()
    for check in checks:
        if not CHECK_NAME.fullmatch(check.name):
            yield f"{name}/{check.name}: a check id must look-like-this"
        if check.name in seen:
            yield f"{name}/{check.name}: two checks have this name"
        seen.add(check.name)
        for what, text in (("meaning", check.meaning), ("remedy", check.remedy)):
            if not text.endswith((".", ")")) or "\n" in text:
                yield f"{name}/{check.name}: its {what} must be a sentence in one line"


def _failure_problems(
    system: System, components: Mapping[str, ComponentSettings], stages: Mapping[str, StageSettings], timeout: float
) -> Iterator[str]:
    for kind in system.components:
        settings = components.get(kind.name)
        if settings is None:
            yield f"{kind.name}: the test gives no example of such a component"
            continue
        prepare(kind)
        for probe in kind.probes(kind.name, settings, kind.connect(kind.name, settings, timeout)).values():
            yield from _one_error(f"component {kind.name}", probe.ask, timeout)
    clients = Clients(_Context(components), timeout)
    for stage_kind in system.stage_kinds:
        stage = stages.get(stage_kind.name)
        if stage is not None:
            prepare(stage_kind)
            yield from _one_error(f"stage {stage_kind.name}", lambda: stage_kind.observe(stage, clients), timeout)  # noqa: B023


def _one_error(what: str, ask: Callable[[], object], timeout: float) -> Iterator[str]:
    began = time.monotonic()
    try:
        ask()
    except DataopsError as error:
        if len(str(error).splitlines()) != 1:
            yield f"{what}: its error has more than one line: {error}"
    except Exception as error:  # noqa: BLE001 - whatever comes is the finding
        yield f"{what}: {type(error).__name__} in place of one of dataops_core.errors: {error}"
    else:
        yield f"{what}: responds, although nothing listens at its address"
    if time.monotonic() - began > timeout + SLACK:
        took = duration(time.monotonic() - began, precise=True)
        yield f"{what}: took {took}, with a deadline of {duration(timeout, precise=True)}"


class _Context(ContextSettings):
    """A context with these components, whatever the registry knows."""

    def __init__(self, components: Mapping[str, ComponentSettings]) -> None:
        super().__init__()
        self.__dict__["given"] = dict(components)

    def configured(self) -> dict[str, ComponentSettings]:
        """Return the components by name."""
        given: dict[str, ComponentSettings] = self.__dict__["given"]
        return given
