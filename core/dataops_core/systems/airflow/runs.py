"""What is inside Airflow's DAGs and runs: parameters, tasks and their logs; and the changes that a console makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dataops_core.bounded import Malformed
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.responses import read_items
from dataops_core.systems.airflow.sdk import (
    ApiClient,
    BackfillApi,
    BackfillPostBody,
    ClearTaskInstancesBody,
    ClearTaskInstancesBodyTaskIdsInner,
    DAGApi,
    DAGPatchBody,
    TaskInstanceApi,
)
from dataops_core.transport.fields import Fields
from dataops_core.values import as_text

PAGE = 100
"""Task instances that are asked for at once; Airflow's own limit (`[api] maximum_page_limit`)."""
MAX_TASKS = 1000
"""Task instances of a run that are fetched at the most."""


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter that a DAG declares.

    Attributes:
        default: Its default value.
        schema: Its JSON schema; empty where it declares none.
        description: What it is for.
    """

    name: str
    default: Any
    schema: Mapping[str, Any]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """A task in a run.

    Attributes:
        map_index: Its number where it is mapped, else -1.
        state: `success`, `failed`, `running`, `queued` …; `None` before it is scheduled.
        tries: How often it has been tried.
        unreadable: Why it cannot be read; `None` where it can.
    """

    task_id: str
    map_index: int
    state: str | None
    operator: str | None
    tries: int
    max_tries: int
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    unreadable: str | None = None

    @property
    def key(self) -> str:
        """Its name within the run: `task` or `task[3]`."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a task's log.

    Attributes:
        level: `info`, `error` …; `None` where it has none.
        more: What else the line carries, e.g. the traceback.
    """

    at: datetime | None
    level: str | None
    text: str
    more: Mapping[str, Any]

    @property
    def traceback(self) -> tuple[str, ...]:
        """Lines of the exceptions that Airflow puts beside the line."""
        lines: list[str] = []
        details = self.more.get("error_detail")
        for detail in Fields({"details": details}).objects("details"):
            lines += [
                f"  {frame.raw('filename')}:{frame.raw('lineno')} in {frame.raw('name')}"
                for frame in detail.objects("frames")
            ]
            lines.append(f"{detail.raw('exc_type')}: {detail.raw('exc_value')}")
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a log.

    Attributes:
        lines: Its lines.
        token: What to ask for the next part with; `None` where the log has ended.
    """

    lines: tuple[LogLine, ...]
    token: str | None


def params(client: AirflowClient, dag_id: str) -> tuple[Param, ...]:
    """Return the parameters that a DAG declares; raises NotFound or another ClientError."""
    with client.about(dag_id):
        return client.read(
            lambda api, timeout: DAGApi(api).get_dag_details_without_preload_content(dag_id, _request_timeout=timeout),
            read_params,
        )


