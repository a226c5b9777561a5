"""Propose for `config init` streaming queries from named checkpoints, and batch applications that run repeatedly."""

from __future__ import annotations

import glob
import re
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import PurePath
from statistics import median

from dataops_core.systems.base import Clients
from dataops_core.systems.draft import Draft
from dataops_core.systems.kafka.discover import topic_stage
from dataops_core.systems.spark.applications import Run
from dataops_core.systems.spark.checkpoint import Checkpoint, read_checkpoint
from dataops_core.systems.spark.history import HistoryClient
from dataops_core.systems.spark.offset_log import KAFKA, NONE, words

INTERACTIVE = ("Spark shell", "PySparkShell", "SparkSQL::*", "Thrift JDBC/ODBC Server", "pyspark-shell")
"""Names of Spark's interactive programs and servers, which are no batch applications."""
REPEATED = 3
"""Completed runs from which an application counts as repeated."""
MOST = 50
"""Maximum number of proposed applications per history server: those with the newest runs."""
_NUMBERS = re.compile(r"[0-9]+(?:[-_:.T+Z]*[0-9]+)*")


def discover(draft: Draft, clients: Clients) -> None:
    """Add the query of each named checkpoint, and the repeated applications of each history server.

    The first catalog opens checkpoints in an object store.

    Raises:
        NotFound: A path has no checkpoint.
        ClientError: A path is not a Spark checkpoint, or cannot be read.
    """
    for location in draft.checkpoints:
        catalogs = clients.all("iceberg")
        store = next(iter(catalogs), None) if "://" in location else None
        _query(draft, location, read_checkpoint(location, catalogs.get(store or "")), store)
    servers = clients.all("spark_history")
    for name, client in servers.items():
        _applications(draft, client, name if len(servers) > 1 else None)


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


def _applications(draft: Draft, client: HistoryClient, on: str | None) -> None:
    history = draft.ask(client.history)
    runs = [run for run in (history.runs if history is not None else ()) if run.completed and not _interactive(run)]
    same_name = Counter(run.name for run in runs)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        # the names of some applications contain the date of the run
        repeats = same_name[run.name] >= REPEATED
        groups[run.name if repeats else _NUMBERS.sub("*", glob.escape(run.name))].append(run)
    repeated = [(application, runs) for application, runs in groups.items() if len(runs) >= REPEATED]
    for application, runs in repeated[:MOST]:
        _application(draft, application, runs, on)
    if len(repeated) > MOST:
        draft.note(f"{client.where}: {len(repeated)} applications run repeatedly; the newest {MOST} are proposed")


def _interactive(run: Run) -> bool:
    return any(fnmatchcase(run.name, each) for each in INTERACTIVE)


def _application(draft: Draft, application: str, runs: list[Run], on: str | None) -> None:
    name = application if application == runs[0].name else _NUMBERS.sub("", runs[0].name).strip(" -_.")
    own = {} if on is None else {"on": on}
    gaps = [(later.started_at - earlier.started_at).total_seconds() for later, earlier in pairwise(runs)]
    interval = round(max(60.0, median(gaps)))
    limits = {"interval": interval, "lag_ok": 2 * interval, "stall_after": 2 * interval}
    settings = {"name": name or application, "kind": "spark_batch", "application": application, **own, **limits}
    stage = draft.add(f"{on or ''}/{application}", settings)
    stage.remarks.append("`interval` is the p50 of the time between its starts. Remove it if it has no schedule.")
    stage.remarks.append(
        "Spark does not report inputs: set `reads`. Iceberg tables that it wrote are linked by their commits; add this"
        " stage to `reads` of its other outputs."
    )
    stage.alone = True
    draft.writers |= {run.app_id: stage for run in runs}
