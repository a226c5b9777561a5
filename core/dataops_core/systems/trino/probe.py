"""Probe Trino, and the tables and views that it serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dataops_core.bounded import Malformed
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, NotFound, NoWorkers, QueryFailed
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.sql.scan import relation
from dataops_core.systems.measured.observe import LastChange
from dataops_core.systems.trino.client import SOURCE, TrinoClient
from dataops_core.systems.trino.column import with_column_progress
from dataops_core.systems.trino.details import TrinoDetails, ViewDetails
from dataops_core.systems.trino.responses import Node, ServerQuery, read_commits
from dataops_core.systems.trino.settings import TrinoViewStage
from dataops_core.values import instant

WITHIN = 8.0
"""Deadline in seconds of a query of a probe."""
LOAD_EVERY = timedelta(seconds=30)
"""Minimum interval between requests for nodes and queries."""
FAILED_WITHIN = timedelta(minutes=5)
"""Window of recent failures."""
WAITING = ("QUEUED", "WAITING_FOR_RESOURCES", "DISPATCHING")
RUNNING = ("PLANNING", "STARTING", "RUNNING", "FINISHING")
CONFLICTS = ("ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT")
"""Trino's error names of a write that was aborted because another one changed the same files or rows."""
NOT_THERE = ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "CATALOG_NOT_FOUND", "NOT_FOUND", "COLUMN_NOT_FOUND")


def observe_view(stage: TrinoViewStage, client: TrinoClient, change: LastChange) -> Observation:
    """Return an observation of a table or view: whether a query on it succeeds, and its progress time.

    Args:
        stage: The stage.
        client: Trino.
        change: Time of the last change of the highest value of `progress_column`; kept between probes.
    """
    now = datetime.now(UTC)
    *prefix, name = stage.relation.split(".")
    try:
        client.fetch(f"SELECT 1 FROM {relation(*prefix, name)} LIMIT 1", WITHIN)
    except (QueryFailed, NoWorkers) as error:  # without workers no query can read it; a timeout alone is not a failure
        if str(error).startswith(NOT_THERE):
            raise NotFound(str(error)) from error
        return Observation(stage=stage.name, observed_at=now, failure=str(error))
    try:
        observation = _observe_snapshot(stage, client, now)
    except QueryFailed:  # some connectors reject a name with `$snapshots`
        if stage.progress_column is None:
            raise
        observation = Observation(stage=stage.name, observed_at=now)
    unstamped = observation.progress_time is None and observation.position != 0
    if stage.progress_column is None or not unstamped:
        return observation
    return with_column_progress(observation, stage.relation, stage.progress_column, client, change, WITHIN)


def _observe_snapshot(stage: TrinoViewStage, client: TrinoClient, now: datetime) -> Observation:
    *prefix, name = stage.relation.split(".")
    snapshots, history = (relation(*prefix, f"{name}${kind}") for kind in ("snapshots", "history"))
    try:
        rows = client.fetch(
            "SELECT committed_at, element_at(summary, 'dataops.progress-time'), CAST(snapshot_id AS varchar)"
            f" FROM {snapshots}"
            # exclude snapshots of branches, which a query on the table does not read
            f" WHERE snapshot_id IN (SELECT snapshot_id FROM {history} WHERE is_current_ancestor)"
            " ORDER BY committed_at DESC LIMIT 20",
            WITHIN,
        )
    except QueryFailed as error:
        if not str(error).startswith(NOT_THERE):
            raise
        return Observation(stage=stage.name, observed_at=now, notes=("a view: its data age is unknown",))
    try:
        commits = read_commits(rows)
    except Malformed as error:
        raise BadAnswer(f"trino {client.target}: the response {error}") from error
    stamped = next(((at, stamp_time) for at, stamp, _ in commits if (stamp_time := instant(stamp)) is not None), None)
    served = commits[0][2] if commits else None
    details = ViewDetails(relation=".".join(stage.relation.split(".")[1:]), snapshot_id=served)
    if stamped is None:
        if not rows:
            notes = ("the table has no snapshot yet",)
            return Observation(stage=stage.name, observed_at=now, position=0, notes=notes, details=details)
        return Observation(
            stage=stage.name, observed_at=now, notes=("no commit has a progress stamp",), details=details
        )
    return Observation(
        stage=stage.name,
        observed_at=now,
        progress_time=stamped[1],
        progress_source=ProgressSource.STAMPED,
        advanced_at=stamped[0],
        details=details,
    )