def task_instances(client: AirflowClient, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
    """Return the tasks of a run, first started first; raises NotFound or another ClientError."""
    results: list[TaskInstance] = []

    def page(api: ApiClient, timeout: float) -> object:
        return TaskInstanceApi(api).get_task_instances_without_preload_content(
            dag_id, run_id, limit=PAGE, offset=len(results), _request_timeout=timeout
        )

    while len(results) < MAX_TASKS:
        items, total = client.read(page, partial(_tasks, len(results)))
        results += items
        if not items or len(results) >= total:
            break
    never = datetime.max.replace(tzinfo=UTC)
    return tuple(sorted(results, key=lambda t: (t.started_at or never, t.queued_at or never, t.key)))


def log(client: AirflowClient, dag_id: str, run_id: str, task: TaskInstance, token: str | None = None) -> LogPart:
    """Return a part of the log of a task's newest try; raises NotFound or another ClientError.

    Args:
        client: Airflow.
        dag_id: The DAG.
        run_id: The run.
        task: The task.
        token: What the part before gave; the log's beginning where there is none.
    """
    return client.read(partial(_log_part, dag_id, run_id, task, token), read_log)


def _log_part(
    dag_id: str, run_id: str, task: TaskInstance, token: str | None, api: ApiClient, timeout: float
) -> object:
    return TaskInstanceApi(api).get_log_without_preload_content(
        dag_id,
        run_id,
        task.task_id,
        max(task.tries, 1),
        map_index=task.map_index,
        token=token,
        accept="application/json",
        _request_timeout=timeout,
    )


def _tasks(offset: int, answer: object) -> tuple[list[TaskInstance], int]:
    return read_items(answer, "task_instances", "task_id", read_task, unreadable_task, offset)


def read_log(answer: object) -> LogPart:
    """Return a part of a log; raises Malformed. A line of another form is its JSON."""
    fields = Fields(answer)
    return LogPart(tuple(_line(each) for each in fields.require_list("content")), fields.text("continuation_token"))


def read_params(answer: object) -> tuple[Param, ...]:
    """Return the parameters in a DAG's details; raises Malformed."""
    details = Fields(answer)
    details.require_text("dag_id")  # a DAG without parameters has none of the other fields that we read
    declared = details.raw("params")
    if declared is None:
        return ()
    if not isinstance(declared, Mapping):
        raise Malformed("has a field that is not an object: params")
    return tuple(_param(str(name), about) for name, about in declared.items())


def read_task(fields: Fields) -> TaskInstance:
    """Return a task of a run; raises Malformed."""
    number = fields.number("map_index")
    return TaskInstance(
        task_id=fields.require_text("task_id"),
        map_index=int(number) if number is not None else -1,
        state=fields.text("state"),
        operator=fields.text("operator_name") or fields.text("operator"),
        tries=fields.count("try_number") or 0,
        max_tries=fields.count("max_tries") or 0,
        queued_at=fields.time("queued_when"),
        started_at=fields.time("start_date"),
        ended_at=fields.time("end_date"),
    )


def unreadable_task(task_id: str, why: str) -> TaskInstance:
    """Return a task that cannot be read."""
    return TaskInstance(task_id, -1, None, None, 0, 0, None, None, None, unreadable=why)


def set_paused(client: AirflowClient, dag_id: str, *, paused: bool) -> None:
    """Pause a DAG, or let it go on; raises NotFound or another ClientError."""
    body = DAGPatchBody(is_paused=paused)
    client.read(
        lambda api, timeout: DAGApi(api).patch_dag_without_preload_content(dag_id, body, _request_timeout=timeout),
        lambda answer: Fields(answer).require_text("dag_id"),
    )


def clearing(run_id: str, tasks: Sequence[TaskInstance] = ()) -> dict[str, Any]:
    """Return what is asked of Airflow to have tasks of a run run again, and what waits for them.

    Args:
        run_id: The run.
        tasks: Only these; all that failed where not given.
    """
    return {
        "dry_run": False,
        "dag_run_id": run_id,
        "only_failed": not tasks,
        "reset_dag_runs": True,
        "include_downstream": bool(tasks),
        **({"task_ids": [_marker(task) for task in tasks]} if tasks else {}),
    }


def clear_failed(client: AirflowClient, dag_id: str, run_id: str, tasks: Sequence[TaskInstance] = ()) -> int:
    """Have the failed tasks of a run run again, and what waits for them; returns how many tasks are cleared.

    Args:
        client: Airflow.
        dag_id: The DAG.
        run_id: The run.
        tasks: Only these; all that failed where not given.

    Raises:
        ClientError: Airflow did not do it.
    """
    asked = clearing(run_id, tasks)
    ids = [ClearTaskInstancesBodyTaskIdsInner(task) for task in asked.get("task_ids", ())]
    body = ClearTaskInstancesBody.model_validate({**asked, "task_ids": ids or None})
    return client.read(
        lambda api, timeout: TaskInstanceApi(api).post_clear_task_instances_without_preload_content(
            dag_id, body, _request_timeout=timeout
        ),
        lambda answer: len(Fields(answer).require_list("task_instances")),
    )


def backfill_dates(client: AirflowClient, body: Mapping[str, str]) -> tuple[datetime, ...]:
    """Return the dates that a backfill would run; raises ClientError.

    Args:
        client: Airflow.
        body: What is asked for; see `Backfill.body`.
    """
    wanted = BackfillPostBody.model_validate(dict(body))
    answer = client.ask(lambda api, timeout: BackfillApi(api).create_backfill_dry_run(wanted, _request_timeout=timeout))
    return tuple(run.logical_date for run in answer.backfills if run.logical_date is not None)


def backfill(client: AirflowClient, body: Mapping[str, str]) -> int:
    """Have the runs of a time that has passed made; returns the backfill's id; raises ClientError.

    Args:
        client: Airflow.
        body: What is asked for; see `Backfill.body`.
    """
    wanted = BackfillPostBody.model_validate(dict(body))
    answer = client.ask(lambda api, timeout: BackfillApi(api).create_backfill(wanted, _request_timeout=timeout))
    return int(answer.id)


def _marker(task: TaskInstance) -> str | list[str | int]:
    # the API takes an id, or an id with a number
    return task.task_id if task.map_index < 0 else [task.task_id, task.map_index]


def _param(name: str, about: object) -> Param:
    if not isinstance(about, Mapping) or "value" not in about:
        return Param(name, about, {})
    fields = Fields(about)
    schema = fields.raw("schema")
    return Param(name, about["value"], schema if isinstance(schema, Mapping) else {}, fields.text("description"))


def _line(answer: object) -> LogLine:
    if not isinstance(answer, Mapping):
        return LogLine(None, None, answer if isinstance(answer, str) else as_text(answer), {})
    fields = Fields(answer)
    event = fields.raw("event")
    more = {str(name): value for name, value in answer.items() if name not in ("timestamp", "level", "event")}
    text = "" if event is None else event if isinstance(event, str) else as_text(event)
    return LogLine(fields.time("timestamp"), fields.text("level"), text, more)
