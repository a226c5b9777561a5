"""The registry: the built-in systems and those of the entry point group `dataops.systems`, and the settings tree.

Only systems that a settings file names are imported. The import covers the declaration only: the client and the
vendor's SDK are imported before the first request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import Field, create_model

from dataops_core.config import load
from dataops_core.config.base import ComponentSettings, StageSettings
from dataops_core.config.model import ContextSettings, PipelineSettings, Settings, Thresholds
from dataops_core.errors import ConfigError
from dataops_core.health.checks.base import Check
from dataops_core.health.checks.credentials import CHECKS as CREDENTIALS
from dataops_core.health.details import ComponentDetails, Details
from dataops_core.health.rules import StageRules
from dataops_core.systems import generic
from dataops_core.systems.base import ComponentKind, Need, StageKind, StageObject, System

log = logging.getLogger(__name__)

BUILT_IN = (
    "kafka",
    "spark",
    "iceberg",
    "airflow",
    "trino",
    "prometheus",
    "connect",
    "flink",
    "http",
    "command",
    "sql",
    "object_prefix",
    "dbt",
    "delta",
)
"""The built-in systems, in the order of the settings and of the screens."""
GROUP = "dataops.systems"
"""Entry point group of plug-ins."""


class Registry:
    """The systems by name and kind; a system is loaded at the first use of its name.

    Args:
        plug_ins: Entry points of plug-ins.
    """

    def __init__(self, plug_ins: Iterable[EntryPoint] = ()) -> None:
        self._plug_ins = {point.name: point for point in plug_ins}
        self._systems: dict[str, System] = {}
        self._broken: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all systems, loaded or not."""
        return (*BUILT_IN, *(name for name in self._plug_ins if name not in BUILT_IN))

    @property
    def broken(self) -> Mapping[str, str]:
        """The load error of each broken plug-in, in one line."""
        return self._broken

    def why_missing(self, kind: str) -> str:
        """Return why no system offers a kind, in one line."""
        broken = "; ".join(f"the plug-in {name} cannot be loaded: {why}" for name, why in self._broken.items())
        return f"no system offers the kind {kind}" + (f"; {broken}" if broken else "")

    def system(self, name: str) -> System | None:
        """Return a system, or `None` if there is none of this name or its plug-in is broken."""
        if name not in self._systems and name not in self._broken and name in self.names:
            try:
                self._systems[name] = self._load(name)
            except Exception as error:  # noqa: BLE001 - a plug-in that is broken fails its own stages only
                self._broken[name] = f"{type(error).__name__}: {error}"
                log.warning("system %s: its plug-in cannot be loaded: %s", name, self._broken[name])
        return self._systems.get(name)

    def systems(self, names: Iterable[str] | None = None) -> tuple[System, ...]:
        """Return the named systems, or all of them, in the order of the registry."""
        wanted = set(self.names if names is None else names)
        return tuple(result for name in self.names if name in wanted and (result := self.system(name)) is not None)

    def stage_kind(self, name: str) -> StageKind | None:
        """Return a kind of stage; load systems in the order of the registry until one offers it."""
        return next((kind for kind in self._stage_kinds() if kind.name == name), None)

    def component_kind(self, name: str) -> ComponentKind | None:
        """Return a kind of component, as `stage_kind` does."""
        return next((kind for kind in self._component_kinds() if kind.name == name), None)

    def system_of(self, stage_kind: str) -> str | None:
        """Return the name of the system that a kind of stage belongs to."""
        systems = ((system.name, kind.name) for system in self._by_load() for kind in system.stage_kinds)
        return next((system for system, kind in systems if kind == stage_kind), None)

    def stage(self, kind: str) -> StageRules:
        """Return the evaluation rules of a kind of stage, or the defaults if the kind is unknown."""
        return self.stage_kind(kind) or StageRules()

    def component_checks(self, kind: str) -> tuple[type[Details], tuple[Check, ...]]:
        """Return the type of details of a kind of component, and its checks."""
        result = self.component_kind(kind)
        return (
            (result.details, (*result.checks, *CREDENTIALS)) if result is not None else (ComponentDetails, CREDENTIALS)
        )

    def checks(self) -> list[tuple[Check, tuple[str, ...]]]:
        """Return each check of all systems with the kinds of stages and components that it applies to."""
        kinds: dict[str, tuple[Check, ...]] = {}
        for system in self.systems():
            kinds |= {kind.name: kind.checks for kind in system.stage_kinds}
            kinds |= {kind.name: self.component_checks(kind.name)[1] for kind in system.components}
        results: dict[Check, list[str]] = {}
        for kind, checks in kinds.items():
            for check in checks:
                results.setdefault(check, []).append(kind)
        return [(check, tuple(of)) for check, of in results.items()]

    def _load(self, name: str) -> System:
        if name in BUILT_IN:
            result = import_module(f"dataops_core.systems.{name}").SYSTEM
        else:
            result = self._plug_ins[name].load()
        if not isinstance(result, System):
            raise TypeError(f"the entry point {name} is not a System")
        return result

    def _by_load(self) -> Iterator[System]:
        loaded = tuple(self._systems)
        yield from (self._systems[name] for name in loaded)
        for name in self.names:
            if name not in loaded and (result := self.system(name)) is not None:
                yield result

    def _stage_kinds(self) -> Iterator[StageKind]:
        return (kind for system in self._by_load() for kind in system.stage_kinds)

    def _component_kinds(self) -> Iterator[ComponentKind]:
        return (kind for system in self._by_load() for kind in system.components)

    ##### Settings

    def settings_type(self, raw: Mapping[str, Any] | None = None) -> type[Settings]:
        """Return the type of the settings, with the tables of the systems that raw settings name, or of all systems.

        An unknown kind is rejected, unless a plug-in is broken: the kind may belong to it.

        Args:
            raw: The tables of the file, not validated yet. `None`: all systems.
        """
        if raw is None:
            return _tree(self.systems())
        names, tables, kinds = self._named(raw)
        if not self._broken:
            return _tree(self.systems(names))
        return _tree(self.systems(names), frozenset(kinds), frozenset(tables & set(self._broken)))

    def pipelines(self, raw: Mapping[str, Any]) -> dict[str, PipelineSettings]:
        """Return the pipelines of a recording, including stages of kinds that no installed system offers.

        Raises:
            pydantic.ValidationError: The tables are invalid.
        """
        names, _, kinds = self._named({"pipelines": raw})
        tree = _tree(self.systems(names), frozenset(kinds))
        of_each = get_args(tree.model_fields["pipelines"].annotation)[1]
        return {name: of_each.model_validate(value) for name, value in raw.items()}

    def _named(self, raw: Mapping[str, Any]) -> tuple[set[str], set[str], set[str]]:
        """Return the systems that raw settings use, and the tables and kinds that no system offers.

        If a name is unknown, return all systems, so that the error lists them.
        """
        tables: set[str] = set()
        for context in _tables(raw.get("contexts")):
            tables |= {key for key in context if key not in ContextSettings.model_fields and key != "components"}
            tables |= {str(table.get("system")) for table in _tables(context.get("components"))}
        stages = [s for pipeline in _tables(raw.get("pipelines")) for s in _list(pipeline.get("stages"))]
        kinds = {str(stage.get("kind")) for stage in stages if isinstance(stage, Mapping)}
        results: set[str] = set()
        for system in self._by_load():
            offered = {kind.name for kind in system.components} | {kind.plural for kind in system.components}
            own = {kind.name for kind in system.stage_kinds}
            if tables & offered or kinds & own:
                results.add(system.name)
            tables, kinds = tables - offered, kinds - own
            if not tables and not kinds:
                return results, set(), set()
        return set(self.names), tables, kinds

    def parse(self, raw: Mapping[str, Any], folder: Path | None = None) -> Settings:
        """Return settings from tables in memory; check types only.

        Args:
            raw: The tables.
            folder: Base of relative paths.

        Raises:
            pydantic.ValidationError: The tables are invalid.
        """
        return self.settings_type(raw).model_validate(raw, context=folder)

    def component_problems(self, settings: ComponentSettings) -> Iterator[str]:
        """Yield the problems of a component's settings; each line begins with the key."""
        kind = self.component_kind(settings.component)
        yield from kind.problems(settings) if kind is not None else ()

    def stage_problems(self, stage: StageSettings) -> Iterator[str]:
        """Yield the problems of a stage's settings; each line begins with the key."""
        kind = self.stage_kind(stage.kind)
        yield from kind.problems(stage) if kind is not None else ()

    def missing_components(self, stage: StageSettings, context: ContextSettings) -> Iterator[tuple[str, str, str]]:
        """Yield the settings key, the kind and the name of each component that the context lacks."""
        for need, name in self.needs(stage, context):
            if name is None:
                yield need.key, need.kind, need.name or ""

    def canary_hop(self, stage: StageSettings) -> str | None:
        """Return how a canary is found in a stage: `rows` or `offsets`, or `None` if it cannot be found."""
        kind = self.stage_kind(stage.kind)
        return kind.canary if kind is not None else None

    def object_of(self, stage: StageSettings) -> StageObject | None:
        """Return the object that a stage observes, or `None` if its kind has none."""
        kind = self.stage_kind(stage.kind)
        return kind.object_of(stage) if kind is not None else None

    def rejects_of(self, stage: StageSettings) -> tuple[str, ...] | None:
        """Return the table of rejected records of a stage as catalog, schema and name."""
        kind = self.stage_kind(stage.kind)
        return kind.rejects(stage) if kind is not None else None

    ##### Components of stages

    def needs(self, stage: StageSettings, context: ContextSettings) -> tuple[tuple[Need, str | None], ...]:
        """Return the components that a stage requires, each with its name in the context or `None`."""
        kind = self.stage_kind(stage.kind)
        wanted = kind.needs(stage) if kind is not None else ()
        return tuple((need, context.named(need.kind, need.name)) for need in wanted)

    def component_of(self, stage: StageSettings, context: ContextSettings) -> str:
        """Return the component of a stage's own system that it is attributed to, or the system's name."""
        system = self.system_of(stage.kind)
        loaded = self.system(system) if system is not None else None
        own = {kind.name for kind in loaded.components} if loaded is not None else set()
        named = (name or need.name or need.kind for need, name in self.needs(stage, context) if need.kind in own)
        return next(named, system or stage.kind)


