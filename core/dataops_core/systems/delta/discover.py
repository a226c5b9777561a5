"""Delta Lake tables for `config init`."""

from __future__ import annotations

from dataops_core.systems.base import Clients
from dataops_core.systems.delta.client import DeltaClient
from dataops_core.systems.draft import Draft

OBJECTS, LEVELS, TABLES = 20_000, 4, 100
"""Objects and levels of folders that are listed, and tables that are proposed."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the tables below all locations."""
    found = clients.all("delta")
    for name, client in found.items():
        _location(draft, client, name if len(found) > 1 else None)


def _location(draft: Draft, client: DeltaClient, on: str | None) -> None:
    tables = [table for table in draft.ask(lambda: client.tables(OBJECTS, LEVELS)) or () if table]
    if len(tables) > TABLES:
        draft.note(f"{client.store.where}: {len(tables)} tables, of which the first {TABLES} are proposed")
    for table in tables[:TABLES]:
        own = {} if on is None else {"on": on}
        stage = draft.add(f"{on or ''}/{table}", {"name": table, "kind": "delta_table", "table": table, **own})
        columns = draft.ask(lambda table=table: client.timestamps(table))  # type: ignore[misc]
        stage.remarks.append(
            "Without a stamp, its progress is the time of its newest commit with data."
            + (f" Or set progress_column; its timestamp columns: {', '.join(columns[:10])}." if columns else "")
        )
