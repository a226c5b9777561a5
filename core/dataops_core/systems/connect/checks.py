"""Checks of Kafka Connect and its connectors."""

from __future__ import annotations

import shlex

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock
from dataops_core.systems.connect.details import ConnectDetails, ConnectorDetails
from dataops_core.systems.connect.requests import Change
from dataops_core.systems.connect.settings import ConnectorStage
from dataops_core.units import duration, size

HEARTBEATS = 3
"""Heartbeat intervals without a heartbeat after which the check fires."""


def _request(stage: ConnectorStage, details: ConnectorDetails, change: Change) -> str | None:
    if stage.remedy is not None or details.connect_url is None:
        return stage.remedy
    return f"curl -X {change.method} {shlex.quote(details.connect_url + change.path(stage.connector))}"


def _connector_failed(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state != "FAILED":
        return None
    return Problem(
        f"the connector is FAILED: {details.cause or 'no trace'}",
        command=_request(stage, details, Change.RESTART_FAILED),
    )


def _task_failed(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if not details.tasks_failed:
        return None
    return Problem(
        f"the connector is {details.connector_state}, and {details.tasks_failed} of {details.tasks} tasks FAILED:"
        f" {details.cause or 'no trace'}",
        evidence=(f"failed tasks: {details.failed_tasks}",),
        command=_request(stage, details, Change.RESTART_FAILED),
    )


def _no_tasks(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state != "RUNNING" or details.tasks != 0:
        return None
    return Problem(
        "the connector is RUNNING but has no tasks: it reads and writes nothing",
        command=_request(stage, details, Change.RESTART),
    )


def _not_delivering(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details, progress = given.details, given.observation.progress_time
    records, since, committed = details.undelivered, details.undelivered_since, details.table_committed
    if not records:
        return None
    span = (given.now - since).total_seconds() if since is not None else 0.0
    if details.table_empty and progress is not None:
        span = max(span, (given.now - progress).total_seconds())
    if span <= stage.delivered_within:
        return None
    if details.table_empty:
        return Problem(f"it processed {numbered(records, 'record')}, but the table {stage.table} never had a commit")
    return Problem(
        f"it processed {numbered(records, 'record')} in {duration(span)}, but the table {stage.table} got no commit",
        evidence=(f"newest commit: {clock(committed, given.now)}",) if committed is not None else (),
        since=since,
    )


def _errors_tolerated(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    if not given.details.errors_tolerated:
        return None
    return Problem("errors.tolerance is `all` without a dead letter queue: failed records are dropped")


def _tasks_waiting(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    number = given.details.tasks_waiting
    if not number:
        return None
    return Problem(f"{numbered(number, 'task')} UNASSIGNED or RESTARTING")


def _paused(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    state = given.details.connector_state
    if state not in ("PAUSED", "STOPPED"):
        return None
    return Problem(f"the connector is {state}", command=_request(stage, given.details, Change.RESUME))


def _slot_lost(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.slot_status == "lost":
        return Problem(
            f"its replication slot {details.slot} is lost: the database has removed changes that were not read"
        )
    if details.slot_missing and details.connector_type == "source":
        return Problem(f"its replication slot {details.slot} does not exist")
    return None


def _slot_left(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state != "DELETED" or details.slot_kept is None:
        return None
    return Problem(
        f"the connector is deleted, but its replication slot {details.slot} retains {size(details.slot_kept)}"
        " of the database's log",
        evidence=_slot_evidence(details),
    )


def _slot_held(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state not in ("PAUSED", "STOPPED") or details.slot_kept is None:
        return None
    return Problem(
        f"the connector is {details.connector_state}, and its replication slot {details.slot} retains"
        f" {size(details.slot_kept)} of the database's log",
        evidence=_slot_evidence(details),
        command=_request(stage, details, Change.RESUME),
    )


def _slot_behind(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    lag = details.slot_lag
    if details.slot_status == "unreserved":
        return Problem(
            f"its replication slot {details.slot} will be lost at one of the next checkpoints of the database",
            evidence=_slot_evidence(details),
        )
    if lag is None or lag <= stage.slot_lag_max:
        return None
    return Problem(
        f"its replication slot {details.slot} is {size(lag)} behind, more than {size(stage.slot_lag_max)}",
        evidence=_slot_evidence(details),
    )


def _slot_evidence(details: ConnectorDetails) -> tuple[str, ...]:
    lag = (f"lag of the slot: {size(details.slot_lag)}",) if details.slot_lag is not None else ()
    status = (f"status of its log: {details.slot_status}",) if details.slot_status is not None else ()
    return (*lag, *status)


def _heartbeat_stopped(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.heartbeat is None or details.heartbeat_interval is None or details.connector_state != "RUNNING":
        return None
    age, most = (given.now - details.heartbeat).total_seconds(), max(HEARTBEATS * details.heartbeat_interval, 60.0)
    if age <= most:
        return None
    return Problem(
        f"the connector is RUNNING, but its last heartbeat was {duration(age)} ago; the interval is"
        f" {duration(details.heartbeat_interval)}",
        since=details.heartbeat,
    )


def _any_failed(_: object, given: CheckInput[ConnectDetails]) -> Problem | None:
    details = given.details
    number = (details.connectors_failed or 0) + (details.tasks_failed or 0)
    if not number:
        return None
    return Problem(f"{number} connectors or tasks FAILED: {details.failed}")


CONNECT_CHECKS = (
    Check(
        "connectors-failed",
        Severity.NOTE,
        "Connectors or tasks of the cluster have failed; failures of a pipeline's stages are findings of those stages.",
        "Read the trace in `/connectors/NAME/status`, correct its cause, and restart the failed tasks.",
        _any_failed,
    ),
)
CONNECTOR_CHECKS = (
    Check(
        "connector-failed",
        Severity.CRITICAL,
        "The connector itself has failed, so it starts no task.",
        "Fix the cause that the trace shows, then restart the connector.",
        _connector_failed,
    ),
    Check(
        "task-failed",
        Severity.CRITICAL,
        "A task of the connector has failed, even if the connector itself is RUNNING.",
        "Fix the cause that the trace shows, then restart the failed tasks. Connect does not restart them.",
        _task_failed,
    ),
    Check(
        "no-tasks",
        Severity.CRITICAL,
        "The connector is RUNNING without any task, so it reads and writes nothing.",
        "Check the worker's log: a lost replication slot or a rejected login of a source connector has this effect.",
        _no_tasks,
    ),
    Check(
        "not-delivering",
        Severity.CRITICAL,
        "The sink's offsets advance, but its table gets no commit: records are lost although everything is RUNNING.",
        "Compare the route field and route regex of the sink with the records; reset the sink's offsets afterwards.",
        _not_delivering,
    ),
    Check(
        "slot-lost",
        Severity.CRITICAL,
        "The replication slot of the source is lost: the database has removed changes that were not read.",
        "Drop the slot, and take a new snapshot of the tables. Limit the downtime of connectors.",
        _slot_lost,
    ),
    Check(
        "slot-left",
        Severity.CRITICAL,
        "The connector is deleted, but its replication slot still exists: the database's disk fills up.",
        "Create the connector again, or drop the slot with `pg_drop_replication_slot`.",
        _slot_left,
    ),
    Check(
        "slot-held",
        Severity.WARNING,
        "The connector is paused or stopped, and its replication slot retains the database's log.",
        "Resume the connector, or drop the slot if it is no longer needed.",
        _slot_held,
        explains=True,
    ),
    Check(
        "slot-behind",
        Severity.WARNING,
        "The replication slot is further behind than `slot_lag_max`, or will be lost soon.",
        "Find out why the source reads slowly. For a table with few changes set"
        " `heartbeat.action.query`, which advances the slot.",
        _slot_behind,
        explains=True,
    ),
    Check(
        "heartbeat-stopped",
        Severity.WARNING,
        "The connector is RUNNING but sends no heartbeats. It usually cannot reach its database and retries.",
        "Check whether the database is up and accepts the connector's login, and read the worker's log.",
        _heartbeat_stopped,
        explains=True,
    ),
    Check(
        "tasks-waiting",
        Severity.NOTE,
        "Tasks of the connector have no worker, or are restarting.",
        "Wait for the rebalance. If it lasts, check for missing workers and for workers that restart repeatedly.",
        _tasks_waiting,
        explains=True,
    ),
    Check(
        "connector-paused",
        Severity.NOTE,
        "The connector is paused or stopped. Its replication slot, if any, retains the database's write-ahead log.",
        "Resume the connector.",
        _paused,
        explains=True,
    ),
    Check(
        "errors-tolerated",
        Severity.ADVICE,
        "The connector drops failed records and has no dead letter queue.",
        "Set `errors.deadletterqueue.topic.name`, or `errors.tolerance` to `none`.",
        _errors_tolerated,
    ),
)