def _tables(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value.values() if isinstance(item, Mapping)] if isinstance(value, Mapping) else []


def _list(value: object) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, list | tuple) else []


@cache
def _tree(
    systems: tuple[System, ...],
    generic_stages: frozenset[str] = frozenset(),
    generic_components: frozenset[str] = frozenset(),
) -> type[Settings]:
    components = [kind for system in systems for kind in system.components]
    fields: dict[str, Any] = {
        name: (generic.component_settings(name) | None, Field(default=None)) for name in sorted(generic_components)
    }
    for kind in components:
        if kind.plural is None:
            fields[kind.name] = (kind.settings | None, Field(default=None, description=kind.title))
        else:
            fields[kind.plural] = (dict[str, kind.settings], Field(default={}, description=kind.title))  # type: ignore[name-defined]
    named = tuple(
        create_model(
            f"{kind.settings.__name__.removesuffix('Settings')}Component",
            __base__=kind.settings,
            __doc__=kind.settings.__doc__,
            system=(Literal[kind.name], Field(description=f"Always `{kind.name}`.")),  # type: ignore[arg-type]
        )
        for kind in components
    )
    if named:
        several = Annotated[Union[named], Field(discriminator="system")] if len(named) > 1 else named[0]  # noqa: UP007
        fields["components"] = (
            dict[str, several],  # type: ignore[valid-type]
            Field(default={}, description="Further components by name, where a context has several of one system."),
        )
    bases = tuple(system.thresholds for system in systems if system.thresholds is not None) or (Thresholds,)
    thresholds = create_model("Thresholds", __base__=bases, __doc__=Thresholds.__doc__)
    fields["thresholds"] = (thresholds, Field(default=thresholds(), description="Thresholds of checks."))
    context = create_model("ContextSettings", __base__=ContextSettings, __doc__=ContextSettings.__doc__, **fields)
    kinds = (
        *(kind.settings for system in systems for kind in system.stage_kinds),
        *(generic.stage_settings(kind) for kind in sorted(generic_stages)),
    )
    stage: Any = StageSettings
    if kinds:
        stage = Annotated[Union[kinds], Field(discriminator="kind")] if len(kinds) > 1 else kinds[0]  # noqa: UP007
    pipeline = create_model(
        "PipelineSettings",
        __base__=PipelineSettings,
        __doc__=PipelineSettings.__doc__,
        stages=(tuple[stage, ...], Field(min_length=1, description=PIPELINE_STAGES)),
    )
    return create_model(
        "Settings",
        __base__=Settings,
        __doc__=Settings.__doc__,
        contexts=(dict[str, context], Field(min_length=1, description="Environments by name.")),
        pipelines=(dict[str, pipeline], Field(default={}, description="Pipelines by name.")),
    )


PIPELINE_STAGES = "The stages; each reads only stages that stand before it."


@cache
def registry() -> Registry:
    """Return the registry of this process, with the installed plug-ins."""
    return Registry(entry_points(group=GROUP))


def load_settings(path: Path | str) -> Settings:
    """Return the settings of a file, overridden by the environment.

    Raises:
        ConfigError: The first problem: file, key, description, and the fix if one is known.
    """
    settings, problems = load.read_settings(Path(path), registry())
    if settings is None or problems:
        more = f" (and {len(problems) - 1} more: see `dataops config validate`)" if len(problems) > 1 else ""
        raise ConfigError(f"{problems[0]}{more}")
    return settings


def find_problems(path: Path | str) -> tuple[str, ...]:
    """Return the problems of a settings file, one line each."""
    return load.read_settings(Path(path), registry())[1]


def settings_of(raw: Mapping[str, Any], folder: Path, where: str) -> Settings:
    """Return settings from tables in memory.

    Args:
        raw: The tables.
        folder: Base of relative paths.
        where: Name of the tables in errors.

    Raises:
        ConfigError: The first problem.
    """
    settings, problems = load.check_settings(raw, folder.absolute(), where, registry())
    if settings is None or problems:
        raise ConfigError(problems[0])
    return settings
