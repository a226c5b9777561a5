"""Details of observations of Trino, and of its tables and views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDetails(Details):
    """A table or view.

    Attributes:
        relation: `schema.name`.
        snapshot_id: The snapshot that Trino serves.
    """

    relation: str | None = value()
    snapshot_id: str | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrinoDetails(ComponentDetails):
    """A coordinator, its nodes and its queries except ours.

    Attributes:
        workers: `none` if Trino has fewer workers than it requires.
        inactive_nodes: Names of the first nodes that are not active.
        queued: Description of the query with the longest wait.
        queued_longest: Its waiting time.
        planning: Description of the query with the longest planning time.
        failed: Most frequent errors of recent failures, with their number.
        conflict: The newest write that was aborted because of a conflict.
    """

    starting: bool | None = value()
    workers: str | None = value()
    nodes_active: int | None = value()
    nodes_inactive: int | None = value()
    inactive_nodes: str | None = value(name="nodes_inactive")
    queries_running: int | None = value()
    queries_queued: int | None = value()
    queries_failed_recent: int | None = value()
    commits_failed_recent: int | None = value()
    queued: str | None = value()
    queued_longest: float | None = value("s")
    queued_since: datetime | None = value()
    planning: str | None = value()
    planning_longest: float | None = value("s")
    planning_since: datetime | None = value()
    failed: str | None = value()
    query_failed_at: datetime | None = value()
    conflict: str | None = value()
    commit_failed_at: datetime | None = value()
