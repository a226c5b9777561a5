"""Checks of what Trino serves, and of Trino itself."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, Found, Look, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, count, duration
from dataops_core.systems.trino.settings import TrinoThresholds, TrinoViewStage


def _stale(stage: TrinoViewStage, look: Look) -> Found | None:
    served = look.seen.fact("snapshot_id")
    for table in look.upstream:
        newest = table.observation
        if served is None or newest is None:
            continue
        current, committed = newest.fact("snapshot_id"), newest.figure("committed_at")
        same = look.seen.fact("relation") == newest.fact("table")
        if not same or current in (None, served) or committed is None:
            continue
        # Asked in this order, Trino cannot know of a commit that came after it was asked.
        late = look.seen.observed_at.timestamp() - committed
        if late > stage.lag_ok:
            return Found(
                f"Trino serves snapshot {served}, though {current} was committed {duration(late)} before it was asked"
            )
    return None


def _starting(thresholds: TrinoThresholds, look: Look) -> Found | None:
    return Found("it has not finished to start") if look.seen.fact("starting") else None


def _no_workers(thresholds: TrinoThresholds, look: Look) -> Found | None:
    if look.seen.fact("workers") != "none":
        return None
    return Found("it has fewer workers than it requires: each query waits for them")


def _nodes_lost(thresholds: TrinoThresholds, look: Look) -> Found | None:
    lost, active = look.figure("nodes_inactive"), look.figure("nodes_active")
    if not lost or not active:
        return None
    return Found(f"{numbered(lost, 'node')} of {count(lost + active)} not active: {look.seen.fact('nodes_inactive')}")


def _queued(thresholds: TrinoThresholds, look: Look) -> Found | None:
    waits = look.figure("queued_longest")
    if waits <= thresholds.trino_queued_max:
        return None
    queued, running = look.figure("queries_queued"), look.figure("queries_running")
    return Found(
        f"{numbered(queued, 'query')} in the queue, the oldest for {duration(waits)}: {look.seen.fact('queued')}",
        evidence=(f"queries running: {count(running)}",),
        since=look.time("queued_since"),
    )


def _planning(thresholds: TrinoThresholds, look: Look) -> Found | None:
    plans = look.figure("planning_longest")
    if plans <= thresholds.trino_planning_max:
        return None
    return Found(f"a query is being planned for {duration(plans)}: {look.seen.fact('planning')}")


def _failing(thresholds: TrinoThresholds, look: Look) -> Found | None:
    failed = look.figure("queries_failed_recent")
    if failed <= thresholds.trino_failed_max:
        return None
    at = look.time("query_failed_at")
    return Found(
        f"{numbered(failed, 'query')} failed within five minutes, not by their own fault: {look.seen.fact('failed')}",
        evidence=(f"the newest one at {clock(at, look.now)}",) if at else (),
    )


def _conflicts(thresholds: TrinoThresholds, look: Look) -> Found | None:
    failed = look.figure("commits_failed_recent")
    if failed <= thresholds.trino_conflicts_max:
        return None
    at = look.time("commit_failed_at")
    return Found(
        f"{numbered(failed, 'write')} given up within five minutes, as another one had changed the same files:"
        f" {look.seen.fact('conflict')}",
        evidence=(f"the newest one at {clock(at, look.now)}",) if at else (),
    )


CHECKS = (
    Check(
        "stale-metadata",
        ("trino_view",),
        Severity.WARNING,
        "Trino serves an older snapshot than the catalog has.",
        "Shorten or switch off the catalog's caches in Trino's configuration; a restart of Trino empties them.",
        _stale,
        explains=True,
    ),
    Check(
        "starting",
        ("trino",),
        Severity.CRITICAL,
        "Trino has not finished to start, and takes no query.",
        "Wait a minute; look at the coordinator's log if it stays.",
        _starting,
        explains=True,
    ),
    Check(
        "no-workers",
        ("trino",),
        Severity.CRITICAL,
        "Trino has no worker, or fewer than it requires: it accepts queries, and they wait.",
        "Start workers; look at their log, at discovery.uri and at query-manager.required-workers.",
        _no_workers,
        explains=True,
    ),
    Check(
        "queries-queued",
        ("trino",),
        Severity.WARNING,
        "Queries wait in Trino's queue, or for resources.",
        "Look what runs (`:queries`), cancel what need not; raise the resource group's limit, or add workers.",
        _queued,
        explains=True,
    ),
    Check(
        "planning-slow",
        ("trino",),
        Severity.WARNING,
        "Trino plans a query for long, which mostly means slow metadata: a catalog, a metastore, too many files.",
        "Look at the catalog's answer times; compact the tables of the query.",
        _planning,
        explains=True,
    ),
    Check(
        "commit-conflicts",
        ("trino",),
        Severity.WARNING,
        "Writes are given up because others change the same files at the same time: their rows are not in the table.",
        "Have the writers take turns (a pool of one slot in Airflow), or keep them to partitions of their own; compact"
        " when nothing else writes. Then run again what was given up (`:queries`).",
        _conflicts,
        explains=True,
    ),
    Check(
        "queries-failed",
        ("trino",),
        Severity.WARNING,
        "Queries fail for lack of resources, or by errors of Trino or of what it reads.",
        "Look at the failures (`:queries`); a store or catalog that is away fails them all.",
        _failing,
        explains=True,
    ),
    Check(
        "nodes-lost",
        ("trino",),
        Severity.ADVICE,
        "Nodes that Trino knows are not active.",
        "Look at the log of these nodes.",
        _nodes_lost,
    ),
)


def of(kind: str) -> tuple[Check, ...]:
    """Return the checks of a kind of stage or component."""
    return tuple(check for check in CHECKS if kind in check.on)
