"""DAGs for `config init`, and the tables that they read and write by their assets."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.responses import Dag, DagAsset
from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft, ProposedStage

AFTER_DAG = 60.0
"""Seconds of lag that a table may have behind the DAG that writes it: a run ends a while after its commit."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the DAGs of all instances that have a schedule."""
    result = clients.all("airflow")
    for name, client in result.items():
        _instance(draft, client, name if len(result) > 1 else None)


def _instance(draft: Draft, client: AirflowClient, on: str | None) -> None:
    dags = {dag.dag_id: dag for dag in draft.ask(client.dags) or ()}
    for dag in dags.values():
        if dag.schedule is not None:
            _dag(draft, dag, client, on)
    assets = draft.ask(client.assets) or ()
    tables = {asset.uri: _table_of(draft, asset) for asset in assets}
    for asset in assets:
        for dag_id in asset.readers:
            dag_stage, table = draft.stage("dag", _key(dag_id, on)), tables[asset.uri]
            if dag_stage is not None and table is not None and table.name not in dag_stage.reads:
                dag_stage.reads.append(table.name)
    for asset in assets:
        _written(draft, asset, tables[asset.uri], on)


def _key(dag_id: str, on: str | None) -> str:
    return dag_id if on is None else f"{on}/{dag_id}"


def _dag(draft: Draft, dag: Dag, client: AirflowClient, on: str | None) -> None:
    dag_id = dag.dag_id
    own = {} if on is None else {"on": on}
    stage = draft.add(_key(dag_id, on), {"name": dag_id, "kind": "dag", "dag_id": dag_id, **own})
    starts = [run.started_at for run in draft.ask(lambda: client.runs(dag_id)) or () if run.started_at]
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(starts)]
    if gaps:
        # What came just after a run had started waits for the next one, and for its end.
        stage.settings["lag_ok"] = stage.settings["stall_after"] = round(max(60.0, 2 * median(gaps)))
    else:
        stage.remarks.append(f"It has few runs: set lag_ok and stall_after to match its schedule, {dag.schedule}.")
    if dag.paused:
        stage.remarks.append("It is paused.")


def _table_of(draft: Draft, asset: DagAsset) -> ProposedStage | None:
    """Return the table that an asset stands for: its name, or the end of its address, is the table's."""
    parts = tuple(asset.uri.rstrip("/").partition("://")[2].split("/"))
    for stage in draft.stages():
        table = str(stage.settings.get("table", ""))
        names = tuple(table.split("."))
        if table and (asset.name == table or parts[-len(names) :] == names):
            return stage
    return None


def _written(draft: Draft, asset: DagAsset, table: ProposedStage | None, on: str | None) -> None:
    """Link a table with the DAGs that write it; of several, those that are known to read something else."""
    writers = [stage for dag_id in asset.writers if (stage := draft.stage("dag", _key(dag_id, on))) is not None]
    if table is None or not writers or table.reads:
        return
    chosen = [writer for writer in writers if set(writer.reads) - {table.name}] or writers
    table.reads += [writer.name for writer in chosen]
    table.settings.setdefault("lag_ok", AFTER_DAG)
    table.settings.setdefault("stall_after", max(writer.settings.get("stall_after", 300) for writer in chosen))
    others = [writer.name for writer in writers if writer not in chosen]
    if others:
        table.remarks.append(f"Also written by {', '.join(others)}, which reads no other known table.")
