"""Airflow's public REST API: health, DAGs, runs, and the one thing that we change: triggering a run.

It asks as API v2 of Airflow 3 does; `rest_v1` translates for Airflow 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from pydantic import ValidationError

from dataops_core.bounded import Malformed
from dataops_core.errors import AuthenticationFailed, BadAnswer, ClientError, NotFound
from dataops_core.reasons import line
from dataops_core.systems.airflow import sdk
from dataops_core.systems.airflow.connection import Connection
from dataops_core.systems.airflow.responses import (
    ActiveTask,
    AirflowHealth,
    Dag,
    DagAsset,
    DagRun,
    DagState,
    FailedFile,
    Pool,
    not_loaded,
    read_active_task,
    read_all,
    read_asset,
    read_dag,
    read_failed_file,
    read_health,
    read_items,
    read_page,
    read_pool,
    read_run,
    unreadable_dag,
    unreadable_pool,
    unreadable_run,
)
from dataops_core.systems.airflow.settings import AirflowSettings
from dataops_core.transport import deadlines
from dataops_core.transport.fields import Fields
from dataops_core.transport.http import refusal

T = TypeVar("T")

NEWEST = 20
"""Runs of a DAG that each refresh requests."""
PAGE = 100
"""Entries of a list that are asked for at once."""
MOST = 100_000
"""Entries of a list after which it is taken to have no end."""
REMEMBERED = 10_000
"""Runs of which it is remembered whether they did something."""

PAGES = {"dag_run_id": "runs", "task_id": "tasks"}
"""Parts of the path of a page of Airflow 3, by the parameter that Airflow 2 has instead."""
BASIC_AUTH = (
    "Correct the user or the password. Airflow 2 accepts them only if `auth_backends` in its section `[api]` names"
    " `airflow.api.auth.backend.basic_auth`."
)


class AirflowClient:
    """An Airflow API server; safe to share between threads.

    Args:
        settings: Where it is and who we are.
        timeout: Deadline of each request, in seconds.
    """

    def __init__(self, settings: AirflowSettings, timeout: float = 8.0) -> None:
        self._settings = settings
        self._timeout = timeout
        self._connection = Connection(settings, timeout)
        self.target = self._connection.target
        self._did_something: dict[tuple[str, str, datetime | None], bool] = {}

    @property
    def api_url(self) -> str:
        """The address of its REST API, in the version that it was asked in last."""
        return f"{self.target}/api/{self._connection.version}"

    def page(self, dag_id: str, run_id: str | None = None, task_id: str | None = None) -> str:
        """Return the address of the page of a DAG, a run or a task in Airflow's web UI."""
        dag = f"{self.target}/dags/{quote(dag_id, safe='')}"
        names = {"dag_run_id": run_id, "task_id": task_id}
        named = {name: quote(value, safe="") for name, value in names.items() if value is not None}
        if self._connection.version == "v1":
            return f"{dag}/grid" + ("?" if named else "") + "&".join(f"{name}={value}" for name, value in named.items())
        return dag + "".join(f"/{PAGES[name]}/{value}" for name, value in named.items())

    def health(self) -> AirflowHealth:
        """Return what Airflow says of its parts; raises ClientError."""
        return self._read(
            lambda api: sdk.MonitorApi(api).get_health_without_preload_content(_request_timeout=self._timeout),
            read_health,
        )

    def failed_files(self, limit: int = 100) -> tuple[FailedFile, ...]:
        """Return the DAG files that fail to load, the newest failure first; raises ClientError."""
        return self._read(
            lambda api: sdk.ImportErrorApi(api).get_import_errors_without_preload_content(
                limit=limit, order_by=["-timestamp"], _request_timeout=self._timeout
            ),
            lambda answer: read_all(answer, "import_errors", read_failed_file),
        )

    def pools(self, limit: int = 100) -> tuple[Pool, ...]:
        """Return the pools of task slots; raises ClientError."""
        return self._read(
            lambda api: sdk.PoolApi(api).get_pools_without_preload_content(limit=limit, _request_timeout=self._timeout),
            lambda answer: tuple(read_items(answer, "pools", "name", read_pool, unreadable_pool)[0]),
        )

    def dags(self) -> tuple[Dag, ...]:
        """Return all DAGs, by id; raises ClientError."""
        return self._all(self._page_of_dags, lambda dag: dag.dag_id)

    def assets(self) -> tuple[DagAsset, ...]:
        """Return all assets that DAGs declare, by name; raises ClientError."""
        return self._all(self._page_of_assets, lambda asset: (asset.name, asset.uri))

    def _all(self, page_at: Callable[[int], tuple[list[T], int]], key: Callable[[T], object]) -> tuple[T, ...]:
        """Return a list that comes in pages; one that repeats itself would have no end."""
        results: dict[object, T] = {}
        with deadlines.within(deadlines.LISTING * self._timeout):
            while True:
                page, total = page_at(len(results))
                new = {key(entry): entry for entry in page if key(entry) not in results}
                if len(new) < len(page):
                    raise BadAnswer(f"airflow {self.target}: a page of its list repeats an entry")
                results |= new
                if not page or len(results) >= total:
                    return tuple(results.values())
                if len(results) > MOST:
                    raise BadAnswer(f"airflow {self.target}: its list has more than {MOST} entries")

    def _page_of_assets(self, offset: int) -> tuple[list[DagAsset], int]:
        return self._read(
            lambda api: sdk.AssetApi(api).get_assets_without_preload_content(
                limit=PAGE, offset=offset, order_by=["name"], _request_timeout=self._timeout
            ),
            lambda answer: read_page(answer, "assets", read_asset),
        )

    def _page_of_dags(self, offset: int) -> tuple[list[Dag], int]:
        return self._read(
            lambda api: sdk.DAGApi(api).get_dags_without_preload_content(
                limit=PAGE, offset=offset, order_by=["dag_id"], _request_timeout=self._timeout
            ),
            lambda answer: read_items(answer, "dags", "dag_id", read_dag, unreadable_dag, offset),
        )

    def dag(self, dag_id: str) -> DagState:
        """Return a DAG with its newest runs; raises NotFound or another ClientError."""
        with self.about(dag_id):
            dag = self._read(
                lambda api: sdk.DAGApi(api).get_dag_without_preload_content(dag_id, _request_timeout=self._timeout),
                lambda answer: read_dag(Fields(answer)),
            )
            return DagState(dag, self.runs(dag_id))

    def runs(self, dag_id: str, limit: int = NEWEST) -> tuple[DagRun, ...]:
        """Return a DAG's newest runs, newest first; `~` means all DAGs; raises ClientError."""
        with self.about(dag_id):
            return self._read(
                lambda api: sdk.DagRunApi(api).get_dag_runs_without_preload_content(
                    dag_id, limit=limit, order_by=["-run_after"], _request_timeout=self._timeout
                ),
                lambda answer: tuple(
                    read_items(answer, "dag_runs", "dag_run_id", read_run, partial(unreadable_run, dag_id))[0]
                ),
            )

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """Return one run; raises NotFound or another ClientError."""
        return self._read(
            lambda api: sdk.DagRunApi(api).get_dag_run_without_preload_content(
                dag_id, run_id, _request_timeout=self._timeout
            ),
            lambda answer: read_run(Fields(answer)),
        )

    def tasks(self, dag_id: str, run_id: str, state: str, limit: int = 100) -> tuple[str, ...]:
        """Return the ids of a run's tasks that are in a state, e.g. `failed`; raises ClientError."""
        return self._read(
            lambda api: sdk.TaskInstanceApi(api).get_task_instances_without_preload_content(
                dag_id, run_id, state=[state], limit=limit, _request_timeout=self._timeout
            ),
            lambda answer: read_all(answer, "task_instances", lambda task: task.require_text("task_id")),
        )

    def active_tasks(
        self, dag_id: str, run_id: str, pool: str | None = None, limit: int = 100
    ) -> tuple[ActiveTask, ...]:
        """Return tasks of a run that run or are about to, or of all runs (`~`) in a pool; raises ClientError."""
        return self._read(
            lambda api: sdk.TaskInstanceApi(api).get_task_instances_without_preload_content(
                dag_id,
                run_id,
                state=["running", "queued", "scheduled"],
                pool=None if pool is None else [pool],
                limit=limit,
                _request_timeout=self._timeout,
            ),
            lambda answer: read_all(answer, "task_instances", read_active_task),
        )

    def did_something(self, run: DagRun) -> bool:
        """Return whether a task of an ended run succeeded; each run is requested once. Raises ClientError."""
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
        with self.about(dag_id):
            return self._read(
                lambda api: sdk.DagRunApi(api).trigger_dag_run_without_preload_content(
                    dag_id, body, _request_timeout=self._timeout
                ),
                lambda answer: read_run(Fields(answer)),
            )

    @contextmanager
    def about(self, dag_id: str) -> Iterator[None]:
        """Name the file that fails to load, or all of them, where Airflow does not have a DAG: it is in one of them."""
        try:
            yield
        except NotFound as error:
            if error.hint is not None:
                raise
            try:
                failed = self.failed_files()
            except ClientError:  # to see import errors is a right of its own
                raise error from None
            if not failed:
                raise
            said, hint = not_loaded(dag_id, failed)
            raise NotFound(f"{error.message}; {said}", hint=hint) from error

    def read(self, question: Callable[[sdk.ApiClient, float], object], read: Callable[[object], T]) -> T:
        """Ask something further with a method of the SDK that returns the answer as it is.

        Args:
            question: Asks; it is given the API and the deadline of each request.
            read: Reads the JSON of the answer; raises Malformed.

        Raises:
            ClientError: Airflow is unavailable, or returns an invalid response.
        """
        return self._read(lambda api: question(api, self._timeout), read)

    def _read(self, ask: Callable[[sdk.ApiClient], object], read: Callable[[object], T]) -> T:
        return self._call(lambda api: read(sdk.json_of(ask(api))))

    def ask(self, question: Callable[[sdk.ApiClient, float], T]) -> T:
        """Ask something further; it is given the API and the deadline of each request; raises ClientError."""
        return self._call(lambda api: question(api, self._timeout))

    def _call(self, ask: Callable[[sdk.ApiClient], T]) -> T:
        try:
            return self._ask(ask)
        except sdk.ApiException as error:
            raise self._refused(error) from error
        except (ValidationError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            why = f"it {error}" if isinstance(error, Malformed) else line(error)
            raise BadAnswer(f"airflow {self.target}: the response is not from Airflow: {why}") from error
        except requests.exceptions.RequestException as error:
            raise BadAnswer(f"airflow {self.target}: the response is not HTTP: {line(error)}") from error

    def _ask(self, ask: Callable[[sdk.ApiClient], T | None]) -> T:
        api = self._connection.open()
        try:
            answer = ask(api)
        except sdk.ApiException as error:
            if not self._connection.recovers(api, error):
                raise
            answer = ask(self._connection.open())
        except BadAnswer:  # such as a redirect to a login page, where a token has expired
            self._connection.close()
            raise
        if answer is None:
            raise ValueError("it is empty")
        return answer

    def _refused(self, error: sdk.ApiException) -> ClientError:
        where = f"airflow {self.target}"
        # The SDK raises for each status but those of an answer.
        refused = refusal(where, error.status or 0, error.body) or BadAnswer(f"{where}: HTTP {error.status}")
        basic = (
            self._connection.version == "v1" and self._settings.token is None and self._settings.username is not None
        )
        if basic and isinstance(refused, AuthenticationFailed):
            return AuthenticationFailed(refused.message, hint=BASIC_AUTH)
        return refused
