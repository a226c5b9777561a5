"""Probe the workers of Kafka Connect, and connectors with the topics that they read or write."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from dataops_core.errors import ClientError, NotFound
from dataops_core.health.observation import Activity, Observation, ProgressSource
from dataops_core.systems.base import Clients
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.details import ConnectDetails, ConnectorDetails
from dataops_core.systems.connect.responses import Config, Connector
from dataops_core.systems.connect.settings import ConnectorStage
from dataops_core.systems.connect.slot import slot_details
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.probe import read_by_group
from dataops_core.systems.sql.client import DatabaseClient
from dataops_core.times import known, moment

SHOWN = 5
"""Maximum number of failed connectors and tasks that are named."""
WAITING = ("UNASSIGNED", "RESTARTING")
PAUSED = ("PAUSED", "STOPPED")
DELETED = "DELETED"
"""State of a connector that Connect does not have, but whose replication slot exists."""


def observe_connect(client: ConnectClient) -> tuple[str, Observation]:
    """Return one line about the workers, and an observation of all connectors."""
    now = datetime.now(UTC)
    version, connectors = client.version(), client.connectors()
    tasks = [(connector, task) for connector in connectors for task in connector.tasks]
    broken = [connector.name for connector in connectors if connector.state == "FAILED"]
    broken_tasks = [f"{connector.name}/{task.number}" for connector, task in tasks if task.state == "FAILED"]
    failed = [*broken, *broken_tasks]
    more = f" and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
    workers = {each.worker for each in connectors} | {task.worker for _, task in tasks}
    details = ConnectDetails(
        version=version,
        workers=len(workers - {""}),
        connectors=len(connectors),
        connectors_failed=len(broken),
        tasks=len(tasks),
        tasks_failed=len(broken_tasks),
        failed=", ".join(failed[:SHOWN]) + more or None,
    )
    detail = f"version {version}, {len(connectors)} connector{'s' if len(connectors) != 1 else ''}"
    return detail, Observation(stage=client.name, observed_at=now, details=details)


def observe_connector(
    stage: ConnectorStage, client: ConnectClient, kafka: KafkaClient, clients: Clients
) -> Observation:
    """Return an observation of a connector: its tasks, and its progress in the topics that it reads or writes."""
    now = datetime.now(UTC)
    try:
        connector = client.connector(stage.connector)
    except NotFound:
        if stage.database is None or stage.slot is None:
            raise
        return _deleted(stage, stage.slot, client, clients.need("database", stage.database), now)
    config: Config | None = None
    with suppress(ClientError):  # access may be denied, because configurations hold secrets
        config = client.config(stage.connector)
    about = _about(connector, config, client)
    activity = Activity.PAUSED if connector.state in PAUSED else Activity.UNKNOWN
    state = f"connector is {connector.state}; tasks: {_states(connector)}"
    try:
        if connector.kind == "sink":
            result, more = _sink(stage, kafka, config, clients)
        else:
            result, more = _source(stage, client, kafka, config)
    except ClientError as error:
        if not _has_failed(connector):
            raise
        result, more = {"notes": (f"progress is unknown: {error}",)}, {}  # the failure is known without progress
    more |= _slot(stage, config, clients)
    if more.get("slot_unknown"):  # changes may wait in a database that is down
        result |= {"progress_time": None, "progress_source": None}
    unknown = [f"{what} is unknown: {why}" for what in ("delivery", "slot") if (why := more.get(f"{what}_unknown"))]
    notes = (state, *result.pop("notes", ()), *unknown)
    return Observation(
        stage=stage.name,
        observed_at=now,
        activity=activity,
        notes=notes,
        details=ConnectorDetails(**about, **more),
        **result,
    )


def _deleted(
    stage: ConnectorStage, slot: str, client: ConnectClient, database: DatabaseClient, now: datetime
) -> Observation:
    """Return the observation of a deleted connector; raise NotFound unless its replication slot exists."""
    about = slot_details(slot, database)
    if about.get("slot_missing", True):
        why = about.get("slot_unknown") or f"the slot {slot} does not exist either"
        raise NotFound(f"{client.name} {client.target}: there is no connector {stage.connector}; {why}")
    return Observation(
        stage=stage.name,
        observed_at=now,
        notes=(f"there is no connector {stage.connector}",),
        details=ConnectorDetails(connect_url=client.target, connector_state=DELETED, **about),
    )


def _slot(stage: ConnectorStage, config: Config | None, clients: Clients) -> dict[str, Any]:
    name = stage.slot or (config.slot if config is not None else None)
    if stage.database is None or name is None:
        return {}
    return slot_details(name, clients.need("database", stage.database))


def _has_failed(connector: Connector) -> bool:
    idle = connector.state == "RUNNING" and not connector.tasks
    return idle or connector.state == "FAILED" or bool(connector.of_state("FAILED"))


def _states(connector: Connector) -> str:
    counts: dict[str, int] = {}
    for task in connector.tasks:
        counts[task.state] = counts.get(task.state, 0) + 1
    return ", ".join(f"{number} {state}" for state, number in counts.items()) or "none"


def _about(connector: Connector, config: Config | None, client: ConnectClient) -> dict[str, Any]:
    failed = connector.of_state("FAILED")
    causes = [cause for cause in (connector.cause, *(task.cause for task in failed)) if cause is not None]
    return {
        "connect_url": client.target,
        "connector_type": connector.kind,
        "connector_state": connector.state,
        "connector_class": config.connector_class if config is not None else None,
        "worker": connector.worker or None,
        "tasks": len(connector.tasks),
        "tasks_running": len(connector.of_state("RUNNING")),
        "tasks_failed": len(failed),
        "tasks_waiting": len(connector.of_state(*WAITING)),
        "failed_tasks": ", ".join(str(task.number) for task in failed) or None,
        "cause": causes[0] if causes else None,
        "errors_tolerated": config.errors_tolerated if config is not None else None,
    }


def _sink(
    stage: ConnectorStage, kafka: KafkaClient, config: Config | None, clients: Clients
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of a sink's observation, and those of its details."""
    group = stage.group or (config.group if config is not None else None) or f"connect-{stage.connector}"
    result, more = read_by_group(kafka, group)
    position = result.get("position")
    return result, {**more, **_delivery(stage, position, clients)} if position is not None else more


