"""The settings that know no system: contexts, pipelines, recorder, console, exporter.

`dataops_core.systems.registry` adds to them the tables of the systems that a file names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, Self, TypeVar

from pydantic import Field

from dataops_core.config.base import ComponentSettings, LocalPath, Secret, Section, StageSettings

C = TypeVar("C", bound=ComponentSettings)


class Thresholds(Section):
    """From when on something is wrong with a component."""


class ContextSettings(Section):
    """One environment: where its components are, and what may be done to them."""

    read_only: bool = False
    """Refuse every action that changes something."""
    production: bool = False
    """Ask for the context's name before an action that changes something."""
    thresholds: Section = Thresholds()
    """From when on something is wrong with a component."""

    def configured(self) -> dict[str, ComponentSettings]:
        """Return the components by name, in the order of the settings."""
        found: dict[str, ComponentSettings] = {}
        for field, value in vars(self).items():
            if isinstance(value, ComponentSettings):
                found[field] = value
            elif isinstance(value, dict):
                found |= value
        return found

    def only(self, names: Collection[str | None]) -> Self:
        """Return the context with only those of its components that are named."""
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
        """Return the name of a component: the named one, else that called like its kind, else the only one.

        Args:
            kind: Kind of component.
            name: Its name, where it is given.

        Returns:
            `None` where there is none, or where there are several and none is named.
        """
        known = [each for each, settings in self.configured().items() if settings.component == kind]
        wanted = name or (kind if kind in known else known[0] if len(known) == 1 else None)
        return wanted if wanted in known else None


class CanaryHop(Section):
    """One place where a canary is looked for: a stage, or a relation that Trino is asked for."""

    stage: str | None = None
    """A stage of the pipeline: a Spark query, a consumer group, an Iceberg table or a Trino view."""
    relation: str | None = None
    """`catalog.schema.name` that Trino is asked for, in place of a stage."""
    where: str | None = None
    """Condition that holds for the canary's row alone, e.g. `id = '$id'`; for a table, a view and a relation."""
    late_after: float | None = Field(default=None, gt=0)
    """Seconds from the hop before from which on it is late; the stage's `lag_ok` where not given."""

    @property
    def name(self) -> str:
        """Name of the hop."""
        return self.stage or self.relation or ""


class CanarySettings(Section):
    """A marked record that `dataops canary` sends. In it, `$id` is its id, `$now` the time (ISO 8601, UTC)."""

    on: str | None = None
    """Name of the Kafka cluster that it is sent to, needed only where the context has several."""
    topic: str
    """Topic that it is sent to."""
    mark: str = Field(default="CANARY-", min_length=1)
    """What each id begins with: by it the pipeline knows a canary, and keeps it out of what it computes."""
    key: str = "$id"
    """The record's key."""
    value: str
    """The record's value."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds after which a hop that has not seen it never will."""
    hops: tuple[CanaryHop, ...] = Field(min_length=1)
    """Where it is looked for, upstream first."""


class PipelineSettings(Section):
    """A pipeline: a small directed graph of stages, upstream first."""

    context: str
    """Name of the context where it runs."""
    title: str = ""
    """What it is, for people."""
    objective: float | None = Field(default=None, gt=0)
    """The data age that is promised at the last stage, in seconds."""
    stages: tuple[StageSettings, ...] = Field(min_length=1)
    """The stages; each reads only stages that stand before it."""
    canary: CanarySettings | None = None
    """The record that `dataops canary` sends through it."""


class RecorderSettings(Section):
    """The flight recorder: each health snapshot is kept in a file, one for each context."""

    enabled: bool = True
    """Whether the console records while it runs; `dataops record` always does."""
    folder: LocalPath | None = None
    """Folder of the recordings; `dataops/recordings` in the user's state folder where not given."""
    max_age: float = Field(default=604_800.0, gt=0)
    """Seconds that a snapshot is kept."""
    max_size: int = Field(default=200_000_000, ge=1_000_000)
    """Bytes that a recording may take; the oldest snapshots are dropped first."""


