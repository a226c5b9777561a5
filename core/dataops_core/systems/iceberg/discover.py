"""Propose tables for `config init`, and link them to the streaming queries and batch applications that write them."""

from __future__ import annotations

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft, ProposedStage
from dataops_core.systems.iceberg import inspect as iceberg_inspect
from dataops_core.systems.iceberg.catalog import CatalogClient

BEST_COLUMNS = ("kafka_timestamp", "_kafka_timestamp", "ingested_at", "ingest_time", "received_at", "created_at")
"""Usual names of columns with the ingestion time of a row, best first."""

LIMITS = ("lag_ok", "stall_after")
"""Settings of a batch application that hold for the table that it writes as well."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the tables of all catalogs."""
    for name, client in clients.all("iceberg").items():
        _catalog(draft, name, client)


def _catalog(draft: Draft, name: str, client: CatalogClient) -> None:
    for summary in draft.ask(lambda: iceberg_inspect.tables(client)) or ():
        settings = {"name": summary.name, "kind": "iceberg_table", "catalog": name, "table": summary.name}
        stage = draft.add(f"{name}/{summary.name}", settings)
        state = draft.ask(lambda table=summary.name: client.table(table))  # type: ignore[misc]
        if state is None:
            continue
        if state.writers and (writer := draft.writers.get(state.writers[-1].query_id)) is not None:
            stage.reads.append(writer.name)
        elif state.writers:
            query = state.writers[-1].query_id
            stage.remarks.append(f"The streaming query {query} writes it: pass its checkpoint with --checkpoint.")
        elif draft.writers and (application := _application(draft, client, summary.name)) is not None:
            stage.reads.append(application.name)
            limits = {key: application.settings[key] for key in LIMITS if key in application.settings}
            stage.settings |= limits
        if not state.commits:
            _progress_column(draft, stage, client, summary.name)


def _application(draft: Draft, client: CatalogClient, table: str) -> ProposedStage | None:
    """Return the stage of the application that committed the newest data to a table, or `None` if it is unknown."""
    detail = draft.ask(lambda: iceberg_inspect.table(client, table))
    commits = (each for each in (detail.snapshots if detail is not None else ()) if each.operation != "replace")
    return next((draft.writers[each.by] for each in commits if each.on_branch and each.by in draft.writers), None)


def _progress_column(draft: Draft, stage: ProposedStage, client: CatalogClient, table: str) -> None:
    detail = draft.ask(lambda: iceberg_inspect.table(client, table))
    times = [column.name for column in detail.columns if column.kind.startswith("timestamp")] if detail else []
    best = next((name for name in BEST_COLUMNS if name in times), next(iter(times), None))
    if best is None:
        stage.remarks.append(
            "Its commits have no progress stamp, and it has no timestamp column: its progress is unknown."
        )
        return
    stage.settings["progress_column"] = best
    others = [name for name in times if name != best]
    stage.remarks.append(
        "Its commits have no progress stamp. Set progress_column to the time when a row's record entered the pipeline"
        + (f"; its other timestamp columns: {', '.join(others)}." if others else ".")
    )