def _source(
    stage: ConnectorStage, client: ConnectClient, kafka: KafkaClient, config: Config | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields of a source's observation, and those of its details."""
    heartbeats = config.heartbeat_topic if config is not None else None
    names = stage.topics or [name for name in client.topics(stage.connector) if name != heartbeats]
    topics = [kafka.topic(name) for name in names]
    times = [known(partition.newest) for topic in topics for partition in topic.led]
    newest = max((at for at in times if at is not None), default=None)
    reached: datetime | None = None
    with suppress(ClientError):  # offsets exist since 3.6, and access may be denied
        reached = client.source_time(stage.connector)
    progress = reached or newest
    results = {
        "progress_time": progress,
        "progress_source": ProgressSource.DERIVED if progress is not None else None,
        "position": sum(partition.high or 0 for topic in topics for partition in topic.led) if topics else None,
        "newest_passed": newest if reached is not None else None,  # a topic that holds this record is up to date
        "advanced_at": newest,
        "notes": () if topics else ("it has written to no topic yet",),
    }
    return results, {"bootstrap_servers": kafka.target, **_heartbeat(kafka, config)}


def _heartbeat(kafka: KafkaClient, config: Config | None) -> dict[str, Any]:
    if config is None or config.heartbeat_topic is None:
        return {}
    times: list[datetime | None] = []
    with suppress(ClientError):  # the first heartbeat creates the topic, and access may be denied
        times = [known(partition.newest) for partition in kafka.topic(config.heartbeat_topic).led]
    newest = max((at for at in times if at is not None), default=None)
    return {"heartbeat": newest, "heartbeat_interval": config.heartbeat_interval}


##### Running but not delivering


@dataclass
class _Delivered:
    """The position of a sink at the newest commit to its table."""

    committed: datetime | None
    position: int
    since: datetime | None = None


class Deliveries:
    """The position of each sink at the newest commit to its table."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, _Delivered] = {}

    def observe(
        self, key: str, committed: datetime | None, position: int, now: datetime
    ) -> tuple[datetime | None, int]:
        """Return the time since which the sink processes records without a commit to its table, and their number."""
        with self._lock:
            last = self._known.get(key)
            if last is None or last.committed != committed or position < last.position:
                last = self._known[key] = _Delivered(committed, position)
                last.since = now if committed is None and position else None
            if position > last.position and last.since is None:
                last.since = now
            return last.since, position - last.position


def _delivery(stage: ConnectorStage, position: int, clients: Clients) -> dict[str, Any]:
    if stage.catalog is None or stage.table is None:
        return {}
    client: CatalogClient = clients.need("iceberg", stage.catalog)
    try:
        snapshot = client.ask(lambda catalog: catalog.load_table(stage.table or "").current_snapshot())
    except ClientError as error:  # the connector's state is known without the table
        return {"delivery_unknown": str(error)}
    committed = known(moment(snapshot.timestamp_ms, "ms")) if snapshot is not None else None
    deliveries: Deliveries = clients.keep("connect deliveries", Deliveries)
    since, records = deliveries.observe(f"{stage.connector} {stage.table}", committed, position, datetime.now(UTC))
    return {
        "table_committed": committed,
        "table_empty": snapshot is None,
        "undelivered_since": since,
        "undelivered": records if snapshot is not None else position,
    }