def observe_trino(client: TrinoClient, load: Load, name: str = "trino") -> tuple[str, Observation]:
    """Return one line about the cluster, and its observation; nodes and queries are cached."""
    now = datetime.now(UTC)
    info = client.info()
    if info.starting:
        details = TrinoDetails(starting=True)
    else:
        client.sign_in()
        details = load.details(client, now)
    detail = f"version {info.version}, up {info.uptime}"
    return detail, Observation(stage=name, observed_at=now, details=details)


class Load:
    """Nodes and queries of Trino, requested rarely because the request is expensive."""

    def __init__(self) -> None:
        self._requested: datetime | None = None
        self._seen = TrinoDetails()

    def details(self, client: TrinoClient, now: datetime) -> TrinoDetails:
        """Return details, cached for `LOAD_EVERY`; all unknown if permission is denied.

        Raises:
            AuthenticationFailed: Trino rejected our credentials, which `/v1/info` does not need.
        """
        if self._requested is None or now - self._requested >= LOAD_EVERY:
            self._requested = now
            nodes: Sequence[Node] | None = None
            try:
                queries = client.queries()  # not a query, so it works even if the queue is full
                workers = True
                try:  # a query, which waits in the queue
                    nodes = client.nodes(WITHIN / 2)
                except NoWorkers:
                    workers = False
                except ClientError:
                    pass
                self._seen = replace(_load(nodes, queries, now), workers=None if workers else "none")
            except AuthenticationFailed:
                self._requested = None
                raise
            except ClientError:  # `/v1/info` responded; the views show other failures
                self._seen = TrinoDetails()
        return self._seen


def _load(nodes: Sequence[Node] | None, queries: Sequence[ServerQuery], now: datetime) -> TrinoDetails:
    others = [q for q in queries if q.source != SOURCE and q.unreadable is None]
    waiting = sorted((q for q in others if q.state in WAITING), key=lambda q: -(_waits(q) or 0.0))
    planning = sorted((q for q in others if q.state == "PLANNING"), key=lambda q: -(_waits(q) or 0.0))
    failed = sorted(((ended, q) for q in others if (ended := _failed_lately(q, now))), key=lambda result: result[0])
    conflicts = [(ended, q) for ended, q in failed if q.error in CONFLICTS]
    failed = [result for result in failed if result not in conflicts]
    lost = [node.node_id for node in nodes or () if node.state != "active"]
    reasons = Counter(q.error or q.error_type for _, q in failed)
    return TrinoDetails(
        nodes_active=len(nodes) - len(lost) if nodes is not None else None,
        nodes_inactive=len(lost) if nodes is not None else None,
        inactive_nodes=", ".join(lost[:5]) or None,
        queries_running=sum(q.state in RUNNING for q in others),
        queries_queued=len(waiting),
        queries_failed_recent=len(failed),
        commits_failed_recent=len(conflicts),
        **_oldest("queued", waiting, now),
        **_oldest("planning", planning, now),
        failed=", ".join(f"{reason} ({number})" for reason, number in reasons.most_common(3)) or None,
        query_failed_at=failed[-1][0] if failed else None,
        conflict=_conflict(conflicts[-1][1]) if conflicts else None,
        commit_failed_at=conflicts[-1][0] if conflicts else None,
    )


def _oldest(name: str, queries: Sequence[ServerQuery], now: datetime) -> dict[str, Any]:
    """Return the fields of the query with the longest waiting or planning time."""
    if not queries:
        return {}
    oldest = queries[0]
    waits = _waits(oldest)
    group = f" in resource group {oldest.resource_group}" if oldest.resource_group else ""
    why = " for resources" if oldest.state == "WAITING_FOR_RESOURCES" else ""
    return {
        name: f"{oldest.query_id} of {oldest.user} is {oldest.state.lower().split('_')[0]}{why}{group}",
        f"{name}_longest": waits,
        f"{name}_since": now - timedelta(seconds=waits) if waits is not None else None,
    }


def _conflict(query: ServerQuery) -> str:
    return f"{query.query_id} of {query.user}: {' '.join(query.statement.split())[:80]}"


def _waits(query: ServerQuery) -> float | None:
    """Return the waiting or planning time of a query in seconds, or `None` if Trino does not report it."""
    if query.state != "PLANNING" or query.elapsed is None or query.queued is None:
        return query.elapsed
    return max(0.0, query.elapsed - query.queued)


def _failed_lately(query: ServerQuery, now: datetime) -> datetime | None:
    """Return the time of a recent failure of a query that is not a user error, or `None`."""
    user_error = query.error_type == "USER_ERROR" and query.error not in CONFLICTS
    if query.state != "FAILED" or user_error or query.created is None or query.elapsed is None:
        return None
    age = (now - query.created).total_seconds() - query.elapsed
    return now - timedelta(seconds=max(0.0, age)) if age <= FAILED_WITHIN.total_seconds() else None
