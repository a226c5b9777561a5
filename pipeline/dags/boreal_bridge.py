"""Boreal Bridge's batch jobs as Airflow DAGs, each a job of `dataops_pipeline` in the project's own environment."""

from __future__ import annotations

import datetime as dt

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, Param

SILVER = Asset("iceberg://lake/silver/readings")
REFERENCE = Asset("iceberg://lake/bronze/reference")

COMMON = {
    "start_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "max_active_runs": 1,
    "is_paused_upon_creation": False,
    "tags": ["boreal-bridge"],
    "default_args": {
        "owner": "boreal-bridge",
        "retries": 2,
        "retry_delay": dt.timedelta(seconds=20),
        "execution_timeout": dt.timedelta(minutes=15),
    },
}


def job(name: str, outlets: list[Asset], env: dict[str, str] | None = None) -> BashOperator:
    """Return the task that runs a job.

    Args:
        name: The job's module; $BOREAL_PYTHON is the Python that has it.
        outlets: What the job changes.
        env: What the job reads from its environment, beyond where the components are; templates are filled in.
    """
    # Airflow's own PYTHONPATH must not reach the project's environment.
    command = f'exec env -u PYTHONPATH "$BOREAL_PYTHON" -m dataops_pipeline.jobs.{name}'
    return BashOperator(
        task_id=name,
        bash_command=command,
        env=env,
        append_env=True,
        skip_on_exit_code=99,  # the job comes too early
        outlets=outlets,
    )


with DAG(
    "load_reference_data",
    schedule="@daily",
    doc_md="Flights, weather, airports, products and shipments from the object store into `bronze`, replaced whole.",
    **COMMON,
):
    job("load_reference_data", [REFERENCE])

with DAG(
    "conform_readings",
    schedule=dt.timedelta(minutes=5),
    doc_md="What is new in `bronze.readings` into `silver.readings`: each reading once, wrong clocks corrected.",
    **COMMON,
):
    job("conform_readings", [SILVER])

with DAG(
    "reconcile_logger_dumps",
    schedule=dt.timedelta(minutes=10),
    doc_md="New dumps of loggers against `silver.readings`, which is filled with what the stream has lost.",
    params={
        "max_files": Param(
            1000, type="integer", minimum=1, maximum=100_000, description="Dumps that one run takes at the most."
        )
    },
    **COMMON,
):
    job("reconcile_logger_dumps", [SILVER], {"BOREAL_MAX_DUMP_FILES": "{{ params.max_files }}"})

with DAG(
    "assess_shipments",
    schedule=[SILVER],
    doc_md="What each shipment was exposed to, from `silver.readings`, into `gold.shipment_exposure`.",
    **COMMON,
):
    job("assess_shipments", [])
