"""Checks of Trino, and of its tables and views."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.systems.trino.details import TrinoDetails, ViewDetails
from dataops_core.systems.trino.settings import TrinoThresholds, TrinoViewStage
from dataops_core.units import count, duration


def _stale(stage: TrinoViewStage, given: CheckInput[ViewDetails]) -> Problem | None:
    served = given.details.snapshot_id
    for table in given.upstream:
        newest = table.observation
        if served is None or newest is None:
            continue
        current, committed = newest.attribute("snapshot_id"), newest.measurement("committed_at")
        same = given.details.relation == newest.attribute("table")
        if not same or current in (None, served) or committed is None:
            continue
        # a commit after the query of Trino does not count
        late = given.observation.observed_at.timestamp() - committed
        if late > stage.lag_ok:
            return Problem(
                f"Trino serves snapshot {served}, although {current} was committed {duration(late)} before the query"
            )
    return None


def _starting(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    return Problem("it is still starting") if given.details.starting else None


def _no_workers(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    if given.details.workers != "none":
        return None
    return Problem("it has fewer workers than it requires, so all queries wait")


def _nodes_lost(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    lost, active = given.details.nodes_inactive, given.details.nodes_active
    if not lost or not active:
        return None
    return Problem(f"{numbered(lost, 'node')} of {count(lost + active)} not active: {given.details.inactive_nodes}")


def _queued(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    waits, queued = given.details.queued_longest, given.details.queries_queued
    if waits is None or queued is None or waits <= thresholds.trino_queued_max:
        return None
    running = given.details.queries_running
    return Problem(
        f"{numbered(queued, 'query')} in the queue, the oldest for {duration(waits)}: {given.details.queued}",
        evidence=(f"queries running: {count(running)}",) if running is not None else (),
        since=given.details.queued_since,
    )


def _planning(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    plans = given.details.planning_longest
    if plans is None or plans <= thresholds.trino_planning_max:
        return None
    return Problem(f"a query has been in planning for {duration(plans)}: {given.details.planning}")


def _failing(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    failed = given.details.queries_failed_recent
    if failed is None or failed <= thresholds.trino_failed_max:
        return None
    at = given.details.query_failed_at
    return Problem(
        f"{numbered(failed, 'query')} failed within 5 minutes because of Trino or its sources: {given.details.failed}",
        evidence=(f"newest: {clock(at, given.now)}",) if at else (),
    )


def _conflicts(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    failed = given.details.commits_failed_recent
    if failed is None or failed <= thresholds.trino_conflicts_max:
        return None
    at = given.details.commit_failed_at
    return Problem(
        f"{numbered(failed, 'write')} aborted within 5 minutes because of conflicts with other writes:"
        f" {given.details.conflict}",
        evidence=(f"newest: {clock(at, given.now)}",) if at else (),
    )


VIEW_CHECKS = (
    Check(
        "stale-metadata",
        Severity.WARNING,
        "Trino serves an older snapshot than the catalog's current one.",
        "Shorten or disable the catalog's caches in Trino's configuration; a restart of Trino clears them.",
        _stale,
        explains=True,
    ),
)
TRINO_CHECKS = (
    Check(
        "starting",
        Severity.CRITICAL,
        "Trino is still starting and accepts no queries.",
        "Wait a minute. If it does not change, check the coordinator's log.",
        _starting,
        explains=True,
    ),
    Check(
        "no-workers",
        Severity.CRITICAL,
        "Trino has no workers, or fewer than it requires. It accepts queries, but they wait.",
        "Start workers. Check their log, discovery.uri and query-manager.required-workers.",
        _no_workers,
        explains=True,
    ),
    Check(
        "queries-queued",
        Severity.WARNING,
        "Queries are waiting in Trino's queue, or for resources.",
        "Check the running queries (`:queries`) and cancel unneeded ones; raise the resource group's limit, or add"
        " workers.",
        _queued,
        explains=True,
    ),
    Check(
        "planning-slow",
        Severity.WARNING,
        "A query has been in planning for too long, usually because of slow metadata: catalog, metastore, too many"
        " files.",
        "Check the catalog's response times; compact the tables of the query.",
        _planning,
        explains=True,
    ),
    Check(
        "commit-conflicts",
        Severity.WARNING,
        "Trino aborts writes because other writes change the same files at the same time. Their rows are not in the"
        " table.",
        "Serialize the writers (a pool with one slot in Airflow), or let each write to separate partitions. Compact"
        " when nothing else writes. Then run the aborted writes again (`:queries`).",
        _conflicts,
        explains=True,
    ),
    Check(
        "queries-failed",
        Severity.WARNING,
        "Queries fail because of insufficient resources, or errors in Trino or its sources.",
        "Check the failures (`:queries`). If the object store or the catalog is unavailable, all queries fail.",
        _failing,
        explains=True,
    ),
    Check(
        "nodes-lost",
        Severity.ADVICE,
        "Registered nodes of Trino are not active.",
        "Check the logs of these nodes.",
        _nodes_lost,
    ),
)
