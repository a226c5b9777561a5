"""What probes observe of DAGs and of Airflow itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataops_core.health.details import ComponentDetails, Details, value


@dataclass(frozen=True, slots=True, kw_only=True)
class DagDetails(Details):
    """A DAG.

    Attributes:
        active_run: Id of the run that is queued or running.
        work_unknown: That none of the newest runs has done anything, so the newest work is unknown.
        import_error: Why its file fails to load.
        run_duration: Duration of the newest run that did something.
        run_duration_median: Median duration of the newest successful runs.
        task_running: The task of the active run that runs the longest.
        task_waiting: The task that waits for a slot of a pool, where none runs.
        waits_for_pool: That pool.
        slot_held_by: The task that has held one of its slots the longest.
    """

    active_run: str | None = value()
    last_work: str | None = value()
    paused: bool | None = value()
    import_error: str | None = value()
    run_duration: float | None = value("s")
    run_duration_median: float | None = value("s")
    runs_queued: int | None = value()
    runs_running: int | None = value()
    runs_failed: int | None = value()
    next_run_due: datetime | None = value()
    run_queued_at: datetime | None = value()
    run_started_at: datetime | None = value()
    task_running: str | None = value()
    task_started_at: datetime | None = value()
    task_waiting: str | None = value()
    waits_for_pool: str | None = value()
    waited_pool_slots: int | None = value()
    slot_held_by: str | None = value()
    slot_held_since: datetime | None = value()


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowDetails(ComponentDetails):
    """Airflow: status and newest heartbeat of each part, pools, and DAG files that fail to load.

    Attributes:
        pools_full: Pools without a free slot while tasks wait.
        import_error_files: The first few files that fail to load, with the reason.
    """

    metadatabase: str | None = value()
    scheduler: str | None = value()
    dag_processor: str | None = value()
    triggerer: str | None = value()
    metadatabase_heartbeat: datetime | None = value()
    scheduler_heartbeat: datetime | None = value()
    dag_processor_heartbeat: datetime | None = value()
    triggerer_heartbeat: datetime | None = value()
    pools_full: str | None = value()
    import_error_files: str | None = value()
    pool_slots: int | None = value()
    pool_slots_open: int | None = value()
    tasks_waiting_for_slot: int | None = value()
    import_errors: int | None = value()
