"""Checks of what Trino serves, and of Trino itself."""

from __future__ import annotations

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, count, duration
from dataops_core.systems.trino.details import TrinoDetails, ViewDetails
from dataops_core.systems.trino.settings import TrinoThresholds, TrinoViewStage


def _stale(stage: TrinoViewStage, given: CheckInput[ViewDetails]) -> Problem | None:
    served = given.details.snapshot_id
    for table in given.upstream:
        newest = table.observation
        if served is None or newest is None:
            continue
        current, committed = newest.fact("snapshot_id"), newest.figure("committed_at")
        same = given.details.relation == newest.fact("table")
        if not same or current in (None, served) or committed is None:
            continue
        # Asked in this order, Trino cannot know of a commit that came after it was asked.
        late = given.observation.observed_at.timestamp() - committed
        if late > stage.lag_ok:
            return Problem(
                f"Trino serves snapshot {served}, though {current} was committed {duration(late)} before it was asked"
            )
    return None


def _starting(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    return Problem("it has not finished to start") if given.details.starting else None


def _no_workers(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    if given.details.workers != "none":
        return None
    return Problem("it has fewer workers than it requires: each query waits for them")


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
    return Problem(f"a query is being planned for {duration(plans)}: {given.details.planning}")


def _failing(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    failed = given.details.queries_failed_recent
    if failed is None or failed <= thresholds.trino_failed_max:
        return None
    at = given.details.query_failed_at
    return Problem(
        f"{numbered(failed, 'query')} failed within five minutes, not by their own fault: {given.details.failed}",
        evidence=(f"the newest one at {clock(at, given.now)}",) if at else (),
    )


def _conflicts(thresholds: TrinoThresholds, given: CheckInput[TrinoDetails]) -> Problem | None:
    failed = given.details.commits_failed_recent
    if failed is None or failed <= thresholds.trino_conflicts_max:
        return None
    at = given.details.commit_failed_at
    return Problem(
        f"{numbered(failed, 'write')} given up within five minutes, as another one had changed the same files:"
        f" {given.details.conflict}",
        evidence=(f"the newest one at {clock(at, given.now)}",) if at else (),
    )


VIEW_CHECKS = (
    Check(
        "stale-metadata",
        Severity.WARNING,
        "Trino serves an older snapshot than the catalog has.",
        "Shorten or switch off the catalog's caches in Trino's configuration; a restart of Trino empties them.",
        _stale,
        explains=True,
    ),
)
TRINO_CHECKS = (
    Check(
        "starting",
        Severity.CRITICAL,
        "Trino has not finished to start, and takes no query.",
        "Wait a minute; look at the coordinator's log if it stays.",
        _starting,
        explains=True,
    ),
    Check(
        "no-workers",
        Severity.CRITICAL,
        "Trino has no worker, or fewer than it requires: it accepts queries, and they wait.",
        "Start workers; look at their log, at discovery.uri and at query-manager.required-workers.",
        _no_workers,
        explains=True,
    ),
    Check(
        "queries-queued",
        Severity.WARNING,
        "Queries wait in Trino's queue, or for resources.",
        "Look what runs (`:queries`), cancel what need not; raise the resource group's limit, or add workers.",
        _queued,
        explains=True,
    ),
    Check(
        "planning-slow",
        Severity.WARNING,
        "Trino plans a query for long, which mostly means slow metadata: a catalog, a metastore, too many files.",
        "Look at the catalog's answer times; compact the tables of the query.",
        _planning,
        explains=True,
    ),
    Check(
        "commit-conflicts",
        Severity.WARNING,
        "Writes are given up because others change the same files at the same time: their rows are not in the table.",
        "Have the writers take turns (a pool of one slot in Airflow), or keep them to partitions of their own; compact"
        " when nothing else writes. Then run again what was given up (`:queries`).",
        _conflicts,
        explains=True,
    ),
    Check(
        "queries-failed",
        Severity.WARNING,
        "Queries fail for lack of resources, or by errors of Trino or of what it reads.",
        "Look at the failures (`:queries`); a store or catalog that is away fails them all.",
        _failing,
        explains=True,
    ),
    Check(
        "nodes-lost",
        Severity.ADVICE,
        "Nodes that Trino knows are not active.",
        "Look at the log of these nodes.",
        _nodes_lost,
    ),
)
