"""What the tasks of a run under way do: they run, or wait for a slot of a pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dataops_core.errors import ClientError
from dataops_core.systems.airflow.client import AirflowClient
from dataops_core.systems.airflow.responses import ActiveTask, DagRun


@dataclass(frozen=True, slots=True)
class RunningTask:
    """What a run waits for.

    Attributes:
        task: The task that runs the longest, else one that waits for a slot.
        since: When it was started; `None` where it waits.
        pool: The full pool for a slot of which it waits; `None` where it does not.
        slots: How many slots that pool has.
        holder: The task that has held one of them the longest.
    """

    task: str
    since: datetime | None = None
    pool: str | None = None
    slots: int = 0
    holder: ActiveTask | None = None


def running_task(client: AirflowClient, run: DagRun) -> RunningTask | None:
    """Return what a run waits for; `None` where it is unknown, or is not one of these."""
    try:
        tasks = client.active_tasks(run.dag_id, run.run_id)
        running = _oldest(tasks)
        if running is not None:
            return RunningTask(running.task_id, running.started_at)
        # A queued task has its slot already; only a scheduled one waits for it.
        waiting = next((task for task in tasks if task.state == "scheduled"), None)
        if waiting is None or any(task.state == "queued" for task in tasks):
            return None
        pool = next((p for p in client.pools() if p.name == waiting.pool), None)
        if pool is None or pool.open != 0:
            return None
        return RunningTask(
            waiting.task_id, None, pool.name, pool.slots or 0, _oldest(client.active_tasks("~", "~", pool.name))
        )
    except ClientError:  # to see tasks and pools are rights of their own; the run is observed without
        return None


def _oldest(tasks: tuple[ActiveTask, ...]) -> ActiveTask | None:
    running = [(task.started_at, task) for task in tasks if task.state == "running" and task.started_at is not None]
    return min(running, key=lambda pair: pair[0])[1] if running else None


def details_of(work: RunningTask) -> dict[str, Any]:
    """Return the fields of `DagDetails` that say what a run waits for."""
    if work.pool is None:
        return {"task_running": work.task, "task_started_at": work.since}
    holder = work.holder
    return {
        "task_waiting": work.task,
        "waits_for_pool": work.pool,
        "waited_pool_slots": work.slots,
        "slot_held_by": f"{holder.task_id} of {holder.dag_id}" if holder is not None else None,
        "slot_held_since": holder.started_at if holder is not None else None,
    }
