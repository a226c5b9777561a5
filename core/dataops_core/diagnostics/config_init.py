"""A proposal of pipelines from what a live stack tells: who reads what, as far as the systems themselves know it.

Nothing is guessed from names. Links come from the consumer groups' commits, from checkpoints (which topics a query
reads), from the tables' commits (which query has written them) and from the assets that DAGs declare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath
from statistics import median
from typing import Any, TypeVar

from dataops_core.errors import ClientError
from dataops_core.sql.scan import relation
from dataops_core.systems.airflow.client import AirflowClient, Dag, DagAsset
from dataops_core.systems.clients import Clients
from dataops_core.systems.iceberg import inspect as iceberg_inspect
from dataops_core.systems.iceberg.catalog import CatalogClient
from dataops_core.systems.kafka.client import KafkaClient
from dataops_core.systems.kafka.cluster import scan
from dataops_core.systems.kafka.model import ClusterSnapshot
from dataops_core.systems.spark.checkpoint import Checkpoint, read_checkpoint
from dataops_core.systems.trino.client import TrinoClient

BEST_COLUMNS = ("kafka_timestamp", "_kafka_timestamp", "ingested_at", "ingest_time", "received_at", "created_at")
"""Names of columns that mostly say when a row came in, the best first."""
AFTER_DAG = 60.0
"""Seconds of lag that a table may have behind the DAG that writes it: a run ends a while after its commit."""
WITHIN = 30.0
"""Seconds that Trino may take to list its tables."""
OWN_CATALOGS = ("system", "jmx", "tpch", "tpcds", "memory")
"""Catalogs of Trino that hold no tables of a pipeline."""
T = TypeVar("T")


@dataclass
class ProposedStage:
    """A stage, as a table of the settings.

    Attributes:
        settings: Its keys, `name` and `kind` first, without `reads`.
        reads: Names of the stages that it reads.
        remarks: What whoever looks it through has to know.
    """

    settings: dict[str, Any]
    reads: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Unique within the proposal."""
        return str(self.settings["name"])

    @property
    def kind(self) -> str:
        """Kind of stage."""
        return str(self.settings["kind"])


@dataclass(frozen=True)
class Proposal:
    """Pipelines, and what is left over.

    Attributes:
        pipelines: Stages by the pipeline's name, upstream first.
        unlinked: Topics, tables and DAGs that nothing is known to read or write, in words.
        failures: What could not be asked, one line each.
    """

    pipelines: Mapping[str, tuple[ProposedStage, ...]]
    unlinked: tuple[str, ...]
    failures: tuple[str, ...]


def propose(clients: Clients, checkpoints: Sequence[str] = ()) -> Proposal:
    """Look at all components, and propose pipelines; nothing is changed.

    Args:
        clients: Those of the context.
        checkpoints: Folders of Spark queries' checkpoints: nothing else tells of a query. One in an object store is
            opened with the properties of the first catalog.

    Raises:
        NotFound: There is no checkpoint at one of the places.
        ClientError: One of them is not Spark's.
    """
    draft = _Draft()
    for location in checkpoints:
        catalogs = clients.all("iceberg")
        store = next(iter(catalogs), None) if "://" in location else None
        draft.query(location, read_checkpoint(location, catalogs.get(store or "")), store)
    for kafka in clients.all("kafka").values():
        draft.kafka(kafka)
    for name, catalog in clients.all("iceberg").items():
        draft.catalog(name, catalog)
    for airflow in clients.all("airflow").values():
        draft.airflow(airflow)
    for trino in clients.all("trino").values():
        draft.trino(trino)
    return draft.proposal()


