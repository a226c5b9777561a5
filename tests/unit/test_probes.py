"""What the probes make of what a component says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from tests.orders import T0, seconds

from dataops_core.errors import (
    AuthenticationFailed,
    BadAnswer,
    ClientError,
    ConfigError,
    DataopsError,
    NotFound,
    NoWorkers,
    PermissionDenied,
    QueryFailed,
    TimedOut,
)
from dataops_core.health.observation import Observation, ProgressSource
from dataops_core.systems.airflow.client import NEWEST
from dataops_core.systems.airflow.probe import observe_airflow, observe_dag
from dataops_core.systems.airflow.responses import ActiveTask, AirflowHealth, Dag, DagRun, DagState, FailedFile, Pool
from dataops_core.systems.airflow.settings import DagStage
from dataops_core.systems.kafka.model import FirstRecords, Topic
from dataops_core.systems.measured.observe import LastChange
from dataops_core.systems.spark import probe as spark
from dataops_core.systems.spark.checkpoint import Batch, Checkpoint
from dataops_core.systems.spark.settings import SparkQueryStage
from dataops_core.systems.spark.ui import LateRows
from dataops_core.systems.trino import probe as trino
from dataops_core.systems.trino.responses import Node, ServerQuery, TrinoInfo
from dataops_core.systems.trino.settings import TrinoViewStage

STAGE = DagStage(name="conform", kind="dag", dag_id="conform")


@dataclass
class Airflow:
    """Runs, newest first, each with its state and those of its tasks."""

    runs: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    its: dict[str, object] = field(default_factory=dict)
    slots: tuple[Pool, ...] = ()
    failing: tuple[FailedFile, ...] = ()
    refuses: ClientError | None = None
    working: tuple[ActiveTask, ...] = ()

    def active_tasks(self, dag_id: str, run_id: str, pool: str | None = None) -> tuple[ActiveTask, ...]:
        if self.refuses is not None:
            raise self.refuses
        return tuple(t for t in self.working if dag_id in ("~", t.dag_id) and pool in (None, t.pool))

    def health(self) -> AirflowHealth:
        return AirflowHealth({"scheduler": "unhealthy", "metadatabase": "healthy"}, {"scheduler": T0 - seconds(90)})

    def pools(self) -> tuple[Pool, ...]:
        if self.refuses is not None:
            raise self.refuses
        return self.slots

    def failed_files(self) -> tuple[FailedFile, ...]:
        return self.failing

    def dag(self, dag_id: str) -> DagState:
        dag = Dag(dag_id, paused=False, schedule=None, owners=(), tags=(), import_errors=False)
        dag = replace(dag, **self.its)  # type: ignore[arg-type]
        return DagState(dag, tuple(self._run(n, state) for n, (state, _) in enumerate(self.runs)))

    def tasks(self, dag_id: str, run_id: str, state: str, limit: int = 100) -> tuple[str, ...]:
        return tuple(task for task, its in self.runs[int(run_id)][1].items() if its == state)[:limit]

    def did_something(self, run: DagRun) -> bool:
        return bool(self.tasks(run.dag_id, run.run_id, "success", limit=1))

    def _run(self, number: int, state: str) -> DagRun:
        at = T0 - seconds(60 * number)
        return DagRun("conform", str(number), state, "scheduled", at, at, at + seconds(5), None, None)


def test_a_run_that_skipped_all_its_tasks_took_in_nothing() -> None:
    worked = {"look": "success", "load": "skipped"}
    seen = observe_dag(STAGE, Airflow([("success", {"load": "skipped"}), ("success", worked)]))  # type: ignore[arg-type]
    assert seen.progress_time == T0 - seconds(60)
    assert seen.failure is None
    seen = observe_dag(STAGE, Airflow([("success", {"load": "skipped"})]))  # type: ignore[arg-type]
    assert seen.progress_time is None
    assert "its successful runs had nothing to do" in seen.notes
    assert seen.attribute("last_work") is None, "there is none before"


def test_a_run_that_did_something_is_found_behind_many_that_did_not_or_its_absence_is_no_proof() -> None:
    idle = ("success", {"load": "skipped"})
    seen = observe_dag(STAGE, Airflow([*[idle] * 15, ("success", {"load": "success"})]))  # type: ignore[arg-type]
    assert seen.progress_time == T0 - seconds(60 * 15)
    seen = observe_dag(STAGE, Airflow([idle] * NEWEST))  # type: ignore[arg-type]
    assert seen.attribute("last_work") is not None, "there may be one before those that are looked at"


@pytest.mark.parametrize(
    ("stamp", "told"),
    [
        ("2026-01-05T03:00:00", datetime(2026, 1, 5, 3, tzinfo=UTC)),
        ("2026-01-05T04:00:00+01:00", datetime(2026, 1, 5, 3, tzinfo=UTC)),
        ("soon", None),
        (None, None),
    ],
)
def test_a_stamp_without_a_zone_is_in_utc_and_one_that_is_no_time_is_none(
    stamp: str | None, told: datetime | None
) -> None:
    class Served:
        def fetch(self, statement: str, within: float) -> list[tuple[object, ...]]:
            return [(T0, stamp, "7")] if "snapshots" in statement else [(1,)]

    stage = TrinoViewStage(name="view", kind="trino_view", relation="lake.s.o")
    assert trino.observe_view(stage, Served(), LastChange()).progress_time == told  # type: ignore[arg-type]


class Columns:
    """A Trino that serves a view, whose column has these times in seconds."""

    target = "http://trino"

    def __init__(self, *row: object, error: str = "", no_snapshots: str = "TABLE_NOT_FOUND: a view has none") -> None:
        self.row, self._error, self._no_snapshots = row, error, no_snapshots
        self.asked: list[str] = []

    def fetch(self, statement: str, within: float) -> list[tuple[object, ...]]:
        self.asked.append(statement)
        if "snapshots" in statement:
            raise QueryFailed(self._no_snapshots)
        if "max(" in statement and self._error:
            raise QueryFailed(self._error)
        return [self.row] if "max(" in statement else [(1,)]


VIEW = TrinoViewStage(name="view", kind="trino_view", relation="lake.s.o", progress_column='at "utc"')


def test_the_progress_of_a_view_is_the_highest_value_of_its_column() -> None:
    served, change = Columns(T0.timestamp(), T0.timestamp()), LastChange()
    first = trino.observe_view(VIEW, served, change)  # type: ignore[arg-type]
    assert (first.progress_time, first.progress_source, first.notes) == (T0, ProgressSource.DERIVED, ())
    assert 'max(to_unixtime("at ""utc""")), max(' in served.asked[-1]
    assert "FROM lake.s.o" in served.asked[-1]
    assert first.advanced_at is None, "nobody has seen it change"
    served.row = (T0.timestamp() + 5,) * 2
    second = trino.observe_view(VIEW, served, change)  # type: ignore[arg-type]
    assert second.advanced_at == second.observed_at
    assert trino.observe_view(VIEW, served, change).advanced_at == second.observed_at  # type: ignore[arg-type]


def test_a_connector_without_snapshots_needs_the_column_only() -> None:
    refusal = "GENERIC_INTERNAL_ERROR: ConnectorMetadata getTableHandle() is not implemented"
    served = Columns(T0.timestamp(), T0.timestamp(), no_snapshots=refusal)
    assert trino.observe_view(VIEW, served, LastChange()).progress_time == T0  # type: ignore[arg-type]
    without = TrinoViewStage(name="view", kind="trino_view", relation="lake.s.o")
    with pytest.raises(QueryFailed, match="GENERIC_INTERNAL_ERROR"):
        trino.observe_view(without, served, LastChange())  # type: ignore[arg-type]


def test_a_stamp_comes_before_the_column() -> None:
    class Stamped(Columns):
        def fetch(self, statement: str, within: float) -> list[tuple[object, ...]]:
            rows = super().fetch(statement.replace("snapshots", ""), within)
            return [(T0, T0.isoformat(), "7")] if "snapshots" in statement else rows

    served = Stamped(error="EXCEEDED_TIME_LIMIT: not asked")
    observation = trino.observe_view(VIEW, served, LastChange())  # type: ignore[arg-type]
    assert (observation.progress_time, observation.progress_source) == (T0, ProgressSource.STAMPED)
    assert not any("max(" in statement for statement in served.asked)


@pytest.mark.parametrize(
    ("row", "note"),
    [((None, None), 'no row has a time in at "utc"'), ((4e9, None), 'all rows have a future at "utc"')],
)
def test_a_column_without_a_time_up_to_now_is_unknown(row: tuple[object, ...], note: str) -> None:
    seen = trino.observe_view(VIEW, Columns(*row), LastChange())  # type: ignore[arg-type]
    assert (seen.progress_time, seen.notes) == (None, (note,))


def test_a_row_of_the_future_does_not_hide_a_late_view() -> None:
    seen = trino.observe_view(VIEW, Columns(4e9, T0.timestamp()), LastChange())  # type: ignore[arg-type]
    assert seen.progress_time == T0
    assert seen.notes == ('rows have a future at "utc", up to 2096-10-02 07:06:40Z',)


@pytest.mark.parametrize(
    ("served", "error", "line"),
    [
        (Columns(error="COLUMN_NOT_FOUND: line 1"), NotFound, "lake.s.o has no such column"),
        (Columns(error="FUNCTION_NOT_FOUND: to_unixtime(bigint)"), BadAnswer, "is not a date or a timestamp: cast it"),
        (Columns("soon", None), BadAnswer, "the response has an invalid time"),
        (Columns(1e300, None), BadAnswer, "the response has an invalid time"),
        (Columns(float("nan"), None), BadAnswer, "the response has an invalid time"),
        (Columns(error="EXCEEDED_MEMORY: too much"), QueryFailed, "EXCEEDED_MEMORY"),
    ],
)
def test_a_wrong_column_is_one_line(served: Columns, error: type[ClientError], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        trino.observe_view(VIEW, served, LastChange())  # type: ignore[arg-type]
    assert len(str(caught.value).splitlines()) == 1


def test_a_failed_run_names_its_failed_tasks_and_leaves_the_progress_where_it_was() -> None:
    runs = [("failed", {"load": "failed", "look": "success"}), ("success", {"load": "success"})]
    seen = observe_dag(STAGE, Airflow(runs))  # type: ignore[arg-type]
    assert seen.failure == "its newest run 0 failed in task load"
    assert seen.progress_time == T0 - seconds(60)


def test_a_dag_tells_when_it_is_due_how_long_it_takes_and_why_its_file_fails() -> None:
    its = {"file": "conform.py", "import_errors": True, "next_run_after": T0 + seconds(300), "paused": True}
    broken = FailedFile("conform.py", "NameError: name 'x' is not defined", T0)
    airflow = Airflow([("running", {}), ("success", {"load": "success"})], its, failing=(broken,))
    seen = observe_dag(STAGE, airflow)  # type: ignore[arg-type]
    assert seen.measurement("next_run_due") == (T0 + seconds(300)).timestamp()
    assert seen.measurement("run_duration_median") == 5
    assert seen.measurement("run_started_at") == T0.timestamp()
    assert seen.attribute("import_error") == "conform.py: NameError: name 'x' is not defined"
    assert (seen.attribute("active_run"), seen.attribute("paused")) == ("0", "yes")
    assert (seen.measurement("runs_running"), seen.measurement("runs_failed")) == (1, 0)


def working(task: str, state: str, pool: str = "silver", dag_id: str = "conform", age: float = 0) -> ActiveTask:
    return ActiveTask(dag_id, "0", task, state, pool, T0 - seconds(age) if state == "running" else None)


def test_a_run_tells_which_task_runs_or_which_waits_for_a_slot_and_who_holds_it() -> None:
    full = (Pool("silver", 1, 0, 1),)
    merge, other = working("merge", "scheduled"), working("load", "running", dag_id="other", age=720)

    def seen(*tasks: ActiveTask, pools: tuple[Pool, ...] = full) -> Observation:
        runs = [("running", {}), ("success", {"load": "success"})]
        return observe_dag(STAGE, Airflow(runs, slots=pools, working=tasks))  # type: ignore[arg-type]

    waits = seen(merge, other)
    assert (waits.attribute("task_waiting"), waits.attribute("waits_for_pool")) == ("merge", "silver")
    assert waits.attribute("slot_held_by") == "load of other"
    assert waits.measurement("slot_held_since") == (T0 - seconds(720)).timestamp()
    assert waits.measurement("waited_pool_slots") == 1
    runs = seen(working("merge", "running", age=30), working("check", "scheduled"))
    assert (runs.attribute("task_running"), runs.attribute("waits_for_pool")) == ("merge", None), (
        "it holds the slot itself"
    )
    assert runs.measurement("task_started_at") == (T0 - seconds(30)).timestamp()
    assert seen(working("merge", "queued")).attribute("waits_for_pool") is None, "a queued task has its slot"
    assert seen(merge, pools=(Pool("silver", 2, 1, 1),)).attribute("waits_for_pool") is None, "a slot is free"
    assert seen(merge, pools=()).attribute("waits_for_pool") is None


def test_a_run_whose_tasks_cannot_be_read_is_observed_without() -> None:
    airflow = Airflow([("running", {}), ("success", {"load": "success"})], refuses=PermissionDenied("no"))
    seen = observe_dag(STAGE, airflow)  # type: ignore[arg-type]
    assert seen.attribute("task_running") is None
    assert seen.progress_time == T0 - seconds(60)


def test_airflow_tells_its_heartbeats_its_full_pools_and_the_files_that_fail() -> None:
    pools = (Pool("default_pool", 16, 0, 5), Pool("endless", -1, -1, 9), Pool("free", 4, 2, 0))
    detail, seen = observe_airflow(Airflow(slots=pools, failing=(FailedFile("x.py", "SyntaxError", T0),)))  # type: ignore[arg-type]
    assert detail == "metadatabase healthy"
    assert seen.measurement("scheduler_heartbeat") == (T0 - seconds(90)).timestamp()
    assert seen.attribute("scheduler") == "unhealthy"
    assert seen.attribute("pools_full") == "default_pool (slots: 16, waiting tasks: 5)"
    assert (seen.measurement("pool_slots"), seen.measurement("pool_slots_open")) == (20, 2)
    assert seen.attribute("import_error_files") == "x.py (SyntaxError)"


def test_airflow_that_lets_us_see_its_health_alone_is_seen_so_far() -> None:
    _, seen = observe_airflow(Airflow(refuses=PermissionDenied("no")))  # type: ignore[arg-type]
    assert seen.attribute("scheduler") == "unhealthy"
    assert seen.attribute("pools_full") is None
    assert seen.measurement("pool_slots") is None, "unknown is not none"


def query(query_id: str, state: str, age: float, **more: object) -> ServerQuery:
    created = datetime.now(UTC) - seconds(age)
    text = {"source": "test", "statement": "", "error": "", "error_type": "", "resource_group": "global"}
    counts = dict.fromkeys(("queued", "cpu", "splits_done", "splits_total", "rows", "bytes", "memory"), 0)
    made = {"query_id": query_id, "state": state, "user": "ann", "created": created, "elapsed": age, "blocked": ()}
    return ServerQuery(**{**text, **counts, **made, **more})  # type: ignore[arg-type]


@dataclass
class Trino:
    """A cluster with these queries; counts how often it is asked."""

    running: tuple[ServerQuery, ...] = ()
    refuses: ClientError | None = None
    denies: ClientError | None = None
    no_token: ClientError | None = None
    asked: int = 0

    def info(self) -> TrinoInfo:
        return TrinoInfo("476", starting=False, uptime="3m")

    def sign_in(self) -> None:
        if self.no_token is not None:
            raise self.no_token

    def nodes(self, within: float) -> tuple[Node, ...]:
        self.asked += 1
        if self.refuses is not None:
            raise self.refuses
        return (Node("c1", True, "active"), Node("w1", False, "active"), Node("w2", False, "inactive"))

    def queries(self) -> tuple[ServerQuery, ...]:
        if self.denies is not None:
            raise self.denies
        return self.running


def test_trino_tells_what_waits_and_why_and_what_fails_not_by_its_users_fault() -> None:
    cluster = Trino(
        (
            query("q1", "QUEUED", 50),
            query("q2", "WAITING_FOR_RESOURCES", 90),
            query("q3", "PLANNING", 40),
            query("q4", "RUNNING", 5),
            query("ours", "QUEUED", 500, source="dataops"),
            query("q5", "FAILED", 60, elapsed=50, error="ICEBERG_CANNOT_OPEN_SPLIT", error_type="EXTERNAL"),
            query("q6", "FAILED", 60, elapsed=50, error="SYNTAX_ERROR", error_type="USER_ERROR"),
            query(
                "q8", "FAILED", 60, error="ICEBERG_COMMIT_ERROR", error_type="EXTERNAL", statement="MERGE INTO\n s.o"
            ),
            query("q9", "FAILED", 90, elapsed=10, error="TRANSACTION_CONFLICT", error_type="USER_ERROR"),
            query("q7", "FAILED", 600, elapsed=200, error="EXCEEDED_TIME_LIMIT", error_type="INSUFFICIENT_RESOURCES"),
        )
    )
    load = trino.Load()
    detail, seen = trino.observe_trino(cluster, load)  # type: ignore[arg-type]
    assert detail == "version 476, up 3m"
    assert (seen.measurement("nodes_active"), seen.measurement("nodes_inactive"), seen.attribute("nodes_inactive")) == (
        2,
        1,
        "w2",
    )
    assert (seen.measurement("queries_queued"), seen.measurement("queries_running")) == (2, 2)
    assert seen.measurement("queued_longest") == pytest.approx(90, abs=5)
    assert seen.attribute("queued") == "q2 of ann is waiting for resources in resource group global"
    assert seen.attribute("planning") == "q3 of ann is planning in resource group global"
    assert seen.measurement("queries_failed_recent") == 1
    assert seen.attribute("failed") == "ICEBERG_CANNOT_OPEN_SPLIT (1)"
    assert seen.measurement("commits_failed_recent") == 2, "and no failures besides"
    assert seen.attribute("conflict") == "q8 of ann: MERGE INTO s.o"
    trino.observe_trino(cluster, load)  # type: ignore[arg-type]
    assert cluster.asked == 1, "asking costs Trino real work"


def test_a_queue_that_is_full_is_told_though_our_own_query_waits_in_it() -> None:
    full = Trino((query("q1", "QUEUED", 300),), refuses=TimedOut("slow"))
    _, seen = trino.observe_trino(full, trino.Load())  # type: ignore[arg-type]
    assert seen.measurement("queued_longest") == pytest.approx(300, abs=5)
    assert seen.measurement("nodes_active") is None, "unknown is not none"


def test_that_our_own_query_waits_for_workers_tells_that_there_are_none() -> None:
    _, seen = trino.observe_trino(Trino(refuses=NoWorkers("none")), trino.Load())  # type: ignore[arg-type]
    assert seen.attribute("workers") == "none"
    _, seen = trino.observe_trino(Trino(refuses=TimedOut("slow")), trino.Load())  # type: ignore[arg-type]
    assert seen.attribute("workers") is None


def test_a_view_that_no_worker_can_read_has_failed_and_one_that_is_slow_is_unknown() -> None:
    class Waits:
        def __init__(self, error: ClientError) -> None:
            self._error = error

        def fetch(self, statement: str, within: float) -> list[tuple[object, ...]]:
            raise self._error

    stage = TrinoViewStage(kind="trino_view", name="view", relation="lake.gold.orders")
    seen = trino.observe_view(stage, Waits(NoWorkers("it waits for workers")), LastChange())  # type: ignore[arg-type]
    assert seen.failure == "it waits for workers"
    with pytest.raises(TimedOut):
        trino.observe_view(stage, Waits(TimedOut("slow")), LastChange())  # type: ignore[arg-type]


def test_trino_that_answers_and_does_not_tell_its_load_is_unknown_there_and_there_only() -> None:
    _, seen = trino.observe_trino(Trino(denies=PermissionDenied("no")), trino.Load())  # type: ignore[arg-type]
    assert seen.figures == ()


def test_trino_that_rejects_our_credentials_is_not_up_though_it_reports_its_version() -> None:
    load, cluster = trino.Load(), Trino(denies=AuthenticationFailed("no"))
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            trino.observe_trino(cluster, load)  # type: ignore[arg-type]
    with pytest.raises(TimedOut):
        trino.observe_trino(Trino(no_token=TimedOut("slow")), trino.Load())  # type: ignore[arg-type]


def test_what_a_query_waited_in_the_queue_is_no_planning() -> None:
    cluster = Trino((query("q1", "PLANNING", 301, queued=300),))
    _, seen = trino.observe_trino(cluster, trino.Load())  # type: ignore[arg-type]
    assert seen.measurement("planning_longest") == pytest.approx(1, abs=5)


class Kafka:
    """A cluster with one topic, of which nothing waits."""

    target = "kafka:1"

    def topic(self, name: str) -> Topic:
        return Topic(name, ())

    def first_records(self, _starts: object) -> FirstRecords:
        return FirstRecords({}, {})

    def retention(self, _topic: str) -> None:
        return None


@dataclass
class Ui:
    """The web UI of a query's driver."""

    rows: int | None = None
    failure: DataopsError | None = None

    def late_rows(self, query_id: str, _now: datetime) -> LateRows:
        assert query_id == "q-1"
        if self.failure is not None:
            raise self.failure
        return LateRows(self.rows, T0 if self.rows else None)


def test_a_query_tells_its_late_rows_where_spark_does_and_does_without_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = Batch(7, T0, {"orders": {}})
    monkeypatch.setattr(spark, "read_checkpoint", lambda *_: Checkpoint("q-1", batch, batch))
    stage = SparkQueryStage(name="land", kind="spark_query", checkpoint="/c")

    def seen(ui: Ui | None) -> Observation:
        return spark.observe_query(stage, Kafka, None, ui)  # type: ignore[arg-type]

    dropped = seen(Ui(1200))
    assert (dropped.measurement("rows_late_recent"), dropped.measurement("rows_late_at")) == (1200, T0.timestamp())
    assert (seen(Ui(0)).measurement("rows_late_recent"), seen(Ui(0)).measurement("rows_late_at")) == (0, None)
    for ui in (None, Ui(None), Ui(failure=ConfigError("NOPE is not set"))):
        assert seen(ui).measurement("rows_late_recent") is None, "unknown is not none"
        assert seen(ui).measurement("batch_committed") == 7
    assert seen(ui).notes == ("late rows are unknown: NOPE is not set",)
