"""Propose models and sources of dbt for `config init`, linked by the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dataops_core.systems.base import Clients
from dataops_core.systems.dbt.client import DbtClient, Project
from dataops_core.systems.dbt.probe import MODEL_KINDS
from dataops_core.systems.dbt.responses import Manifest, Node
from dataops_core.systems.draft import Draft, ProposedStage

SCHEDULE = "Set lag_ok and stall_after to match the model's schedule."
"""Remark on a model and on its table: dbt's artifacts do not contain a schedule."""


def discover(draft: Draft, clients: Clients) -> None:
    """Add the models with a relation of all projects, and the sources with a freshness check."""
    result = clients.all("dbt")
    for name, client in result.items():
        _project(draft, client, name if len(result) > 1 else None)


def _project(draft: Draft, client: DbtClient, on: str | None) -> None:
    project = draft.ask(client.project)
    if project is None:
        return
    for problem in project.unreadable.values():
        draft.note(f"{project.where}: {problem}")
    if project.manifest is None:
        draft.note(f"{project.where}: there is no manifest.json, so no model is proposed")
        return
    tables = list(draft.stages())
    names = Counter(node.name for node in project.manifest.nodes.values() if node.kind in MODEL_KINDS)
    stages = {node.unique_id: _model(draft, project, node, names, on) for node in _models(project.manifest)}
    for node in _models(project.manifest):
        stage = stages[node.unique_id]
        for parent in _read(project.manifest, node):
            above = stages.get(parent.unique_id) or _source(draft, project, parent, tables, on)
            if above is not None and above.name not in stage.reads:
                stage.reads.append(above.name)
        for table in tables:
            if _shows(table, node) and not table.reads:
                table.reads.append(stage.name)
                table.remarks.append(f"The dbt model {stage.name} writes it. {SCHEDULE}")


def _models(manifest: Manifest) -> Iterator[Node]:
    return (node for node in manifest.nodes.values() if node.kind in MODEL_KINDS and node.relation)


def _read(manifest: Manifest, node: Node) -> Iterator[Node]:
    """Yield the nodes that a model reads, also through models without a relation, which are part of its query."""
    left, seen = list(node.parents), set[str]()
    while left:
        name = left.pop(0)
        parent = manifest.nodes.get(name)
        if parent is None or name in seen:
            continue
        seen.add(name)
        if parent.kind in MODEL_KINDS and not parent.relation:
            left += parent.parents
        else:
            yield parent


def _model(draft: Draft, project: Project, node: Node, names: Counter[str], on: str | None) -> ProposedStage:
    model = node.name if names[node.name] == 1 else node.unique_id
    own = {} if on is None else {"on": on}
    stage = draft.add(f"{on or ''}/{node.unique_id}", {"name": node.name, "kind": "dbt_model", "model": model, **own})
    ran = project.ran.get(node.unique_id)
    if ran is None:
        stage.remarks.append(f"The results have no run of it. {SCHEDULE}")
    else:
        stage.remarks.append(f"Status of its newest run: {ran.result.status}. {SCHEDULE}")
    return stage


def _source(
    draft: Draft, project: Project, node: Node, tables: list[ProposedStage], on: str | None
) -> ProposedStage | None:
    """Return the stage of a source: that of another system for the same table, or one of its freshness check."""
    if node.kind != "source":
        return None
    same = next((table for table in tables if _shows(table, node)), None)
    key = f"{on or ''}/{node.unique_id}"
    if same is not None or (same := draft.stage("dbt_source", key)) is not None:
        return same
    if project.sources is None or node.unique_id not in project.sources.freshness:
        return None
    own = {} if on is None else {"on": on}
    return draft.add(key, {"name": node.name, "kind": "dbt_source", "source": node.name, **own})


def _shows(stage: ProposedStage, node: Node) -> bool:
    """Return whether a stage is the Iceberg table of a node's relation; the catalog's name may differ."""
    table = ".".join(node.relation[1:])
    return stage.kind == "iceberg_table" and bool(table) and str(stage.settings["table"]) == table
