"""Checks of Kafka Connect and its connectors."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from dataops_core.health.checks.base import Check, CheckInput, Problem, numbered
from dataops_core.health.model import Severity
from dataops_core.health.text import clock, duration
from dataops_core.systems.connect.details import ConnectDetails, ConnectorDetails
from dataops_core.systems.connect.settings import ConnectorStage


def _restart(stage: ConnectorStage, details: ConnectorDetails) -> str | None:
    return _request(stage, details, "POST", "restart?includeTasks=true&onlyFailed=true")


def _request(stage: ConnectorStage, details: ConnectorDetails, method: str, action: str) -> str | None:
    if stage.remedy is not None or details.connect_url is None:
        return stage.remedy
    url = f"{details.connect_url}/connectors/{quote(stage.connector, safe='')}/{action}"
    return f"curl -X {method} {shlex.quote(url)}"


def _connector_failed(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state != "FAILED":
        return None
    return Problem(f"the connector is FAILED: {details.cause or 'no trace'}", command=_restart(stage, details))


def _task_failed(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if not details.tasks_failed:
        return None
    return Problem(
        f"the connector is {details.connector_state}, and {details.tasks_failed} of {details.tasks} tasks FAILED:"
        f" {details.cause or 'no trace'}",
        evidence=(f"failed tasks: {details.failed_tasks}",),
        command=_restart(stage, details),
    )


def _no_tasks(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    details = given.details
    if details.connector_state != "RUNNING" or details.tasks != 0:
        return None
    return Problem(
        "the connector is RUNNING but has no tasks: it reads and writes nothing", command=_restart(stage, details)
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
    return Problem("errors.tolerance is `all` without a dead letter queue: records that fail are dropped")


def _tasks_waiting(_: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    number = given.details.tasks_waiting
    if not number:
        return None
    return Problem(f"{numbered(number, 'task')} UNASSIGNED or RESTARTING")


def _paused(stage: ConnectorStage, given: CheckInput[ConnectorDetails]) -> Problem | None:
    state = given.details.connector_state
    if state not in ("PAUSED", "STOPPED"):
        return None
    return Problem(f"the connector is {state}", command=_request(stage, given.details, "PUT", "resume"))


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
        "A task of the connector has failed, also where the connector itself is RUNNING.",
        "Fix the cause that the trace shows, then restart the failed tasks: Connect does not restart them.",
        _task_failed,
    ),
    Check(
        "no-tasks",
        Severity.CRITICAL,
        "The connector is RUNNING without any task, so it reads and writes nothing.",
        "Check the worker's log: a source connector with a lost replication slot or a refused login ends like this.",
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
        "tasks-waiting",
        Severity.NOTE,
        "Tasks of the connector have no worker, or are restarting.",
        "Wait for the rebalance; if it lasts, check for missing workers, or workers that restart repeatedly.",
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
        "The connector drops records that fail, without a dead letter queue.",
        "Set `errors.deadletterqueue.topic.name`, or `errors.tolerance` to `none`.",
        _errors_tolerated,
    ),
)
