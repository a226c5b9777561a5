"""The tables of the settings file, as types.

No secret need stand in the file: a secret is a text in which `${VARIABLE}` is replaced, or a table with `file` or
`command`. It is read anew each time that it is needed, so that a rotated one is picked up.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)


def _from_folder(text: str, info: ValidationInfo) -> str:
    """Let a relative path start at the settings file's folder, which `load_settings` passes as the context."""
    if not isinstance(info.context, Path) or "://" in text:
        return text
    return str(info.context / Path(text).expanduser())


LocalPath = Annotated[str, AfterValidator(_from_folder)]


class Section(BaseModel):
    """A table of the settings file: unknown keys are refused, values do not change.

    Errors keep what was put in to themselves: it may be a secret.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
        allow_inf_nan=False,
    )


class SecretSource(Section):
    """A secret that is kept elsewhere: exactly one of the two keys."""

    file: LocalPath | None = None
    """Path of a file whose content, stripped, is the secret."""
    command: tuple[str, ...] | None = None
    """Program and arguments whose output, stripped, is the secret."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (not self.command):
            raise ValueError("needs exactly one of `file` and `command`")
        return self


TEXT_TAG, TABLE_TAG = "<text>", "<table>"
"""Names of the two forms of a secret in the places that pydantic gives; no key of a table reads like them."""

Secret = Annotated[
    Annotated[str, Tag(TEXT_TAG)] | Annotated[SecretSource, Tag(TABLE_TAG)],
    Discriminator(lambda value: TEXT_TAG if isinstance(value, str) else TABLE_TAG),
]


