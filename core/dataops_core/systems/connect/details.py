"""Details of observations of Kafka Connect and its connectors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, value
from dataops_core.systems.kafka.details import ReaderDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectDetails(ComponentDetails):
    """A Connect cluster.

    Attributes:
        workers: Workers that connectors and tasks are assigned to.
        failed: Names of the first failed connectors and tasks.
    """

    version: str | None = value()
    workers: int | None = value()
    connectors: int | None = value()
    connectors_failed: int | None = value()
    tasks: int | None = value()
    tasks_failed: int | None = value()
    failed: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDetails(ReaderDetails):
    """A connector.

    Attributes:
        connect_url: Base URL of the REST API.
        connector_type: `source` or `sink`.
        connector_state: State that Connect reports, such as `RUNNING`.
        failed_tasks: Numbers of the tasks that have failed.
        cause: The innermost cause of the trace of the connector, or of its first task that has failed.
        errors_tolerated: Whether records that fail are dropped without a dead letter queue.
        table_committed: Time of the newest commit to the sink's table.
        table_empty: Whether that table never had a commit.
        undelivered_since: Time since which the sink's offsets advance without a commit to its table.
        undelivered: Records that the sink has processed since then.
        delivery_unknown: Why the table could not be read.
        slot: The replication slot of a Debezium source.
        slot_missing: Whether the database has no such slot.
        slot_active: Whether a client is connected to it. A paused connector may still be connected.
        slot_status: `wal_status` of PostgreSQL: `reserved`, `extended`, `unreserved` or `lost`.
        slot_lag: Write-ahead log between the confirmed position and the newest change.
        slot_kept: Write-ahead log that PostgreSQL retains for it.
        slot_unknown: Why it could not be read.
        heartbeat: Newest heartbeat of a Debezium source.
        heartbeat_interval: Configured interval in seconds.
    """

    connect_url: str | None = value()
    connector_type: str | None = value()
    connector_state: str | None = value()
    connector_class: str | None = value()
    worker: str | None = value()
    tasks: int | None = value()
    tasks_running: int | None = value()
    tasks_failed: int | None = value()
    tasks_waiting: int | None = value()
    failed_tasks: str | None = value()
    cause: str | None = value()
    errors_tolerated: bool | None = value()
    table_committed: datetime | None = value()
    table_empty: bool | None = value()
    undelivered_since: datetime | None = value()
    undelivered: int | None = value("records")
    delivery_unknown: str | None = value()
    slot: str | None = value()
    slot_missing: bool | None = value()
    slot_active: bool | None = value()
    slot_status: str | None = value()
    slot_lag: int | None = value("bytes")
    slot_kept: int | None = value("bytes")
    slot_unknown: str | None = value()
    heartbeat: datetime | None = value()
    heartbeat_interval: float | None = value("s")
