"""Propose Trino views of the last tables of pipelines for `config init`."""

from __future__ import annotations

from dataops_core.sql.scan import relation
from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.trino.client import TrinoClient

WITHIN = 30.0
"""Deadline in seconds of the list of tables."""
OWN_CATALOGS = ("system", "jmx", "tpch", "tpcds", "memory")
"""Catalogs of Trino without tables of pipelines."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the views of all coordinators."""
    result = clients.all("trino")
    for name, client in result.items():
        _coordinator(draft, client, name if len(result) > 1 else None)


def _coordinator(draft: Draft, client: TrinoClient, on: str | None) -> None:
    """Add the Trino view of each table that no other stage reads."""
    read = draft.read()
    last = [stage for stage in draft.stages() if "table" in stage.settings and stage.reads and stage.name not in read]
    catalogs = draft.ask(lambda: client.fetch("SHOW CATALOGS", WITHIN)) if last else None
    for (catalog,) in catalogs or ():
        if catalog in OWN_CATALOGS:
            continue
        tables = relation(str(catalog), "information_schema", "tables")
        statement = f"SELECT table_schema || '.' || table_name FROM {tables}"
        shown = {str(row[0]) for row in draft.ask(lambda text=statement: client.fetch(text, WITHIN)) or ()}  # type: ignore[misc]
        for stage in last:
            table = stage.settings["table"]
            if table in shown and draft.stage("trino_view", table) is None:
                settings = {"name": f"trino.{table}", "kind": "trino_view", "relation": f"{catalog}.{table}"}
                if "progress_column" in stage.settings:  # without it, the view of a table without stamps is unknown
                    settings["progress_column"] = stage.settings["progress_column"]
                if on is not None:
                    settings["on"] = on
                draft.add(table, settings).reads.append(stage.name)
