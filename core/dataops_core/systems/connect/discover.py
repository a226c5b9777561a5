"""Propose connectors for `config init` in place of their consumer groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataops_core.systems.base import Clients
from dataops_core.systems.connect.client import ConnectClient
from dataops_core.systems.connect.responses import Connector
from dataops_core.systems.connect.slot import databases_with_slot
from dataops_core.systems.draft import Draft, ProposedStage
from dataops_core.systems.sql.client import DatabaseClient


def discover(draft: Draft, clients: Clients) -> None:
    """Add the connectors of all clusters, and remove their consumer groups and those internal to the Iceberg sink."""
    result = clients.all("connect")
    for name, client in result.items():
        for connector in draft.ask(client.connectors) or ():
            _connector(draft, client, connector, name if len(result) > 1 else None, clients.all("database"))
    if result:
        for stage in list(draft.stages("consumer_group")):
            if is_internal(str(stage.settings["group"])):
                draft.remove(stage)


def is_internal(group: str) -> bool:
    """Return whether a consumer group coordinates an Iceberg sink; its lag is not a data lag."""
    return group.startswith("cg-control-") or (group.startswith("connect-") and group.endswith("-coord"))


def _connector(
    draft: Draft, client: ConnectClient, connector: Connector, on: str | None, databases: Mapping[str, DatabaseClient]
) -> None:
    own = {} if on is None else {"on": on}
    settings = {"name": connector.name, "kind": "connector", "connector": connector.name, **own}
    config = draft.ask(lambda: client.config(connector.name))
    remarks = _slot(draft, settings, config.slot, databases) if config is not None and config.slot is not None else ()
    topics = draft.ask(lambda: client.topics(connector.name)) or ()
    group = (config.group if config is not None else None) or f"connect-{connector.name}"
    reads: list[str] = []
    for stage in list(draft.stages("consumer_group")):
        if connector.kind == "sink" and stage.settings["group"] == group:
            reads += [name for name in stage.reads if name not in reads]
            draft.remove(stage)
    written = [topic for topic in draft.stages("topic") if topic.settings["topic"] in topics and not topic.reads]
    heartbeats = config.heartbeat_topic if config is not None else None
    written = [topic for topic in written if topic.settings["topic"] != heartbeats]
    if connector.kind == "source" and len(written) > 1:  # the progress of one topic does not apply to another
        for topic in written:
            name = str(topic.settings["topic"])
            of_topic: dict[str, Any] = {"name": f"{connector.name} {name}", "topics": [name]}
            proposed = _proposed(draft, f"{on or ''}/{connector.name}/{name}", {**settings, **of_topic}, connector)
            proposed.remarks += remarks
            topic.reads.append(proposed.name)
        return
    proposed = _proposed(draft, f"{on or ''}/{connector.name}", settings, connector)
    proposed.remarks += remarks
    proposed.reads += reads
    if connector.kind == "source":
        for topic in written:
            topic.reads.append(proposed.name)
    if config is not None:
        _tables(draft, proposed, config.tables)


def _slot(
    draft: Draft, settings: dict[str, str], slot: str, databases: Mapping[str, DatabaseClient]
) -> tuple[str, ...]:
    """Set the database with the replication slot of a source; return a remark if it is not exactly one."""
    holders = draft.ask(lambda: databases_with_slot(slot, databases))
    if holders is None:
        return (f"Set `database` and `slot` to check its replication slot {slot}.",)
    if len(holders) == 1:
        settings |= {"database": holders[0], "slot": slot}
        return ()
    which = f"Several have it: {', '.join(holders)}." if holders else "No database of this context has it."
    return (f"Set `database` and `slot` to check its replication slot {slot}. {which}",)


def _proposed(draft: Draft, key: str, settings: dict[str, Any], connector: Connector) -> ProposedStage:
    proposed = draft.add(key, settings)
    if connector.state != "RUNNING" or any(task.state != "RUNNING" for task in connector.tasks) or not connector.tasks:
        proposed.remarks.append(f"It is {connector.state}; running tasks: {len(connector.of_state('RUNNING'))}.")
    return proposed


def _tables(draft: Draft, proposed: ProposedStage, tables: tuple[str, ...]) -> None:
    written = [stage for stage in draft.stages("iceberg_table") if stage.settings["table"] in tables]
    for stage in written:
        if not stage.reads:
            stage.reads.append(proposed.name)
    if len(written) == 1:
        proposed.settings |= {key: written[0].settings[key] for key in ("catalog", "table")}