class TlsSettings(Section):
    """TLS of an `https://` address: whom we trust, and the certificate that we show. Files are in PEM form."""

    ca_file: LocalPath | None = None
    """Authorities that may sign the server's certificate; the public ones where not given."""
    cert_file: LocalPath | None = None
    """Our own certificate, for servers that ask for one (mTLS)."""
    key_file: LocalPath | None = None
    """Its private key, without a password; where not given, `cert_file` holds it as well."""

    @model_validator(mode="after")
    def _key_of_something(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("has a `key_file` without a `cert_file`")
        return self


class KafkaSettings(Section):
    """A Kafka cluster."""

    bootstrap_servers: str
    """Comma-separated `host:port`."""
    properties: dict[str, Secret] = Field(default={}, repr=False)
    """Further librdkafka properties (TLS, SASL …), e.g. `security.protocol`."""


class AirflowSettings(Section):
    """Airflow's public REST API (v2)."""

    url: str
    """Base URL of the API server, without `/api/v2`."""
    username: str | None = None
    """With `password`: exchanged for a token at `/auth/token`."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `username`."""
    token: Secret | None = Field(default=None, repr=False)
    """A bearer token, instead of user name and password."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""


class TrinoSettings(Section):
    """A Trino coordinator."""

    url: str
    """Base URL of the coordinator."""
    user: str = "dataops"
    """The user that statements run as."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `user` (needs HTTPS)."""
    token: Secret | None = Field(default=None, repr=False)
    """A JSON web token, instead of a password (needs HTTPS)."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""
    catalog: str | None = None
    """Default catalog of the SQL editor."""
    db_schema: str | None = Field(default=None, alias="schema")
    """Default schema of the SQL editor."""
    saved_queries: tuple[LocalPath, ...] = ()
    """Folders whose `*.sql` files the SQL screen offers beside the saved queries of your own; they are only read."""


class CatalogSettings(Section):
    """An Iceberg catalog, as PyIceberg reads it."""

    properties: dict[str, Secret] = Field(repr=False)
    """PyIceberg's catalog properties: `type`, `uri`, `warehouse`, `credential`, `s3.endpoint` …"""
    tls: TlsSettings | None = None
    """Certificates, for a REST catalog with an `https://` address."""


class WebSettings(Section):
    """A service that is asked over HTTP."""

    url: str
    """Base URL."""
    username: str | None = None
    """With `password`: HTTP basic authentication."""
    password: Secret | None = Field(default=None, repr=False)
    """Password for `username`."""
    token: Secret | None = Field(default=None, repr=False)
    """A bearer token, instead of user name and password."""
    tls: TlsSettings | None = None
    """Certificates, for an `https://` address."""


class AlertsSettings(WebSettings):
    """A Prometheus or an Alertmanager, of which the active alerts are shown."""

    url: str
    """Base URL, without `/api`."""


class SchemaRegistrySettings(WebSettings):
    """A Confluent Schema Registry, by which the records of a topic are decoded."""


class Thresholds(Section):
    """From when on something is wrong with a component."""

    trino_queued_max: float = Field(default=30.0, gt=0)
    """Seconds that a query may wait in Trino's queue, or for resources."""
    trino_planning_max: float = Field(default=30.0, gt=0)
    """Seconds that Trino may plan a query."""
    trino_conflicts_max: int = Field(default=2, ge=0)
    """Writes that may be given up within five minutes because another one had changed the same files."""
    trino_failed_max: int = Field(default=3, ge=0)
    """Queries that may fail within five minutes for another reason than the user's own statement."""


class ContextSettings(Section):
    """One environment: where its components are, and what may be done to them."""

    read_only: bool = False
    """Refuse every action that changes something."""
    production: bool = False
    """Ask for the context's name before an action that changes something."""
    kafka: KafkaSettings | None = None
    """The Kafka cluster."""
    schema_registry: SchemaRegistrySettings | None = None
    """The schema registry of the Kafka cluster."""
    airflow: AirflowSettings | None = None
    """The Airflow API server."""
    trino: TrinoSettings | None = None
    """The Trino coordinator."""
    catalogs: dict[str, CatalogSettings] = {}
    """Iceberg catalogs by name."""
    prometheus: AlertsSettings | None = None
    """A Prometheus whose firing alerts are shown."""
    alertmanager: AlertsSettings | None = None
    """An Alertmanager whose active alerts are shown."""
    thresholds: Thresholds = Thresholds()
    """From when on something is wrong with a component."""


class StageBase(Section):
    """What all stages have."""

    name: str
    """Unique within the pipeline; also the first half of check ids."""
    reads: tuple[str, ...] = ()
    """Names of the stages that this one reads; none for a source."""
    lag_ok: float = Field(default=30.0, gt=0)
    """Seconds of hop lag up to which the stage counts as caught up."""
    stall_after: float = Field(default=20.0, gt=0)
    """Seconds without progress, while input waits, after which the stage counts as stuck."""
    remedy: str | None = None
    """A shell command to suggest when this stage is to blame."""


class TopicStage(StageBase):
    """A Kafka topic."""

    kind: Literal["topic"]
    """Always `topic`."""
    topic: str
    """The topic's name."""
    hot_partition_factor: float = Field(default=5.0, gt=1)
    """How many times as many records as the other partitions have on average one may have got in five minutes."""
    clock_ahead_max: float = Field(default=60.0, gt=0)
    """Seconds that the newest record's timestamp may lie in the future."""


class ReaderStage(StageBase):
    """What all readers of a topic have."""

    retention_left_min: float = Field(default=0.2, ge=0, lt=1)
    """Share of the topic's retention that must be left before the oldest waiting record is deleted."""


class SparkQueryStage(ReaderStage):
    """A Spark Structured Streaming query, seen through its checkpoint."""

    kind: Literal["spark_query"]
    """Always `spark_query`."""
    checkpoint: LocalPath
    """Folder of the query's checkpoint; or where it lies in an object store, such as `s3://bucket/checkpoints/orders`."""
    store: str | None = None
    """Name of the catalog in the context whose properties (`s3.endpoint` …) open that object store."""
    trigger: float | None = Field(default=None, gt=0)
    """Seconds between two batches, as the query is told; a checkpoint does not tell."""
    watermark_stall_after: float = Field(default=600.0, gt=0)
    """Seconds that the event-time watermark may stand still while batches with records are committed."""
    clock_ahead_max: float = Field(default=60.0, gt=0)
    """Seconds that the event-time watermark may lie in the future."""
    ui: WebSettings | None = None
    """Web UI of the query's driver, such as `http://driver:4040`: it tells how many rows were dropped as late."""
    late_rows_max: int = Field(default=0, ge=0)
    """Rows that may be dropped as late within ten minutes."""
    state_bytes_max: float = Field(default=10 * 2.0**30, gt=0)
    """Bytes that the query's state may take."""
    state_growth_max: float = Field(default=2.0, gt=1)
    """How many times as large the state may be as the oldest one that the checkpoint keeps, from 64 MiB on."""


class ConsumerGroupStage(ReaderStage):
    """A Kafka consumer group, of the classic protocol or the new one, on one topic.

    Not a share group (KIP-932): librdkafka 2.16 neither describes those nor tells where they are.
    """

    kind: Literal["consumer_group"]
    """Always `consumer_group`."""
    group: str
    """The group's id."""
    topic: str
    """The topic that it consumes."""


class IcebergTableStage(StageBase):
    """An Iceberg table."""

    kind: Literal["iceberg_table"]
    """Always `iceberg_table`."""
    catalog: str
    """Name of the catalog in the context."""
    table: str
    """`namespace.table`."""
    progress_column: str | None = None
    """Timestamp column whose upper bound is the progress time, where commits carry no stamp."""
    rejects: str | None = None
    """`namespace.table` of the same catalog into which records go that could not be read."""
    rejects_max: float = Field(default=0.05, ge=0, le=1)
    """Share of the last hour's records that may be rejected."""
    small_file_bytes: float = Field(default=16 * 2.0**20, gt=0)
    """Bytes below which a data file is small."""
    small_files_max: int = Field(default=5000, ge=0)
    """Small data files that the table may have."""
    compaction_after: float = Field(default=86400.0, gt=0)
    """Seconds after which too many small files mean that compaction does not run."""
    snapshots_max: int = Field(default=20_000, ge=1)
    """Snapshots that the table may keep."""
    snapshot_age_max: float | None = Field(default=None, gt=0)
    """Seconds that a snapshot may be kept which no branch or tag needs; twice the table's
    `history.expire.max-snapshot-age-ms` where not given."""
    delete_files_max: int = Field(default=1000, ge=0)
    """Delete files that the table may have."""
    metadata_bytes_max: float = Field(default=64 * 2.0**20, gt=0)
    """Bytes that the table's metadata file may have."""
    files_checked: int = Field(default=8, ge=0)
    """Data files that each look asks the store for, going round; 0 for none."""


class DagStage(StageBase):
    """An Airflow DAG."""

    kind: Literal["dag"]
    """Always `dag`."""
    dag_id: str
    """The DAG's id."""
    late_after: float = Field(default=120.0, gt=0)
    """Seconds after which a run that is due by the schedule, and was not made, is late."""
    queued_max: float = Field(default=300.0, gt=0)
    """Seconds that a run may be queued."""
    run_max: float | None = Field(default=None, gt=0)
    """Seconds that a run may take; three times the median of the last successes, and 5 minutes at least, where not
    given."""


class TrinoViewStage(StageBase):
    """What a Trino query sees: a table or view."""

    kind: Literal["trino_view"]
    """Always `trino_view`."""
    relation: str
    """`catalog.schema.name` of the table or view."""
    every: float = Field(default=60.0, gt=0)
    """Seconds between two queries, as asking costs Trino real work; a view that has failed is asked at each look."""


Stage = Annotated[
    TopicStage | SparkQueryStage | ConsumerGroupStage | IcebergTableStage | DagStage | TrinoViewStage,
    Field(discriminator="kind"),
]


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
    stages: tuple[Stage, ...] = Field(min_length=1)
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


class ConsoleSettings(Section):
    """How the console looks, and its keys."""

    theme: Literal["dark", "light", "high-contrast"] = "dark"
    """Colours. Where the environment has `NO_COLOR`, there are none."""
    ascii: bool = False
    """Draw with plain ASCII, for terminals and fonts that have no more."""
    keys: dict[str, str] = {}
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
    contexts: dict[str, ContextSettings] = Field(min_length=1)
    """Environments by name."""
    pipelines: dict[str, PipelineSettings] = {}
    """Pipelines by name."""
    console: ConsoleSettings = ConsoleSettings()
    """The console."""
    exporter: ExporterSettings = ExporterSettings()
    """The exporter."""
