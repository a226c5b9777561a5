"""Delta Lake tables for `config init`."""

from __future__ import annotations

from dataops_core.systems.base import Clients
from dataops_core.systems.delta.client import DeltaClient, TableState
from dataops_core.systems.delta.settings import DeltaTableStage
from dataops_core.systems.draft import Draft, ProposedStage

OBJECTS, LEVELS, TABLES = 20_000, 4, 100
"""Objects and levels of folders that are listed, and tables that are proposed."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the tables below all locations."""
    result = clients.all("delta")
    for name, client in result.items():
        _location(draft, client, name if len(result) > 1 else None)


def _location(draft: Draft, client: DeltaClient, on: str | None) -> None:
    tables = [table for table in draft.ask(lambda: client.tables(OBJECTS, LEVELS)) or () if table]
    if len(tables) > TABLES:
        draft.note(f"{client.store.where}: {len(tables)} tables; the first {TABLES} are proposed")
    for table in tables[:TABLES]:
        own = {} if on is None else {"on": on}
        stage = draft.add(f"{on or ''}/{table}", {"name": table, "kind": "delta_table", "table": table, **own})
        state = draft.ask(lambda table=table: client.table(_stage(table)))  # type: ignore[misc]
        if state is not None:
            _link(draft, stage, state)


def _stage(table: str) -> DeltaTableStage:
    return DeltaTableStage(name=table, kind="delta_table", table=table)


def _link(draft: Draft, stage: ProposedStage, state: TableState) -> None:
    query = next((each.query_id for each in reversed(state.commits) if each.query_id is not None), None)
    if query is not None and (writer := draft.writers.get(query)) is not None:
        stage.reads.append(writer.name)
    elif query is not None:
        stage.remarks.append(f"The streaming query {query} writes it: give its checkpoint with --checkpoint.")
    columns = state.snapshot.timestamps[:10]
    if not any(each.stamp is not None for each in state.commits):
        stage.remarks.append(
            "Its commits have no progress stamp, so its progress is the time of its newest commit with data."
            + (f" Or set progress_column; its timestamp columns: {', '.join(columns)}." if columns else "")
        )
