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
    """Base URL of a worker, or of what balances between several."""


class ConnectorStage(ReaderStage):
    """A connector of Kafka Connect: a source or a sink."""

    kind: Literal["connector"]
    """Always `connector`."""
    connector: str
    """The connector's name."""
    kafka: str | None = None
    """Name of the Kafka cluster of its topics, needed only if the context has several."""
    group: str | None = None
    """Consumer group of a sink; `connect-NAME` where not given."""
    catalog: str | None = None
    """With `table`: name of the catalog in which an Iceberg sink writes."""
    table: str | None = None
    """`namespace.table` that an Iceberg sink writes; a connector that runs and does not deliver is found by it."""
    topics: tuple[str, ...] = ()
    """Topics of a source that count. Default: all that it has written, without its heartbeats. Name them where one is
    of a table that only keeps the source's position moving."""
    database: str | None = None
    """Name of the PostgreSQL that a Debezium source reads: its replication slot is observed there."""
    slot: str | None = None
    """With `database`: the replication slot. Default: that of the connector's configuration. Name it, so that it is
    found when the connector is deleted."""
    slot_lag_max: int = Field(default=1_073_741_824, gt=0)
    """Bytes of write-ahead log that may lie between the slot and the newest change."""
    delivered_within: float = Field(default=900.0, gt=0)
    """Seconds within which a commit of the table must follow when the sink's offsets advance."""
