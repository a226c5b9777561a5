"""What is inside Airflow's DAGs and runs: parameters, tasks and their logs; and the changes that a console makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.sdk import (
    ApiClient,
    ApiException,
    BackfillApi,
    BackfillPostBody,
    ClearTaskInstancesBody,
    ClearTaskInstancesBodyTaskIdsInner,
    DAGApi,
    DAGPatchBody,
    RESTResponse,
    TaskInstanceApi,
    TaskInstanceCollectionResponse,
)
from dataops_core.transport.bounded import loads

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
        for detail in details if isinstance(details, list) else []:
            if isinstance(detail, dict):
                frames = detail.get("frames") or []
                lines += [f"  {frame.get('filename')}:{frame.get('lineno')} in {frame.get('name')}" for frame in frames]
                lines.append(f"{detail.get('exc_type')}: {detail.get('exc_value')}")
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
    details = client.ask(lambda api, timeout: DAGApi(api).get_dag_details(dag_id, _request_timeout=timeout))
    return tuple(_param(name, about) for name, about in (details.params or {}).items())


def task_instances(client: AirflowClient, dag_id: str, run_id: str) -> tuple[TaskInstance, ...]:
    """Return the tasks of a run, first started first; raises NotFound or another ClientError."""
    found: list[TaskInstance] = []

    def page(api: ApiClient, timeout: float) -> TaskInstanceCollectionResponse:
        return TaskInstanceApi(api).get_task_instances(
            dag_id, run_id, limit=PAGE, offset=len(found), _request_timeout=timeout
        )

    while len(found) < MAX_TASKS:
        answer = client.ask(page)
        found += [_task(task) for task in answer.task_instances]
        if not answer.task_instances or len(found) >= (answer.total_entries or 0):
            break
    never = datetime.max.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda t: (t.started_at or never, t.queued_at or never, t.key)))


def log(client: AirflowClient, dag_id: str, run_id: str, task: TaskInstance, token: str | None = None) -> LogPart:
    """Return a part of the log of a task's newest try; raises NotFound or another ClientError.

    Args:
        client: Airflow.
        dag_id: The DAG.
        run_id: The run.
        task: The task.
        token: What the part before gave; the log's beginning where there is none.
    """
    return client.ask(partial(_log_part, dag_id, run_id, task, token))


def _log_part(
    dag_id: str, run_id: str, task: TaskInstance, token: str | None, api: ApiClient, timeout: float
) -> LogPart:
    # read as JSON: the library's own classes drop all of a line but its text and time
    response = TaskInstanceApi(api).get_log_without_preload_content(
        dag_id,
        run_id,
        task.task_id,
        max(task.tries, 1),
        map_index=task.map_index,
        token=token,
        accept="application/json",
        _request_timeout=timeout,
    )
    body = response.data.decode(errors="replace")
    if response.status >= 300:
        raise ApiException.from_response(http_resp=RESTResponse(response), body=body, data=None)
    found = loads(body)
    if not isinstance(found, dict) or not isinstance(found.get("content"), list):
        raise TypeError("it has no content")
    return LogPart(tuple(_line(line) for line in found["content"]), found.get("continuation_token"))


def set_paused(client: AirflowClient, dag_id: str, *, paused: bool) -> None:
    """Pause a DAG, or let it go on; raises NotFound or another ClientError."""
    body = DAGPatchBody(is_paused=paused)
    client.ask(lambda api, timeout: DAGApi(api).patch_dag(dag_id, body, _request_timeout=timeout))


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
    answer = client.ask(
        lambda api, timeout: TaskInstanceApi(api).post_clear_task_instances(dag_id, body, _request_timeout=timeout)
    )
    return len(answer.task_instances)


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


def _param(name: str, about: Any) -> Param:  # noqa: ANN401 - whatever the DAG declares
    if not isinstance(about, dict) or "value" not in about:
        return Param(name, about, {})
    return Param(name, about["value"], about.get("schema") or {}, about.get("description"))


def _task(task: Any) -> TaskInstance:  # noqa: ANN401 - a generated class
    return TaskInstance(
        task_id=task.task_id,
        map_index=task.map_index,
        state=task.state.value if task.state is not None else None,
        operator=task.operator_name or task.operator,
        tries=task.try_number,
        max_tries=task.max_tries,
        queued_at=task.queued_when,
        started_at=task.start_date,
        ended_at=task.end_date,
    )


def _line(line: Mapping[str, Any] | str) -> LogLine:
    if isinstance(line, str):
        return LogLine(None, None, line, {})
    more = {name: value for name, value in line.items() if name not in ("timestamp", "level", "event")}
    at = datetime.fromisoformat(line["timestamp"]) if line.get("timestamp") else None
    return LogLine(at, line.get("level"), str(line.get("event", "")), more)
