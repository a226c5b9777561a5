"""Propose streaming queries for `config init` from named checkpoints, with the topics that they read."""

from __future__ import annotations

from pathlib import PurePath

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.discover import topic_stage
from dataops_core.systems.spark.checkpoint import Checkpoint, read_checkpoint
from dataops_core.systems.spark.offset_log import KAFKA, NONE, words


def discover(draft: Draft, clients: Clients) -> None:
    """Add the query of each named checkpoint. The first catalog opens checkpoints in an object store.

    Raises:
        NotFound: A path has no checkpoint.
        ClientError: A path is not a Spark checkpoint, or cannot be read.
    """
    for location in draft.checkpoints:
        catalogs = clients.all("iceberg")
        store = next(iter(catalogs), None) if "://" in location else None
        _query(draft, location, read_checkpoint(location, catalogs.get(store or "")), store)


def _query(draft: Draft, location: str, checkpoint: Checkpoint, store: str | None) -> None:
    settings = {"name": PurePath(location).name, "kind": "spark_query", "checkpoint": location}
    stage = draft.add(location, settings if store is None else {**settings, "store": store})
    draft.writers[checkpoint.query_id] = stage
    newest = checkpoint.planned or checkpoint.committed
    for topic in sorted(newest.offsets) if newest else ():
        stage.reads.append(topic_stage(draft, topic).name)
    others = tuple(source for source in newest.sources if source.kind not in (KAFKA, NONE)) if newest else ()
    if others and not stage.reads:
        stage.settings["reads_kafka"] = False
        stage.remarks.append(f"It reads {words(others)}: set `reads` to the stage that writes it.")
    elif not stage.reads:
        stage.remarks.append("It has planned no batch yet, so its topics are unknown.")
