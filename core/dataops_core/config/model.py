"""Settings that are independent of systems: contexts, pipelines, recorder, console and exporter.

`dataops_core.systems.registry` adds the tables of the systems that a settings file uses.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SerializeAsAny

from dataops_core.config.base import ComponentSettings, LocalPath, Secret, Section, StageSettings
from dataops_core.times import zone_of

C = TypeVar("C", bound=ComponentSettings)


class Thresholds(Section):
    """Thresholds of the checks of components."""


class ContextSettings(Section):
    """One environment: its components and its permissions."""

    read_only: bool = False
    """Refuse all actions that change something."""
    production: bool = False
    """Require the name of the context as confirmation of an action."""
    thresholds: SerializeAsAny[Section] = Thresholds()
    """Thresholds of the checks of components."""

    def configured(self) -> dict[str, ComponentSettings]:
        """Return the components by name, in the order of the settings."""
        results: dict[str, ComponentSettings] = {}
        for field, value in vars(self).items():
            if isinstance(value, ComponentSettings):
                results[field] = value
            elif isinstance(value, dict):
                results |= value
        return results

    def only(self, names: Collection[str | None]) -> Self:
        """Return the context with only the named components."""
        kept: dict[str, object] = {}
        for field, value in vars(self).items():
            if isinstance(value, ComponentSettings):
                kept[field] = value if field in names else None
            elif isinstance(value, dict):
                kept[field] = {name: each for name, each in value.items() if name in names}
        return self.model_copy(update=kept)

    def of(self, settings: type[C]) -> dict[str, C]:
        """Return the components of one kind by name, in the order of the settings."""
        return {name: each for name, each in self.configured().items() if isinstance(each, settings)}

    def named(self, kind: str, name: str | None = None) -> str | None:
        """Return the name of a component: the given one, else the one named like its kind, else the only one.

        Args:
            kind: Kind of component.
            name: The given name, if any.

        Returns:
            The name; `None` if there is no such component, or several and no name is given.
        """
        known = [each for each, settings in self.configured().items() if settings.component == kind]
        wanted = name or (kind if kind in known else known[0] if len(known) == 1 else None)
        return wanted if wanted in known else None


class CanaryHop(Section):
    """One hop of a canary: a stage, or a relation that is queried through Trino."""

    stage: str | None = None
    """A stage of the pipeline: a Spark query, a consumer group, an Iceberg table or a Trino view."""
    relation: str | None = None
    """`catalog.schema.name` to query through Trino, instead of a stage."""
    on: str | None = None
    """Name of the Trino component for the relation, needed only if the context has several."""
    where: str | None = None
    """Condition that is true only for the canary's row, e.g. `id = '$id'`; for a table, a view and a relation."""
    late_after: float | None = Field(default=None, gt=0)
    """Seconds after the previous hop from which the canary is late. Default: `lag_ok` of the stage."""

    @property
    def name(self) -> str:
        """Name of the hop."""
        return self.stage or self.relation or ""


class CanarySettings(Section):
    """The test record that `dataops canary` sends. In it, `$id` is its id, `$now` the time (ISO 8601, UTC)."""

    on: str | None = None
    """Name of the Kafka cluster, needed only if the context has several."""
    topic: str
    """Topic that receives the canary."""
    mark: str = Field(default="CANARY-", min_length=1)
    """Prefix of each id, by which the pipeline recognizes a canary and excludes it from its results."""
    key: str = "$id"
    """Key of the record."""
    value: str
    """Value of the record."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds after which a canary counts as lost."""
    hops: tuple[CanaryHop, ...] = Field(min_length=1)
    """Hops of the canary, upstream first."""


class PipelineSettings(Section):
    """A pipeline: a small directed graph of stages, upstream first."""

    context: str
    """Name of the context where it runs."""
    title: str = ""
    """Title of the pipeline."""
    objective: float | None = Field(default=None, gt=0)
    """Objective: highest acceptable data age of the last stage, in seconds."""
    stages: tuple[SerializeAsAny[StageSettings], ...] = Field(min_length=1)
    """The stages; each reads only earlier stages."""
    canary: CanarySettings | None = None
    """The canary of the pipeline."""


class RecorderSettings(Section):
    """The flight recorder: it keeps health snapshots in one file per context."""

    enabled: bool = True
    """Whether the console records while it runs; `dataops record` always does."""
    folder: LocalPath | None = None
    """Folder of the recordings. Default: `dataops/recordings` in the user's state folder."""
    max_age: float = Field(default=604_800.0, gt=0)
    """Retention of snapshots, in seconds."""
    max_size: int = Field(default=200_000_000, ge=1_000_000)
    """Maximum size of a recording in bytes; the oldest snapshots are deleted first."""