class AuditSettings(Section):
    """What anchors the audit file outside of it, so that a change at its end or of the whole file shows."""

    head_file: LocalPath | None = None
    """File with the number and the SHA-256 of the newest line; beside the audit file where not given."""
    hmac_key: Secret | None = Field(default=None, repr=False)
    """A key that signs each line: without it nobody can write a line that `dataops audit verify` takes."""
    syslog: str | None = None
    """A syslog that gets the SHA-256 of each line before it is written: a socket (`/dev/log`) or `udp://HOST:PORT`."""


class ConsoleSettings(Section):
    """How the console looks, and its keys."""

    theme: Literal["dark", "light", "high-contrast"] = "dark"
    """Colours. Where the environment has `NO_COLOR`, there are none."""
    ascii: bool = False
    """Draw with plain ASCII, for terminals and fonts that have no more."""
    keys: dict[str, str] = Field(default={})
    """Other keys, by the ids in docs/console.md: `"home.trigger" = "f6"`; several are separated by commas."""


class Selection(Section):
    """Which objects of one kind the exporter tells of. Regular expressions match the whole name."""

    allow: tuple[re.Pattern[str], ...] = ()
    """Regular expressions; only what one of them matches is exported. None allow everything."""
    deny: tuple[re.Pattern[str], ...] = ()
    """Regular expressions; what one of them matches is not exported, even where it is allowed."""

    def admits(self, name: str) -> bool:
        """Tell whether an object of this name is to be exported."""
        allowed = not self.allow or any(pattern.fullmatch(name) for pattern in self.allow)
        return allowed and not any(pattern.fullmatch(name) for pattern in self.deny)


class TopicSelection(Selection):
    """Kafka's topics, of the whole cluster."""

    granularity: Literal["topic", "partition"] = "topic"
    """How finely: sums of a topic, or each partition as well."""


class GroupSelection(Selection):
    """Kafka's consumer groups, of the whole cluster."""

    granularity: Literal["group", "topic", "partition"] = "topic"
    """How finely: sums of a group, each topic as well, or each partition as well."""


class TableSelection(Selection):
    """The Iceberg tables of the pipelines, as `catalog.namespace.table`."""

    granularity: Literal["namespace", "table"] = "table"
    """How finely: sums of a namespace, or each table."""


class DagSelection(Selection):
    """Airflow's DAGs, of the whole instance."""

    granularity: Literal["total", "dag"] = "dag"
    """How finely: how many there are in each state, or each DAG as well."""


class ExporterSettings(Section):
    """What the exporter tells beyond the pipelines: the whole Kafka cluster and all DAGs of the context."""

    survey_every: float = Field(default=30.0, ge=5)
    """Seconds between two surveys of the cluster and of the DAGs; scrapes read the newest one."""
    max_series: int = Field(default=20_000, ge=0)
    """Series for each of topics, groups, tables and DAGs; objects beyond are left out whole, and counted."""
    dialects: tuple[Literal["kafka_exporter", "kminion", "kafka_lag_exporter"], ...] = ()
    """Exporters whose names of metrics are served as well, so that existing dashboards go on."""
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
    """Context to use when none is named; needed only when there are several."""
    refresh: float = Field(default=5.0, ge=1.0)
    """Seconds between two rounds of probes."""
    probe_timeout: float = Field(default=10.0, gt=0)
    """Seconds after which a probe that has not answered counts as failed."""
    recorder: RecorderSettings = RecorderSettings()
    """The flight recorder."""
    audit: AuditSettings = AuditSettings()
    """The audit file."""
    contexts: dict[str, ContextSettings] = Field(min_length=1)
    """Environments by name."""
    pipelines: dict[str, PipelineSettings] = Field(default={})
    """Pipelines by name."""
    console: ConsoleSettings = ConsoleSettings()
    """The console."""
    exporter: ExporterSettings = ExporterSettings()
    """The exporter."""
