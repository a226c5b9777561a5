"""Airflow's public REST API (v2): health, DAGs, runs, and the one thing that we change: triggering a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import requests
from pydantic import ValidationError

from dataops_core.config import resolve_secret
from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
)
from dataops_core.systems.airflow import sdk
from dataops_core.systems.airflow.pool import SessionPool
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.transport import deadlines
from dataops_core.transport.bounded import loads
from dataops_core.transport.http import refusal
from dataops_core.transport.reasons import line
from dataops_core.transport.session import WebSession

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
T = TypeVar("T")


NEWEST = 20
"""Runs of a DAG that are asked for at each look."""
PAGE = 100
"""Entries of a list that are asked for at once."""
MOST = 100_000
"""Entries of a list after which it is taken to have no end."""
REMEMBERED = 10_000
"""Runs of which it is remembered whether they did something."""


@dataclass(frozen=True, slots=True)
class AirflowHealth:
    """What Airflow says of itself.

    Attributes:
        parts: Status by part (`metadatabase`, `scheduler`, `dag_processor`, `triggerer`); a part that does not run has
            no status and is left out.
        heartbeats: When each part was heard of last, where Airflow tells.
    """

    parts: Mapping[str, str]
    heartbeats: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def unhealthy(self) -> tuple[str, ...]:
        """The parts that are not healthy."""
        return tuple(part for part, status in self.parts.items() if status != "healthy")


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run of a DAG.

    Attributes:
        state: `queued`, `running`, `success` or `failed`.
        data_interval_end: End of the data that it covers, where it covers an interval.
    """

    dag_id: str
    run_id: str
    state: str
    run_type: str
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None


@dataclass(frozen=True, slots=True)
class Dag:
    """A DAG.

    Attributes:
        schedule: Its schedule in words, where it has one.
        import_errors: Whether its file fails to load at present.
        file: Its file, as in Airflow's import errors: relative to its bundle.
        next_run_after: When the schedule's next run is to be made; `None` where no time is set.
    """

    dag_id: str
    paused: bool
    schedule: str | None
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    import_errors: bool
    file: str | None = None
    next_run_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class DagAsset:
    """An asset, as DAGs declare what they read and write.

    Attributes:
        writers: DAGs with a task that has it as an outlet.
        readers: DAGs that it starts, or with a task that has it as an inlet.
    """

    name: str
    uri: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A DAG file that fails to load.

    Attributes:
        file: Its path, relative to its bundle.
        reason: The last line of the trace.
        at: When it failed last.
    """

    file: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of task slots.

    Attributes:
        slots: How many it has; -1 for no limit.
        open: Slots that are free.
        waiting: Tasks that wait for one; a queued task has one already.
    """

    name: str
    slots: int
    open: int
    waiting: int


@dataclass(frozen=True, slots=True)
class TaskAtWork:
    """A task that runs or is about to.

    Attributes:
        state: `running`, `queued` or `scheduled`.
        started_at: `None` unless it runs.
    """

    dag_id: str
    run_id: str
    task_id: str
    state: str
    pool: str
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class DagState:
    """A DAG with its newest runs, newest first."""

    dag: Dag
    runs: tuple[DagRun, ...]


