"""Settings of Kafka Connect: the workers' REST API, and connectors."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dataops_core.config.base import ComponentSettings, WebSettings
from dataops_core.systems.kafka.settings import ReaderStage


class ConnectSettings(ComponentSettings, WebSettings):
    """A Kafka Connect cluster, by the REST API of one of its workers."""

    component: ClassVar[str] = "connect"
    url: str
    """Base URL of a worker, or of a load balancer of several workers."""


class ConnectorStage(ReaderStage):
    """A connector of Kafka Connect: a source or a sink."""

    kind: Literal["connector"]
    """Always `connector`."""
    connector: str
    """The connector's name."""
    kafka: str | None = None
    """Name of the Kafka cluster of its topics, needed only if the context has several."""
    group: str | None = None
    """Consumer group of a sink. Default: `connect-NAME`."""
    catalog: str | None = None
    """With `table`: name of the catalog that an Iceberg sink writes to."""
    table: str | None = None
    """`namespace.table` that an Iceberg sink writes. It reveals a connector that runs but does not deliver."""
    topics: tuple[str, ...] = ()
    """Topics of a source that count for its progress. Default: all topics that it has written, except heartbeats.
    Set it if one topic belongs to a table that only advances the source's position."""
    database: str | None = None
    """Name of the PostgreSQL database that a Debezium source reads; DataOps reads its replication slot there."""
    slot: str | None = None
    """With `database`: the replication slot. Default: the slot of the connector's configuration. Set it, so that the
    slot is still checked after the connector is deleted."""
    slot_lag_max: int = Field(default=1_073_741_824, gt=0)
    """Maximum bytes of write-ahead log between the slot and the newest change."""
    delivered_within: float = Field(default=900.0, gt=0)
    """Seconds within which a commit to the table must follow after the sink's offsets advance."""