class _Draft:
    """Stages by what they stand for, while their links are found."""

    def __init__(self) -> None:
        self._stages: dict[tuple[str, str], ProposedStage] = {}
        self._queries: dict[str, ProposedStage] = {}
        self._failures: list[str] = []

    def _add(self, key: str, settings: Mapping[str, Any]) -> ProposedStage:
        kind = str(settings["kind"])
        name = str(settings["name"]).replace("/", "-")
        if any(stage.name == name for stage in self._stages.values()):
            name = f"{name} ({kind.partition('_')[2] or kind})"
        stage = ProposedStage({**settings, "name": name})
        self._stages[kind, key] = stage
        return stage

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            return question()
        except ClientError as error:
            self._failures.append(str(error))
            return None

    def query(self, location: str, checkpoint: Checkpoint, store: str | None) -> None:
        settings = {"name": PurePath(location).name, "kind": "spark_query", "checkpoint": location}
        stage = self._add(location, settings if store is None else {**settings, "store": store})
        self._queries[checkpoint.query_id] = stage
        newest = checkpoint.planned or checkpoint.committed
        for topic in sorted(newest.offsets) if newest else ():
            stage.reads.append(self._topic(topic).name)
        if not stage.reads:
            stage.remarks.append("It has planned no batch yet, so the topics that it reads are not known.")

    def _topic(self, name: str) -> ProposedStage:
        known = self._stages.get(("topic", name))
        return known or self._add(name, {"name": name, "kind": "topic", "topic": name})

    def kafka(self, client: KafkaClient) -> None:
        found: ClusterSnapshot | None = self._ask(
            lambda: scan(client, lambda name: not name.startswith("__"), lambda _: True)
        )
        self._failures += [f"kafka {client.target}: {failure}" for failure in found.failures] if found else []
        for name in found.topics if found else ():
            self._topic(name)
        for group, about in found.groups.items() if found else ():
            topics = sorted({topic for topic, _ in about.committed or () if not topic.startswith("__")})
            for topic in topics:
                name = group if len(topics) == 1 else f"{group} of {topic}"
                settings = {"name": name, "kind": "consumer_group", "group": group, "topic": topic}
                self._add(f"{group}/{topic}", settings).reads.append(self._topic(topic).name)

    def catalog(self, name: str, client: CatalogClient) -> None:
        for summary in self._ask(lambda: iceberg_inspect.tables(client)) or ():
            settings = {"name": summary.name, "kind": "iceberg_table", "catalog": name, "table": summary.name}
            stage = self._add(f"{name}/{summary.name}", settings)
            state = self._ask(lambda table=summary.name: client.table(table))  # type: ignore[misc]
            if state is None:
                continue
            if state.writers and (writer := self._queries.get(state.writers[-1].query_id)) is not None:
                stage.reads.append(writer.name)
            elif state.writers:
                query = state.writers[-1].query_id
                stage.remarks.append(f"The streaming query {query} writes it: name its checkpoint with --checkpoint.")
            if not state.commits:
                self._progress_column(stage, client, summary.name)

    def _progress_column(self, stage: ProposedStage, client: CatalogClient, table: str) -> None:
        detail = self._ask(lambda: iceberg_inspect.table(client, table))
        times = [column.name for column in detail.columns if column.kind.startswith("timestamp")] if detail else []
        best = next((name for name in BEST_COLUMNS if name in times), next(iter(times), None))
        if best is None:
            stage.remarks.append("Its commits carry no stamp, and it has no column of a time: its progress is unknown.")
            return
        stage.settings["progress_column"] = best
        others = [name for name in times if name != best]
        stage.remarks.append(
            "Its commits carry no stamp. Let progress_column be the time at which a row's record entered the pipeline"
            + (f"; its other times: {', '.join(others)}." if others else ".")
        )

    def airflow(self, client: AirflowClient) -> None:
        dags = {dag.dag_id: dag for dag in self._ask(client.dags) or ()}
        for dag_id, dag in dags.items():
            if dag.schedule is not None:
                self._dag(dag_id, dag, client)
        assets = self._ask(client.assets) or ()
        tables = {asset.uri: self._table_of(asset) for asset in assets}
        for asset in assets:
            for dag_id in asset.readers:
                dag_stage, table = self._stages.get(("dag", dag_id)), tables[asset.uri]
                if dag_stage is not None and table is not None and table.name not in dag_stage.reads:
                    dag_stage.reads.append(table.name)
        for asset in assets:
            self._written(asset, tables[asset.uri])

    def _dag(self, dag_id: str, dag: Dag, client: AirflowClient) -> None:
        stage = self._add(dag_id, {"name": dag_id, "kind": "dag", "dag_id": dag_id})
        starts = [run.started_at for run in self._ask(lambda: client.runs(dag_id)) or () if run.started_at]
        gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(starts)]
        if gaps:
            # What came just after a run had started waits for the next one, and for its end.
            stage.settings["lag_ok"] = stage.settings["stall_after"] = round(max(60.0, 2 * median(gaps)))
        else:
            stage.remarks.append(f"It has hardly run: set lag_ok and stall_after by its schedule, {dag.schedule}.")
        if dag.paused:
            stage.remarks.append("It is paused.")

    def _table_of(self, asset: DagAsset) -> ProposedStage | None:
        """Return the table that an asset stands for: its name, or the end of its address, is the table's."""
        parts = tuple(asset.uri.rstrip("/").partition("://")[2].split("/"))
        for (kind, _), stage in self._stages.items():
            if kind == "iceberg_table":
                table = tuple(stage.settings["table"].split("."))
                if asset.name == stage.settings["table"] or parts[-len(table) :] == table:
                    return stage
        return None

    def _written(self, asset: DagAsset, table: ProposedStage | None) -> None:
        """Link a table with the DAGs that write it; of several, those that are known to read something else."""
        writers = [stage for dag_id in asset.writers if (stage := self._stages.get(("dag", dag_id))) is not None]
        if table is None or not writers or table.reads:
            return
        chosen = [writer for writer in writers if set(writer.reads) - {table.name}] or writers
        table.reads += [writer.name for writer in chosen]
        table.settings.setdefault("lag_ok", AFTER_DAG)
        table.settings.setdefault("stall_after", max(writer.settings.get("stall_after", 300) for writer in chosen))
        others = [writer.name for writer in writers if writer not in chosen]
        if others:
            table.remarks.append(
                f"Also written by {', '.join(others)}, of which no other table is known that it reads."
            )

    def trino(self, client: TrinoClient) -> None:
        """Add what Trino shows of each table that nothing else reads."""
        read = {name for stage in self._stages.values() for name in stage.reads}
        last = [s for s in self._stages.values() if s.kind == "iceberg_table" and s.reads and s.name not in read]
        catalogs = self._ask(lambda: client.fetch("SHOW CATALOGS", WITHIN)) if last else None
        for (catalog,) in catalogs or ():
            if catalog in OWN_CATALOGS:
                continue
            tables = relation(str(catalog), "information_schema", "tables")
            statement = f"SELECT table_schema || '.' || table_name FROM {tables}"
            shown = {str(row[0]) for row in self._ask(lambda text=statement: client.fetch(text, WITHIN)) or ()}  # type: ignore[misc]
            for stage in last:
                table = stage.settings["table"]
                if table in shown and ("trino_view", table) not in self._stages:
                    settings = {"name": f"trino.{table}", "kind": "trino_view", "relation": f"{catalog}.{table}"}
                    self._add(table, settings).reads.append(stage.name)

    def proposal(self) -> Proposal:
        stages = list(self._stages.values())
        by_name = {stage.name: stage for stage in stages}
        linked = [group for group in connected(by_name) if len(group) > 1]
        pipelines = {}
        for group in sorted(linked, key=len, reverse=True):
            ordered = upstream_first(group, by_name)
            pipelines[ordered[0].name] = tuple(ordered)
        taken = {stage.name for group in pipelines.values() for stage in group}
        words = {"iceberg_table": "table", "spark_query": "query", "dag": "DAG", "topic": "topic"}
        unlinked = tuple(f"{words.get(s.kind, s.kind)} {s.name}" for s in stages if s.name not in taken)
        return Proposal(pipelines, unlinked, tuple(dict.fromkeys(self._failures)))


def connected(by_name: Mapping[str, ProposedStage]) -> Iterable[set[str]]:
    """Yield the names of stages that hang together."""
    neighbours: dict[str, set[str]] = {name: set() for name in by_name}
    for stage in by_name.values():
        for read in stage.reads:
            neighbours[stage.name].add(read)
            neighbours[read].add(stage.name)
    left = set(by_name)
    while left:
        group, rim = set[str](), {left.pop()}
        while rim:
            name = rim.pop()
            group.add(name)
            rim |= neighbours[name] - group
        left -= group
        yield group


def upstream_first(names: set[str], by_name: Mapping[str, ProposedStage]) -> list[ProposedStage]:
    """Return stages so that each stands after what it reads, the longest way last; a circle is cut."""
    depth: dict[str, int] = {}

    def measure(name: str, above: tuple[str, ...]) -> int:
        if name not in depth:
            stage = by_name[name]
            stage.reads = [read for read in stage.reads if read not in (*above, name)]
            depth[name] = 1 + max((measure(read, (*above, name)) for read in stage.reads), default=0)
        return depth[name]

    return [by_name[name] for name in sorted(names, key=lambda name: (measure(name, ()), name))]