class AirflowClient:
    """An Airflow API server; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: AirflowSettings, timeout: float = 8.0) -> None:
        self.target = settings.url.rstrip("/")
        self._settings = settings
        self._timeout = timeout
        self._lock = Lock()
        self._api: sdk.ApiClient | None = None
        self._did_something: dict[tuple[str, str, datetime | None], bool] = {}

    def health(self) -> AirflowHealth:
        """Return what Airflow says of its parts; raises ClientError."""
        return self._call(lambda api: _health(sdk.MonitorApi(api).get_health(_request_timeout=self._timeout)))

    def failed_files(self, limit: int = 100) -> tuple[FailedFile, ...]:
        """Return the DAG files that fail to load, the newest failure first; raises ClientError."""
        page = self._call(
            lambda api: sdk.ImportErrorApi(api).get_import_errors(
                limit=limit, order_by=["-timestamp"], _request_timeout=self._timeout
            )
        )
        return tuple(
            FailedFile(error.filename, _last_line(error.stack_trace), error.timestamp) for error in page.import_errors
        )

    def pools(self, limit: int = 100) -> tuple[Pool, ...]:
        """Return the pools of task slots; raises ClientError."""
        page = self._call(lambda api: sdk.PoolApi(api).get_pools(limit=limit, _request_timeout=self._timeout))
        return tuple(Pool(pool.name, pool.slots, pool.open_slots, pool.scheduled_slots) for pool in page.pools)

    def dags(self) -> tuple[Dag, ...]:
        """Return all DAGs, by id; raises ClientError."""
        return self._all(self._page_of_dags, lambda dag: dag.dag_id)

    def assets(self) -> tuple[DagAsset, ...]:
        """Return all assets that DAGs declare, by name; raises ClientError."""
        return self._all(self._page_of_assets, lambda asset: (asset.name, asset.uri))

    def _all(
        self, page_at: Callable[[int, sdk.ApiClient], tuple[list[T], int]], key: Callable[[T], object]
    ) -> tuple[T, ...]:
        """Return a list that comes in pages; one that repeats itself would have no end."""
        found: dict[object, T] = {}
        with deadlines.within(deadlines.LISTING * self._timeout):
            while True:
                page, total = self._call(partial(page_at, len(found)))
                new = {key(entry): entry for entry in page if key(entry) not in found}
                if len(new) < len(page):
                    raise BadAnswer(f"airflow {self.target}: a page of its list repeats an entry")
                found |= new
                if not page or len(found) >= total:
                    return tuple(found.values())
                if len(found) > MOST:
                    raise BadAnswer(f"airflow {self.target}: its list has more than {MOST} entries")

    def _page_of_assets(self, offset: int, api: sdk.ApiClient) -> tuple[list[DagAsset], int]:
        page = sdk.AssetApi(api).get_assets(
            limit=PAGE, offset=offset, order_by=["name"], _request_timeout=self._timeout
        )
        return [_asset(asset) for asset in page.assets], page.total_entries

    def _page_of_dags(self, offset: int, api: sdk.ApiClient) -> tuple[list[Dag], int]:
        page = sdk.DAGApi(api).get_dags(limit=PAGE, offset=offset, order_by=["dag_id"], _request_timeout=self._timeout)
        return [_dag(dag) for dag in page.dags], page.total_entries

    def dag(self, dag_id: str) -> DagState:
        """Return a DAG with its newest runs; raises NotFound or another ClientError."""
        dag = self._call(lambda api: sdk.DAGApi(api).get_dag(dag_id, _request_timeout=self._timeout))
        return DagState(_dag(dag), self.runs(dag_id))

    def runs(self, dag_id: str, limit: int = NEWEST) -> tuple[DagRun, ...]:
        """Return a DAG's newest runs, newest first; `~` means all DAGs; raises ClientError."""
        page = self._call(
            lambda api: sdk.DagRunApi(api).get_dag_runs(
                dag_id, limit=limit, order_by=["-run_after"], _request_timeout=self._timeout
            )
        )
        return tuple(_run(run) for run in page.dag_runs)

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """Return one run; raises NotFound or another ClientError."""
        return _run(
            self._call(lambda api: sdk.DagRunApi(api).get_dag_run(dag_id, run_id, _request_timeout=self._timeout))
        )

    def tasks(self, dag_id: str, run_id: str, state: str, limit: int = 100) -> tuple[str, ...]:
        """Return the ids of a run's tasks that are in a state, e.g. `failed`; raises ClientError."""
        page = self._call(
            lambda api: sdk.TaskInstanceApi(api).get_task_instances(
                dag_id, run_id, state=[state], limit=limit, _request_timeout=self._timeout
            )
        )
        return tuple(task.task_id for task in page.task_instances)

    def at_work(self, dag_id: str, run_id: str, pool: str | None = None, limit: int = 100) -> tuple[TaskAtWork, ...]:
        """Return tasks of a run that run or are about to, or of all runs (`~`) in a pool; raises ClientError."""
        page = self._call(
            lambda api: sdk.TaskInstanceApi(api).get_task_instances(
                dag_id,
                run_id,
                state=["running", "queued", "scheduled"],
                pool=None if pool is None else [pool],
                limit=limit,
                _request_timeout=self._timeout,
            )
        )
        return tuple(
            TaskAtWork(
                task.dag_id,
                task.dag_run_id,
                task.task_id,
                str(getattr(task.state, "value", task.state)),
                task.pool,
                task.start_date,
            )
            for task in page.task_instances
        )

    def did_something(self, run: DagRun) -> bool:
        """Tell whether a task of an ended run succeeded; each run is asked for once. Raises ClientError."""
        key = (run.dag_id, run.run_id, run.ended_at)
        known = self._did_something.get(key)
        if known is None:
            if len(self._did_something) >= REMEMBERED:
                self._did_something.clear()
            known = self._did_something[key] = bool(self.tasks(run.dag_id, run.run_id, "success", limit=1))
        return known

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> DagRun:
        """Start a run of a DAG with these parameters; raises NotFound or another ClientError."""
        body = sdk.TriggerDAGRunPostBody(logical_date=None, conf=dict(conf or {}))
        return _run(
            self._call(lambda api: sdk.DagRunApi(api).trigger_dag_run(dag_id, body, _request_timeout=self._timeout))
        )

    def ask(self, question: Callable[[sdk.ApiClient, float], T]) -> T:
        """Ask something further; it is given the API and the deadline of each request; raises ClientError."""
        return self._call(lambda api: question(api, self._timeout))

    def _call(self, ask: Callable[[sdk.ApiClient], T]) -> T:
        try:
            return self._ask(ask)
        except sdk.ApiException as error:
            raise self._refused(error) from error
        except (ValidationError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise BadAnswer(f"airflow {self.target}: the answer is not Airflow's: {line(error)}") from error
        except requests.exceptions.RequestException as error:
            raise BadAnswer(f"airflow {self.target}: the answer is no answer over HTTP: {line(error)}") from error

    def _ask(self, ask: Callable[[sdk.ApiClient], T | None]) -> T:
        try:
            answer = ask(self._open())
        except sdk.ApiException as error:
            if error.status != 401:
                raise
            # The token has run out, or Airflow was started anew: log in once more.
            with self._lock:
                self._api = None
            answer = ask(self._open())
        if answer is None:
            raise ValueError("it is empty")
        return answer

    def _refused(self, error: sdk.ApiException) -> ClientError:
        where, detail = f"airflow {self.target}", _detail(error)
        # The SDK raises for each status but those of an answer.
        return refusal(where, error.status or 0, detail) or BadAnswer(f"{where}: HTTP {error.status}: {detail}")

    def _open(self) -> sdk.ApiClient:
        with self._lock:
            if self._api is None:
                session = WebSession(f"airflow {self.target}", self.target, self._settings.tls, system_trust=True)
                configuration = sdk.Configuration(host=self.target, access_token=self._token(session))
                api = sdk.ApiClient(configuration)
                api.rest_client.pool_manager = SessionPool(session, self._timeout)  # type: ignore[assignment]
                self._api = api
            return self._api

    def _token(self, session: requests.Session) -> str | None:
        settings = self._settings
        if settings.token is not None:
            return resolve_secret(settings.token)
        if settings.username is None or settings.password is None:
            return None
        credentials = {"username": settings.username, "password": resolve_secret(settings.password)}
        answer = session.post(f"{self.target}/auth/token", json=credentials, timeout=self._timeout)
        if answer.status_code in (401, 403):
            raise AuthenticationFailed(f"airflow {self.target}: refused user {settings.username}")
        error = refusal(f"airflow {self.target}", answer.status_code, "no token")
        if error is not None:
            raise error
        return str(answer.json()["access_token"])


def _health(found: Any) -> AirflowHealth:  # noqa: ANN401 - a generated class
    parts = {part: getattr(found, part) for part in PARTS}
    if not (found.metadatabase.status and found.scheduler.status):
        raise ValueError("it lacks the status of the database or of the scheduler")
    there = {part: info for part, info in parts.items() if info is not None and info.status}
    beats = {part: _at(getattr(info, f"latest_{part}_heartbeat", None)) for part, info in there.items()}
    return AirflowHealth(
        {part: info.status for part, info in there.items()},
        {part: at for part, at in beats.items() if at is not None},
    )


def _dag(dag: Any) -> Dag:  # noqa: ANN401 - two generated classes with the same fields
    return Dag(
        dag_id=dag.dag_id,
        paused=dag.is_paused,
        schedule=dag.timetable_summary,
        owners=tuple(dag.owners or ()),
        tags=tuple(tag.name for tag in dag.tags or ()),
        import_errors=bool(dag.has_import_errors),
        file=dag.relative_fileloc,
        next_run_after=dag.next_dagrun_run_after,
    )


def _asset(asset: sdk.AssetResponse) -> DagAsset:
    writers = {task.dag_id for task in asset.producing_tasks}
    readers = {dag.dag_id for dag in asset.scheduled_dags} | {task.dag_id for task in asset.consuming_tasks}
    return DagAsset(asset.name, asset.uri, tuple(sorted(writers)), tuple(sorted(readers)))


def _run(run: sdk.DAGRunResponse) -> DagRun:
    return DagRun(
        dag_id=run.dag_id,
        run_id=run.dag_run_id,
        state=run.state.value,
        run_type=run.run_type.value,
        queued_at=run.queued_at,
        started_at=run.start_date,
        ended_at=run.end_date,
        data_interval_start=run.data_interval_start,
        data_interval_end=run.data_interval_end,
    )


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _last_line(trace: str) -> str:
    return line(next((text for text in reversed(trace.splitlines()) if text.strip()), ""))


def _detail(error: sdk.ApiException) -> str:
    try:
        detail = loads(error.body or "")["detail"]
    except (ValueError, KeyError, TypeError):
        detail = error.reason
    return line(detail if isinstance(detail, str) else json.dumps(detail))