class AuditSettings(Section):
    """Anchors of the audit file, which reveal changes at its end and a rewrite of the whole file."""

    head_file: LocalPath | None = None
    """File with the number and the SHA-256 of the newest line. Default: next to the audit file."""
    hmac_key: Secret | None = Field(default=None, repr=False)
    """Key that signs each line. Without the key, nobody can write a line that `dataops audit verify` accepts."""
    syslog: str | None = None
    """Syslog that gets the SHA-256 of each line before it is written: a socket (`/dev/log`) or `udp://HOST:PORT`."""


def _known_zone(name: str) -> str:
    """Return the name of a time zone; raises ValueError for an unknown one."""
    zone_of(name)
    return name


class ConsoleSettings(Section):
    """Appearance and keys of the console."""

    theme: Literal["dark", "light", "high-contrast"] = "dark"
    """Colour theme. `NO_COLOR` in the environment disables colours."""
    ascii: bool = False
    """Use only ASCII characters."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "local"
    """Zone of times in the console and in the text of `dataops probe` and `dataops why`: `local`, `utc` or a name such
    as `Europe/Oslo`. JSON is always in UTC."""
    keys: dict[str, str] = Field(default={})
    """Other keys, by the ids in docs/console.md: `"home.trigger" = "f6"`; several are separated by commas."""


class Selection(Section):
    """Objects of one kind that the exporter includes. Regular expressions match the full name."""

    allow: tuple[re.Pattern[str], ...] = ()
    """Regular expressions of included objects. Default: all."""
    deny: tuple[re.Pattern[str], ...] = ()
    """Regular expressions of excluded objects; they take precedence over `allow`."""

    def admits(self, name: str) -> bool:
        """Return whether to export an object with this name."""
        allowed = not self.allow or any(pattern.fullmatch(name) for pattern in self.allow)
        return allowed and not any(pattern.fullmatch(name) for pattern in self.deny)


class TopicSelection(Selection):
    """Kafka's topics, of the whole cluster."""

    granularity: Literal["topic", "partition"] = "topic"
    """Level of detail: sums per topic, or also each partition."""


class GroupSelection(Selection):
    """Kafka's consumer groups, of the whole cluster."""

    granularity: Literal["group", "topic", "partition"] = "topic"
    """Level of detail: sums per group, also each topic, or also each partition."""


class TableSelection(Selection):
    """The Iceberg tables of the pipelines, as `catalog.namespace.table`."""

    granularity: Literal["namespace", "table"] = "table"
    """Level of detail: sums per namespace, or each table."""


class DagSelection(Selection):
    """Airflow's DAGs, of the whole instance."""

    granularity: Literal["total", "dag"] = "dag"
    """Level of detail: number of DAGs per state, or also each DAG."""


class ExporterSettings(Section):
    """Metrics beyond the pipelines: the whole Kafka cluster and all DAGs of the context."""

    survey_every: float = Field(default=30.0, ge=5)
    """Seconds between two cluster scans of Kafka and of Airflow's DAGs; scrapes read the newest scan."""
    max_series: int = Field(default=20_000, ge=0)
    """Maximum number of series for each of topics, groups, tables and DAGs. Further objects are dropped and counted."""
    dialects: tuple[Literal["kafka_exporter", "kminion", "kafka_lag_exporter"], ...] = ()
    """Other exporters whose metric names are served as well, for existing dashboards."""
    topics: TopicSelection = TopicSelection()
    """Topics."""
    groups: GroupSelection = GroupSelection()
    """Consumer groups."""
    tables: TableSelection = TableSelection()
    """Tables."""
    dags: DagSelection = DagSelection()
    """DAGs."""


class Settings(Section):
    """The whole settings file."""

    default_context: str | None = None
    """Default context; needed only if there are several."""
    refresh: float = Field(default=5.0, ge=1.0)
    """Seconds between two refreshes."""
    probe_timeout: float = Field(default=10.0, gt=0)
    """Timeout of a probe, in seconds."""
    recorder: RecorderSettings = RecorderSettings()
    """The flight recorder."""
    audit: AuditSettings = AuditSettings()
    """The audit file."""
    contexts: dict[str, SerializeAsAny[ContextSettings]] = Field(min_length=1)
    """Environments by name."""
    pipelines: dict[str, SerializeAsAny[PipelineSettings]] = Field(default={})
    """Pipelines by name."""
    console: ConsoleSettings = ConsoleSettings()
    """The console."""
    exporter: ExporterSettings = ExporterSettings()
    """The exporter."""
